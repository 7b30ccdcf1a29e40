//! When a certificate expires.

use rustls::client::ClientConnection;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// Returns the end of validity (RFC 5280, section 4.1.2.5) of the server's certificate, in seconds since 1970; for a
/// resumed session, of the certificate shown when it began. None if it cannot be read: it was verified already, so
/// nothing depends on this.
pub(super) fn of_peer(connection: &ClientConnection) -> Option<i64> {
    of_certificate(connection.peer_certificates()?.first()?)
}

/// Returns the end of validity of a certificate, in seconds since 1970.
pub(super) fn of_certificate(certificate: &[u8]) -> Option<i64> {
    let certificate = Certificate::from_der(certificate).ok()?;
    i64::try_from(certificate.tbs_certificate().validity().not_after.to_unix_duration().as_secs()).ok()
}
