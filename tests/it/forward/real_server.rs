//! Forwarding to a real Dovecot.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::dovecot::shared;
use crate::mail::thousand_mixed;
use crate::scripted::listening::Listening;

/// The corpus and a thousand mixed messages.
fn messages() -> Vec<Vec<u8>> {
    corpus().into_iter().map(|(_, message)| message).chain(thousand_mixed()).collect()
}

#[test]
fn everything_arrives_once_by_imap_and_starttls() {
    let Some(dovecot) = shared() else { return };
    let (source, destination) = (dovecot.user("forward-from", &messages()), dovecot.user("forward-to", &[]));
    let Some(forward) = destination.forward_by_imap("INBOX") else {
        return crate::program::skip("dovecot-imapd is not installed");
    };
    let served = source.served();
    let env = TestEnv::new(&[source.inside_tls().deleting().set("forward", forward)]);
    env.fetch().expect(0).says(&format!("{} forwarded", served.len()));
    assert_eq!(source.left(), served.len(), "nothing is deleted before the poll after its arrival");
    env.fetch().expect(0);
    assert_eq!((source.left(), spool(&env)), (0, 0));
    assert_same_mail(&destination.served(), &served);
    env.fetch().expect(0);
    assert_same_mail(&destination.served(), &served);
}

#[test]
fn a_mailbox_that_is_not_there_is_made_with_its_odd_name() {
    let Some(dovecot) = shared() else { return };
    let (source, destination) = (dovecot.user("label-from", &[small(1)]), dovecot.user("label-to", &[]));
    let Some(forward) = destination.forward_by_imap("Alte \u{e4}\u{f6} & Co") else {
        return crate::program::skip("dovecot-imapd is not installed");
    };
    let env = TestEnv::new(&[source.in_clear().set("forward", forward)]);
    env.fetch().expect(0).says("1 forwarded");
    assert_eq!(destination.left(), 0, "it is not in the inbox");
}

#[test]
fn everything_arrives_by_lmtp() {
    let Some(dovecot) = shared() else { return };
    let (source, destination) = (dovecot.user("lmtp-from", &messages()), dovecot.user("lmtp-to", &[]));
    let Some(forward) = destination.forward_by_lmtp() else {
        return crate::program::skip("dovecot-lmtpd is not installed");
    };
    let served = source.served();
    let env = TestEnv::new(&[source.inside_tls().deleting().set("forward", forward)]);
    env.fetch().expect(0).says(&format!("{} forwarded", served.len()));
    env.fetch().expect(0);
    assert_eq!(source.left(), 0);
    // Dovecot adds its own header fields at the top.
    let arrived = destination.served();
    assert_eq!(arrived.len(), served.len());
    for message in &served {
        assert!(arrived.iter().any(|other| other.ends_with(message)), "{}", String::from_utf8_lossy(message));
    }
}

/// Stands before an IMAP server and cuts the connection instead of passing on its first answer to APPEND.
struct LosesAnswer {
    address: SocketAddr,
    _listening: Listening,
}

impl LosesAnswer {
    fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let is_lost = Arc::new(AtomicBool::new(false));
        let serve = move |client: TcpStream| {
            let server = TcpStream::connect(server).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let there = std::thread::spawn(move || {
                drop(std::io::copy(&mut from, &mut to));
                drop(to.shutdown(Shutdown::Write));
            });
            drop(pass_on(&server, &client, &is_lost));
            drop((client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both)));
            there.join().unwrap();
        };
        let accept = move || listener.accept().map(|(stream, _)| stream);
        let listening = Listening::start(accept, serve, move || drop(TcpStream::connect(address)));
        Self { address, _listening: listening }
    }
}

/// Passes on what the server says, up to the answer that is lost.
fn pass_on(mut server: &TcpStream, mut client: &TcpStream, is_lost: &AtomicBool) -> std::io::Result<()> {
    let mut piece = [0; 4096];
    loop {
        let count = server.read(&mut piece)?;
        let said = &piece[..count];
        let is_answer = said.windows(9).any(|part| part == b"APPENDUID");
        if said.is_empty() || is_answer && !is_lost.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        client.write_all(said)?;
    }
}

/// Dovecot stores NUL, and shows another octet in its place, in headers and bodies.
#[test]
fn a_message_with_nul_whose_answer_was_lost_is_recognised() {
    let Some(dovecot) = shared() else { return };
    let messages = [
        ("nul-in-body", b"Message-ID: <b@x>\r\nSubject: s\r\n\r\na\0b\r\n".as_slice()),
        ("nul-in-header", b"Message-ID: <h@x>\r\nSubject: a\0b\r\n\r\nx\r\n"),
    ];
    for (name, message) in messages {
        let destination = dovecot.user(name, &[]);
        let Some((server, user, password)) = destination.imap_login() else {
            return crate::program::skip("dovecot-imapd is not installed");
        };
        let (maildrop, relay) = (Maildrop::new(vec![Message::new("u1", message)]), LosesAnswer::before(server));
        let forward = format!(
            "{{ imap = {{ host = \"127.0.0.1\", port = {}, tls = \"none\", username = {user:?}, password = {password:?} }} }}",
            relay.address.port()
        );
        let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting().set("forward", forward)]);
        env.fetch().expect(75);
        env.fetch().expect(0);
        env.fetch().expect(0);
        assert_eq!((destination.left(), maildrop.left().len()), (1, 0), "{name}");
    }
}
