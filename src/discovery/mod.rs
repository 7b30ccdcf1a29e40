//! Finds the POP3 server of a mail address: by what the domain publishes, by what others publish about it, and by
//! guessing.
//!
//! [`address`], [`srv`], [`pacc`] and [`autoconfig`] interpret data and use no socket; [`dns`] and [`documents`] fetch
//! it; [`search`] defines the order. No secrets are involved. Every result is only a candidate: it can be forged, and a
//! stranger's host has a valid certificate, too (RFC 6186, section 6). Callers must ask the user where
//! [`Candidate::needs_word`] demands it.

pub(crate) mod address;
pub(crate) mod autoconfig;
pub(crate) mod dns;
pub(crate) mod documents;
pub(crate) mod pacc;
pub(crate) mod search;
pub(crate) mod srv;

pub(crate) use address::MailAddress;

use crate::account::TlsMode;
use crate::provider::Provider;

/// A possible server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The host name.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// When TLS begins; never [`TlsMode::None`].
    pub tls: TlsMode,
    /// The name to log in with.
    pub username: String,
    /// The server accepts only OAuth 2.0.
    pub oauth_only: bool,
    /// How it was found.
    pub source: Source,
}

/// How a server was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The table of providers.
    Table,
    /// The provider's document, confirmed by its digest in DNS.
    Pacc,
    /// SRV records.
    Srv,
    /// A document published by the domain.
    Autoconfig,
    /// The ISPDB.
    Ispdb,
    /// A common name.
    Guess,
    /// The user.
    User,
}

impl Source {
    /// Describes the source in words, to follow "found by".
    #[must_use]
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Table => "the table of providers",
            Self::Pacc => "the provider's own description (PACC)",
            Self::Srv => "DNS (SRV records)",
            Self::Autoconfig => "the domain's autoconfig document",
            Self::Ispdb => "the ISPDB",
            Self::Guess => "a guess",
            Self::User => "you",
        }
    }
}

impl Candidate {
    /// Returns a candidate with implicit TLS on the usual port and the full address as user name; the caller fills in
    /// the rest.
    fn plain(source: Source, address: &MailAddress) -> Self {
        Self {
            host: String::new(),
            port: 995,
            tls: TlsMode::Implicit,
            username: address.to_string(),
            oauth_only: false,
            source,
        }
    }

    /// Whether the user must confirm the server before a password is sent to it: it is not below the address's own
    /// domain, nor in the table, nor named by the user.
    #[must_use]
    pub(crate) fn needs_word(&self, address: &MailAddress) -> bool {
        let in_table = || Provider::all().iter().any(|provider| provider.host == Some(self.host.as_str()));
        self.source != Source::User && !address.owns(&self.host) && !in_table()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_host_needs_a_word() {
        let address = MailAddress::new("jo@example.org").unwrap();
        let needs = |host: &str, source| {
            Candidate { host: host.to_owned(), ..Candidate::plain(source, &address) }.needs_word(&address)
        };
        for source in [Source::Pacc, Source::Srv, Source::Autoconfig, Source::Ispdb] {
            assert!(needs("pop.evil.test", source) && needs("pop.gmail.com.evil.test", source), "{source:?}");
            assert!(!needs("pop.example.org", source) && !needs("pop.gmail.com", source), "{source:?}");
        }
        assert!(!needs("pop.evil.test", Source::User));
    }
}
