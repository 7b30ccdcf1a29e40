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
use rustls::crypto::aws_lc_rs::kx_group::{SECP256R1, SECP256R1MLKEM768, SECP384R1, X25519, X25519MLKEM768};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use rustls_platform_verifier::Verifier;

use super::client_certificate::NoCertificate;
use super::key_length;
use super::problem::{SelfSigned, ShortKey, is_authority_as_server};
use crate::account::KeyExchange;
use crate::net::{CaFileProblem, NetError};
use crate::system_limit;

/// The platform's certificates are read again after this long: a daemon outlives many updates of them.
const PLATFORM_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// A larger file is something else than certificates.
const LARGEST_CA_FILE: u64 = 16 << 20;

/// TLS sessions remembered for each set of trusted certificates; rustls keeps up to 8 of them for one server.
const SESSIONS: usize = 2048;

/// One set of trusted certificates, and the sessions that were begun under it.
#[derive(Debug)]
pub(super) struct Trust {
    /// What rustls works with, for each way to exchange keys.
    configs: Configs,
    /// What the files looked like when they were read: the one of `tls_ca_file`, or those of the platform.
    files: Files,
    /// When they were read.
    loaded: Instant,
}

/// What rustls works with. All three trust the same; each has sessions of its own.
#[derive(Debug)]
struct Configs {
    auto: Arc<ClientConfig>,
    classical: Arc<ClientConfig>,
    post_quantum: Arc<ClientConfig>,
}

/// What the files of trusted certificates looked like.
#[derive(Debug, PartialEq, Eq)]
enum Files {
    /// The one that `tls_ca_file` names.
    Named(Stamp),
    /// Those of the platform, as far as they are there.
    Platform(Vec<(PathBuf, Stamp)>),
}

/// What changes when a file is replaced or written: device, inode, length, modification and change time.
#[derive(Debug, PartialEq, Eq)]
struct Stamp(u64, u64, u64, (i64, i64), (i64, i64));

impl Trust {
    /// Reads the certificates: those of `ca_file` alone, or the platform's.
    pub(super) fn load(ca_file: Option<PathBuf>, provider: &Arc<CryptoProvider>) -> Result<Self, NetError> {
        let loaded = Instant::now();
        let (verifier, files) = match ca_file {
            Some(path) => {
                let problem = |why| NetError::CaFile { path: path.clone(), why };
                let (pem, stamp) = read_ca_file(&path).map_err(problem)?;
                (verifier_of(&pem, provider).map_err(problem)?, Files::Named(stamp))
            }
            // The stamps first: what changes meanwhile is read again.
            None => {
                let files = Files::Platform(platform_files());
                (platform_verifier(provider)?, files)
            }
        };
        let configs = Configs::new(provider, verifier).map_err(|e| NetError::NoTrustStore { why: e.to_string() })?;
        Ok(Self { configs, files, loaded })
    }

    /// Whether reading again would find the same, as far as can be told without reading.
    pub(super) fn is_current(&self, ca_file: Option<&Path>) -> bool {
        match (ca_file, &self.files) {
            (Some(path), Files::Named(stamp)) => std::fs::metadata(path).is_ok_and(|now| Stamp::of(&now) == *stamp),
            (None, Files::Platform(then)) => self.loaded.elapsed() < PLATFORM_LIFETIME && *then == platform_files(),
            _ => false,
        }
    }

    /// How long ago they were read.
    pub(super) fn age(&self) -> Duration {
        self.loaded.elapsed()
    }

    /// What rustls works with. All who ask share its sessions.
    pub(super) fn config(&self, key_exchange: KeyExchange) -> Arc<ClientConfig> {
        Arc::clone(match key_exchange {
            KeyExchange::Auto => &self.configs.auto,
            KeyExchange::Classical => &self.configs.classical,
            KeyExchange::PostQuantum => &self.configs.post_quantum,
        })
    }
}

