//! A certificate authority of the tests' own, and servers' certificates signed by it: good, expired, for another name.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

/// A certificate authority, written to a directory for `tls_ca_file`.
pub(crate) struct Authority {
    /// Where its certificate is, in PEM.
    pub(crate) ca_file: PathBuf,
    /// Signs the servers' certificates.
    issuer: Issuer<'static, KeyPair>,
}

/// What is right or wrong with a server's certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// For `localhost`, 127.0.0.1 and what is below `ferry.test`, and valid.
    Good,
    /// As `Good`, but its time is over.
    Expired,
    /// As `Good`, and its time is over in three days.
    Expiring,
    /// For `pop.example.org` only.
    OtherName,
}

/// A certificate and its key, both in PEM.
pub(crate) struct Leaf {
    /// The certificate.
    pub(crate) certificate: String,
    /// The private key.
    pub(crate) key: String,
}

impl Authority {
    /// Makes one and writes `ca.pem` into `dir`.
    pub(crate) fn new(dir: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "mailferry test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let ca_file = dir.join("ca.pem");
        std::fs::write(&ca_file, certificate.pem()).unwrap();
        Self { ca_file, issuer: Issuer::new(params, key) }
    }

    /// A server's certificate of this kind.
    pub(crate) fn leaf(&self, kind: Kind) -> Leaf {
        let names = match kind {
            Kind::Good | Kind::Expired | Kind::Expiring => {
                ["localhost", "127.0.0.1", "*.ferry.test"].map(str::to_owned).to_vec()
            }
            Kind::OtherName => vec!["pop.example.org".to_owned()],
        };
        self.sign(kind, names)
    }

    /// A good certificate for these names.
    pub(crate) fn server_config_for(&self, names: &[&str]) -> Arc<ServerConfig> {
        let leaf = self.sign(Kind::Good, names.iter().map(|name| (*name).to_owned()).collect());
        server_config(&leaf, rustls::ALL_VERSIONS, None)
    }

    fn sign(&self, kind: Kind, names: Vec<String>) -> Leaf {
        let mut params = CertificateParams::new(names).unwrap();
        if kind == Kind::Expired {
            params.not_before = date_time_ymd(2019, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        if kind == Kind::Expiring {
            params.not_after = (std::time::SystemTime::now() + Duration::from_secs(3 * 86_400)).into();
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Leaf { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// A client's certificate, for a user of this name.
    pub(crate) fn client(&self, name: &str) -> Leaf {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Leaf { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// What a scripted server needs to speak TLS with a certificate of this kind.
    pub(crate) fn server_config(&self, kind: Kind) -> Arc<ServerConfig> {
        self.server_config_of(kind, rustls::ALL_VERSIONS, false)
    }

    /// The same with these versions; it may want a certificate of ours from its clients.
    pub(crate) fn server_config_of(
        &self,
        kind: Kind,
        versions: &[&'static SupportedProtocolVersion],
        wants_certificate: bool,
    ) -> Arc<ServerConfig> {
        server_config(&self.leaf(kind), versions, wants_certificate.then_some(self.ca_file.as_path()))
    }
}

/// What a server needs to show this certificate; `clients` is the authority of its clients' certificates, if it wants any.
fn server_config(
    leaf: &Leaf,
    versions: &[&'static SupportedProtocolVersion],
    clients: Option<&Path>,
) -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_slice(leaf.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).unwrap();
    let builder = if let Some(file) = clients {
        let mut ours = RootCertStore::empty();
        ours.add(CertificateDer::from_pem_file(file).unwrap()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(ours), provider).build().unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    Arc::new(builder.with_single_cert(vec![certificate], key).unwrap())
}
