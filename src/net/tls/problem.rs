//! What rustls says, in this program's errors.

use std::fmt;
use std::io;

use jiff::Timestamp;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, OtherError, PeerIncompatible};

use super::inner_error;
use crate::account::{Endpoint, TlsMode};
use crate::net::{CertificateProblem, HandshakeProblem, NetError};

/// The error of a handshake that failed. `began` is how TLS had begun.
pub(super) fn explain(endpoint: &Endpoint, began: TlsMode, error: io::Error) -> NetError {
    let host = endpoint.host.clone();
    let port = endpoint.port;
    match inner_error(&error) {
        None => NetError::ClosedDuringHandshake { host, port, source: error },
        // A record of an unknown type: the first byte is a letter or a sign.
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => NetError::NotTls { host, port, tls: began },
        Some(Error::InvalidCertificate(refusal)) => NetError::Certificate { host, problem: certificate(refusal) },
        Some(other) => NetError::Handshake { host, port, problem: handshake(other) },
    }
}

/// Marks the refusal of a certificate that is signed by itself, which rustls does not tell from other unknown issuers.
#[derive(Debug)]
pub(super) struct SelfSigned;

impl fmt::Display for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the certificate is signed by itself")
    }
}

impl std::error::Error for SelfSigned {}

/// Whether a certificate was refused because it is marked as an authority's (RFC 5280, section 4.2.1.9).
pub(super) fn is_authority_as_server(refusal: &Error) -> bool {
    matches!(refusal, Error::InvalidCertificate(CertificateError::Other(OtherError(other)))
        if matches!(other.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity)))
}

/// What is wrong with a certificate.
fn certificate(refusal: &CertificateError) -> CertificateProblem {
    let other = |words: &str| CertificateProblem::Other(words.to_owned());
    match refusal {
        CertificateError::Expired => CertificateProblem::Expired { not_after: None },
        CertificateError::ExpiredContext { not_after, .. } => {
            CertificateProblem::Expired { not_after: timestamp(*not_after) }
        }
        CertificateError::NotValidYet => CertificateProblem::NotYetValid { not_before: None },
        CertificateError::NotValidYetContext { not_before, .. } => {
            CertificateProblem::NotYetValid { not_before: timestamp(*not_before) }
        }
        CertificateError::NotValidForName => CertificateProblem::WrongName { presented: Vec::new() },
        CertificateError::NotValidForNameContext { presented, .. } => {
            CertificateProblem::WrongName { presented: presented.iter().map(|name| bare_name(name)).collect() }
        }
        CertificateError::UnknownIssuer => CertificateProblem::UnknownIssuer,
        CertificateError::Revoked => CertificateProblem::Revoked,
        CertificateError::BadEncoding => other("cannot be read"),
        CertificateError::BadSignature => other("is not signed by the authority that it names"),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            other("is not meant for a server")
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            other("is signed in a way that is no longer safe, or too new")
        }
        CertificateError::Other(OtherError(words)) if words.is::<SelfSigned>() => CertificateProblem::SelfSigned,
        CertificateError::Other(OtherError(words))
            if matches!(words.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity)) =>
        {
            other("is an authority's own and not meant for a server")
        }
        unusual => CertificateProblem::Other(format!("is refused ({unusual})")),
    }
}

/// On what the two sides could not agree.
fn handshake(error: &Error) -> HandshakeProblem {
    match error {
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13 | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        )
        | Error::AlertReceived(AlertDescription::ProtocolVersion) => HandshakeProblem::OldVersions,
        Error::PeerIncompatible(
            PeerIncompatible::NoCipherSuitesInCommon
            | PeerIncompatible::NoKxGroupsInCommon
            | PeerIncompatible::NoSignatureSchemesInCommon,
        )
        | Error::AlertReceived(AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity) => {
            HandshakeProblem::NothingInCommon
        }
        Error::AlertReceived(AlertDescription::UnrecognisedName) => HandshakeProblem::NameRefused,
        other => HandshakeProblem::Other(other.to_string()),
    }
}

/// A moment, if it lies within the years that a calendar knows.
fn timestamp(time: UnixTime) -> Option<Timestamp> {
    i64::try_from(time.as_secs()).ok().and_then(|seconds| Timestamp::from_second(seconds).ok())
}

/// webpki writes a name as `DnsName("pop.example.org")` and an address as `IpAddress(192.0.2.1)`.
fn bare_name(presented: &str) -> String {
    let inner = presented.strip_suffix(')').and_then(|rest| rest.split_once('(')).map(|(_kind, name)| name);
    inner.map_or(presented, |name| name.trim_matches('"')).to_owned()
}
