//! Certificates of every kind.

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, date_time_ymd};

use super::server::{ALL, Authority, Identity, endpoint, for_loopback, for_name, serve};
use super::{call, dialer, greeting};
use crate::net::{CertificateProblem, NetError};

const HOST: &str = "pop.example.org";

/// Returns what is found wrong with a certificate signed by a trusted authority, and the words for it.
async fn problem_with(params: &CertificateParams) -> (CertificateProblem, String) {
    let authority = Authority::new();
    let (address, mut handshakes) = serve(authority.sign(params).server(ALL)).await;
    let refused = refusal(call(HOST, address, Some(&authority.ca_file())).await);
    assert_eq!(handshakes.recv().await, Some(None), "the server must not have got a connection");
    refused
}

fn refusal(result: Result<crate::net::Connection, NetError>) -> (CertificateProblem, String) {
    let error = result.unwrap_err();
    let words = error.to_string();
    assert!(words.contains("no password was sent"), "{words}");
    let NetError::Certificate { problem, .. } = error else { panic!("{words}") };
    (problem, words)
}

#[tokio::test]
async fn trusts_an_authority_of_the_file() {
    let authority = Authority::new();
    let (address, _) = serve(authority.sign(&for_name(HOST)).server(ALL)).await;
    let mut connection = call(HOST, address, Some(&authority.ca_file())).await.unwrap();
    assert!(connection.protected);
    assert_eq!(connection.peer, address);
    assert_eq!(greeting(&mut connection).await, "+OK ready\r\n");
}

#[tokio::test]
async fn trusts_an_address_that_the_certificate_names() {
    let authority = Authority::new();
    let (address, _) = serve(authority.sign(&for_loopback()).server(ALL)).await;
    let connection = dialer().connect(&endpoint("127.0.0.1", address, Some(&authority.ca_file())), &[]).await.unwrap();
    assert!(connection.protected && connection.loopback);
}

#[tokio::test]
async fn refuses_an_address_that_the_certificate_does_not_name() {
    let authority = Authority::new();
    let (address, _) = serve(authority.sign(&for_name(HOST)).server(ALL)).await;
    let result = dialer().connect(&endpoint("127.0.0.1", address, Some(&authority.ca_file())), &[]).await;
    let (problem, _) = refusal(result);
    assert_eq!(problem, CertificateProblem::WrongName { presented: vec![HOST.to_owned()], is_server_name: false });
}

#[tokio::test]
async fn refuses_an_expired_certificate_and_says_since_when() {
    let mut params = for_name(HOST);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 2, 3);
    let (problem, words) = problem_with(&params).await;
    assert!(matches!(problem, CertificateProblem::Expired { not_after: Some(_) }), "{problem:?}");
    assert!(words.contains("expired on 2021-02-03 00:00:00 UTC"), "{words}");
}

#[tokio::test]
async fn refuses_a_certificate_from_the_future_and_says_from_when() {
    let mut params = for_name(HOST);
    params.not_before = date_time_ymd(3000, 1, 1);
    params.not_after = date_time_ymd(3001, 1, 1);
    let (problem, words) = problem_with(&params).await;
    assert!(matches!(problem, CertificateProblem::NotYetValid { not_before: Some(_) }), "{problem:?}");
    assert!(words.contains("only from 3000-01-01 00:00:00 UTC"), "{words}");
}

#[tokio::test]
async fn refuses_another_name_and_says_which_ones_it_has() {
    let mut params = for_name("mail.example.net");
    params.subject_alt_names.extend(for_loopback().subject_alt_names);
    let (problem, words) = problem_with(&params).await;
    let presented = vec!["mail.example.net".to_owned(), "127.0.0.1".to_owned()];
    assert_eq!(problem, CertificateProblem::WrongName { presented, is_server_name: false });
    assert!(words.contains("is for mail.example.net, 127.0.0.1, not for "), "{words}");
}

#[tokio::test]
async fn refuses_a_name_that_stands_only_in_the_subject() {
    let mut params = for_name(HOST);
    params.subject_alt_names.clear();
    let (problem, _) = problem_with(&params).await;
    assert_eq!(problem, CertificateProblem::WrongName { presented: Vec::new(), is_server_name: false });
}

#[tokio::test]
async fn refuses_a_certificate_that_is_not_for_servers() {
    let mut params = for_name(HOST);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let (problem, _) = problem_with(&params).await;
    assert_eq!(problem, CertificateProblem::Other("is not meant for a server".to_owned()));
}

