//! The file that `tls_ca_file` names.

use std::path::Path;

use super::dialer;
use super::server::{ALL, Authority, endpoint, for_loopback, serve};
use crate::net::{CaFileProblem, NetError};

/// Returns what is wrong with a file. The server is never contacted.
async fn problem_with(path: &Path) -> CaFileProblem {
    let nowhere = ([127, 0, 0, 1], 1).into();
    let prepared = dialer().tls.prepare(&endpoint("127.0.0.1", nowhere, Some(path))).await;
    let Err(error) = prepared else { panic!("the file was taken") };
    assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
    let NetError::CaFile { why, .. } = error else { panic!("{error:?}") };
    why
}

#[tokio::test]
async fn refuses_a_file_without_certificates() {
    let files = Authority::new();
    let missing = files.dir.path().join("missing.pem");
    assert!(matches!(problem_with(&missing).await, CaFileProblem::Read(_)));
    assert!(matches!(problem_with(files.dir.path()).await, CaFileProblem::NotAFile));
    let empty = files.file("empty.pem", "");
    assert!(matches!(problem_with(&empty).await, CaFileProblem::NoCertificate));
    let garbage = files.file("garbage.pem", "no certificate at all\n\u{1b}[2J");
    assert!(matches!(problem_with(&garbage).await, CaFileProblem::NoCertificate));
}

#[tokio::test]
async fn refuses_a_damaged_certificate_and_says_which() {
    let files = Authority::new();
    let pem = files.pem();
    let no_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let damaged = files.file("der.pem", &format!("{pem}{no_der}"));
    let why = problem_with(&damaged).await;
    assert!(matches!(why, CaFileProblem::Damaged { number: 2, .. }), "{why:?}");
    let half: String = pem.chars().take(pem.len() / 2).collect();
    let cut = files.file("cut.pem", &half);
    let why = problem_with(&cut).await;
    assert!(matches!(why, CaFileProblem::Damaged { number: 1, .. }), "{why:?}");
}

#[tokio::test]
async fn refuses_a_file_that_is_far_too_large() {
    let files = Authority::new();
    let large = files.file("large.pem", "");
    std::fs::File::options().write(true).open(&large).unwrap().set_len((16 << 20) + 1).unwrap();
    let why = problem_with(&large).await;
    assert!(matches!(why, CaFileProblem::TooLarge(octets) if octets == (16 << 20) + 1), "{why:?}");
}

#[tokio::test]
async fn trusts_every_authority_of_the_file() {
    let (first, second) = (Authority::new(), Authority::new());
    let both = first.file("both.pem", &format!("a word about them\n{}\n{}", second.pem(), first.pem()));
    for authority in [&first, &second] {
        let (address, _) = serve(authority.sign(&for_loopback()).server(ALL)).await;
        assert!(dialer().connect(&endpoint("127.0.0.1", address, Some(&both)), &[]).await.unwrap().protected);
    }
}

#[tokio::test]
async fn notices_that_the_file_was_replaced() {
    let (before, after) = (Authority::new(), Authority::new());
    let (address, _) = serve(after.sign(&for_loopback()).server(ALL)).await;
    let endpoint = endpoint("127.0.0.1", address, Some(&before.ca_file()));
    let dialer = dialer();
    let error = dialer.connect(&endpoint, &[]).await.unwrap_err();
    assert!(matches!(error, NetError::Certificate { .. }), "{error:?}");

    // The new file may have the same length as the old one and, on a coarse clock, the same time: its inode still
    // differs.
    let path = before.file("new.pem", &after.pem());
    std::fs::rename(path, before.dir.path().join("ca.pem")).unwrap();
    assert!(dialer.connect(&endpoint, &[]).await.unwrap().protected);

    std::fs::remove_file(before.dir.path().join("ca.pem")).unwrap();
    let error = dialer.connect(&endpoint, &[]).await.unwrap_err();
    assert!(matches!(error, NetError::CaFile { why: CaFileProblem::Read(_), .. }), "{error:?}");
}
