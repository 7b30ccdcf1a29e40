//! What is trusted: the platform's authorities, those of one file, or both; or pinned keys.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::kx_group::{SECP256R1, SECP256R1MLKEM768, SECP384R1, X25519, X25519MLKEM768};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use rustls_platform_verifier::Verifier;

use super::client_certificate::OurCertificate;
use super::identity::Identity;
use super::key_length::name_short_key;
use super::pins::PinVerifier;
use super::problem::{SelfSigned, is_authority_as_server};
use super::reading::Reading;
use super::sessions::Sessions;
use crate::account::{ClientCertificate, Endpoint, KeyExchange, PublicKeyPin, TlsOptions, TlsTrust};
use crate::disk::Stamp;
use crate::net::{CaFileProblem, NetError};
use crate::system_limit;

/// How long the platform's certificates are used before they are read again: a daemon outlives many updates of them.
const PLATFORM_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// A larger file is not one of certificates.
const LARGEST_CA_FILE: u64 = 16 << 20;

/// One set of trusted certificates, and the sessions begun under it.
#[derive(Debug)]
pub(super) struct Trust {
    /// The configurations of rustls, one for each kind of key exchange.
    configs: Configs,
    /// The stamps of the files, taken when they were read.
    files: Files,
    /// When they were read.
    loaded: Instant,
    /// When the client certificate expires, in seconds since 1970.
    client_certificate_expires: Option<i64>,
}

/// The configurations of rustls. All three trust the same; each has its own sessions.
#[derive(Debug)]
struct Configs {
    auto: Arc<ClientConfig>,
    classical: Arc<ClientConfig>,
    post_quantum: Arc<ClientConfig>,
}

/// The stamps of the files that were read.
#[derive(Debug, PartialEq, Eq, Default)]
struct Files {
    /// The configured files: `tls_ca_file`, `tls_client_cert` and `tls_client_key`.
    named: Vec<(PathBuf, Stamp)>,
    /// The existing files of the platform, if they were used.
    platform: Option<Vec<(PathBuf, Stamp)>>,
}

/// What an endpoint trusts and what it shows. Endpoints that agree in this share what was read, and their sessions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TrustKey {
    ca_file: Option<PathBuf>,
    trust: TlsTrust,
    pins: Vec<PublicKeyPin>,
    client_certificate: Option<ClientCertificate>,
}

impl TrustKey {
    pub(super) fn of(endpoint: &Endpoint) -> Self {
        let TlsOptions { trust, pins, client_certificate, .. } = endpoint.tls_options.clone();
        Self { ca_file: endpoint.tls_ca_file.clone(), trust, pins, client_certificate }
    }

    /// Whether the platform's authorities are trusted.
    pub(super) fn uses_platform(&self) -> bool {
        match self.trust {
            TlsTrust::Authorities => self.ca_file.is_none(),
            TlsTrust::PlatformAndFile => true,
            TlsTrust::Pin => false,
        }
    }
}

impl Trust {
    /// Reads the certificates that this needs.
    pub(super) fn load(key: &TrustKey, provider: &Arc<CryptoProvider>, reading: &Reading) -> Result<Self, NetError> {
        let loaded = Instant::now();
        let mut files = Files::default();
        let mut listed = Vec::new();
        if let Some(path) = key.ca_file.as_ref().filter(|_| key.trust != TlsTrust::Pin) {
            let problem = |why| NetError::CaFile { path: path.clone(), why };
            let (pem, stamp) = reading.of(path, || read_ca_file(path)).map_err(problem)?;
            listed = certificates_in(&pem).map_err(problem)?;
            files.named.push((path.clone(), stamp));
        }
        if key.uses_platform() {
            // Before reading, so that a change meanwhile leads to reading again.
            files.platform = Some(platform_files());
        }
        let authorities: Option<Arc<dyn ServerCertVerifier>> = match key.trust {
            TlsTrust::Pin => None,
            _ if key.uses_platform() => Some(Arc::new(platform_verifier(listed, provider)?)),
            _ => {
                let problem = |why| NetError::CaFile { path: key.ca_file.clone().unwrap_or_default(), why };
                Some(Arc::new(verifier_of(listed, provider).map_err(problem)?))
            }
        };
        let verifier = match authorities {
            Some(authorities) if key.pins.is_empty() => authorities,
            inner => Arc::new(PinVerifier { inner, pins: key.pins.clone(), provider: Arc::clone(provider) }),
        };
        let load = |files| Identity::load(files, provider, reading);
        let identity = key.client_certificate.as_ref().map(load).transpose()?;
        if let (Some(named), Some(Identity { files: [certificate, key], .. })) = (&key.client_certificate, &identity) {
            files.named.push((named.certificate.clone(), Stamp::of(certificate)));
            files.named.push((named.key.clone(), Stamp::of(key)));
        }
        let configs = Configs::new(provider, &verifier, identity.as_ref());
        let configs = configs.map_err(|e| NetError::NoTrustStore { why: e.to_string() })?;
        let client_certificate_expires = identity.and_then(|identity| identity.expires);
        Ok(Self { configs, files, loaded, client_certificate_expires })
    }

