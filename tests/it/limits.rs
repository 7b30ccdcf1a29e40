//! Limits set by the user, and servers that list their messages in portions.

use crate::delivered::assert_same_mail;
use crate::mail::{small, small_ones, small_ones_stored};
use crate::program::{Account, TestEnv};
use crate::scripted::maildrop::{Body, Maildrop, Message};

#[test]
fn a_message_that_is_too_large_stays_and_is_spoken_of() {
    for delete in [false, true] {
        let mut messages = small_ones(3);
        messages[1] = Message::large("large", 50_000);
        let maildrop = Maildrop::new(messages);
        let account = Account::at(maildrop.server.address).text("max_message_size", "10 KiB");
        let env = TestEnv::new(&[if delete { account.deleting() } else { account }]);
        let mut expected = small_ones_stored(3);
        expected.retain(|message| *message != crate::raw::stored(&small(2)));
        env.fetch().expect(0).says("max_message_size");
        env.fetch().expect(0);
        assert_same_mail(&env.mail(), &expected);
        assert_eq!(maildrop.retrieved("large"), 0);
        let left = maildrop.left();
        assert!(left.contains(&"large".to_owned()));
        assert_eq!(left.len(), if delete { 1 } else { 3 });
        env.configure(&[Account::at(maildrop.server.address).text("max_message_size", "1 MiB")]);
        env.fetch().expect(0);
        assert_eq!((env.mail().len(), maildrop.retrieved("large")), (3, 1));
    }
}

#[test]
fn a_session_retrieves_no_more_than_its_limit() {
    let maildrop = Maildrop::new(small_ones(5));
    let account = Account::at(maildrop.server.address).set("max_messages_per_session", 2);
    let env = TestEnv::new(&[account]);
    for _ in 0..3 {
        env.fetch().expect(0);
    }
    assert_same_mail(&env.mail(), &small_ones_stored(5));
    assert_eq!(maildrop.count("RETR"), 5);
    for session in maildrop.server.sessions() {
        let retrieved = session.lines.iter().filter(|line| line.starts_with("RETR")).count();
        assert!(retrieved <= 2, "{:?}", session.lines);
    }
}

#[test]
fn what_a_limit_has_left_over_is_told_if_the_next_session_lists_nothing() {
    let maildrop = Maildrop::with(small_ones(5), |behaviour| behaviour.remembers = Some(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address).set("max_messages_per_session", 2)]);
    env.fetch().expect(1).says("3 messages are left for the next poll");
    maildrop.change(|contents| contents.behaviour.remembers = None);
    env.fetch().expect(0);
    assert_same_mail(&env.mail(), &small_ones_stored(5));
}

#[test]
fn a_backlog_in_portions_is_drained_by_one_fetch() {
    for delete in [false, true] {
        let maildrop = Maildrop::with(small_ones(510), |behaviour| behaviour.window = Some(250));
        let account = Account::at(maildrop.server.address);
        let env = TestEnv::in_memory(&[if delete { account.deleting() } else { account }]);
        env.fetch().expect(0);
        assert_same_mail(&env.mail(), &small_ones_stored(510));
        assert_eq!(maildrop.count("RETR"), 510);
        assert_eq!(maildrop.left().len(), if delete { 0 } else { 510 });
        env.fetch().expect(0).says("nothing new");
    }
}

#[test]
fn a_server_that_lists_everything_is_asked_once_whether_it_does() {
    let maildrop = Maildrop::new(small_ones(300));
    let env = TestEnv::in_memory(&[Account::at(maildrop.server.address).deleting()]);
    for (mails, sessions) in [(300, 2), (600, 3)] {
        env.fetch().expect(0);
        assert_eq!((env.mail().len(), maildrop.server.sessions().len()), (mails, sessions));
        let others = (301..=600).map(|n| Message::new(&format!("u{n}"), &small(n))).collect();
        maildrop.change(|contents| contents.messages = others);
    }
}

/// Each session shows the same messages under other unique-ids, and their headers say little.
#[test]
fn portions_of_what_has_other_names_in_each_session_come_to_an_end() {
    let mut messages = small_ones(6);
    for (number, message) in (1..).zip(&mut messages) {
        let bytes = format!("Subject: alarm\r\n\r\nnumber {number}\r\n").into_bytes();
        message.body = Body::Bytes(bytes.into());
    }
    for top in [true, false] {
        let maildrop = Maildrop::with(messages.clone(), |behaviour| (behaviour.new_names, behaviour.top) = (true, top));
        let account = Account::at(maildrop.server.address).set("max_messages_per_session", 5);
        let env = TestEnv::in_memory(&[account]);
        env.fetch().expect(1).says("left for the next poll, because the last session brought nothing new");
        maildrop.server.wait_until_idle();
        assert!(maildrop.server.sessions().len() <= 2, "{} sessions", maildrop.server.sessions().len());
        assert_eq!(env.mail().len(), 5, "copies");
    }
}

/// Without TOP, nothing distinguishes the second portion from the first one under other unique-ids.
#[test]
fn a_portion_that_looks_like_the_one_before_is_not_left_in_silence() {
    let alike = |n: u32| Message::new(&format!("u{n}"), format!("Message-ID: <{n}@x>\r\n\r\n{n}\r\n").as_bytes());
    let maildrop = Maildrop::with((1001..=1500).map(alike).collect(), |behaviour| {
        (behaviour.window, behaviour.top) = (Some(250), false);
    });
    let env = TestEnv::in_memory(&[Account::at(maildrop.server.address).deleting()]);
    env.fetch().expect(1).says("250 messages are left for the next poll");
    assert_eq!((env.mail().len(), maildrop.left().len()), (250, 250));
    env.fetch().expect(0);
    assert_eq!((env.mail().len(), maildrop.left().len()), (500, 0));
}

#[test]
fn portions_with_a_message_that_cannot_be_fetched_come_to_an_end() {
    let mut messages = small_ones(500);
    messages[0].refusal = Some("-ERR broken".to_owned());
    let maildrop = Maildrop::with(messages, |behaviour| behaviour.window = Some(250));
    let env = TestEnv::in_memory(&[Account::at(maildrop.server.address)]);
    env.fetch().expect(1);
    assert_eq!(env.mail().len(), 499);
    assert!(maildrop.server.sessions().len() < 8, "it asks for ever");
}
