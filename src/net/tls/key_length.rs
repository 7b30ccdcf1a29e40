//! The length of a certificate's RSA key: what is too short is refused by the cryptography as a wrong signature, and
//! named here as what it is.

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{Decode as _, Reader as _, SliceReader};

/// Shorter keys are not safe (NIST SP 800-131A).
const LEAST: usize = 2048;

/// RSA keys (RFC 8017, appendix A.1).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// The length in bits of a certificate's key, if it is an RSA key that is too short.
pub(super) fn too_short(certificate: &CertificateDer<'_>) -> Option<usize> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let key = certificate.tbs_certificate().subject_public_key_info();
    if key.algorithm.oid != RSA {
        return None;
    }
    let bits = modulus_bits(key.subject_public_key.as_bytes()?)?;
    Some(bits).filter(|bits| *bits < LEAST)
}

/// The length of `RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER }`.
fn modulus_bits(key: &[u8]) -> Option<usize> {
    let mut reader = SliceReader::new(key).ok()?;
    let modulus = reader.sequence(|fields| -> Result<_, x509_cert::der::Error> {
        let modulus = UintRef::decode(fields)?;
        UintRef::decode(fields)?;
        Ok(modulus)
    });
    let modulus = modulus.ok()?;
    let first = modulus.as_bytes().first()?;
    let zeros = usize::try_from(first.leading_zeros()).ok()?;
    (modulus.as_bytes().len() * 8).checked_sub(zeros)
}
