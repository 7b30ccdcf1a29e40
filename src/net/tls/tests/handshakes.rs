//! Servers that speak TLS well, badly, or not at all.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::{HandshakeKind, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::server::{ALL, Authority, endpoint, for_loopback, for_name, serve, serve_bytes};
use super::{call, dialer, greeting};
use crate::account::{Endpoint, KeyExchange, TlsMode};
use crate::net::tls::heads_a_tls_record;
use crate::net::{Connection, Dialer, HandshakeProblem, NetError, NetLimits};

const TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];

/// The error of implicit TLS with a server that sends only these bytes.
async fn error_after(bytes: &'static [u8]) -> NetError {
    let authority = Authority::new();
    let address = serve_bytes(bytes).await;
    let endpoint = endpoint("127.0.0.1", address, Some(&authority.ca_file()));
    dialer().connect(&endpoint, &[]).await.unwrap_err()
}

#[tokio::test]
async fn accepts_tls_1_2() {
    let authority = Authority::new();
    let (address, _) = serve(authority.sign(&for_loopback()).server(TLS12)).await;
    let endpoint = endpoint("127.0.0.1", address, Some(&authority.ca_file()));
    let mut connection = dialer().connect(&endpoint, &[]).await.unwrap();
    assert_eq!(greeting(&mut connection).await, "+OK ready\r\n");
}

#[tokio::test]
async fn resumes_the_session_of_the_poll_before() {
    for versions in [ALL, TLS12] {
        let authority = Authority::new();
        let (address, mut handshakes) = serve(authority.sign(&for_loopback()).server(versions)).await;
        let endpoint = endpoint("127.0.0.1", address, Some(&authority.ca_file()));
        let dialer = dialer();
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let mut connection = dialer.connect(&endpoint, &[]).await.unwrap();
            greeting(&mut connection).await;
            kinds.push(handshakes.recv().await.unwrap().unwrap());
        }
        assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed]);
    }
}

#[tokio::test]
async fn tells_when_the_servers_certificate_expires_in_full_and_resumed_sessions() {
    // In both encodings of time (RFC 5280, section 4.1.2.5).
    for (year, month, day, seconds) in [(2049, 12, 31, 2_524_521_600), (2050, 1, 1, 2_524_608_000)] {
        for versions in [ALL, TLS12] {
            let authority = Authority::new();
            let mut params = for_loopback();
            params.not_after = rcgen::date_time_ymd(year, month, day);
            let (address, mut handshakes) = serve(authority.sign(&params).server(versions)).await;
            let mut endpoint = endpoint("127.0.0.1", address, Some(&authority.ca_file()));
            let dialer = dialer();
            for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
                let mut connection = dialer.connect(&endpoint, &[]).await.unwrap();
                assert_eq!(connection.certificate_expires, Some(seconds), "{year} {kind:?}");
                greeting(&mut connection).await;
                assert_eq!(handshakes.recv().await, Some(Some(kind)));
            }
            endpoint.tls = TlsMode::StartTls;
            let plain = dialer.connect(&endpoint, &[]).await.unwrap();
            assert_eq!(plain.certificate_expires, None);
            let protected = dialer.start_tls(&endpoint, plain).await.unwrap();
            assert_eq!(protected.certificate_expires, Some(seconds), "{year}");
        }
    }
}

#[tokio::test]
async fn does_not_resume_under_another_file_of_authorities() {
    let authority = Authority::new();
    let (address, mut handshakes) = serve(authority.sign(&for_loopback()).server(ALL)).await;
    let dialer = dialer();
    let first = endpoint("127.0.0.1", address, Some(&authority.ca_file()));
    greeting(&mut dialer.connect(&first, &[]).await.unwrap()).await;
    assert_eq!(handshakes.recv().await, Some(Some(HandshakeKind::Full)));

    let stranger = authority.file("other.pem", &Authority::new().pem());
    let second = endpoint("127.0.0.1", address, Some(&stranger));
    assert!(matches!(dialer.connect(&second, &[]).await.unwrap_err(), NetError::Certificate { .. }));
}

#[tokio::test]
async fn says_when_a_port_does_not_begin_with_tls() {
    for plain in [&b"+OK POP3 ready\r\n"[..], b"-ERR too many connections\r\n", b"220 smtp.example.org\r\n"] {
        let error = error_after(plain).await;
        assert!(matches!(error, NetError::NotTls { tls: TlsMode::Implicit, .. }), "{error:?}");
        let words = error.to_string();
        assert!(words.contains("does not begin with TLS; no password was sent"), "{words}");
    }
}

