//! Forwarding by LMTP: nothing is lost, and each lost reply costs at most one extra copy.

use super::*;
use crate::scripted::lmtp::{Fault, LmtpServer};

/// An account that forwards to a server at this socket; `more` goes into the table `lmtp`.
fn to_socket(maildrop: &Maildrop, socket: &std::path::Path, more: &str) -> Account {
    let lmtp = format!("{{ lmtp = {{ socket = {socket:?}, recipient = \"jo@example.org\"{more} }} }}");
    Account::at(maildrop.server.address).deleting().set("forward", lmtp)
}

/// Makes a directory for the socket, a maildrop with `count` small messages, a server, and an account that forwards to
/// it.
fn bench(count: usize, more: &str) -> (tempfile::TempDir, Maildrop, LmtpServer, TestEnv) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("lmtp");
    let (maildrop, server) = (Maildrop::new(small_ones(count)), LmtpServer::start(&socket));
    let env = TestEnv::new(&[to_socket(&maildrop, &socket, more)]);
    (dir, maildrop, server, env)
}

#[test]
fn every_message_arrives_byte_for_byte() {
    let odd: Vec<Vec<u8>> = corpus().into_iter().map(|(_, bytes)| bytes).chain(odd_ones()).collect();
    let messages = (0..).zip(&odd).map(|(n, bytes): (usize, _)| Message::new(&format!("u{n}"), bytes)).collect();
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("lmtp");
    let (maildrop, server) = (Maildrop::new(messages), LmtpServer::start(&socket));
    let env = TestEnv::new(&[to_socket(&maildrop, &socket, "")]);
    env.fetch().expect(0);
    let mut expected: Vec<_> = odd.iter().map(|bytes| arrived(bytes)).collect();
    expected.sort();
    assert_same_mail(&server.mail(), &expected);
    env.fetch().expect(0);
    assert!(maildrop.left().is_empty());
    assert_same_mail(&server.mail(), &expected);
    let commands = server.with(|mailbox| mailbox.commands.clone());
    assert!(commands.iter().any(|command| command.starts_with("MAIL FROM:<> BODY=8BITMIME SIZE=")), "{commands:?}");
    assert!(commands.iter().any(|command| command == "RCPT TO:<jo@example.org>"));
}

#[test]
fn a_lost_answer_costs_one_copy_that_the_receiver_can_tell() {
    let (_dir, maildrop, server, env) = bench(5, ", id_header = true");
    server.faults(&[Fault::None, Fault::LoseAnswer, Fault::None, Fault::Cut(2)]);
    for _ in 0..5 {
        env.fetch();
    }
    assert!(maildrop.left().is_empty());
    let ids: Vec<String> = server.with(|mailbox| {
        let first_line = |message: &Vec<u8>| String::from_utf8_lossy(message).lines().next().unwrap().to_owned();
        mailbox.messages.iter().map(first_line).collect()
    });
    assert_eq!(ids.len(), 6, "one for each message, and one for the lost reply");
    assert!(ids.iter().all(|line| line.starts_with("X-Mailferry-Id: ")));
    let mut distinct = ids.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), 5, "a copy has the id of its message");
}

/// After an extra reply, each reply belongs to the previous command. None is taken for the reply to a message.
#[test]
fn an_answer_too_many_is_not_taken_for_that_to_the_message() {
    let refused = "550 5.7.1 no";
    let refuse = Fault::Refuse(refused);
    let cases = [
        ("220 mx\r\n220 ready", refuse.clone()),
        ("220 ready", Fault::RefuseRecipient("250 2.1.5 ok\r\n250 2.1.5 an alias")),
        ("220 ready", Fault::Refuse("354 go on\r\n550 5.7.1 no")),
        ("220 ready", Fault::Refuse("250 2.0.0 one\r\n550 5.7.1 no")),
    ];
    for (greeting, first) in cases {
        let (_dir, maildrop, server, env) = bench(3, "");
        server.with(|mailbox| mailbox.greeting = greeting);
        for _ in 0..3 {
            server.faults(&[first.clone(), refuse.clone(), refuse.clone(), refuse.clone(), refuse.clone()]);
            assert_ne!(env.fetch().status, 0);
        }
        let stored = server.mail().len();
        assert_eq!((maildrop.left().len(), spool(&env)), (3 - stored, 3 - stored), "{greeting} {first:?}");
        assert!(stored == 0 || matches!(first, Fault::RefuseRecipient(_)), "{greeting} {first:?}");
    }
}

