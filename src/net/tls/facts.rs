//! What the two sides agreed on, for people to read.

use std::time::Duration;

use crate::net::TlsFacts;
use crate::text;
use rustls::client::ClientConnection;
use rustls::{HandshakeKind, NamedGroup, ProtocolVersion};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// No more of an issuer's name is kept, in characters: it is the server's to choose.
const ISSUER: usize = 200;

/// What a handshake that has just ended came to.
pub(super) fn of(connection: &ClientConnection, took: Duration) -> TlsFacts {
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3".to_owned(),
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2".to_owned(),
        other => format!("TLS of version {other:?}"),
    };
    let key_exchange = connection.negotiated_key_exchange_group().map(|group| name(group.name()));
    let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
    let mut facts = TlsFacts { version, key_exchange, issuer: None, not_before: None, not_after: None, resumed, took };
    let end_entity = connection.peer_certificates().and_then(<[_]>::first);
    if let Some(certificate) = end_entity.and_then(|der| Certificate::from_der(der).ok()) {
        let certificate = certificate.tbs_certificate();
        let issuer: String = certificate.issuer().to_string().chars().take(ISSUER).collect();
        let seconds = |since: Duration| i64::try_from(since.as_secs()).ok();
        facts.issuer = Some(text::value(&issuer)).filter(|issuer| !issuer.is_empty());
        facts.not_before = seconds(certificate.validity().not_before.to_unix_duration());
        facts.not_after = seconds(certificate.validity().not_after.to_unix_duration());
    }
    facts
}

/// A group as it is called where people look it up.
fn name(group: NamedGroup) -> String {
    match group {
        NamedGroup::secp256r1 => "P-256".to_owned(),
        NamedGroup::secp384r1 => "P-384".to_owned(),
        NamedGroup::secp521r1 => "P-521".to_owned(),
        other => format!("{other:?}"),
    }
}
