//! Pinned keys, in addition to the authorities or instead of them.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use sha2::{Digest as _, Sha256};

use super::key_length::name_short_key;
use crate::account::PublicKeyPin;

/// Accepts only a server that has one of these keys.
#[derive(Debug)]
pub(super) struct PinVerifier {
    /// Must accept as well; None if the pin alone decides.
    pub(super) inner: Option<Arc<dyn ServerCertVerifier>>,
    pub(super) pins: Vec<PublicKeyPin>,
    pub(super) provider: Arc<CryptoProvider>,
}

/// Marks the rejection of a certificate whose key is not pinned: this is its pin.
#[derive(Debug)]
pub(super) struct WrongKey(pub(super) String);

impl fmt::Display for WrongKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the key {} is not pinned", self.0)
    }
}

impl std::error::Error for WrongKey {}

impl PinVerifier {
    fn check(&self, certificate: &CertificateDer<'_>) -> Result<ServerCertVerified, Error> {
        let parsed = webpki::EndEntityCert::try_from(certificate)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let digest = digest(&parsed);
        if self.pins.contains(&PublicKeyPin(digest)) {
            return Ok(ServerCertVerified::assertion());
        }
        let pin = WrongKey(pin(&parsed));
        Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(pin)))))
    }
}

/// Returns the pin of a certificate's key, as written in a configuration.
pub(super) fn pin(certificate: &webpki::EndEntityCert<'_>) -> String {
    format!("sha256//{}", BASE64_STANDARD.encode(digest(certificate)))
}

fn digest(certificate: &webpki::EndEntityCert<'_>) -> [u8; 32] {
    Sha256::digest(certificate.subject_public_key_info()).into()
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(inner) = &self.inner {
            inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        }
        self.check(end_entity)
    }

    // That the server holds the key of its certificate is verified in any case.

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match &self.inner {
            Some(inner) => inner.verify_tls12_signature(message, cert, dss),
            None => verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
                .map_err(|refusal| name_short_key(refusal, [cert])),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match &self.inner {
            Some(inner) => inner.verify_tls13_signature(message, cert, dss),
            None => verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
                .map_err(|refusal| name_short_key(refusal, [cert])),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
