//! Whether an OK is evidence that a message has arrived.

use std::time::Duration;

use super::*;
use crate::scripted::imap::Naming;

#[test]
fn an_ok_for_a_message_that_was_not_sent_is_none() {
    for capabilities in ["IMAP4rev1 SASL-IR AUTH=PLAIN UIDPLUS", "IMAP4rev1 SASL-IR AUTH=PLAIN"] {
        let (maildrop, server) = (Maildrop::new(small_ones(3)), ImapServer::start());
        server.with(|mailbox| mailbox.capabilities = capabilities);
        let env = TestEnv::new(&[to(&maildrop, &server, ", connections = 1")]);
        for _ in 0..2 {
            server.faults(&[Fault::RefuseAtOnce("OK [APPENDUID 1 1] done")]);
            assert_ne!(env.fetch().status, 0, "{capabilities}");
            assert_eq!((maildrop.left().len(), server.mail().len()), (3, 0), "{capabilities}");
        }
        all_arrive(&env, &maildrop, &server, 3);
    }
}

#[test]
fn what_gmail_takes_for_another_message_is_set_aside_and_stays_at_the_source() {
    let one = b"Message-ID: <same@x>\r\nSubject: first\r\n\r\none\r\n";
    let other = b"Message-ID: <same@x>\r\nSubject: second\r\n\r\nanother one, and longer\r\n";
    let maildrop =
        Maildrop::new(vec![Message::new("u1", one), Message::new("u2", other), Message::new("u3", &small(3))]);
    let server = ImapServer::start();
    server.with(|mailbox| {
        (mailbox.merges, mailbox.capabilities) = (true, "IMAP4rev1 SASL-IR AUTH=PLAIN UIDPLUS X-GM-EXT-1");
    });
    let env = TestEnv::new(&[to(&maildrop, &server, ", connections = 1")]);
    let outcome = env.fetch().expect(1);
    assert!(outcome.stderr.contains("taken it for another message, with the same Message-ID"), "{outcome:#?}");
    for _ in 0..2 {
        env.fetch().expect(1);
        let mut expected = vec![on_the_wire(one), on_the_wire(&small(3))];
        expected.sort();
        assert_same_mail(&server.mail(), &expected);
        assert_eq!((maildrop.left(), spool(&env)), (vec!["u2".to_owned()], 1));
    }
    // Once the other message is gone, the server accepts this one.
    server.with(|mailbox| mailbox.messages.retain(|message| message.uid != 1));
    env.run(&["forward", "--again", "a"]).expect(0).says("1 forwarded");
    env.fetch().expect(0);
    assert!(maildrop.left().is_empty());
}

#[test]
fn what_gmail_takes_for_another_message_of_the_same_size_is_told_by_its_bytes() {
    let with = |body: &str| format!("Message-ID: <same@x>\r\nSubject: s\r\n\r\n{body}\r\n").into_bytes();
    let (one, other) = (with("one"), with("two"));
    let maildrop = Maildrop::new(vec![Message::new("u1", &one), Message::new("u2", &other)]);
    let server = ImapServer::start();
    server.with(|mailbox| {
        (mailbox.merges, mailbox.capabilities) = (true, "IMAP4rev1 SASL-IR AUTH=PLAIN LITERAL- UIDPLUS X-GM-EXT-1");
    });
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(1).says("taken it for another message, with the same Message-ID");
    env.fetch().expect(1);
    assert_same_mail(&server.mail(), &[on_the_wire(&one)]);
    assert_eq!((maildrop.left(), spool(&env)), (vec!["u2".to_owned()], 1));
}

