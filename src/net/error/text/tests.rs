use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::*;

fn refused() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::CONNREFUSED.raw_os_error())
}

fn unreachable() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::HOSTUNREACH.raw_os_error())
}

fn certificate(problem: CertificateProblem) -> String {
    NetError::Certificate { host: "pop.example.org".to_owned(), problem }.to_string()
}

#[test]
fn lists_what_happened_at_each_address() {
    let error = NetError::Connect {
        host: "pop.example.org".to_owned(),
        port: 995,
        attempts: vec![
            (([192, 0, 2, 1], 995).into(), refused()),
            ("[2001:db8::1]:995".parse().unwrap(), unreachable()),
        ],
    };
    assert_eq!(
        error.to_string(),
        "cannot connect to pop.example.org port 995: 192.0.2.1: connection refused; [2001:db8::1]: no route to host"
    );
}

#[test]
fn tells_silent_addresses_from_refused_ones() {
    let error = NetError::ConnectTimeout {
        host: "pop.example.org".to_owned(),
        port: 995,
        limit: Duration::from_secs(30),
        attempts: vec![(([192, 0, 2, 1], 995).into(), refused())],
        unanswered: vec![([192, 0, 2, 2], 995).into()],
    };
    assert_eq!(
        error.to_string(),
        "cannot connect to pop.example.org port 995 within 30 s: 192.0.2.1: connection refused; 192.0.2.2: no answer"
    );
}

#[test]
fn a_slow_resolver_is_not_blamed_on_the_server() {
    let error = NetError::ConnectTimeout {
        host: "pop.example.org".to_owned(),
        port: 995,
        limit: Duration::from_millis(1500),
        attempts: Vec::new(),
        unanswered: Vec::new(),
    };
    assert_eq!(error.to_string(), "cannot find the address of pop.example.org within 1.5 s");
}

#[test]
fn a_hundred_addresses_do_not_fill_the_screen() {
    let attempts = (0..100).map(|last| (([192, 0, 2, last], 995).into(), refused())).collect();
    let words = NetError::Connect { host: "pop.example.org".to_owned(), port: 995, attempts }.to_string();
    assert!(words.ends_with("192.0.2.7: connection refused; and 92 more addresses"), "{words}");
}

#[test]
fn keeps_the_resolvers_reason_and_drops_its_preamble() {
    let source = io::Error::other("failed to lookup address information: Name or service not known");
    let error = NetError::Resolve { host: "pop.example.org".to_owned(), source };
    assert_eq!(error.to_string(), "cannot find the address of pop.example.org: Name or service not known");
}

#[test]
fn an_expired_certificate_has_its_date() {
    let not_after = Some(Timestamp::from_second(1_612_310_400).unwrap());
    assert_eq!(
        certificate(CertificateProblem::Expired { not_after }),
        "the certificate of pop.example.org expired on 2021-02-03 00:00:00 UTC; no password was sent"
    );
}

#[test]
fn a_servers_words_cannot_move_the_cursor() {
    let evil = "a\u{1b}[2J\r\n\u{202e}b".to_owned();
    let many = vec![evil.clone(); 50];
    for words in [
        certificate(CertificateProblem::WrongName { presented: many, is_server_name: false }),
        certificate(CertificateProblem::Other(evil.repeat(1000))),
        NetError::Handshake {
            host: "pop.example.org".to_owned(),
            port: 995,
            problem: HandshakeProblem::Other(evil.clone()),
            answered: true,
        }
        .to_string(),
        NetError::NoTrustStore { why: evil.clone() }.to_string(),
        NetError::InvalidName { host: evil.clone() }.to_string(),
        NetError::CaFile { path: PathBuf::from(&evil), why: CaFileProblem::NoCertificate }.to_string(),
    ] {
        assert!(!words.contains(|c: char| c.is_control() || c == '\u{202e}'), "{words:?}");
        assert!(words.len() < 2500, "{} bytes", words.len());
    }
}

#[test]
fn an_international_host_stays_readable() {
    let words = NetError::InvalidName { host: "pöp.example.org".to_owned() }.to_string();
    assert!(words.ends_with("the host pöp.example.org"), "{words}");
}

#[test]
fn an_error_of_the_system_becomes_part_of_a_sentence() {
    assert_eq!(plain(&refused()), "connection refused");
    assert_eq!(plain(&io::Error::other("DNS is down")), "DNS is down");
}
