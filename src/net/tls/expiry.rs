//! When the certificate of a server expires.

use rustls::client::ClientConnection;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// The end of validity (RFC 5280, section 4.1.2.5) of the certificate that the server showed, in seconds since 1970; in a
/// resumed session, of the one that it showed when that began. None if it cannot be read: it has been verified already,
/// so nothing depends on it.
pub(super) fn of_peer(connection: &ClientConnection) -> Option<i64> {
    of_certificate(connection.peer_certificates()?.first()?)
}

/// The same of a certificate.
pub(super) fn of_certificate(certificate: &[u8]) -> Option<i64> {
    let certificate = Certificate::from_der(certificate).ok()?;
    i64::try_from(certificate.tbs_certificate().validity().not_after.to_unix_duration().as_secs()).ok()
}