/// The files and directories where the platform keeps its certificates, with what they look like now.
fn platform_files() -> Vec<(PathBuf, Stamp)> {
    let found = openssl_probe::probe();
    let stamp = |path: PathBuf| Some((Stamp::of(&std::fs::metadata(&path).ok()?), path));
    found.cert_file.into_iter().chain(found.cert_dir).filter_map(stamp).map(|(stamp, path)| (path, stamp)).collect()
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self(file.dev(), file.ino(), file.len(), (file.mtime(), file.mtime_nsec()), (file.ctime(), file.ctime_nsec()))
    }
}

/// The cryptography with the key exchanges of an account.
fn with_key_exchange(provider: &CryptoProvider, key_exchange: KeyExchange) -> Arc<CryptoProvider> {
    let kx_groups = match key_exchange {
        KeyExchange::Auto => provider.kx_groups.clone(),
        KeyExchange::Classical => vec![X25519, SECP256R1, SECP384R1],
        KeyExchange::PostQuantum => vec![X25519MLKEM768, SECP256R1MLKEM768],
    };
    Arc::new(CryptoProvider { kx_groups, ..provider.clone() })
}

/// A configuration for a hello whose answer is not believed: it trusts nobody, so a handshake with it cannot succeed. It
/// fits into one packet.
pub(super) fn trusting_nobody(provider: &Arc<CryptoProvider>) -> Result<ClientConfig, Error> {
    let provider = with_key_exchange(provider, KeyExchange::Classical);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

impl Configs {
    fn new(provider: &Arc<CryptoProvider>, verifier: TrustVerifier) -> Result<Self, Error> {
        let verifier: Arc<dyn ServerCertVerifier> = Arc::new(verifier);
        let config = |key_exchange| {
            let config = client_config(with_key_exchange(provider, key_exchange), &verifier)?;
            Ok::<_, Error>(Arc::new(config))
        };
        Ok(Self {
            auto: config(KeyExchange::Auto)?,
            classical: config(KeyExchange::Classical)?,
            post_quantum: config(KeyExchange::PostQuantum)?,
        })
    }
}

/// The configuration of a real connection. TLS 1.2 is the oldest version that rustls knows (RFC 8996); early data stays
/// off, because it can be replayed.
fn client_config(provider: Arc<CryptoProvider>, verifier: &Arc<dyn ServerCertVerifier>) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(verifier))
        .with_client_cert_resolver(Arc::new(NoCertificate));
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
    let inner = Verifier::new(Arc::clone(provider)).map_err(|error| {
        // What it could not open, it passes over. Was it that nothing can be opened?
        if let Err(source) = File::open("/")
            && system_limit::of(&source).is_some()
        {
            return NetError::System { source };
        }
        NetError::NoTrustStore {
            why: match error {
                Error::General(words) => words,
                other => other.to_string(),
            },
        }
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

/// A signature that is refused because the key it was made with is too short counts as a wrong one; this names the key.
fn name_short_key<'a, 'b: 'a>(refusal: Error, certificates: impl IntoIterator<Item = &'a CertificateDer<'b>>) -> Error {
    let about_signature = matches!(
        &refusal,
        Error::InvalidCertificate(
            CertificateError::BadSignature
                | CertificateError::UnsupportedSignatureAlgorithmContext { .. }
                | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. }
        ) | Error::PeerMisbehaved(_)
    );
    let short = certificates.into_iter().find_map(key_length::too_short).filter(|_| about_signature);
    short.map_or(refusal, |bits| {
        Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(ShortKey(bits)))))
    })
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
            .map_err(|refusal| {
                let authorities = intermediates.iter().chain(&self.listed);
                name_short_key(refusal, [end_entity].into_iter().chain(authorities))
            })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss).map_err(|refusal| name_short_key(refusal, [cert]))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss).map_err(|refusal| name_short_key(refusal, [cert]))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
