//! Where a server is looked for, in which order.

use super::autoconfig::{self, ispdb_url};
use super::dns::{Dns, DnsError};
use super::documents::document;
use super::{Candidate, MailAddress, Source, pacc, srv};
use crate::account::TlsMode;
use crate::https::Http;
use crate::provider::{Login, Provider};

/// Asks about one address.
#[derive(Debug)]
pub struct Search<'a> {
    /// The address.
    pub address: &'a MailAddress,
    /// Asks for documents.
    pub http: &'a Http,
    /// Asks DNS; None where it is not to be asked.
    pub dns: Option<&'a Dns>,
}

/// What a domain says of itself.
#[derive(Debug, Default)]
pub struct Told {
    /// The servers, the best first.
    pub candidates: Vec<Candidate>,
    /// What could not be asked, and may answer another time.
    pub unanswered: Vec<String>,
}

/// The server of a provider in the table; None if it is there for other reasons.
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
    /// What the domain says of itself: PACC, then SRV, then autoconfig. All are asked at the same time.
    pub async fn domain(&self) -> Told {
        let (pacc, implicit, starttls, documents) = tokio::join!(
            self.pacc(),
            self.srv(srv::implicit_name(self.address.domain()), TlsMode::Implicit),
            self.srv(srv::starttls_name(self.address.domain()), TlsMode::StartTls),
            self.autoconfig()
        );
        let mut told = Told { candidates: pacc.into_iter().collect(), unanswered: Vec::new() };
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

    /// What the ISPDB says of the domain. It learns the domain by being asked.
    pub async fn ispdb(&self) -> Vec<Candidate> {
        let document = document(self.http, &ispdb_url(self.address.domain())).await.unwrap_or_default();
        autoconfig::candidates(&document, Source::Ispdb, self.address)
    }

    /// Names that are usual, below the domain. TLS with a certificate for the name is what makes one of them more than that.
    #[must_use]
    pub fn guesses(&self) -> Vec<Candidate> {
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