/// A server may announce at any time that it closes the connection; some accept only one message on each.
#[test]
fn a_server_that_closes_behind_each_message_has_taken_it() {
    let (_dir, maildrop, server, env) = bench(3, "");
    server.faults(&vec![Fault::TakeAndSay("250 2.0.0 saved\r\n421 4.7.0 one for each connection"); 9]);
    env.fetch().expect(0).says("3 forwarded");
    env.fetch().expect(0);
    assert_same_mail(&server.mail(), &small_on_the_wire(3));
    assert!(maildrop.left().is_empty());
}

#[test]
fn answers_that_are_always_out_of_step_cost_a_few_copies_at_most() {
    let (_dir, maildrop, server, env) = bench(1, "");
    for _ in 0..6 {
        server.faults(&[Fault::TakeAndSay("250 2.0.0 one\r\n250 2.0.0 and another mailbox")]);
        env.fetch();
    }
    assert_eq!((server.mail().len(), maildrop.left().len(), spool(&env)), (3, 1, 1));
    env.fetch().expect(1).says("answers are out of step");
}

#[test]
fn what_is_refused_for_now_comes_later_and_what_is_refused_for_good_is_set_aside() {
    let (_dir, maildrop, server, env) = bench(3, "");
    server.faults(&[Fault::Refuse("451 4.3.0 later"), Fault::Refuse("550 5.7.1 spam")]);
    let outcome = env.fetch().expect(1);
    assert!(outcome.stdout.contains("1 forwarded, 1 waits in the spool, 1 set aside"), "{outcome:#?}");
    assert!(outcome.stderr.contains("550 5.7.1 spam"), "{outcome:#?}");
    let reason = "cannot send a message: the destination said \"451 4.3.0 later\"; the message is unique-id u1 (";
    assert!(outcome.stderr.contains(reason), "{outcome:#?}");
    for options in [&["fetch"][..], &["fetch", "-q"], &["forward", "-q"], &["fetch", "--scheduled", "-q"]] {
        server.faults(&[Fault::Refuse("451 4.3.0 later")]);
        let outcome = env.run(options).expect(1);
        assert!(outcome.stderr.contains(reason), "{options:?}: {outcome:#?}");
    }
    server.faults(&[Fault::Refuse("451 4.3.0 later")]);
    let outcome = env.run(&["fetch", "--json"]).expect(1);
    let report: serde_json::Value = serde_json::from_str(outcome.stdout.trim()).unwrap();
    let numbers = ["forwarded", "waiting", "set_aside"].map(|field| report[field].as_u64());
    assert_eq!(numbers, [Some(0), Some(1), Some(1)], "{report}");
    env.fetch().expect(1);
    env.fetch().expect(1);
    assert_eq!((server.mail().len(), maildrop.left().len(), spool(&env)), (2, 1, 1));
    env.run(&["forward", "--again"]).expect(0);
    env.fetch().expect(0);
    assert_same_mail(&server.mail(), &small_on_the_wire(3));
    assert!(maildrop.left().is_empty());
}

#[test]
fn the_dialogue_is_shown_without_the_messages() {
    let (_dir, _maildrop, server, env) = bench(1, "");
    server.faults(&[Fault::Refuse("451 4.3.0 later")]);
    let outcome = env.run(&["-v", "fetch"]).expect(1);
    for line in
        ["C: LHLO ", "S: 250", "C: RCPT TO:<jo@example.org>", "C: [a message of ", "S: 451 4.3.0 later", "C: QUIT"]
    {
        assert!(outcome.stderr.contains(line), "{line}: {outcome:#?}");
    }
    assert!(!outcome.stderr.contains("This is 1."), "{outcome:#?}");
}