    /// Whether reading again would give the same result, as far as can be told without reading.
    pub(super) fn is_current(&self, reading: &Reading) -> bool {
        let unchanged =
            |(path, stamp): &(PathBuf, Stamp)| reading.of(path, || Stamp::at(path)).is_ok_and(|now| now == *stamp);
        let platform = |then: &Vec<_>| self.loaded.elapsed() < PLATFORM_LIFETIME && *then == platform_files();
        self.files.named.iter().all(unchanged) && self.files.platform.as_ref().is_none_or(platform)
    }

    /// Returns when the client certificate expires, in seconds since 1970, if there is one and it can be read.
    pub(super) fn client_certificate_expires(&self) -> Option<i64> {
        self.client_certificate_expires
    }

    /// Returns how long ago they were read.
    pub(super) fn age(&self) -> Duration {
        self.loaded.elapsed()
    }

    /// Returns the configuration of rustls. All users share its sessions.
    pub(super) fn config(&self, key_exchange: KeyExchange) -> Arc<ClientConfig> {
        Arc::clone(match key_exchange {
            KeyExchange::Auto => &self.configs.auto,
            KeyExchange::Classical => &self.configs.classical,
            KeyExchange::PostQuantum => &self.configs.post_quantum,
        })
    }
}

/// Returns the files and directories where the platform keeps its certificates, with their current stamps.
fn platform_files() -> Vec<(PathBuf, Stamp)> {
    let found = openssl_probe::probe();
    let stamp = |path: PathBuf| Some((Stamp::at(&path).ok()?, path));
    found.cert_file.into_iter().chain(found.cert_dir).filter_map(stamp).map(|(stamp, path)| (path, stamp)).collect()
}

/// Returns the cryptography with the key exchanges of an account.
fn with_key_exchange(provider: &CryptoProvider, key_exchange: KeyExchange) -> Arc<CryptoProvider> {
    let kx_groups = match key_exchange {
        KeyExchange::Auto => provider.kx_groups.clone(),
        KeyExchange::Classical => vec![X25519, SECP256R1, SECP384R1],
        KeyExchange::PostQuantum => vec![X25519MLKEM768, SECP256R1MLKEM768],
    };
    Arc::new(CryptoProvider { kx_groups, ..provider.clone() })
}

/// Makes a configuration for a ClientHello whose answer is not trusted: it trusts nobody, so a handshake with it cannot
/// succeed. The ClientHello fits into one packet.
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
    fn new(
        provider: &Arc<CryptoProvider>,
        verifier: &Arc<dyn ServerCertVerifier>,
        identity: Option<&Identity>,
    ) -> Result<Self, Error> {
        let ours = identity.map(|identity| Arc::clone(&identity.key));
        let config = |key_exchange| {
            let config = client_config(with_key_exchange(provider, key_exchange), verifier, ours.clone())?;
            Ok::<_, Error>(Arc::new(config))
        };
        Ok(Self {
            auto: config(KeyExchange::Auto)?,
            classical: config(KeyExchange::Classical)?,
            post_quantum: config(KeyExchange::PostQuantum)?,
        })
    }
}

/// Makes the configuration of a real connection. TLS 1.2 is the oldest version that rustls supports (RFC 8996); early
/// data stays disabled, because it can be replayed.
fn client_config(
    provider: Arc<CryptoProvider>,
    verifier: &Arc<dyn ServerCertVerifier>,
    ours: Option<Arc<CertifiedKey>>,
) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(verifier))
        .with_client_cert_resolver(Arc::new(OurCertificate(ours)));
    config.resumption = Resumption::store(Arc::new(Sessions::default()));
    config.enable_early_data = false;
    Ok(config)
}

