use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

#[tokio::test]
async fn a_plain_connection_is_what_the_account_asked_for() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.write_all(b"+OK\r\n").await.unwrap();
        let mut heard = Vec::new();
        tcp.read_to_end(&mut heard).await.unwrap();
        heard
    });
    // The file does not exist: nobody looks for it, since TLS is not used.
    let endpoint = Endpoint {
        host: "127.0.0.1".to_owned(),
        port: address.port(),
        tls: TlsMode::None,
        tls_ca_file: Some("/nonexistent/ca.pem".into()),
        key_exchange: Default::default(),
        allow_cleartext_password: true,
        route: Default::default(),
        tls_options: Default::default(),
    };
    let mut connection = Dialer::new(NetLimits::default()).connect(&endpoint, &[]).await.unwrap();
    assert_eq!(connection.peer, address);
    assert!(connection.loopback && !connection.protected);
    let mut greeting = [0; 5];
    connection.stream.read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting, b"+OK\r\n");
    drop(connection);
    assert_eq!(server.await.unwrap(), b"", "nothing is sent on its own account");
}

#[test]
fn loopback_is_this_machine_in_every_spelling() {
    for address in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
        assert!(is_loopback(address.parse().unwrap()), "{address}");
    }
    for address in ["192.0.2.1", "0.0.0.0", "::", "::ffff:192.0.2.1", "2001:db8::1"] {
        assert!(!is_loopback(address.parse().unwrap()), "{address}");
    }
}

#[test]
fn connections_can_be_made_in_tasks() {
    fn is_send<T: Send>(_: &T) {}
    let dialer = Dialer::new(NetLimits::default());
    let endpoint = Endpoint {
        host: "127.0.0.1".to_owned(),
        port: 1,
        tls: TlsMode::Implicit,
        tls_ca_file: None,
        key_exchange: Default::default(),
        allow_cleartext_password: false,
        route: Default::default(),
        tls_options: Default::default(),
    };
    is_send(&dialer.connect(&endpoint, &[]));
    is_send(&dialer.speaks_tls(([127, 0, 0, 1], 1).into(), &endpoint));
}
