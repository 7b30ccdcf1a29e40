use std::future::pending;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};

use tokio::net::TcpSocket;

use super::super::lookups::Limits;
use super::*;
use crate::account::{IpVersion, TlsMode};

fn v4(last: u8) -> SocketAddr {
    ([192, 0, 2, last], 995).into()
}

fn v6(last: u16) -> SocketAddr {
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, last], 995).into()
}

fn refused() -> io::Error {
    io::ErrorKind::ConnectionRefused.into()
}

fn in_seconds(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

fn endpoint(host: &str, port: u16) -> Endpoint {
    Endpoint {
        host: host.to_owned(),
        port,
        tls: TlsMode::None,
        tls_ca_file: None,
        key_exchange: Default::default(),
        allow_cleartext_password: false,
        route: Default::default(),
        tls_options: Default::default(),
    }
}

/// A port of this machine that refuses connections as long as the socket is held. The port stays taken, so no other
/// test gets it meanwhile, and nothing has listened on it, so no process that is being started can hold a copy of a
/// listener.
fn closed_port() -> (TcpSocket, u16) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

#[test]
fn families_alternate_and_the_resolvers_first_stays_first() {
    assert_eq!(interleave([v6(1), v6(2), v6(3), v4(1)]), [v6(1), v4(1), v6(2), v6(3)]);
    assert_eq!(interleave([v4(1), v4(2), v6(1), v6(2)]), [v4(1), v6(1), v4(2), v6(2)]);
    assert_eq!(interleave([v4(1), v4(1), v4(2), v4(1)]), [v4(1), v4(2)]);
    assert_eq!(interleave([]), []);
}

#[tokio::test(start_paused = true)]
async fn the_first_attempt_waits_for_no_timer() {
    tokio::time::advance(Duration::from_micros(500)).await;
    let start = Instant::now();
    race(&[v4(1)], in_seconds(30), |_| async { Ok(()) }).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_next_address_follows_a_failure_at_once() {
    let start = Instant::now();
    let addresses = [v4(1), v4(2)];
    let won =
        race(
            &addresses,
            in_seconds(30),
            |address| async move { if address == v4(1) { Err(refused()) } else { Ok(()) } },
        );
    assert_eq!(won.await.unwrap().0, v4(2));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_next_address_begins_beside_a_silent_one() {
    let begun = Arc::new(Mutex::new(Vec::new()));
    let start = Instant::now();
    let addresses = [v6(1), v4(1), v6(2)];
    let won = race(&addresses, in_seconds(30), |address| {
        begun.lock().unwrap().push((address, start.elapsed()));
        async move { if address == v6(2) { Ok(()) } else { pending().await } }
    });
    assert_eq!(won.await.unwrap().0, v6(2));
    assert_eq!(*begun.lock().unwrap(), [(v6(1), Duration::ZERO), (v4(1), STAGGER), (v6(2), STAGGER * 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_address_may_still_win_and_the_losers_are_dropped() {
    let losers = Arc::new(());
    let addresses = [v6(1), v4(1)];
    let won = race(&addresses, in_seconds(30), |address| {
        let held = Arc::clone(&losers);
        async move {
            if address == v6(1) {
                tokio::time::sleep(STAGGER * 2).await;
                return Ok(());
            }
            pending::<()>().await;
            drop(held);
            Ok(())
        }
    });
    assert_eq!(won.await.unwrap().0, v6(1));
    // Aborted tasks are dropped when the scheduler gets to them.
    while Arc::strong_count(&losers) > 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_with_many_addresses_takes_few_files_and_the_last_address_may_win() {
    let (held, counts) = (Arc::new(()), Arc::new(Mutex::new(Vec::new())));
    let addresses: Vec<_> = (1..=100).map(v4).collect();
    let attempt = |address| {
        let (mine, all, counts) = (Arc::clone(&held), Arc::downgrade(&held), Arc::clone(&counts));
        async move {
            // What was dropped for this attempt is gone once the scheduler gets to it.
            tokio::task::yield_now().await;
            counts.lock().unwrap().push(all.strong_count() - 1);
            if address != v4(100) {
                pending::<()>().await;
            }
            drop(mine);
            Ok(())
        }
    };
    assert_eq!(race(&addresses, in_seconds(30), attempt).await.unwrap().0, v4(100));
    assert_eq!(counts.lock().unwrap().iter().max(), Some(&MOST_AT_ONCE));
    let lost = race(&addresses, in_seconds(30), |_| pending::<io::Result<()>>()).await.unwrap_err();
    assert_eq!((lost.attempts.len(), lost.unanswered.len()), (100 - MOST_AT_ONCE, MOST_AT_ONCE));
}

#[tokio::test(start_paused = true)]
async fn every_failure_is_listed() {
    let lost = race(&[v6(1), v4(1)], in_seconds(30), |_| async { Err::<(), _>(refused()) }).await.unwrap_err();
    let addresses: Vec<_> = lost.attempts.iter().map(|(address, _)| *address).collect();
    assert_eq!(addresses, [v6(1), v4(1)]);
    assert_eq!(lost.unanswered, []);
}

#[tokio::test(start_paused = true)]
async fn the_limit_covers_all_addresses_together() {
    let start = Instant::now();
    let addresses = [v6(1), v4(1), v4(2)];
    let lost = race(&addresses, in_seconds(3), |address| async move {
        if address == v4(1) { Err::<(), _>(refused()) } else { pending().await }
    });
    let lost = lost.await.unwrap_err();
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    assert_eq!(lost.attempts.iter().map(|(address, _)| *address).collect::<Vec<_>>(), [v4(1)]);
    assert_eq!(lost.unanswered, [v6(1), v4(2)]);
}

#[tokio::test]
async fn a_refused_address_does_not_keep_the_next_from_working() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let works = listener.local_addr().unwrap();
    let (_closed, port) = closed_port();
    let refuses = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let (winner, stream) = race(&[refuses, works], in_seconds(30), |address| open(None, address)).await.unwrap();
    assert_eq!(winner, works);
    assert_eq!(stream.peer_addr().unwrap(), works);
    assert!(stream.nodelay().unwrap());
}

#[tokio::test]
async fn a_refused_port_is_named() {
    let (_closed, port) = closed_port();
    let error =
        connect(&endpoint("127.0.0.1", port), &[], Duration::from_secs(30), &lookups()).await.map(|_| ()).unwrap_err();
    let NetError::Connect { attempts, .. } = &error else { panic!("{error:?}") };
    assert_eq!(attempts.len(), 1);
    let expected = format!("cannot connect to 127.0.0.1 port {port}: 127.0.0.1: connection refused");
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn an_address_needs_no_resolver_with_or_without_brackets() {
    for host in ["2001:db8::1", "[2001:db8::1]"] {
        assert_eq!(resolve(&target(host), in_seconds(30), &lookups()).await.unwrap(), [v6(1)]);
    }
    assert_eq!(resolve(&target("192.0.2.1"), in_seconds(30), &lookups()).await.unwrap(), [v4(1)]);
}

fn lookups() -> Lookups {
    Lookups::new(Limits::default())
}

fn target(host: &str) -> Target<'_> {
    static ROUTE: Route = Route { ip: IpVersion::Any, source_address: None, proxy: None, resets: false };
    Target { host, port: 995, route: &ROUTE, proves_its_name: true }
}

#[tokio::test]
async fn a_route_leaves_out_the_addresses_that_it_does_not_lead_to() {
    let (_closed, port) = closed_port();
    let with = |ip, source_address: Option<&str>| Endpoint {
        route: Route {
            ip,
            source_address: source_address.map(|text| text.parse().unwrap()),
            proxy: None,
            resets: false,
        },
        ..endpoint("127.0.0.1", port)
    };
    let limit = Duration::from_secs(30);
    for endpoint in [with(IpVersion::V6, None), with(IpVersion::Any, Some("::1"))] {
        let error = connect(&endpoint, &[], limit, &lookups()).await.map(|_| ()).unwrap_err();
        assert!(matches!(error, NetError::NoAddressOnRoute { .. }), "{error:?}");
    }
    let error = connect(&with(IpVersion::V4, None), &[], limit, &lookups()).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, NetError::Connect { .. }), "{error:?}");
    // An address for documentation, which belongs to nobody (RFC 5737).
    let error =
        connect(&with(IpVersion::Any, Some("192.0.2.77")), &[], limit, &lookups()).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, NetError::SourceAddress { .. }), "{error:?}");
}

#[tokio::test]
async fn connections_come_from_the_address_that_was_named() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let source_address = Some("127.0.0.77".parse().unwrap());
    let endpoint = Endpoint {
        route: Route { source_address, ..Route::default() },
        ..endpoint("127.0.0.1", listener.local_addr().unwrap().port())
    };
    let _connected = connect(&endpoint, &[], Duration::from_secs(30), &lookups()).await.unwrap();
    assert_eq!(Some(listener.accept().unwrap().1.ip()), source_address);
}

#[tokio::test]
async fn a_name_that_cannot_exist_is_not_found() {
    // A label of 64 octets (RFC 1035, section 2.3.4): every resolver refuses it without asking anyone.
    let host = format!("{}.invalid", "x".repeat(64));
    let error = connect(&endpoint(&host, 995), &[], Duration::from_secs(30), &lookups()).await.map(|_| ()).unwrap_err();
    assert!(matches!(&error, NetError::Resolve { .. }), "{error:?}");
    assert!(!error.to_string().contains('\n'));
}
