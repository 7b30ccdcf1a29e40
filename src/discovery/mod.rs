//! From a mail address to its POP3 server: what the domain says of itself, what others say of it, and guesses.
//!
//! [`address`], [`srv`], [`pacc`] and [`autoconfig`] read what came and touch no socket; [`dns`] and [`documents`] ask;
//! [`search`] has the order. No secret is known here, and whatever is found is only a candidate: it can be forged, and a
//! stranger's host has a valid certificate, too (RFC 6186, section 6). Who takes it has to ask the user where
//! [`Candidate::needs_word`] says so.

pub mod address;
pub mod autoconfig;
pub mod dns;
pub mod documents;
pub mod pacc;
pub mod search;
pub mod srv;

pub use address::MailAddress;

use crate::account::TlsMode;
use crate::provider::Provider;

/// A server that may be the one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// When TLS begins; never [`TlsMode::None`].
    pub tls: TlsMode,
    /// What one logs in as there.
    pub username: String,
    /// It takes OAuth 2.0 and nothing else.
    pub oauth_only: bool,
    /// Who says so.
    pub source: Source,
}

/// Who names a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The table of providers.
    Table,
    /// The provider's document, with its digest in DNS.
    Pacc,
    /// SRV records.
    Srv,
    /// A document of the domain's.
    Autoconfig,
    /// The ISPDB.
    Ispdb,
    /// Names that are usual.
    Guess,
    /// The user.
    User,
}

impl Source {
    /// In words, for "found by".
    #[must_use]
    pub fn words(self) -> &'static str {
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
    /// Inside TLS at the usual port, with the whole address as the name: host and more are to be filled in.
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

    /// Whether somebody has to say yes before a password goes there: it is neither below the address's own domain, nor in
    /// the table, nor named by the user.
    #[must_use]
    pub fn needs_word(&self, address: &MailAddress) -> bool {
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
