//! When the certificate of a server expires.

use rustls::client::ClientConnection;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// The end of validity (RFC 5280, section 4.1.2.5) of the certificate that the server showed, in seconds since 1970; in a
/// resumed session, of the one that it showed when that began. None if it cannot be read: it has been verified already,
/// so nothing depends on it.
pub(super) fn of_peer(connection: &ClientConnection) -> Option<i64> {
    let end_entity = connection.peer_certificates()?.first()?;
    let certificate = Certificate::from_der(end_entity).ok()?;
    i64::try_from(certificate.tbs_certificate().validity().not_after.to_unix_duration().as_secs()).ok()
}
