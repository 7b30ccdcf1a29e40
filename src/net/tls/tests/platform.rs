//! The platform's authorities. An environment variable says where they are, so each case runs in a process of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, IsCa};

use super::dialer;
use super::server::{ALL, Authority, Identity, endpoint, for_loopback, serve};
use crate::net::NetError;

/// Tells the process its task: the server's address.
const ADDRESS: &str = "MAILFERRY_TEST_ADDRESS";

/// Gives the process a `tls_ca_file`.
const CA_FILE: &str = "MAILFERRY_TEST_CA_FILE";

/// What [`connects_by_the_platforms_trust`] prints, alone in a process whose platform trusts `platform`.
async fn connect_trusting(platform: &Path, ca_file: Option<&Path>, address: SocketAddr) -> String {
    let mut process = tokio::process::Command::new(std::env::current_exe().unwrap());
    process
        .args(["--exact", "net::tls::tests::platform::connects_by_the_platforms_trust", "--ignored", "--nocapture"])
        .env("SSL_CERT_FILE", platform)
        .env_remove("SSL_CERT_DIR")
        .env(ADDRESS, address.to_string());
    if let Some(path) = ca_file {
        process.env(CA_FILE, path);
    }
    String::from_utf8(process.output().await.unwrap().stdout).unwrap()
}

#[tokio::test]
#[ignore = "runs in a process of its own, begun by the other tests here"]
async fn connects_by_the_platforms_trust() {
    let Ok(address) = std::env::var(ADDRESS) else { return };
    let address = address.parse().unwrap();
    let ca_file = std::env::var_os(CA_FILE).map(PathBuf::from);
    match dialer().connect(&endpoint("127.0.0.1", address, ca_file.as_deref()), &[]).await {
        Ok(connection) => println!("RESULT protected={}", connection.protected),
        Err(error @ NetError::NoTrustStore { .. }) => {
            println!("RESULT {error}");
        }
        Err(error) => println!("RESULT {error:?}"),
    }
}

#[tokio::test]
async fn trusts_the_platforms_authorities_and_no_other() {
    let (trusted, other) = (Authority::new(), Authority::named("another authority"));
    let (address, _) = serve(trusted.sign(&for_loopback()).server(ALL)).await;
    let words = connect_trusting(&trusted.ca_file(), None, address).await;
    assert!(words.contains("RESULT protected=true"), "{words}");
    let words = connect_trusting(&other.ca_file(), None, address).await;
    assert!(words.contains("UnknownIssuer"), "{words}");
}

/// Made with `openssl req -x509`, and put among the system's certificates by an administrator.
#[tokio::test]
async fn trusts_a_certificate_signed_by_itself_that_the_platform_trusts() {
    let (files, other) = (Authority::new(), Authority::named("another authority"));
    for is_ca in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let mut params = for_loopback();
        params.is_ca = is_ca;
        let identity = Identity::self_signed(&params);
        let listed = files.file("server.pem", &identity.pem);
        let (address, _) = serve(identity.server(ALL)).await;
        let words = connect_trusting(&listed, None, address).await;
        assert!(words.contains("RESULT protected=true"), "{words}");
        let words = connect_trusting(&other.ca_file(), None, address).await;
        assert!(words.contains("SelfSigned"), "{words}");
    }
}

#[tokio::test]
async fn a_file_of_authorities_takes_the_platforms_place() {
    let (platform, own) = (Authority::new(), Authority::named("another authority"));
    let (address, _) = serve(platform.sign(&for_loopback()).server(ALL)).await;
    let words = connect_trusting(&platform.ca_file(), Some(&own.ca_file()), address).await;
    assert!(words.contains("UnknownIssuer"), "{words}");
    let (address, _) = serve(own.sign(&for_loopback()).server(ALL)).await;
    let words = connect_trusting(&platform.ca_file(), Some(&own.ca_file()), address).await;
    assert!(words.contains("RESULT protected=true"), "{words}");
}

#[tokio::test]
async fn says_where_no_authority_is_known() {
    let files = Authority::new();
    let (address, _) = serve(files.sign(&for_loopback()).server(ALL)).await;
    let words = connect_trusting(&files.dir.path().join("missing.pem"), None, address).await;
    assert!(words.contains("RESULT this machine has no certificates"), "{words}");
}
