//! A TLS server with generated certificates.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ServerConfig;
use rustls::{HandshakeKind, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::account::{Endpoint, TlsMode};

/// An authority that signs what a test needs, and the directory of its certificate.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub(super) dir: TempDir,
}

impl Authority {
    pub(super) fn new() -> Self {
        Self::named("an authority of this test")
    }

    pub(super) fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, dir: tempfile::tempdir().unwrap() }
    }

    pub(super) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Returns the path of a file with this text.
    pub(super) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(super) fn ca_file(&self) -> PathBuf {
        self.file("ca.pem", &self.pem())
    }

    pub(super) fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { certificate: certificate.der().clone(), pem: certificate.pem(), key }
    }
}

/// A server's certificate and its key.
pub(super) struct Identity {
    certificate: CertificateDer<'static>,
    pub(super) pem: String,
    key: KeyPair,
}

impl Identity {
    pub(super) fn self_signed(params: &CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate: certificate.der().clone(), pem: certificate.pem(), key }
    }

    /// Returns the SubjectPublicKeyInfo.
    pub(super) fn public_key(&self) -> Vec<u8> {
        use rcgen::PublicKeyData as _;
        self.key.subject_public_key_info()
    }

    pub(super) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// Returns the chain and the key.
    pub(super) fn parts(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (vec![self.certificate.clone()], PrivateKeyDer::try_from(self.key.serialize_der()).unwrap())
    }

    pub(super) fn server(&self, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key)
            .unwrap()
    }
}

/// A server's certificate for a name, correct unless changed.
pub(super) fn for_name(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// A server's certificate for 127.0.0.1.
pub(super) fn for_loopback() -> CertificateParams {
    let mut params = for_name("pop.example.org");
    params.subject_alt_names = vec![SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))];
    params
}

pub(super) const ALL: &[&SupportedProtocolVersion] = rustls::ALL_VERSIONS;

/// Accepts connections, greets over TLS, and reports how each handshake went.
pub(super) async fn serve(config: ServerConfig) -> (SocketAddr, mpsc::UnboundedReceiver<Option<HandshakeKind>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let Ok(mut tls) = acceptor.accept(tcp).await else {
                let _ = sender.send(None);
                continue;
            };
            let _ = sender.send(tls.get_ref().1.handshake_kind());
            let _ = tls.write_all(b"+OK ready\r\n").await;
            let _ = tls.read_to_end(&mut Vec::new()).await;
        }
    });
    (address, receiver)
}

/// Accepts one connection after another, writes these bytes, and reads until the client closes it.
pub(super) async fn serve_bytes(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let _ = tcp.write_all(bytes).await;
            let _ = tcp.read_to_end(&mut Vec::new()).await;
        }
    });
    address
}

/// The endpoint of a server of these tests.
pub(super) fn endpoint(host: &str, address: SocketAddr, ca_file: Option<&Path>) -> Endpoint {
    Endpoint {
        host: host.to_owned(),
        port: address.port(),
        tls: TlsMode::Implicit,
        tls_ca_file: ca_file.map(Path::to_owned),
        key_exchange: Default::default(),
        allow_cleartext_password: false,
        route: Default::default(),
        tls_options: Default::default(),
    }
}
