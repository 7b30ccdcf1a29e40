//! A certificate authority for the tests, and server certificates signed by it: good, expired, for another name.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

/// A certificate authority, written to a directory for `tls_ca_file`.
pub(crate) struct Authority {
    /// Its certificate, in PEM.
    pub(crate) ca_file: PathBuf,
    /// Signs the servers' certificates.
    issuer: Issuer<'static, KeyPair>,
}

/// What is right or wrong with a server's certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Valid, for `localhost`, 127.0.0.1 and names below `ferry.test`.
    Good,
    /// Like `Good`, but expired.
    Expired,
    /// Like `Good`, but expires in three days.
    Expiring,
    /// Like `Good`, but not valid yet.
    NotYetValid,
    /// For `pop.example.org` only.
    OtherName,
    /// For 127.0.0.1 only.
    AddressOnly,
    /// For these names only, taken literally, whether they are valid names or not.
    Named(&'static [&'static str]),
    /// Like `Good`, but self-signed.
    SelfSigned,
}

/// A certificate and its key, both in PEM.
pub(crate) struct Leaf {
    /// The certificate.
    pub(crate) certificate: String,
    /// The private key.
    pub(crate) key: String,
}

impl Leaf {
    /// Returns the certificate in DER, as it is sent.
    pub(crate) fn der(&self) -> Vec<u8> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap().to_vec()
    }
}

impl Authority {
    /// Makes an authority and writes `ca.pem` into `dir`.
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

    /// Makes a server certificate of this kind.
    pub(crate) fn leaf(&self, kind: Kind) -> Leaf {
        let names: &[&str] = match kind {
            Kind::OtherName => &["pop.example.org"],
            Kind::Named(names) => names,
            Kind::AddressOnly => &[],
            _ => &["localhost", "*.ferry.test"],
        };
        self.sign(kind, names)
    }

    /// Returns the configuration of a server with a good certificate for these names.
    pub(crate) fn server_config_for(&self, names: &[&str]) -> Arc<ServerConfig> {
        self.server_config_with(&self.sign(Kind::Good, names), rustls::ALL_VERSIONS, false)
    }

    fn sign(&self, kind: Kind, names: &[&str]) -> Leaf {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let named = names.iter().map(|name| SanType::DnsName((*name).try_into().unwrap()));
        let here = SanType::IpAddress(Ipv4Addr::LOCALHOST.into());
        let address = (!matches!(kind, Kind::OtherName | Kind::Named(_))).then_some(here);
        params.subject_alt_names = named.chain(address).collect();
        match kind {
            Kind::Expired => {
                params.not_before = date_time_ymd(2019, 1, 1);
                params.not_after = date_time_ymd(2020, 1, 1);
            }
            Kind::Expiring => {
                params.not_after = (std::time::SystemTime::now() + Duration::from_secs(3 * 86_400)).into();
            }
            Kind::NotYetValid => {
                params.not_before = date_time_ymd(2094, 1, 1);
                params.not_after = date_time_ymd(2095, 1, 1);
            }
            _ => {}
        }
        let key = KeyPair::generate().unwrap();
        let certificate = match kind {
            Kind::SelfSigned => params.self_signed(&key).unwrap(),
            _ => params.signed_by(&key, &self.issuer).unwrap(),
        };
        Leaf { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// Makes a client certificate for this user.
    pub(crate) fn client(&self, name: &str) -> Leaf {
        self.client_with(name, |_| {})
    }

    /// Like [`Self::client`], but expires in three days.
    pub(crate) fn expiring_client(&self, name: &str) -> Leaf {
        self.client_with(name, |params| {
            params.not_after = (std::time::SystemTime::now() + Duration::from_secs(3 * 86_400)).into();
        })
    }

    fn client_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        change(&mut params);
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Leaf { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// Returns the TLS configuration of a scripted server with a certificate of this kind.
    pub(crate) fn server_config(&self, kind: Kind) -> Arc<ServerConfig> {
        self.server_config_of(kind, rustls::ALL_VERSIONS, false)
    }

    /// Like [`Self::server_config`], with these versions; it may require client certificates of ours.
    pub(crate) fn server_config_of(
        &self,
        kind: Kind,
        versions: &[&'static SupportedProtocolVersion],
        wants_certificate: bool,
    ) -> Arc<ServerConfig> {
        self.server_config_with(&self.leaf(kind), versions, wants_certificate)
    }

    /// Like [`Self::server_config_of`], with this certificate.
    pub(crate) fn server_config_with(
        &self,
        leaf: &Leaf,
        versions: &[&'static SupportedProtocolVersion],
        wants_certificate: bool,
    ) -> Arc<ServerConfig> {
        let certificate = CertificateDer::from_pem_slice(leaf.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).unwrap();
        let builder = if wants_certificate {
            let mut ours = RootCertStore::empty();
            ours.add(CertificateDer::from_pem_file(&self.ca_file).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(ours), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        Arc::new(builder.with_single_cert(vec![certificate], key).unwrap())
    }
}
