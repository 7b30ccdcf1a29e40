//! Channel binding: makes a login valid on this TLS connection only.

use rustls::ProtocolVersion;
use rustls::client::ClientConnection;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::der::asn1::ObjectIdentifier;

use crate::sasl::{ChannelBinding, ChannelBindingKind};

/// Returns tls-exporter with TLS 1.3 (RFC 9266), and tls-server-end-point (RFC 5929) with earlier versions, where an
/// exporter is only safe with an extension that a server may lack. None if neither is available.
pub(super) fn of_connection(connection: &ClientConnection) -> Option<ChannelBinding> {
    if connection.protocol_version() == Some(ProtocolVersion::TLSv1_3) {
        let material = connection.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).ok()?;
        return Some(ChannelBinding { kind: ChannelBindingKind::TlsExporter, data: material.to_vec() });
    }
    let data = end_point(connection.peer_certificates()?.first()?)?;
    Some(ChannelBinding { kind: ChannelBindingKind::TlsServerEndPoint, data })
}

/// Digests a certificate with the hash of its signature, but with SHA-256 in place of MD5 and SHA-1 (RFC 5929, section
/// 4.1). None for signatures without a single hash.
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let algorithm = Certificate::from_der(certificate).ok()?.signature_algorithm().oid;
    let is = |names: &[&str]| names.iter().any(|name| ObjectIdentifier::new(name).is_ok_and(|oid| oid == algorithm));
    // Each with RSA signatures (RFC 4055) and with ECDSA signatures (RFC 5758).
    if is(&["1.2.840.113549.1.1.4", "1.2.840.113549.1.1.5", "1.2.840.10045.4.1"])
        || is(&["1.2.840.113549.1.1.11", "1.2.840.10045.4.3.2"])
    {
        Some(Sha256::digest(certificate).to_vec())
    } else if is(&["1.2.840.113549.1.1.12", "1.2.840.10045.4.3.3"]) {
        Some(Sha384::digest(certificate).to_vec())
    } else if is(&["1.2.840.113549.1.1.13", "1.2.840.10045.4.3.4"]) {
        Some(Sha512::digest(certificate).to_vec())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_hashed_as_its_signature_says() {
        use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
        for (algorithm, expected) in
            [(&PKCS_ECDSA_P256_SHA256, Some(32)), (&PKCS_ECDSA_P384_SHA384, Some(48)), (&PKCS_ED25519, None)]
        {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let certificate = CertificateParams::new(vec!["h".to_owned()]).unwrap().self_signed(&key).unwrap();
            assert_eq!(end_point(certificate.der()).map(|digest| digest.len()), expected);
        }
        assert_eq!(end_point(b"none"), None);
    }
}
