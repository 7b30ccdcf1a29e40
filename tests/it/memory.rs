//! Memory does not grow with what a server sends.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::delivered::files;
use crate::program::{Account, TestEnv};
use crate::scripted::Server;
use crate::scripted::dialogue::{self, Step};
use crate::scripted::imap::{Fault, ImapServer};
use crate::scripted::lmtp::LmtpServer;
use crate::scripted::maildrop::{LINE, Maildrop, Message};

/// The memory that a fetch may use, in KiB.
const BOUND: u64 = 8 * 1024;

/// The size of the large message, in octets: smaller in unoptimised builds, which would take long.
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

/// An answer that is a single endless line.
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

/// The memory that a fetch that forwards may use, in KiB.
const FORWARDING_BOUND: u64 = 16 * 1024;

#[test]
fn a_huge_message_is_forwarded_in_little_memory_to_every_kind_of_destination() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, program, taken) = (dir.path().join("lmtp"), dir.path().join("deliver"), dir.path().join("taken"));
    let (imap, lmtp) = (ImapServer::start(), LmtpServer::start(&socket));
    lmtp.with(|mailbox| mailbox.largest = LARGE * 2);
    fs::write(&program, "#!/bin/sh\ncat >\"$1\"\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let imap_forward = imap.forward("");
    let octets = Message::large("huge", LARGE).size();
    let lines = LARGE / LINE.len() as u64 + 3;
    let to_imap = move || imap.with(|mailbox| mailbox.messages[0].bytes.len() as u64);
    let to_lmtp = move || lmtp.with(|mailbox| mailbox.messages[0].len() as u64);
    let (path, forward) = (taken.clone(), |what: String| format!("{{ {what} }}"));
    let to_command = move || fs::metadata(&path).unwrap().len() + lines;
    let destinations: [(String, Box<dyn Fn() -> u64>); 3] = [
        (imap_forward, Box::new(to_imap)),
        (forward(format!("lmtp = {{ socket = {socket:?}, recipient = \"jo\" }}")), Box::new(to_lmtp)),
        (forward(format!("command = [{program:?}, {taken:?}]")), Box::new(to_command)),
    ];
    for (forward, size) in destinations {
        let maildrop = Maildrop::new(vec![Message::large("huge", LARGE)]);
        let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting().set("forward", &forward)]);
        let outcome = env.fetch().expect(0).says("1 forwarded");
        let peak = outcome.peak_kib;
        assert!(peak > 0 && peak < FORWARDING_BOUND, "{forward}: {peak} KiB at the most");
        assert_eq!(size(), octets, "{forward}");
        env.fetch().expect(0);
        assert!(maildrop.left().is_empty());
    }
}

/// The answer to APPEND is lost, so all octets of the message come back, and are compared.
#[test]
fn a_huge_message_whose_answer_was_lost_is_found_in_little_memory() {
    let (maildrop, imap) = (Maildrop::new(vec![Message::large("huge", LARGE)]), ImapServer::start());
    imap.faults(&[Fault::LoseAnswer]);
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting().set("forward", imap.forward(""))]);
    for (status, left) in [(75, 1), (0, 1), (0, 0)] {
        let peak = env.fetch().expect(status).peak_kib;
        assert!(peak > 0 && peak < FORWARDING_BOUND, "{peak} KiB at the most");
        assert_eq!((imap.with(|mailbox| mailbox.messages.len()), maildrop.left().len()), (1, left));
    }
}
