//! Forwarded mail arrives: nothing is lost, and nothing is deleted at the source before the destination has answered.

use crate::delivered::{assert_same_mail, files};
use crate::mail::{corpus, odd_ones, small, small_ones};
use crate::program::{Account, TestEnv};
use crate::scripted::imap::{Fault, ImapServer};
use crate::scripted::maildrop::{Maildrop, Message};

mod busy;
mod checks;
mod command;
mod held_up;
pub(crate) mod hostile;
mod imap;
mod kills;
mod lmtp;
mod looks;
mod lost;
mod nul;
mod outages;
mod real_server;
mod refused_for_good;
mod sieve;
mod sorted;
mod switched;
mod told;

/// An account that forwards to this server and deletes at the source what was forwarded; `more` goes into the table
/// `imap`.
fn to(maildrop: &Maildrop, server: &ImapServer, more: &str) -> Account {
    Account::at(maildrop.server.address).deleting().set("forward", server.forward(more))
}

/// Returns a message as it is sent: each LF of the stored file is CRLF.
fn on_the_wire(bytes: &[u8]) -> Vec<u8> {
    let stored = crate::raw::stored(bytes);
    let mut wire = Vec::new();
    for byte in stored {
        if byte == b'\n' {
            wire.push(b'\r');
        }
        wire.push(byte);
    }
    wire
}

/// Returns the small messages 1 to `count` as they are sent, sorted.
fn small_on_the_wire(count: usize) -> Vec<Vec<u8>> {
    let mut all: Vec<_> = (1..=count).map(|n| on_the_wire(&small(n))).collect();
    all.sort();
    all
}

/// How many files are in the spool of account `a`.
fn spool(env: &TestEnv) -> usize {
    files(&env.path("state/a.spool/new")).len() + files(&env.path("state/a.spool/cur")).len()
}

#[test]
fn every_message_arrives_once_byte_for_byte_and_leaves_the_source_only_then() {
    let odd: Vec<Vec<u8>> = corpus().into_iter().map(|(_, bytes)| bytes).chain(odd_ones()).collect();
    let messages = (0..).zip(&odd).map(|(n, bytes): (usize, _)| Message::new(&format!("u{n}"), bytes)).collect();
    let (maildrop, server) = (Maildrop::new(messages), ImapServer::start());
    server.with(|mailbox| mailbox.capabilities = "IMAP4rev1 SASL-IR AUTH=PLAIN LITERAL- UIDPLUS BINARY");
    let env = TestEnv::new(&[to(&maildrop, &server, ", flags = [\"seen\", \"$Work\"]")]);
    let outcome = env.fetch().expect(0).says("forwarded");
    assert!(outcome.stdout.contains(&format!("{} forwarded", odd.len())), "{outcome:#?}");
    // POP3 adds a line end to a message that lacks one.
    let mut expected: Vec<_> = odd.iter().map(|bytes| arrived(bytes)).collect();
    expected.sort();
    assert_same_mail(&server.mail(), &expected);
    assert_eq!(maildrop.left().len(), odd.len(), "nothing is deleted before the next session");
    assert_eq!(spool(&env), 0, "forwarded messages leave the spool");
    env.fetch().expect(0).says("nothing new");
    assert!(maildrop.left().is_empty(), "forwarded messages are deleted at the source");
    assert_same_mail(&server.mail(), &expected);
    assert!(server.with(|mailbox| mailbox.messages.iter().all(|message| message.flags == "\\Seen $Work")));
    env.fetch().expect(0);
    assert_same_mail(&server.mail(), &expected);
}

/// Returns a message as a POP3 server sends it.
fn arrived(bytes: &[u8]) -> Vec<u8> {
    let is_whole = bytes.is_empty() || bytes.ends_with(b"\r\n");
    on_the_wire(&[bytes, if is_whole { b"" } else { b"\r\n" }].concat())
}

#[test]
fn a_full_spool_leaves_mail_on_the_server() {
    let (maildrop, server) = (Maildrop::new(small_ones(9)), ImapServer::start());
    server.with(|mailbox| mailbox.login_refusal = Some("NO [UNAVAILABLE] down"));
    let bounded = server.forward("").replacen("{ ", "{ spool_messages = 4, ", 1);
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting().set("forward", bounded)]);
    let outcome = env.fetch().expect(75);
    assert!(
        outcome.stderr.contains("5 messages are left for the next poll, because the spool is full"),
        "{outcome:#?}"
    );
    assert_eq!((spool(&env), maildrop.left().len()), (4, 9));
    env.run(&["fetch", "--dry-run"]).expect(0).says("(5 wait, because the spool is full)");
    env.fetch().expect(75);
    assert_eq!((spool(&env), maildrop.left().len()), (4, 9));
    server.with(|mailbox| mailbox.login_refusal = None);
    for _ in 0..3 {
        env.fetch();
    }
    env.fetch().expect(0);
    assert_same_mail(&server.mail(), &small_on_the_wire(9));
    assert!(maildrop.left().is_empty());
}

#[test]
fn what_somebody_takes_out_of_the_spool_is_fetched_again() {
    let (maildrop, server) = (Maildrop::new(small_ones(3)), ImapServer::start());
    server.with(|mailbox| mailbox.login_refusal = Some("NO [UNAVAILABLE] down"));
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(75);
    std::fs::remove_file(&files(&env.path("state/a.spool/new"))[1]).unwrap();
    server.with(|mailbox| mailbox.login_refusal = None);
    let outcome = env.run(&["-v", "fetch"]).expect(0);
    for told in [
        "a: 1 message was removed from the spool; it is fetched again if the server still has it",
        // Log lines from other threads name the account, too.
        "a: forwarded since the last poll: 3; files that have left the spool: 3",
    ] {
        assert!(outcome.stderr.lines().any(|line| line == told), "{told}: {outcome:#?}");
    }
    env.fetch().expect(0);
    assert_same_mail(&server.mail(), &small_on_the_wire(3));
    assert!(maildrop.left().is_empty());
}

/// An older copy of the state directory comes back: what waits in it was forwarded long ago.
#[test]
fn from_a_spool_that_is_not_the_known_one_nothing_is_forwarded() {
    let (maildrop, server) = (Maildrop::new(small_ones(3)), ImapServer::start());
    server.with(|mailbox| mailbox.login_refusal = Some("NO [UNAVAILABLE] down"));
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(75);
    let copy = |from: &str, to: &str| {
        let status = std::process::Command::new("cp").arg("-r").args([env.path(from), env.path(to)]).status();
        assert!(status.unwrap().success());
    };
    copy("state", "older");
    server.with(|mailbox| mailbox.login_refusal = None);
    env.fetch().expect(0).says("3 forwarded");
    std::fs::rename(env.path("state"), env.path("newer")).unwrap();
    copy("older", "state");
    for command in ["fetch", "forward"] {
        env.run(&[command])
            .expect(73)
            .says("is not the Maildir that was delivered to before")
            .says("Nothing was fetched into it or forwarded from it");
        assert_same_mail(&server.mail(), &small_on_the_wire(3));
    }
}

#[test]
fn a_state_with_a_spool_is_not_for_an_earlier_version_that_would_delete_at_once() {
    let (maildrop, server) = (Maildrop::new(small_ones(1)), ImapServer::start());
    server.with(|mailbox| mailbox.login_refusal = Some("NO [UNAVAILABLE] down"));
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(75);
    let state = std::fs::read_to_string(env.path("state/a.uids")).unwrap();
    assert!(state.lines().any(|line| line == "W 1"), "a record that no earlier version may ignore: {state}");
    server.faults(&[Fault::None]);
}
