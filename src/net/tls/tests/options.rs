//! Pinned keys, another server name, client certificates.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};

use super::server::{ALL, Authority, Identity, endpoint, for_loopback, for_name, serve};
use super::{dialer, greeting};
use crate::account::{ClientCertificate, Endpoint, PublicKeyPin, TlsOptions, TlsTrust};
use crate::exit::ExitStatus;
use crate::net::tls::{Tls, TrustKey};
use crate::net::{CaFileProblem, CertificateProblem, ClientCertificateProblem, NetError};

/// The pin of a server's key: the digest of what `openssl pkey -pubout -outform DER` writes.
fn pin(server: &Identity) -> PublicKeyPin {
    PublicKeyPin(Sha256::digest(server.public_key()).into())
}

/// Connects with these options up to the greeting.
async fn reached(endpoint: &Endpoint) -> Result<(), NetError> {
    let mut connection = dialer().connect(endpoint, &[]).await?;
    assert!(connection.protected);
    assert_eq!(greeting(&mut connection).await, "+OK ready\r\n");
    Ok(())
}

#[tokio::test]
async fn a_pin_is_asked_for_beside_the_authorities() {
    let authority = Authority::new();
    let server = authority.sign(&for_loopback());
    let (address, _) = serve(server.server(ALL)).await;
    let ca_file = authority.ca_file();
    let with = |pins: Vec<PublicKeyPin>, ca_file| Endpoint {
        tls_options: TlsOptions { pins, ..TlsOptions::default() },
        ..endpoint("127.0.0.1", address, ca_file)
    };
    let spare = PublicKeyPin([7; 32]);
    reached(&with(vec![spare, pin(&server)], Some(&ca_file))).await.unwrap();
    let error = reached(&with(vec![spare], Some(&ca_file))).await.unwrap_err();
    let has = format!("sha256//{}", BASE64_STANDARD.encode(pin(&server).0));
    assert!(
        matches!(&error, NetError::Certificate { problem: CertificateProblem::WrongKey { pin }, .. } if *pin == has),
        "{error}"
    );
    assert_eq!(error.exit_status(), ExitStatus::Tls);
    // The right key does not make up for an unknown authority.
    let other = Authority::named("another").ca_file();
    let error = reached(&with(vec![pin(&server)], Some(&other))).await.unwrap_err();
    assert!(!matches!(&error, NetError::Certificate { problem: CertificateProblem::WrongKey { .. }, .. }), "{error}");
}

#[tokio::test]
async fn a_pin_alone_is_enough_where_the_user_says_so() {
    let mut params = for_name("somebody.else.example");
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let server = Identity::self_signed(&params);
    let (address, _) = serve(server.server(ALL)).await;
    let with = |pins| Endpoint {
        tls_options: TlsOptions { trust: TlsTrust::Pin, pins, ..TlsOptions::default() },
        ..endpoint("127.0.0.1", address, None)
    };
    reached(&with(vec![pin(&server)])).await.unwrap();
    for pins in [vec![PublicKeyPin([7; 32])], vec![]] {
        let error = reached(&with(pins)).await.unwrap_err();
        assert!(
            matches!(&error, NetError::Certificate { problem: CertificateProblem::WrongKey { .. }, .. }),
            "{error}"
        );
    }
}

