//! Checks the length of a certificate's RSA key: the cryptography rejects a short one as a bad signature, and here it
//! is reported as what it is.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, Error, OtherError};
use x509_cert::Certificate;
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{Decode as _, Reader as _, SliceReader};

/// Shorter keys are not safe (NIST SP 800-131A).
const LEAST: usize = 2048;

/// RSA keys (RFC 8017, appendix A.1).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// Marks the rejection of a certificate because its key, or its authority's key, is too short: this many bits.
#[derive(Debug)]
pub(super) struct ShortKey(pub(super) usize);

impl fmt::Display for ShortKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a key of {} bits is too short", self.0)
    }
}

impl std::error::Error for ShortKey {}

/// Names the key in the rejection of a signature if the key is too short.
pub(super) fn name_short_key<'a, 'b: 'a>(
    refusal: Error,
    certificates: impl IntoIterator<Item = &'a CertificateDer<'b>>,
) -> Error {
    let about_signature = matches!(
        &refusal,
        Error::InvalidCertificate(
            CertificateError::BadSignature
                | CertificateError::UnsupportedSignatureAlgorithmContext { .. }
                | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. }
        ) | Error::PeerMisbehaved(_)
    );
    let short = certificates.into_iter().find_map(too_short).filter(|_| about_signature);
    short.map_or(refusal, |bits| {
        Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(ShortKey(bits)))))
    })
}

/// Returns the length of a certificate's key in bits, if it is an RSA key that is too short.
fn too_short(certificate: &CertificateDer<'_>) -> Option<usize> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let key = certificate.tbs_certificate().subject_public_key_info();
    if key.algorithm.oid != RSA {
        return None;
    }
    let bits = modulus_bits(key.subject_public_key.as_bytes()?)?;
    Some(bits).filter(|bits| *bits < LEAST)
}

/// Returns the length in bits of an `RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER }`.
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
