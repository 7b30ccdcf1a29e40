//! Translates the errors of rustls into those of this program.

use std::fmt;
use std::io;
use std::net::IpAddr;

use jiff::Timestamp;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, OtherError, PeerIncompatible};

use super::key_length::ShortKey;
use super::listened::Beginning;
use super::pins::WrongKey;
use super::{client_certificate, inner_error};
use crate::account::{Endpoint, KeyExchange, TlsMode};
use crate::net::{CertificateProblem, HandshakeProblem, NetError};

/// Explains a handshake that failed. `began` is how TLS was begun, `heard` what the server sent first, and `asked`
/// whether it requested a client certificate.
pub(super) fn explain(
    endpoint: &Endpoint,
    began: TlsMode,
    error: io::Error,
    heard: &Beginning,
    asked: bool,
) -> NetError {
    let host = endpoint.host.clone();
    let port = endpoint.port;
    // An alert instead of an answer; a warning may be followed by one.
    let answered =
        heard.is_heard() && !(heard.is_alert() && matches!(inner_error(&error), Some(Error::AlertReceived(_))));
    let failed = |problem| NetError::Handshake { host: endpoint.host.clone(), port, problem, answered };
    let shown = endpoint.tls_options.client_certificate.is_some();
    match inner_error(&error) {
        None if heard.warns_of_name() => failed(HandshakeProblem::NameRefused),
        None if asked && !shown => failed(HandshakeProblem::ClientCertificateWanted),
        None => {
            let heard = heard.is_heard() && !heard.says_goodbye();
            NetError::ClosedDuringHandshake { host, port, source: error, heard }
        }
        Some(refusal) if asked && client_certificate::is_refusal(refusal) => failed(client_certificate::problem(shown)),
        Some(Error::AlertReceived(alert)) if !answered && may_be_cured_by_a_smaller_hello(*alert) => {
            failed(HandshakeProblem::NotUnderstood(format!("received fatal alert: {alert:?}")))
        }
        // A record of an unknown type: the first byte is a letter or a punctuation mark.
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => NetError::NotTls { host, port, tls: began },
        Some(Error::InvalidCertificate(refusal)) => {
            let server_name = &endpoint.tls_options.server_name;
            let problem = certificate(refusal, server_name.is_some());
            NetError::Certificate { host: server_name.clone().unwrap_or(host), problem }
        }
        Some(other) => failed(match handshake(other) {
            HandshakeProblem::NothingInCommon if endpoint.key_exchange == KeyExchange::PostQuantum => {
                HandshakeProblem::NoPostQuantum
            }
            problem => problem,
        }),
    }
}

/// Whether an alert instead of an answer may be due to a ClientHello that was truncated or dropped on its way: it says
/// that the message was garbled rather than unwelcome, or it says nothing.
fn may_be_cured_by_a_smaller_hello(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CloseNotify
            | AlertDescription::DecodeError
            | AlertDescription::RecordOverflow
            | AlertDescription::IllegalParameter
            | AlertDescription::UnexpectedMessage
            | AlertDescription::InternalError
    )
}

/// Marks the rejection of a self-signed certificate, which rustls does not distinguish from other unknown issuers.
#[derive(Debug)]
pub(super) struct SelfSigned;

impl fmt::Display for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the certificate is self-signed")
    }
}

impl std::error::Error for SelfSigned {}

/// Whether a certificate was rejected because it is marked as an authority's (RFC 5280, section 4.2.1.9).
pub(super) fn is_authority_as_server(refusal: &Error) -> bool {
    matches!(refusal, Error::InvalidCertificate(CertificateError::Other(OtherError(other)))
        if matches!(other.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity)))
}

/// Returns what is wrong with a certificate. `is_server_name` says that the verified name was that of
/// `tls_server_name`.
fn certificate(refusal: &CertificateError, is_server_name: bool) -> CertificateProblem {
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
        CertificateError::NotValidForName => CertificateProblem::WrongName { presented: Vec::new(), is_server_name },
        CertificateError::NotValidForNameContext { presented, .. } => {
            let presented = presented.iter().map(|name| bare_name(name)).collect();
            CertificateProblem::WrongName { presented, is_server_name }
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
        CertificateError::Other(OtherError(words)) if words.is::<WrongKey>() => CertificateProblem::WrongKey {
            pin: words.downcast_ref().map_or_else(String::new, |WrongKey(pin)| pin.clone()),
        },
        CertificateError::Other(OtherError(words)) if words.is::<SelfSigned>() => CertificateProblem::SelfSigned,
        CertificateError::Other(OtherError(words))
            if matches!(words.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity)) =>
        {
            other("is an authority's own and not meant for a server")
        }
        CertificateError::Other(OtherError(words)) if words.is::<ShortKey>() => {
            let bits = words.downcast_ref().map_or(0, |ShortKey(bits)| *bits);
            CertificateProblem::Other(format!("rests on an RSA key of {bits} bits, which is too short to be safe"))
        }
        unusual => CertificateProblem::Other(format!("is refused ({unusual})")),
    }
}

/// Returns what the two sides could not agree on.
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

/// Converts a time, if it lies within the years of the calendar.
fn timestamp(time: UnixTime) -> Option<Timestamp> {
    i64::try_from(time.as_secs()).ok().and_then(|seconds| Timestamp::from_second(seconds).ok())
}

/// Strips webpki's notation: it writes a name as `DnsName("pop.example.org")` and an address as `IpAddress(192.0.2.1)`.
/// An address written as a name is not valid as one, and must be distinguishable from the address.
fn bare_name(presented: &str) -> String {
    match presented.strip_suffix(')').and_then(|rest| rest.split_once('(')) {
        Some(("DnsName", name)) if name.trim_matches('"').parse::<IpAddr>().is_ok() => {
            format!("the name {} (not for the address)", name.trim_matches('"'))
        }
        Some((_kind, name)) => name.trim_matches('"').to_owned(),
        None => presented.to_owned(),
    }
}
