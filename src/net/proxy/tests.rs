use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::account::{Route, TlsMode};
use crate::exit::ExitStatus;
use crate::net::{Dialer, NetError, NetLimits};
use crate::secret::Secret;

/// A proxy that, for each step, reads as many octets as expected, checks them, and sends something.
async fn proxy(steps: Vec<(Vec<u8>, Vec<u8>)>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        for (expected, answer) in steps {
            let mut heard = vec![0; expected.len()];
            tcp.read_exact(&mut heard).await.unwrap();
            assert_eq!(heard.escape_ascii().to_string(), expected.escape_ascii().to_string());
            tcp.write_all(&answer).await.unwrap();
        }
        let _ = tcp.read(&mut [0; 1]).await;
    });
    address
}

/// An endpoint behind that proxy, in clear.
fn endpoint(kind: ProxyKind, address: SocketAddr, credentials: bool) -> Endpoint {
    let credentials = credentials
        .then(|| ProxyCredentials { username: "jo".to_owned(), password: Secret::new(b"pr0xy-s3cret".to_vec()) });
    let proxy = Proxy { kind, host: address.ip().to_string(), port: address.port(), credentials };
    Endpoint {
        host: "pop.example.org".to_owned(),
        port: 110,
        tls: TlsMode::None,
        tls_ca_file: None,
        key_exchange: Default::default(),
        allow_cleartext_password: true,
        route: Route { proxy: Some(proxy), ..Route::default() },
        tls_options: Default::default(),
    }
}

/// The request of CONNECT.
fn connect_to(authorization: &str) -> Vec<u8> {
    let head = "CONNECT pop.example.org:110 HTTP/1.1\r\nhost: pop.example.org:110\r\n";
    format!("{head}{authorization}\r\n").into_bytes()
}

/// The request of SOCKS without a password.
fn socks_to() -> Vec<u8> {
    [&b"\x05\x01\x00\x03\x0fpop.example.org"[..], &110_u16.to_be_bytes()].concat()
}

#[tokio::test]
async fn a_greeting_in_the_same_packet_as_the_proxys_answer_is_not_lost() {
    let answer = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n+OK ready\r\n".to_vec();
    let old = b"HTTP/1.0 200 OK\r\n\r\n+OK ready\r\n".to_vec();
    let bound = b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00+OK ready\r\n".to_vec();
    let user = b"\x01\x02jo\x0cpr0xy-s3cret".to_vec();
    let basic = "proxy-authorization: Basic am86cHIweHktczNjcmV0\r\n";
    for (kind, credentials, steps) in [
        (ProxyKind::HttpConnect, false, vec![(connect_to(""), answer.clone())]),
        (ProxyKind::HttpConnect, false, vec![(connect_to(""), old)]),
        (ProxyKind::HttpConnect, true, vec![(connect_to(basic), answer)]),
        (ProxyKind::Socks5, false, vec![(b"\x05\x01\x00".to_vec(), b"\x05\x00".to_vec()), (socks_to(), bound.clone())]),
        (
            ProxyKind::Socks5,
            true,
            vec![
                (b"\x05\x02\x00\x02".to_vec(), b"\x05\x02".to_vec()),
                (user, b"\x01\x00".to_vec()),
                (socks_to(), bound),
            ],
        ),
    ] {
        let address = proxy(steps).await;
        let endpoint = endpoint(kind, address, credentials);
        let mut connection = Dialer::new(NetLimits::default()).connect(&endpoint, &[]).await.unwrap();
        let mut greeting = [0; 11];
        connection.stream.read_exact(&mut greeting).await.unwrap();
        assert_eq!(&greeting, b"+OK ready\r\n", "{kind:?}");
        assert!(!connection.loopback, "the proxy is here, the server is not");
    }
}

#[tokio::test]
async fn what_a_proxy_refuses_is_named() {
    let no = |text: &str| vec![(connect_to(""), text.as_bytes().to_vec())];
    let hello = |answer: &[u8]| vec![(b"\x05\x01\x00".to_vec(), answer.to_vec())];
    for (kind, steps, class, expected) in [
        (ProxyKind::HttpConnect, no("HTTP/1.1 407 No\r\n\r\n"), ExitStatus::Config, "refused the name"),
        (ProxyKind::HttpConnect, no("HTTP/1.1 503 No\r\n\r\n"), ExitStatus::Temporary, "HTTP status 503"),
        (ProxyKind::HttpConnect, no("+OK ready\r\n"), ExitStatus::Config, "does not speak"),
        (ProxyKind::Socks5, hello(b"\x05\xff"), ExitStatus::Config, "refused the name"),
        (ProxyKind::Socks5, hello(b"+O"), ExitStatus::Config, "does not speak"),
        (
            ProxyKind::Socks5,
            vec![
                (b"\x05\x01\x00".to_vec(), b"\x05\x00".to_vec()),
                (socks_to(), b"\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00".to_vec()),
            ],
            ExitStatus::Temporary,
            "Connection refused",
        ),
    ] {
        let address = proxy(steps).await;
        let dialer = Dialer::new(NetLimits { connect: Duration::from_secs(20), ..NetLimits::default() });
        let error = dialer.connect(&endpoint(kind, address, false), &[]).await.unwrap_err();
        assert!(matches!(error, NetError::Proxy { .. }), "{error:?}");
        assert_eq!(error.exit_status(), class, "{error}");
        let text = error.to_string();
        assert!(text.contains(expected) && text.contains(&address.to_string()), "{text}");
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_or_says_nothing_is_named() {
    let closed = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        listener.local_addr().unwrap()
    };
    let dialer = Dialer::new(NetLimits { connect: Duration::from_secs(2), ..NetLimits::default() });
    let error = dialer.connect(&endpoint(ProxyKind::Socks5, closed, false), &[]).await.unwrap_err();
    assert!(error.to_string().contains("the proxy socks5://127.0.0.1:"), "{error}");
    for kind in [ProxyKind::Socks5, ProxyKind::HttpConnect] {
        let silent = proxy(vec![(vec![0; 10_000], vec![])]).await;
        let error = dialer.connect(&endpoint(kind, silent, true), &[]).await.unwrap_err();
        assert!(matches!(&error, NetError::Proxy { problem: ProxyProblem::TimedOut(_), .. }), "{error}");
        assert!(!format!("{error:?}").contains("s3cret"));
    }
}