#[tokio::test]
async fn says_when_plain_text_follows_stls() {
    let authority = Authority::new();
    let address = serve_bytes(b"+OK still in clear\r\n").await;
    let error = call("pop.example.org", address, Some(&authority.ca_file())).await.unwrap_err();
    assert!(matches!(error, NetError::NotTls { tls: TlsMode::StartTls, .. }), "{error:?}");
    assert!(error.to_string().contains("agreed to STLS"), "{error}");
}

#[tokio::test]
async fn says_when_the_server_knows_only_old_versions() {
    // An alert protocol_version, and a ServerHello of TLS 1.0.
    const ALERT: &[u8] = b"\x15\x03\x01\x00\x02\x02\x46";
    const HELLO: &[u8] = b"\x16\x03\x01\x00\x2a\x02\x00\x00\x26\x03\x01\
        0123456789abcdef0123456789abcdef\x00\xc0\x13\x00";
    for bytes in [ALERT, HELLO] {
        let error = error_after(bytes).await;
        assert!(matches!(error, NetError::Handshake { problem: HandshakeProblem::OldVersions, .. }), "{error:?}");
    }
}

#[tokio::test]
async fn tells_the_servers_alerts_apart() {
    let alerts: [(&[u8], HandshakeProblem); 2] = [
        (b"\x15\x03\x03\x00\x02\x02\x28", HandshakeProblem::NothingInCommon),
        (b"\x15\x03\x03\x00\x02\x02\x70", HandshakeProblem::NameRefused),
    ];
    for (bytes, expected) in alerts {
        let error = error_after(bytes).await;
        let NetError::Handshake { problem, .. } = error else { panic!("{error:?}") };
        assert_eq!(problem, expected);
    }
}

#[tokio::test]
async fn says_when_the_server_closes_the_connection() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            drop(connection);
        }
    });
    let authority = Authority::new();
    let endpoint = endpoint("127.0.0.1", address, Some(&authority.ca_file()));
    let error = dialer().connect(&endpoint, &[]).await.unwrap_err();
    assert!(matches!(error, NetError::ClosedDuringHandshake { .. }), "{error:?}");
}

/// A listener that never accepts: the system completes the TCP handshake, and then nothing comes.
async fn silent_server() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test]
async fn gives_a_silent_server_up() {
    let (_listener, address) = silent_server().await;
    let authority = Authority::new();
    let mut endpoint = endpoint("127.0.0.1", address, Some(&authority.ca_file()));
    // Long enough to read the file on a busy machine, but short enough to wait for.
    let limit = Duration::from_secs(1);
    let dialer = Dialer::new(NetLimits { tls_handshake: limit, ..NetLimits::default() });
    let error = dialer.connect(&endpoint, &[]).await.unwrap_err();
    assert!(matches!(error, NetError::TlsTimeout { tls: TlsMode::Implicit, .. }), "{error:?}");

    endpoint.tls = TlsMode::StartTls;
    let connection = dialer.connect(&endpoint, &[]).await.unwrap();
    let error = dialer.start_tls(&endpoint, connection).await.unwrap_err();
    assert!(matches!(error, NetError::TlsTimeout { tls: TlsMode::StartTls, .. }), "{error:?}");
}

/// A server that ignores a ClientHello that does not fit into one packet; also returns the size of each one.
async fn swallows_large_hellos(config: rustls::ServerConfig) -> (SocketAddr, mpsc::UnboundedReceiver<usize>) {
    let (listener, address) = silent_server().await;
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let (sender, sizes) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((tcp, _)) = listener.accept().await {
            let mut header = [0; 5];
            while tcp.peek(&mut header).await.unwrap() < header.len() {}
            let size = usize::from(u16::from_be_bytes([header[3], header[4]]));
            sender.send(size).unwrap();
            if size > 1400 {
                kept.push(tcp);
            } else {
                let mut tls = acceptor.accept(tcp).await.unwrap();
                tls.write_all(b"+OK ready\r\n").await.unwrap();
                let _ = tls.read_to_end(&mut Vec::new()).await;
            }
        }
    });
    (address, sizes)
}

#[tokio::test]
async fn a_large_first_message_that_nobody_answers_is_sent_once_more_and_smaller() {
    let authority = Authority::new();
    let identity = authority.sign(&for_loopback());
    let limit = Duration::from_secs(1);
    let dialer = Dialer::new(NetLimits { tls_handshake: limit, ..NetLimits::default() });
    for (key_exchange, connections) in
        [(KeyExchange::Auto, 2), (KeyExchange::Classical, 1), (KeyExchange::PostQuantum, 1)]
    {
        let (address, mut sizes) = swallows_large_hellos(identity.server(ALL)).await;
        let endpoint = endpoint("127.0.0.1", address, Some(&authority.ca_file()));
        let done = dialer.connect(&Endpoint { key_exchange, ..endpoint }, &[]).await;
        if key_exchange == KeyExchange::PostQuantum {
            assert!(matches!(done.unwrap_err(), NetError::TlsTimeout { heard: false, .. }));
        } else {
            let mut connection = done.unwrap();
            assert_eq!(connection.classical, key_exchange == KeyExchange::Auto);
            assert_eq!(greeting(&mut connection).await, "+OK ready\r\n");
        }
        for _ in 0..connections {
            sizes.recv().await.unwrap();
        }
        assert!(sizes.try_recv().is_err(), "{key_exchange:?}");
    }
}