/// If a server drops a message as a duplicate, its OK is no evidence, whatever UID it reports.
#[test]
fn an_ok_that_names_another_message_or_adds_none_is_none() {
    let with = |id: &str, body: &str| format!("Message-ID: <{id}@x>\r\nSubject: s\r\n\r\n{body}\r\n").into_bytes();
    let (one, other, alike) = (with("same", "one"), with("same", "another one, and longer"), with("same", "two"));
    let third = with("third", "three");
    let all = "IMAP4rev1 SASL-IR AUTH=PLAIN LITERAL- UIDPLUS";
    let one_by_one = "IMAP4rev1 SASL-IR AUTH=PLAIN UIDPLUS";
    for (naming, capabilities, more) in [
        (Naming::Right, all, ""),
        (Naming::Right, one_by_one, ""),
        (Naming::Nothing, "IMAP4rev1 SASL-IR AUTH=PLAIN", ""),
    ] {
        for was_there in [false, true] {
            for second in [&other, &alike] {
                let message = |uid: &str, bytes: &[u8]| Message::new(uid, bytes);
                let mut source = vec![message("u2", second), message("u3", &third)];
                let server = ImapServer::start();
                match was_there {
                    true => store(&server, &on_the_wire(&one)),
                    false => source.insert(0, message("u1", &one)),
                }
                let maildrop = Maildrop::new(source);
                server.with(|mailbox| {
                    (mailbox.merges, mailbox.naming, mailbox.capabilities) = (true, naming, capabilities);
                });
                let env = TestEnv::new(&[to(&maildrop, &server, more)]);
                let case = format!("{naming:?}, {capabilities}{more}, {was_there}");
                let outcome = env.fetch().expect(1);
                assert!(outcome.stderr.contains("says that it has stored it, and "), "{case}: {outcome:#?}");
                env.fetch().expect(1);
                let mut expected = vec![on_the_wire(&one), on_the_wire(&third)];
                expected.sort();
                assert_same_mail(&server.mail(), &expected);
                assert_eq!((maildrop.left(), spool(&env)), (vec!["u2".to_owned()], 1), "{case}");
            }
        }
    }
}

#[test]
fn what_one_connection_has_appended_is_known_to_the_others() {
    let with = |n: usize| format!("Message-ID: <same@x>\r\nSubject: s\r\n\r\n{n}\r\n").into_bytes();
    let maildrop = Maildrop::new((10..50).map(|n| Message::new(&format!("u{n}"), &with(n))).collect());
    let server = ImapServer::start();
    server.with(|mailbox| {
        (mailbox.merges, mailbox.capabilities) = (true, "IMAP4rev1 SASL-IR AUTH=PLAIN UIDPLUS");
    });
    let env = TestEnv::new(&[to(&maildrop, &server, ", connections = 3")]);
    env.fetch().expect(1).says("1 forwarded, 39 set aside");
    env.fetch().expect(1);
    assert_eq!((server.mail().len(), maildrop.left().len(), spool(&env)), (1, 39, 39));
}

/// The identical message is already there. It may be the very message at the source, if that is the same mailbox: so it
/// counts as arrived, and is not deleted.
#[test]
fn what_was_there_before_with_the_same_bytes_stays_at_the_source() {
    for capabilities in [GMAIL, UIDPLUS] {
        let (maildrop, server) = (Maildrop::new(small_ones(2)), ImapServer::start());
        store(&server, &on_the_wire(&small(1)));
        server.with(|mailbox| (mailbox.merges, mailbox.capabilities) = (true, capabilities));
        let env = TestEnv::new(&[to(&maildrop, &server, "")]);
        env.fetch().expect(0).says("2 forwarded").says("was at the destination before");
        for _ in 0..3 {
            let outcome = env.fetch().expect(0);
            assert!(!outcome.output().contains("at the destination before"), "{outcome:#?}");
            assert_eq!((maildrop.left(), spool(&env)), (vec!["u1".to_owned()], 0), "{capabilities}");
        }
        assert_same_mail(&server.mail(), &small_on_the_wire(2));
    }
}

const GMAIL: &str = "IMAP4rev1 SASL-IR AUTH=PLAIN LITERAL- UIDPLUS X-GM-EXT-1";
const UIDPLUS: &str = "IMAP4rev1 SASL-IR AUTH=PLAIN LITERAL- UIDPLUS";

