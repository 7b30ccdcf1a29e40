//! Where servers are looked for, and in which order.

use super::autoconfig::{self, ispdb_url};
use super::dns::{Dns, DnsError};
use super::documents::document;
use super::{Candidate, MailAddress, Source, pacc, srv};
use crate::account::TlsMode;
use crate::https::Http;
use crate::provider::{Login, Provider};

/// Looks for the servers of one address.
#[derive(Debug)]
pub(crate) struct Search<'a> {
    /// The address.
    pub address: &'a MailAddress,
    /// Fetches documents.
    pub http: &'a Http,
    /// Queries DNS; None to use no DNS.
    pub dns: Option<&'a Dns>,
}

/// What a domain publishes about itself.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// The servers, the best first.
    pub candidates: Vec<Candidate>,
    /// Queries that failed and may succeed later, in words.
    pub unanswered: Vec<String>,
}

/// Returns the server of a provider in the table; None if its entry has no server.
#[must_use]
pub(crate) fn in_table(provider: &Provider, address: &MailAddress) -> Option<Candidate> {
    let username = match provider.login {
        Login::Address => address.to_string(),
        Login::LocalPart => address.local().to_owned(),
    };
    Some(Candidate {
        host: provider.host?.to_owned(),
        port: provider.port,
        tls: provider.tls,
        username,
        oauth_only: !provider.accepts.any_password(),
        source: Source::Table,
    })
}

impl Search<'_> {
    /// Returns what the domain publishes: PACC, then SRV, then autoconfig. All are queried concurrently.
    pub(crate) async fn domain(&self) -> Published {
        let (pacc, implicit, starttls, documents) = tokio::join!(
            self.pacc(),
            self.srv(srv::implicit_name(self.address.domain()), TlsMode::Implicit),
            self.srv(srv::starttls_name(self.address.domain()), TlsMode::StartTls),
            self.autoconfig()
        );
        let mut told = Published { candidates: pacc.into_iter().collect(), unanswered: Vec::new() };
        for answer in [implicit, starttls] {
            match answer {
                Ok(found) => told.candidates.extend(found),
                Err(e) => told.unanswered.push(e.to_string()),
            }
        }
        told.candidates.extend(documents);
        told
    }

    async fn pacc(&self) -> Option<Candidate> {
        let dns = self.dns?;
        let domain = self.address.domain();
        let records = dns.txt(&pacc::digest_name(domain)).await.ok().filter(|records| !records.is_empty())?;
        let document = document(self.http, &pacc::url(domain)).await?;
        if !pacc::is_confirmed(&document, &records) {
            tracing::debug!("PACC: the document of {domain} is not the one whose digest is in DNS");
            return None;
        }
        pacc::candidate(&document, self.address)
    }

    async fn srv(&self, name: String, tls: TlsMode) -> Result<Vec<Candidate>, DnsError> {
        let Some(dns) = self.dns else { return Ok(Vec::new()) };
        Ok(srv::candidates(dns.srv(&name).await?, tls, self.address))
    }

    async fn autoconfig(&self) -> Vec<Candidate> {
        let [first, second] = autoconfig::urls(self.address);
        let (first, second) = tokio::join!(document(self.http, &first), document(self.http, &second));
        let read = |document: Vec<u8>| autoconfig::candidates(&document, Source::Autoconfig, self.address);
        let first = first.map(read).unwrap_or_default();
        if first.is_empty() { second.map(read).unwrap_or_default() } else { first }
    }

    /// Returns what the ISPDB says of the domain. The query discloses the domain to it.
    pub(crate) async fn ispdb(&self) -> Vec<Candidate> {
        let document = document(self.http, &ispdb_url(self.address.domain())).await.unwrap_or_default();
        autoconfig::candidates(&document, Source::Ispdb, self.address)
    }

    /// Returns common names below the domain. Only TLS with a certificate for the name confirms one of them.
    #[must_use]
    pub(crate) fn guesses(&self) -> Vec<Candidate> {
        let domain = self.address.domain();
        let hosts = [format!("pop.{domain}"), format!("pop3.{domain}"), format!("mail.{domain}"), domain.to_owned()];
        let at = |port, tls| {
            let address = self.address;
            hosts.clone().map(|host| Candidate { host, port, tls, ..Candidate::plain(Source::Guess, address) })
        };
        let implicit = at(995, TlsMode::Implicit).into_iter();
        implicit.chain(at(110, TlsMode::StartTls)).collect()
    }
}