#[tokio::test]
async fn a_server_that_fell_silent_half_way_is_not_asked_again_with_less() {
    let authority = Authority::new();
    // The header of a record whose rest never arrives.
    let address = serve_bytes(b"\x16\x03\x03\x00\x7a\x02").await;
    let endpoint = endpoint("127.0.0.1", address, Some(&authority.ca_file()));
    let dialer = Dialer::new(NetLimits { tls_handshake: Duration::from_secs(1), ..NetLimits::default() });
    let error = dialer.connect(&endpoint, &[]).await.unwrap_err();
    assert!(matches!(error, NetError::TlsTimeout { heard: true, .. }), "{error:?}");
    assert!(!error.is_unanswered_hello());
}

#[tokio::test]
async fn begins_tls_later_when_the_endpoint_says_so() {
    let authority = Authority::new();
    let (address, _) = serve(authority.sign(&for_loopback()).server(ALL)).await;
    let mut endpoint = endpoint("127.0.0.1", address, Some(&authority.ca_file()));
    endpoint.tls = TlsMode::StartTls;
    let dialer = dialer();
    let connection = dialer.connect(&endpoint, &[]).await.unwrap();
    assert!(!connection.protected && connection.loopback);
    let mut connection: Connection = dialer.start_tls(&endpoint, connection).await.unwrap();
    assert!(connection.protected && connection.loopback);
    assert_eq!(connection.peer, address);
    assert_eq!(greeting(&mut connection).await, "+OK ready\r\n");
}

#[tokio::test]
async fn refuses_a_host_that_no_certificate_can_name() {
    let (_listener, address) = silent_server().await;
    for host in ["pöp.example.org", "pop example", "a..b"] {
        let error =
            dialer().connect(&endpoint(host, address, Some(&Authority::new().ca_file())), &[]).await.unwrap_err();
        assert!(matches!(error, NetError::InvalidName { .. }), "{error:?}");
    }
}

#[test]
fn an_address_is_a_name_with_and_without_brackets_and_zone() {
    for host in ["::1", "[::1]", "[::1%lo]", "::1%lo"] {
        assert_eq!(super::super::server_name(host).unwrap(), "::1".try_into().unwrap());
    }
}

#[tokio::test]
async fn recognises_a_port_that_begins_with_tls() {
    // Neither the name nor the authority matter here, nor that the server only has an alert to send.
    let (address, _) = serve(Authority::new().sign(&for_name("mail.example.net")).server(ALL)).await;
    assert!(dialer().speaks_tls(address, &endpoint("pop.example.org", address, None)).await);
    assert!(dialer().speaks_tls(address, &endpoint("no name at all", address, None)).await);
    let alert = serve_bytes(b"\x15\x03\x01\x00\x02\x02\x46").await;
    assert!(dialer().speaks_tls(alert, &endpoint("pop.example.org", alert, None)).await);
}

#[tokio::test]
async fn recognises_a_port_that_does_not_begin_with_tls() {
    let plain = serve_bytes(b"+OK POP3 ready\r\n").await;
    assert!(!dialer().speaks_tls(plain, &endpoint("pop.example.org", plain, None)).await);
    let (listener, closed) = silent_server().await;
    drop(listener);
    assert!(!dialer().speaks_tls(closed, &endpoint("pop.example.org", closed, None)).await);
}

#[tokio::test(start_paused = true)]
async fn does_not_wait_long_for_a_port_that_says_nothing() {
    let (_listener, silent) = silent_server().await;
    let start = tokio::time::Instant::now();
    assert!(!dialer().speaks_tls(silent, &endpoint("pop.example.org", silent, None)).await);
    assert_eq!(start.elapsed().as_secs(), 3);
}

#[test]
fn a_tls_record_begins_with_its_type_version_and_length() {
    assert!(heads_a_tls_record([22, 3, 3, 0, 122]));
    assert!(heads_a_tls_record([21, 3, 1, 0, 2]));
    assert!(!heads_a_tls_record([23, 3, 3, 0, 122]), "application data cannot come first");
    assert!(!heads_a_tls_record([22, 2, 0, 0, 122]), "SSL 2");
    assert!(!heads_a_tls_record([22, 3, 5, 0, 122]));
    assert!(!heads_a_tls_record([22, 3, 3, 0, 0]), "empty");
    assert!(!heads_a_tls_record([22, 3, 3, 0xff, 0xff]), "too long");
}