/// Returns a message with this Message-ID.
fn with_id(id: &str, body: &str) -> Vec<u8> {
    format!("Message-ID: <{id}@x>\r\nSubject: s\r\n\r\n{body}\r\n").into_bytes()
}

/// Another program delivers a message with the same Message-ID after the mailbox was opened, and the server keeps that
/// one alone.
#[test]
fn a_message_that_somebody_else_has_delivered_meanwhile_is_not_taken_for_ours() {
    let ours: Vec<Vec<u8>> = (0..5).map(|n| with_id(&n.to_string(), "code 1111")).collect();
    for (capabilities, naming, tells_count) in [
        (GMAIL, Naming::Right, true),
        (UIDPLUS, Naming::Right, false),
        ("IMAP4rev1 SASL-IR AUTH=PLAIN LITERAL-", Naming::Nothing, true),
    ] {
        for other in [with_id("2", "code 2222"), with_id("2", "code 1111, and a footer")] {
            let messages = (0..).zip(&ours).map(|(n, one): (usize, _)| Message::new(&format!("u{n}"), one)).collect();
            let (maildrop, server) = (Maildrop::new(messages), ImapServer::start());
            server.with(|mailbox| {
                mailbox.meanwhile = Some((b"<2@x>", other.clone()));
                (mailbox.merges, mailbox.capabilities) = (true, capabilities);
                (mailbox.naming, mailbox.tells_count) = (naming, tells_count);
            });
            let env = TestEnv::new(&[to(&maildrop, &server, "")]);
            env.fetch().expect(1).says("4 forwarded, 1 set aside");
            env.fetch().expect(1);
            assert_eq!((maildrop.left(), server.mail().len()), (vec!["u2".to_owned()], 5), "{capabilities}");
            assert!(server.mail().contains(&other));
        }
    }
}

/// What has come is not the next message of ours, so the mailbox has grown by more than ours.
#[test]
fn a_mailbox_that_grows_by_more_than_ours_is_looked_at() {
    let ours: Vec<Vec<u8>> = (0..5).map(|n| with_id(&n.to_string(), "code 1111")).collect();
    let messages = (0..).zip(&ours).map(|(n, one): (usize, _)| Message::new(&format!("u{n}"), one)).collect();
    let (maildrop, server) = (Maildrop::new(messages), ImapServer::start());
    server.with(|mailbox| {
        mailbox.meanwhile = Some((b"<1@x>", with_id("3", "code 2222")));
        (mailbox.merges, mailbox.capabilities) = (true, UIDPLUS);
    });
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(1).says("4 forwarded, 1 set aside");
    env.fetch().expect(1);
    assert_eq!((maildrop.left(), server.mail().len()), (vec!["u3".to_owned()], 5));
}

#[test]
fn where_nothing_else_comes_no_message_is_looked_at() {
    let (maildrop, server) = (Maildrop::new(small_ones(40)), ImapServer::start());
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(0).says("40 forwarded");
    let commands = server.with(|mailbox| mailbox.commands.clone());
    assert!(!commands.iter().any(|command| command.starts_with("UID")), "{commands:?}");
    assert_eq!(commands.iter().filter(|command| command.starts_with("SELECT")).count(), 1, "{commands:?}");
}

/// Two accounts have opened the same mailbox before either appends.
#[test]
fn what_another_account_appends_at_the_same_time_is_not_taken_for_ours() {
    for capabilities in [GMAIL, UIDPLUS] {
        for other in ["for bob: 2222", "for bobby: 2222"] {
            let (ann, bob) = (with_id("list", "for ann: 1111"), with_id("list", other));
            let sources = [&ann, &bob].map(|one| Maildrop::new(vec![Message::new("u1", one)]));
            let server = ImapServer::start();
            server.with(|mailbox| {
                (mailbox.merges, mailbox.capabilities, mailbox.selected_before) = (true, capabilities, 2);
            });
            let env =
                TestEnv::new(&[to(&sources[0], &server, "").named("ann"), to(&sources[1], &server, "").named("bob")]);
            for _ in 0..3 {
                env.fetch();
            }
            let there = server.mail();
            for (source, bytes) in sources.iter().zip([&ann, &bob]) {
                assert_eq!(source.left().is_empty(), there.contains(bytes), "{capabilities}, {other}");
            }
            assert_eq!(there.len(), 1);
        }
    }
}