#[tokio::test]
async fn refuses_an_authority_that_poses_as_a_server() {
    let mut params = for_name(HOST);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let (problem, _) = problem_with(&params).await;
    assert_eq!(problem, CertificateProblem::Other("is an authority's own and not meant for a server".to_owned()));
}

#[tokio::test]
async fn refuses_an_authority_that_is_not_in_the_file() {
    let other = Authority::named("another authority");
    let (address, _) = serve(other.sign(&for_name(HOST)).server(ALL)).await;
    let (problem, words) = refusal(call(HOST, address, Some(&Authority::new().ca_file())).await);
    assert_eq!(problem, CertificateProblem::UnknownIssuer);
    assert!(words.contains("not signed by an authority that is trusted here"), "{words}");
}

#[tokio::test]
async fn refuses_an_authority_that_took_the_name_of_a_trusted_one() {
    let (trusted, impostor) = (Authority::new(), Authority::new());
    let (address, _) = serve(impostor.sign(&for_name(HOST)).server(ALL)).await;
    let (problem, _) = refusal(call(HOST, address, Some(&trusted.ca_file())).await);
    assert_eq!(problem, CertificateProblem::Other("is not signed by the authority that it names".to_owned()));
}

#[tokio::test]
async fn refuses_a_stranger_that_is_signed_by_itself() {
    for is_ca in [IsCa::NoCa, IsCa::ExplicitNoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let mut params = for_name(HOST);
        params.is_ca = is_ca;
        let (address, _) = serve(Identity::self_signed(&params).server(ALL)).await;
        let (problem, words) = refusal(call(HOST, address, Some(&Authority::new().ca_file())).await);
        assert_eq!(problem, CertificateProblem::SelfSigned);
        assert!(words.contains("is self-signed"), "{words}");
    }
}

#[tokio::test]
async fn a_stranger_that_is_signed_by_itself_may_have_the_name_of_a_trusted_one() {
    let files = Authority::new();
    let trusted = files.file("same-name.pem", &Identity::self_signed(&for_name(HOST)).pem);
    let (address, _) = serve(Identity::self_signed(&for_name(HOST)).server(ALL)).await;
    let (problem, _) = refusal(call(HOST, address, Some(&trusted)).await);
    assert_eq!(problem, CertificateProblem::SelfSigned);
}

#[tokio::test]
async fn trusts_a_certificate_signed_by_itself_that_stands_in_the_file() {
    let files = Authority::new();
    for is_ca in [IsCa::NoCa, IsCa::ExplicitNoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let mut params = for_name(HOST);
        params.is_ca = is_ca;
        let identity = Identity::self_signed(&params);
        let listed = files.file("server.pem", &identity.pem);
        for versions in [&[&rustls::version::TLS12][..], &[&rustls::version::TLS13]] {
            let (address, _) = serve(identity.server(versions)).await;
            assert!(call(HOST, address, Some(&listed)).await.unwrap().protected);
        }
    }
}

#[tokio::test]
async fn looks_at_name_and_dates_of_a_certificate_that_stands_in_the_file() {
    let files = Authority::new();
    let mut authority = for_name(HOST);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);

    let identity = Identity::self_signed(&authority);
    let (address, _) = serve(identity.server(ALL)).await;
    let listed = files.file("named.pem", &identity.pem);
    let (problem, _) = refusal(call("mail.example.net", address, Some(&listed)).await);
    assert_eq!(problem, CertificateProblem::WrongName { presented: vec![HOST.to_owned()], is_server_name: false });

    authority.not_before = date_time_ymd(2020, 1, 1);
    authority.not_after = date_time_ymd(2021, 1, 1);
    let identity = Identity::self_signed(&authority);
    let (address, _) = serve(identity.server(ALL)).await;
    let listed = files.file("expired.pem", &identity.pem);
    let (problem, _) = refusal(call(HOST, address, Some(&listed)).await);
    assert!(matches!(problem, CertificateProblem::Expired { .. }), "{problem:?}");

    authority.not_before = date_time_ymd(3000, 1, 1);
    authority.not_after = date_time_ymd(3001, 1, 1);
    let identity = Identity::self_signed(&authority);
    let (address, _) = serve(identity.server(ALL)).await;
    let listed = files.file("future.pem", &identity.pem);
    let (problem, _) = refusal(call(HOST, address, Some(&listed)).await);
    assert!(matches!(problem, CertificateProblem::NotYetValid { .. }), "{problem:?}");
}
