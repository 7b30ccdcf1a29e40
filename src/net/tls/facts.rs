//! What the two sides agreed on, for display.

use std::time::Duration;

use super::pins;
use crate::net::TlsFacts;
use crate::text;
use rustls::client::ClientConnection;
use rustls::{HandshakeKind, NamedGroup, ProtocolVersion};
use webpki::EndEntityCert;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::name::Name;

/// How many characters are kept of a name in a certificate: the server chooses it.
const NAME: usize = 200;

/// Describes the result of a handshake that has just completed.
pub(super) fn of(connection: &ClientConnection, took: Duration) -> TlsFacts {
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3".to_owned(),
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2".to_owned(),
        other => format!("TLS of version {other:?}"),
    };
    let key_exchange = connection.negotiated_key_exchange_group().map(|group| name(group.name()));
    let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
    let cipher_suite = connection.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
    let mut facts = TlsFacts {
        version,
        key_exchange,
        // rustls names those of TLS 1.3 differently from its RFC.
        cipher_suite: cipher_suite.map(|suite| suite.replacen("TLS13_", "TLS_", 1)),
        subject: None,
        pin: None,
        issuer: None,
        not_before: None,
        not_after: None,
        resumed,
        took,
    };
    let end_entity = connection.peer_certificates().and_then(<[_]>::first);
    facts.pin = end_entity.and_then(|der| Some(pins::pin(&EndEntityCert::try_from(der).ok()?)));
    if let Some(certificate) = end_entity.and_then(|der| Certificate::from_der(der).ok()) {
        let certificate = certificate.tbs_certificate();
        let seconds = |since: Duration| i64::try_from(since.as_secs()).ok();
        facts.subject = words(certificate.subject());
        facts.issuer = words(certificate.issuer());
        facts.not_before = seconds(certificate.validity().not_before.to_unix_duration());
        facts.not_after = seconds(certificate.validity().not_after.to_unix_duration());
    }
    facts
}

/// Formats a name in a certificate; None if it is empty.
fn words(name: &Name) -> Option<String> {
    let name: String = name.to_string().chars().take(NAME).collect();
    Some(text::value(&name)).filter(|name| !name.is_empty())
}

/// Returns the common name of a group.
fn name(group: NamedGroup) -> String {
    match group {
        NamedGroup::secp256r1 => "P-256".to_owned(),
        NamedGroup::secp384r1 => "P-384".to_owned(),
        NamedGroup::secp521r1 => "P-521".to_owned(),
        other => format!("{other:?}"),
    }
}