/// A server that changes what it stores and reports no UIDs has stored it nevertheless.
#[test]
fn a_mailbox_that_grows_has_taken_a_message_whatever_it_looks_like() {
    let (maildrop, server) = (Maildrop::new(small_ones(3)), ImapServer::start());
    take_uidplus(&server);
    server.with(|mailbox| mailbox.size_error = 7);
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    all_arrive(&env, &maildrop, &server, 3);
}

/// Each message has a twin with the same Message-ID and size and other bytes; the server keeps the first of the two.
#[test]
fn what_another_connection_has_just_appended_is_not_taken_for_a_message_of_its_size() {
    let with = |n: usize, copy: usize| {
        format!("Message-ID: <{:02}@x>\r\nSubject: s\r\n\r\n{copy}{}\r\n", n, "x".repeat(3000)).into_bytes()
    };
    for capabilities in ["IMAP4rev1 SASL-IR AUTH=PLAIN UIDPLUS X-GM-EXT-1", "IMAP4rev1 SASL-IR AUTH=PLAIN UIDPLUS"] {
        let all: Vec<Vec<u8>> = (0..2).flat_map(|copy| (0..32).map(move |n| with(n, copy))).collect();
        let messages = (0..).zip(&all).map(|(n, bytes): (usize, _)| Message::new(&format!("u{n}"), bytes)).collect();
        let (maildrop, server) = (Maildrop::new(messages), ImapServer::start());
        server.with(|mailbox| (mailbox.merges, mailbox.capabilities) = (true, capabilities));
        let env = TestEnv::new(&[to(&maildrop, &server, ", connections = 4")]);
        env.fetch().expect(1).says("32 forwarded, 32 set aside");
        env.fetch().expect(1);
        let (there, left) = (server.mail(), maildrop.left());
        for (n, bytes) in (0..).zip(&all) {
            let is_there = there.contains(&on_the_wire(bytes));
            assert!(is_there || left.contains(&format!("u{n}")), "{capabilities}: message {n} is lost");
        }
    }
}

/// Other messages that arrive are not taken for one that was dropped.
#[test]
fn a_message_that_is_dropped_without_a_word_is_set_aside_whatever_else_has_come() {
    let with = |id: &str, body: &str| format!("Message-ID: <{id}@x>\r\nSubject: s\r\n\r\n{body}\r\n").into_bytes();
    let all = [with("1", "a"), with("2", "b"), with("3", "c"), with("1", "other"), with("4", "d")];
    let foreign: &[u8] = b"Subject: foreign\r\n\r\nx\r\n";
    for (uidplus, foreign) in [(true, None), (false, Some(foreign))] {
        let messages = (1..).zip(&all).map(|(n, bytes): (usize, _)| Message::new(&format!("u{n}"), bytes)).collect();
        let (maildrop, server) = (Maildrop::new(messages), ImapServer::start());
        if !uidplus {
            take_uidplus(&server);
        }
        server.with(|mailbox| mailbox.drops = Some(foreign));
        let env = TestEnv::new(&[to(&maildrop, &server, "")]);
        env.fetch().expect(1).says("no message has come into the mailbox");
        env.fetch().expect(1);
        assert_eq!((maildrop.left(), spool(&env)), (vec!["u4".to_owned()], 1), "{uidplus}");
    }
}

#[test]
fn a_server_that_shows_what_it_has_stored_a_little_later_has_stored_it() {
    let (maildrop, server) = (Maildrop::new(small_ones(2)), ImapServer::start());
    take_uidplus(&server);
    server.with(|mailbox| mailbox.lag = Some(Duration::from_millis(900)));
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(0).says("2 forwarded");
    env.fetch().expect(0);
    assert_same_mail(&server.mail(), &small_on_the_wire(2));
    assert!(maildrop.left().is_empty());
}