#[tokio::test]
async fn another_name_is_verified_in_the_place_of_the_hosts() {
    let authority = Authority::new();
    let (address, _) = serve(authority.sign(&for_name("pop.example.org")).server(ALL)).await;
    let ca_file = authority.ca_file();
    let called = |name: &str| Endpoint {
        tls_options: TlsOptions { server_name: Some(name.to_owned()), ..TlsOptions::default() },
        ..endpoint("127.0.0.1", address, Some(&ca_file))
    };
    reached(&called("pop.example.org")).await.unwrap();
    let error = reached(&called("pop.example.com")).await.unwrap_err();
    assert!(
        matches!(&error, NetError::Certificate { host, problem: CertificateProblem::WrongName { .. } }
            if host == "pop.example.com"),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_can_be_trusted_beside_the_platform() {
    let authority = Authority::new();
    let (address, _) = serve(authority.sign(&for_loopback()).server(ALL)).await;
    let ca_file = authority.ca_file();
    let options = TlsOptions { trust: TlsTrust::PlatformAndFile, ..TlsOptions::default() };
    let endpoint = Endpoint { tls_options: options, ..endpoint("127.0.0.1", address, Some(&ca_file)) };
    reached(&endpoint).await.unwrap();
}

/// A server that accepts clients with a certificate of this authority.
fn wanting(authority: &Authority, server: &Identity) -> ServerConfig {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(ALL).unwrap();
    let (chain, key) = server.parts();
    builder.with_client_cert_verifier(verifier).with_single_cert(chain, key).unwrap()
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_is_shown_one() {
    let authority = Authority::new();
    let server = authority.sign(&for_loopback());
    let (address, _) = serve(wanting(&authority, &server)).await;
    let ca_file = authority.ca_file();
    let write = |name: &str, issuer: &Authority| {
        let mut params = for_name("jo");
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        params.not_after = rcgen::date_time_ymd(2096, 1, 1);
        let ours = issuer.sign(&params);
        let certificate = authority.file(&format!("{name}.pem"), &ours.pem);
        let key = authority.file(&format!("{name}.key"), &ours.key_pem());
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        ClientCertificate { certificate, key }
    };
    let with = |ours: Option<ClientCertificate>| Endpoint {
        tls_options: TlsOptions { client_certificate: ours, ..TlsOptions::default() },
        ..endpoint("127.0.0.1", address, Some(&ca_file))
    };
    let good = write("good", &authority);
    reached(&with(Some(good.clone()))).await.unwrap();
    let connection = dialer().connect(&with(Some(good.clone())), &[]).await.unwrap();
    assert_eq!(connection.client_certificate_expires, Some(3_976_214_400));
    drop(connection); // the server takes one after the other
    // With TLS 1.3 the server's verdict on a stranger's certificate shows with the first read.
    let stranger = write("stranger", &Authority::named("nobody knows"));
    let mut connection = dialer().connect(&with(Some(stranger)), &[]).await.unwrap();
    let error = tokio::io::AsyncReadExt::read(&mut connection.stream, &mut [0; 1]).await.unwrap_err();
    assert!(error.to_string().contains("refused the client certificate"), "{error}");

    let problem = async |ours: ClientCertificate| match reached(&with(Some(ours))).await.unwrap_err() {
        NetError::ClientCertificate { why, .. } => why,
        other => panic!("{other}"),
    };
    let other = write("other", &authority);
    let mixed = ClientCertificate { key: other.key.clone(), ..good.clone() };
    assert!(matches!(problem(mixed).await, ClientCertificateProblem::Mismatch));
    let no_key = ClientCertificate { key: good.certificate.clone(), ..good.clone() };
    std::fs::set_permissions(&good.certificate, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(problem(no_key).await, ClientCertificateProblem::NoKey));
    let no_certificate = ClientCertificate { certificate: good.key.clone(), ..good.clone() };
    assert!(matches!(problem(no_certificate).await, ClientCertificateProblem::NoCertificate));
    std::fs::set_permissions(&good.key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(problem(good).await, ClientCertificateProblem::Exposed { mode: 0o644 }));
}

#[test]
fn the_file_that_takes_too_long_to_read_is_the_one_that_is_named() {
    let file = |name: &str| PathBuf::from("/hung").join(name);
    let ours = ClientCertificate { certificate: file("client.pem"), key: file("client.key") };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for ca_file in [None, Some(file("ca.pem"))] {
        let options = TlsOptions { client_certificate: Some(ours.clone()), ..TlsOptions::default() };
        let address = ([127, 0, 0, 1], 995).into();
        let endpoint = Endpoint { tls_options: options, ..endpoint("127.0.0.1", address, ca_file.as_deref()) };
        let tls = Tls::new(Duration::from_millis(10));
        let slot = tls.slot(&TrustKey::of(&endpoint));
        // As if another account had begun to read it.
        let _reader = slot.trust.try_lock().unwrap();
        let prepare = || runtime.block_on(tls.prepare(&endpoint)).map(|_| ()).unwrap_err();
        for named in [&ours.certificate, &ours.key] {
            match slot.reading.of(named, prepare) {
                NetError::ClientCertificate { path, why: ClientCertificateProblem::TooSlow(_) } => {
                    assert_eq!(path, *named);
                }
                other => panic!("{other}"),
            }
        }
        match (prepare(), &ca_file) {
            (NetError::CaFile { path, why: CaFileProblem::TooSlow(_) }, Some(file)) => assert_eq!(path, *file),
            (NetError::NoTrustStore { .. }, None) => {}
            (other, _) => panic!("{other}"),
        }
    }
}
