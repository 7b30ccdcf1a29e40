//! Proxies: nothing of the greeting is lost, no secret is shown, and which address counts.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::certificates::{Authority, Kind};
use crate::delivered::assert_same_mail;
use crate::mail::{small_ones, small_ones_stored};
use crate::program::{Account, TestEnv};
use crate::scripted::maildrop::Maildrop;

/// The clients of a proxy, and the destinations that they asked for.
type Requests = Arc<Mutex<Vec<(IpAddr, String)>>>;

/// A proxy that speaks HTTP's CONNECT and connects every name to one server. If the server speaks first, the proxy
/// sends its own answer together with the greeting.
fn proxy(server: SocketAddr, greets: bool) -> SocketAddr {
    proxy_to(move |_| Some((server, greets))).0
}

/// Like [`proxy`], with a server for each name and port; also returns what was asked of it.
pub(crate) fn proxy_to(
    server: impl Fn(&str) -> Option<(SocketAddr, bool)> + Send + Sync + 'static,
) -> (SocketAddr, Requests) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Requests::default());
    let (server, note) = (Arc::new(server), Arc::clone(&asked));
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (server, note) = (Arc::clone(&server), Arc::clone(&note));
            thread::spawn(move || carry(client, &*server, &note));
        }
    });
    (address, asked)
}

fn carry(mut client: TcpStream, server: &dyn Fn(&str) -> Option<(SocketAddr, bool)>, asked: &Requests) -> Option<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        client.read_exact(&mut octet).ok()?;
        request.push(octet[0]);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let target = request.split(' ').nth(1)?.to_owned();
    asked.lock().unwrap().push((client.peer_addr().ok()?.ip(), target.clone()));
    let Some((server, greets)) = server(&target) else {
        return client.write_all(b"HTTP/1.1 502 Not known\r\n\r\n").ok();
    };
    if !request.contains("Basic am86cHIweHktczNjcmV0") {
        return client.write_all(b"HTTP/1.1 407 Who are you\r\n\r\n").ok();
    }
    let mut upstream = TcpStream::connect(server).ok()?;
    let mut answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    if greets {
        let mut greeting = [0; 512];
        let count = upstream.read(&mut greeting).ok()?;
        answer.extend_from_slice(&greeting[..count]);
    }
    client.write_all(&answer).ok()?;
    let (mut from, mut to) = (client.try_clone().ok()?, upstream.try_clone().ok()?);
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
    std::io::copy(&mut upstream, &mut client).ok()?;
    client.shutdown(std::net::Shutdown::Write).ok()
}

/// Returns the value of the key `proxy` for a proxy there.
pub(crate) fn url(address: SocketAddr, password: &str) -> String {
    format!("http://jo:{password}@{address}")
}

#[test]
fn mail_comes_through_a_proxy_in_clear_and_inside_tls() {
    let maildrop = Maildrop::new(small_ones(2));
    let account = Account::at(maildrop.server.address);
    let env = TestEnv::new(&[account.text("proxy", &url(proxy(maildrop.server.address, true), "pr0xy-s3cret"))]);
    let outcome = env.run(&["-v", "fetch"]).expect(0);
    assert!(!outcome.output().contains("s3cret"), "{outcome:#?}");
    assert_same_mail(&env.mail(), &small_ones_stored(2));

    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    let maildrop = Maildrop::with(small_ones(1), |behaviour| {
        behaviour.tls = Some(authority.server_config(Kind::OtherName));
        behaviour.implicit_tls = true;
    });
    // A name that only the proxy can resolve.
    let account = Account::at(maildrop.server.address).tls("implicit", &authority.ca_file);
    let account = account.text("host", "pop.example.org");
    let env = TestEnv::new(&[account.text("proxy", &url(proxy(maildrop.server.address, false), "pr0xy-s3cret"))]);
    env.fetch().expect(0);
    assert_same_mail(&env.mail(), &small_ones_stored(1));
}

#[test]
fn a_proxy_on_this_machine_makes_no_server_one_of_this_machine() {
    let maildrop = Maildrop::new(small_ones(1));
    let through = url(proxy(maildrop.server.address, true), "pr0xy-s3cret");
    let account = Account::at(maildrop.server.address).text("proxy", &through).text("host", "pop.example.org");
    TestEnv::new(std::slice::from_ref(&account)).fetch().expect(78);
    assert_eq!(maildrop.server.sessions().len(), 0, "the configuration is refused");
    TestEnv::new(&[account.set("allow_cleartext_password", true)]).fetch().expect(0);
}

#[test]
fn a_proxy_that_refuses_us_is_named_without_its_password() {
    let maildrop = Maildrop::new(small_ones(1));
    let through = url(proxy(maildrop.server.address, true), "wr0ng-s3cret");
    let env = TestEnv::new(&[Account::at(maildrop.server.address).text("proxy", &through)]);
    let outcome = env.run(&["-v", "fetch"]).expect(78).says("the proxy http://127.0.0.1:");
    assert!(!outcome.output().contains("s3cret"), "{outcome:#?}");
}