/// Reads a file of certificates. Its stamp is taken from the open file, so that they match.
fn read_ca_file(path: &Path) -> Result<(Vec<u8>, Stamp), CaFileProblem> {
    // Opening a named pipe would block until it has a writer.
    if !std::fs::metadata(path).map_err(CaFileProblem::Read)?.is_file() {
        return Err(CaFileProblem::NotAFile);
    }
    let file = File::open(path).map_err(CaFileProblem::Read)?;
    let stamp = Stamp::of(&file.metadata().map_err(CaFileProblem::Read)?);
    let mut pem = Vec::new();
    file.take(LARGEST_CA_FILE + 1).read_to_end(&mut pem).map_err(CaFileProblem::Read)?;
    match u64::try_from(pem.len()) {
        Ok(length) if length <= LARGEST_CA_FILE => Ok((pem, stamp)),
        _ => Err(CaFileProblem::TooLarge(stamp.length())),
    }
}

/// Returns the certificates in a PEM file: at least one, and all of them valid.
fn certificates_in(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CaFileProblem> {
    let mut roots = RootCertStore::empty();
    let mut listed = Vec::new();
    for (number, certificate) in (1..).zip(CertificateDer::pem_slice_iter(pem)) {
        let damaged = |why| CaFileProblem::Damaged { number, why };
        let certificate = certificate.map_err(|e| damaged(e.to_string()))?;
        roots.add(certificate.clone()).map_err(|e| damaged(e.to_string()))?;
        listed.push(certificate);
    }
    if listed.is_empty() { Err(CaFileProblem::NoCertificate) } else { Ok(listed) }
}

/// Makes a verifier that trusts only these authorities.
fn verifier_of(
    listed: Vec<CertificateDer<'static>>,
    provider: &Arc<CryptoProvider>,
) -> Result<TrustVerifier, CaFileProblem> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(listed.iter().cloned());
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|_| CaFileProblem::NoCertificate)?;
    Ok(TrustVerifier { inner, listed, platform: None })
}

/// Makes a verifier that trusts the platform's authorities and these.
fn platform_verifier(
    listed: Vec<CertificateDer<'static>>,
    provider: &Arc<CryptoProvider>,
) -> Result<TrustVerifier, NetError> {
    let inner = Verifier::new_with_extra_roots(listed.iter().cloned(), Arc::clone(provider)).map_err(|error| {
        // It skips what it could not open. Check whether nothing can be opened.
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
    Ok(TrustVerifier { inner: Arc::new(inner), listed, platform: Some(OnceLock::new()) })
}

/// Asks another verifier, and reconsiders what that rejects.
///
/// It accepts one thing more: a certificate that is itself in `tls_ca_file` or among the platform's, even if it is
/// marked as an authority's, as `openssl req -x509` makes them for a server at home. Its dates and its name must still
/// be right.
#[derive(Debug)]
struct TrustVerifier {
    /// Verifies by the trusted authorities; only what it refuses is looked at here.
    inner: Arc<dyn ServerCertVerifier>,
    /// The certificates of `tls_ca_file`.
    listed: Vec<CertificateDer<'static>>,
    /// The platform's certificates, read when the first certificate is rejected that may be one of them; None if they
    /// are not trusted.
    platform: Option<OnceLock<Vec<CertificateDer<'static>>>>,
}

impl TrustVerifier {
    /// Whether this very certificate is trusted.
    fn is_trusted_itself(&self, certificate: &CertificateDer<'_>) -> bool {
        let is_it = |trusted: &CertificateDer<'_>| trusted == certificate;
        self.listed.iter().any(is_it)
            || self.platform.as_ref().is_some_and(|platform| {
                // What cannot be read was reported when the verifier was made.
                platform.get_or_init(|| rustls_native_certs::load_native_certs().certs).iter().any(is_it)
            })
    }

    /// Accepts a rejected certificate after all, or names what is wrong with it.
    fn look_again(
        &self,
        certificate: &CertificateDer<'_>,
        name: &ServerName<'_>,
        refusal: Error,
    ) -> Result<ServerCertVerified, Error> {
        let authority_as_server = is_authority_as_server(&refusal);
        if authority_as_server && self.is_trusted_itself(certificate) {
            // webpki has checked the dates before the mark of an authority; a test verifies that.
            verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        // The signature is wrong if one of the trusted authorities happens to have the same name.
        let of_nobody = authority_as_server
            || matches!(
                &refusal,
                Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)
            );
        if of_nobody && is_self_signed(certificate) {
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
