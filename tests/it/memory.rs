//! Memory does not grow with what a server sends.

use std::fs;

use crate::delivered::files;
use crate::program::{Account, TestEnv};
use crate::scripted::Server;
use crate::scripted::dialogue::{self, Step};
use crate::scripted::maildrop::{Maildrop, Message};

/// What a fetch may take, in KiB.
const BOUND: u64 = 8 * 1024;

/// The octets of the large message: less where the program is not optimised and would take long.
const LARGE: u64 = if cfg!(debug_assertions) { 60 << 20 } else { 300 << 20 };

#[test]
fn a_huge_message_takes_little_memory() {
    let message = Message::large("huge", LARGE);
    let octets = message.size();
    let maildrop = Maildrop::new(vec![message]);
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting()]);
    let outcome = env.fetch().expect(0);
    assert!(outcome.peak_kib > 0, "the memory was not seen");
    assert!(outcome.peak_kib < BOUND, "{} KiB at the most; {outcome:#?}", outcome.peak_kib);
    let delivered = files(&env.maildir("a").join("new"));
    assert_eq!(delivered.len(), 1);
    let stored = fs::metadata(&delivered[0]).unwrap().len();
    assert!(stored < octets && stored > octets - octets / 70, "each CRLF is LF: {stored} of {octets}");
    assert!(maildrop.left().is_empty());
}

/// One answer that is all one line.
fn endless(start: &str) -> Server {
    let mut line = start.as_bytes().to_vec();
    line.resize(40 << 20, b'x');
    dialogue::serve(vec![Step::say("+OK hello"), Step::ExpectPrefix("CAPA"), Step::Send(line), Step::Close])
}

#[test]
fn an_endless_line_takes_little_memory() {
    for start in ["+OK ", "+OK\r\n", "-ERR "] {
        let server = endless(start);
        let outcome = TestEnv::new(&[Account::at(server.address)]).fetch();
        assert!([75, 76].contains(&outcome.status), "{outcome:#?}");
        assert!(outcome.peak_kib < BOUND, "{} KiB at the most", outcome.peak_kib);
    }
}

#[test]
fn one_message_of_a_single_line_takes_little_memory() {
    let maildrop = Maildrop::new(vec![Message::new("line", &vec![b'.'; 40 << 20])]);
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let outcome = env.fetch().expect(0);
    assert!(outcome.peak_kib < BOUND, "{} KiB at the most", outcome.peak_kib);
    assert_eq!(env.mail()[0].len(), (40 << 20) + 1);
}

/// What a fetch that forwards may take, in KiB.
const FORWARDING_BOUND: u64 = 16 * 1024;

#[test]
fn a_huge_message_is_forwarded_in_little_memory() {
    let message = Message::large("huge", LARGE);
    let octets = message.size();
    let (maildrop, server) = (Maildrop::new(vec![message]), crate::scripted::imap::ImapServer::start());
    let account = Account::at(maildrop.server.address).deleting().set("forward", server.forward(""));
    let env = TestEnv::new(&[account]);
    let outcome = env.fetch().expect(0).says("1 forwarded");
    assert!(outcome.peak_kib > 0 && outcome.peak_kib < FORWARDING_BOUND, "{} KiB at the most", outcome.peak_kib);
    assert_eq!(server.with(|mailbox| mailbox.messages[0].bytes.len() as u64), octets);
}
