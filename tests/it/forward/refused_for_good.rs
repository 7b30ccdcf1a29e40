//! A message that the destination refuses for good is set aside. A destination that refuses everything is at fault
//! itself: then nothing is set aside, and all waits.

use super::*;
use crate::scripted::lmtp::{AndThen, LmtpServer};

/// A maildrop with `count` small messages, a server, and an account that forwards to it by LMTP.
fn bench(count: usize) -> (tempfile::TempDir, Maildrop, LmtpServer, TestEnv) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("lmtp");
    let (maildrop, server) = (Maildrop::new(small_ones(count)), LmtpServer::start(&socket));
    let lmtp = format!("{{ lmtp = {{ socket = {socket:?}, recipient = \"jo@example.org\" }} }}");
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting().set("forward", lmtp)]);
    (dir, maildrop, server, env)
}

/// Lets the server refuse for good each message that contains these bytes.
fn refuse(server: &LmtpServer, what: Option<&'static str>) {
    let refuses = what.map(|what| (what.as_bytes(), "550 5.1.1 no mailbox here", AndThen::GoesOn));
    server.with(|mailbox| mailbox.refuses = refuses);
}

fn tries(server: &LmtpServer) -> usize {
    server.with(|mailbox| std::mem::take(&mut mailbox.commands).iter().filter(|line| *line == "DATA").count())
}

fn comes(maildrop: &Maildrop, n: usize) {
    maildrop.change(|contents| contents.messages.push(Message::new(&format!("u{n}"), &small(n))));
}

#[test]
fn a_destination_that_refuses_everything_for_good_is_left_alone_after_a_few_tries() {
    let (_dir, maildrop, server, env) = bench(30);
    refuse(&server, Some("Subject:"));
    let outcome = env.fetch().expect(78).says("30 wait in the spool");
    let outcome = outcome.says("refused 4 messages in a row for good, the last one with \"550 5.1.1 no mailbox here\"");
    assert!(outcome.stderr.contains("None of them is set aside") && !outcome.output().contains("1 set aside"));
    assert_eq!(tries(&server), 4);
    // A timer leaves it alone, unless something new comes.
    env.run(&["fetch", "--scheduled"]);
    assert_eq!(tries(&server), 0);
    comes(&maildrop, 31);
    env.run(&["fetch", "--scheduled"]);
    assert_eq!(tries(&server), 4);
    assert!(env.run(&["status"]).stdout.contains("in a row for good"));
    refuse(&server, None);
    env.run(&["forward"]).expect(0).says("31 forwarded");
    env.fetch().expect(0);
    assert!(maildrop.left().is_empty());
    assert_same_mail(&server.mail(), &small_on_the_wire(31));
}

#[test]
fn a_destination_that_gets_one_message_at_a_time_is_found_out_as_well() {
    let (_dir, maildrop, server, env) = bench(1);
    refuse(&server, Some("Subject:"));
    env.fetch().expect(1).says("1 set aside");
    comes(&maildrop, 2);
    env.fetch().expect(1).says("2 set aside");
    comes(&maildrop, 3);
    let outcome = env.fetch().expect(78).says("3 wait in the spool").says("refused 3 messages in a row for good");
    assert!(!outcome.output().contains("3 set aside"), "{outcome:#?}");
    refuse(&server, None);
    comes(&maildrop, 4);
    env.fetch().expect(0).says("4 forwarded");
    let arrived = server.with(|mailbox| mailbox.messages.clone());
    assert_eq!(arrived, (1..=4).map(|n| on_the_wire(&small(n))).collect::<Vec<_>>(), "in their order");
}

#[test]
fn what_is_refused_between_accepted_messages_is_set_aside_however_much_it_is() {
    let (_dir, maildrop, server, env) = bench(2);
    refuse(&server, Some("This is 1."));
    env.fetch().expect(1).says("1 forwarded, 1 set aside");
    for n in [3, 5, 7, 9] {
        maildrop.change(|contents| contents.messages.push(Message::new(&format!("u{n}"), &small(1))));
        env.fetch().expect(1);
        comes(&maildrop, n + 1);
        env.fetch().expect(1);
    }
    assert_eq!((server.mail().len(), spool(&env)), (5, 5));
    env.fetch().expect(1).says("5 set aside");
    // The oldest few are refused, and the newest is not.
    let (_dir, _maildrop, server, env) = bench(4);
    server.faults(&vec![crate::scripted::lmtp::Fault::Refuse("550 5.7.1 spam"); 3]);
    env.fetch().expect(1).says("1 forwarded, 3 set aside");
}
