//! Whom to trust: the platform's authorities, or those of one file alone.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use rustls_platform_verifier::Verifier;

use super::problem::{SelfSigned, is_authority_as_server};
use crate::net::{CaFileProblem, NetError};

/// The platform's certificates are read again after this long: a daemon outlives many updates of them.
const PLATFORM_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// A larger file is something else than certificates.
const LARGEST_CA_FILE: u64 = 16 << 20;

/// TLS sessions remembered for each set of trusted certificates; rustls keeps up to 8 of them for one server.
const SESSIONS: usize = 2048;

/// One set of trusted certificates, and the sessions that were begun under it.
#[derive(Debug)]
pub(super) struct Trust {
    /// What rustls works with.
    config: Arc<ClientConfig>,
    /// What the file looked like when it was read; none for the platform's certificates.
    file: Option<Stamp>,
    /// When it was read.
    loaded: Instant,
}

/// What changes when a file is replaced or written: device, inode, length, modification and change time.
#[derive(Debug, PartialEq, Eq)]
struct Stamp(u64, u64, u64, (i64, i64), (i64, i64));

impl Trust {
    /// Reads the certificates: those of `ca_file` alone, or the platform's.
    pub(super) fn load(ca_file: Option<PathBuf>, provider: &Arc<CryptoProvider>) -> Result<Self, NetError> {
        let loaded = Instant::now();
        let (verifier, file) = match ca_file {
            Some(path) => {
                let problem = |why| NetError::CaFile { path: path.clone(), why };
                let (pem, stamp) = read_ca_file(&path).map_err(problem)?;
                (verifier_of(&pem, provider).map_err(problem)?, Some(stamp))
            }
            None => (platform_verifier(provider)?, None),
        };
        let config = client_config(provider, verifier).map_err(|e| NetError::NoTrustStore { why: e.to_string() })?;
        Ok(Self { config: Arc::new(config), file, loaded })
    }

    /// Whether reading again would find the same.
    pub(super) fn is_current(&self, ca_file: Option<&Path>) -> bool {
        match (ca_file, &self.file) {
            (Some(path), Some(stamp)) => std::fs::metadata(path).is_ok_and(|now| Stamp::of(&now) == *stamp),
            (None, None) => self.loaded.elapsed() < PLATFORM_LIFETIME,
            _ => false,
        }
    }

    /// What rustls works with. All who ask share its sessions.
    pub(super) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self(file.dev(), file.ino(), file.len(), (file.mtime(), file.mtime_nsec()), (file.ctime(), file.ctime_nsec()))
    }
}

/// A configuration for a hello whose answer is not believed: it trusts nobody, so a handshake with it cannot succeed.
pub(super) fn trusting_nobody(provider: &Arc<CryptoProvider>) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// The configuration of a real connection. TLS 1.2 is the oldest version that rustls knows (RFC 8996); early data stays
/// off, because it can be replayed.
fn client_config(provider: &Arc<CryptoProvider>, verifier: TrustVerifier) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    config.enable_early_data = false;
    Ok(config)
}

/// Reads a file of certificates. Its stamp is taken from the open file, so the two belong together.
fn read_ca_file(path: &Path) -> Result<(Vec<u8>, Stamp), CaFileProblem> {
    // Opening a pipe would wait for its writer.
    if !std::fs::metadata(path).map_err(CaFileProblem::Read)?.is_file() {
        return Err(CaFileProblem::NotAFile);
    }
    let file = File::open(path).map_err(CaFileProblem::Read)?;
    let stamp = Stamp::of(&file.metadata().map_err(CaFileProblem::Read)?);
    let mut pem = Vec::new();
    file.take(LARGEST_CA_FILE + 1).read_to_end(&mut pem).map_err(CaFileProblem::Read)?;
    match u64::try_from(pem.len()) {
        Ok(length) if length <= LARGEST_CA_FILE => Ok((pem, stamp)),
        _ => Err(CaFileProblem::TooLarge(stamp.2)),
    }
}

/// Trusts the authorities in a PEM file and nobody else.
fn verifier_of(pem: &[u8], provider: &Arc<CryptoProvider>) -> Result<TrustVerifier, CaFileProblem> {
    let mut roots = RootCertStore::empty();
    let mut listed = Vec::new();
    for (number, certificate) in (1..).zip(CertificateDer::pem_slice_iter(pem)) {
        let damaged = |why| CaFileProblem::Damaged { number, why };
        let certificate = certificate.map_err(|e| damaged(e.to_string()))?;
        roots.add(certificate.clone()).map_err(|e| damaged(e.to_string()))?;
        listed.push(certificate);
    }
    if listed.is_empty() {
        return Err(CaFileProblem::NoCertificate);
    }
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|_| CaFileProblem::NoCertificate)?;
    Ok(TrustVerifier { inner, listed })
}

/// Trusts whom the platform trusts.
fn platform_verifier(provider: &Arc<CryptoProvider>) -> Result<TrustVerifier, NetError> {
    let inner = Verifier::new(Arc::clone(provider)).map_err(|error| NetError::NoTrustStore {
        why: match error {
            Error::General(words) => words,
            other => other.to_string(),
        },
    })?;
    Ok(TrustVerifier { inner: Arc::new(inner), listed: Vec::new() })
}

/// Asks another verifier, and looks again at what it refuses.
///
/// It accepts one thing more: the very certificate that stands in `tls_ca_file`, when that is marked as an authority's,
/// as those are that `openssl req -x509` makes for a server at home. Its dates and its name must be right all the same.
#[derive(Debug)]
struct TrustVerifier {
    /// Decides.
    inner: Arc<dyn ServerCertVerifier>,
    /// The certificates of `tls_ca_file`; none for the platform's trust.
    listed: Vec<CertificateDer<'static>>,
}

impl TrustVerifier {
    /// Whether a refused certificate is acceptable after all, or how to name what is wrong with it.
    fn look_again(
        &self,
        certificate: &CertificateDer<'_>,
        name: &ServerName<'_>,
        refusal: Error,
    ) -> Result<ServerCertVerified, Error> {
        let authority_as_server = is_authority_as_server(&refusal);
        if authority_as_server && self.listed.iter().any(|listed| listed == certificate) {
            // webpki has found the dates right before it came to the mark of an authority; a test watches that.
            verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        let unknown = authority_as_server || refusal == Error::InvalidCertificate(CertificateError::UnknownIssuer);
        if unknown && is_self_signed(certificate) {
            return Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(SelfSigned)))));
        }
        Err(refusal)
    }
}

/// Whether a certificate names itself as its issuer.
fn is_self_signed(certificate: &CertificateDer<'_>) -> bool {
    webpki::EndEntityCert::try_from(certificate).is_ok_and(|parsed| parsed.issuer() == parsed.subject())
}

impl ServerCertVerifier for TrustVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.inner
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            .or_else(|refusal| self.look_again(end_entity, server_name, refusal))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
