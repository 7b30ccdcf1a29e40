//! A TLS handshake, both ends of it: begun anew, and resumed from the session of an earlier poll.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use gungraun::prelude::*;
use mailferry::account::{Endpoint, TlsMode};
use mailferry::net::{Connection, Dialer, NetLimits};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsAcceptor;

const NAME: &str = "pop.example.org";

/// Both ends.
struct Ends {
    runtime: Runtime,
    dialer: Dialer,
    endpoint: Endpoint,
    server: TlsAcceptor,
    /// Where the authority's certificate is.
    _dir: TempDir,
}

/// Both ends, behind a first handshake: what is trusted has been read. With this many tickets the next one is resumed.
fn ends(tickets: usize) -> Ends {
    let dir = tempfile::tempdir().expect("a directory");
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = params.self_signed(&key).expect("a certificate");
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, authority.pem()).expect("room");
    let issuer = Issuer::new(params, key);
    let endpoint = Endpoint {
        host: NAME.to_owned(),
        port: 110,
        tls: TlsMode::StartTls,
        tls_ca_file: Some(ca_file),
        key_exchange: Default::default(),
        allow_cleartext_password: false,
        route: Default::default(),
        tls_options: Default::default(),
    };
    let ends = Ends {
        runtime: Builder::new_current_thread().enable_all().build().expect("a runtime"),
        dialer: Dialer::new(NetLimits::default()),
        endpoint,
        server: TlsAcceptor::from(Arc::new(server(&issuer, tickets))),
        _dir: dir,
    };
    assert!(!ends.shake_hands(), "the first one is no other one's");
    ends
}

fn server(issuer: &Issuer<'_, KeyPair>, tickets: usize) -> ServerConfig {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new([NAME.to_owned()]).expect("parameters");
    let certificate = params.signed_by(&key, issuer).expect("a certificate").pem();
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("a key");
    let mut server = ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a server");
    server.send_tls13_tickets = tickets;
    server
}

impl Ends {
    /// One handshake, and an octet from the server, before which its tickets come. Whether it was resumed.
    fn shake_hands(&self) -> bool {
        let (here, there) = duplex(64 << 10);
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 110));
        let serve = async {
            let mut stream = self.server.accept(there).await.expect("a client");
            stream.write_all(b"+").await.expect("room");
            stream.flush().await.expect("room");
            stream
        };
        let connect = async {
            let connection = Connection::in_clear(here, peer);
            let mut connection = self.dialer.start_tls(&self.endpoint, connection).await.expect("a server");
            connection.stream.read_u8().await.expect("an octet");
            connection.tls.is_some_and(|facts| facts.resumed)
        };
        self.runtime.block_on(async { tokio::join!(serve, connect).1 })
    }
}

#[library_benchmark]
#[bench::anew(args = (0), setup = ends)]
#[bench::resumed(args = (2), setup = ends)]
fn handshake(ends: Ends) -> (Ends, bool) {
    let resumed = ends.shake_hands();
    (ends, resumed)
}

library_benchmark_group!(name = handshaking, benchmarks = [handshake]);
