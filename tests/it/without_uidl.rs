//! Servers without UIDL: nothing can be left there, everything can be deleted.

use crate::delivered::assert_same_mail;
use crate::mail::{small, small_ones, small_ones_stored};
use crate::program::{Account, TestEnv};
use crate::scripted::Faults;
use crate::scripted::maildrop::{Maildrop, Message};

/// Three messages without unique-ids.
fn three(top: bool, faults: Option<Faults>) -> Maildrop {
    Maildrop::with(small_ones(3), |behaviour| {
        behaviour.uidl = false;
        behaviour.top = top;
        behaviour.next_faults = faults;
    })
}

#[test]
fn it_may_say_so_in_any_words() {
    for answer in ["-ERR UIDL is not available", "-ERR", "-ERR command unavailable", "-ERR not supported, try TOP"] {
        let maildrop = three(true, None);
        let answers = vec![("UIDL".to_owned(), format!("{answer}\r\n"))];
        maildrop.change(|contents| contents.behaviour.answers = answers);
        let env = TestEnv::in_memory(&[Account::at(maildrop.server.address).deleting()]);
        env.fetch().expect(0).says("3 new messages");
    }
}

#[test]
fn leaving_messages_there_is_a_clear_error() {
    let maildrop = three(true, None);
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    env.fetch().expect(76).says("UIDL");
    assert!(env.mail().is_empty());
    assert_eq!((maildrop.left().len(), maildrop.count("DELE")), (3, 0));
}

#[test]
fn everything_is_taken_away() {
    for top in [true, false] {
        let maildrop = three(top, None);
        let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting()]);
        env.fetch().expect(0);
        assert_same_mail(&env.mail(), &small_ones_stored(3));
        assert!(maildrop.left().is_empty());
        env.fetch().expect(0);
        assert_same_mail(&env.mail(), &small_ones_stored(3));
    }
}

#[test]
fn a_lost_quit_delivers_nothing_twice() {
    for top in [true, false] {
        let whole = three(top, None);
        TestEnv::in_memory(&[Account::at(whole.server.address).deleting()]).fetch().expect(0);
        whole.server.wait_until_idle();
        let before_answer = whole.server.sessions()[0].sent - "+OK bye\r\n".len() as u64;
        // At the first cut QUIT is not received and nothing is deleted; at the others everything is, but the client
        // cannot know.
        for cut in [before_answer, before_answer + 1, before_answer + 7] {
            let maildrop = three(top, Some(Faults { cut_after: Some(cut), ..Faults::default() }));
            let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting()]);
            let first = env.fetch();
            assert!([0, 75].contains(&first.status), "{first:#?}");
            assert_same_mail(&env.mail(), &small_ones_stored(3));
            env.fetch().expect(0);
            assert_same_mail(&env.mail(), &small_ones_stored(3));
            assert!(maildrop.left().is_empty(), "TOP {top}, cut after {cut}: {:?} left", maildrop.left());
        }
    }
}

#[test]
fn equal_messages_are_all_taken() {
    let mut messages = small_ones(2);
    messages[1].body = messages[0].body.clone();
    let maildrop = Maildrop::with(messages, |behaviour| behaviour.uidl = false);
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting()]);
    env.fetch().expect(0);
    let one = small_ones_stored(1).remove(0);
    assert_same_mail(&env.mail(), &[one.clone(), one]);
    assert!(maildrop.left().is_empty());
}

/// What the second of four messages may be, and what is reported about it.
fn bad_ones() -> Vec<(&'static str, Message, &'static str)> {
    let bad = |answer: &str| Message {
        refusal: Some(answer.to_owned()),
        ..Message::new("bad", b"Subject: bad\r\n\r\n.\r\nsecond half\r\n")
    };
    let mut large = Message::large("bad", 3 << 20);
    large.reported_size = Some(91);
    vec![
        ("goes on and on", large, "MiB had come"),
        ("closes the connection", bad("<close>"), "closed the connection"),
        ("is not stuffed", bad("+OK\r\nSubject: bad\r\n\r\n.\r\nsecond half\r\n."), "second half"),
    ]
}

#[test]
fn one_at_which_sessions_break_costs_the_others_nothing() {
    for (what, bad, words) in bad_ones() {
        for (pipelining, place) in [(false, 0), (false, 1), (true, 0), (true, 1), (true, 3)] {
            let mut messages = small_ones(3);
            messages.insert(place, bad.clone());
            let maildrop = Maildrop::with(messages, |behaviour| {
                behaviour.uidl = false;
                behaviour.pipelining = pipelining;
            });
            let account = Account::at(maildrop.server.address).deleting().text("max_message_size", "1 MiB");
            let env = TestEnv::new(&[account]);
            env.fetch().expect(1).says(words);
            assert_same_mail(&env.mail(), &small_ones_stored(3));
            assert_eq!(maildrop.left(), ["bad"], "{what}, {pipelining}, {place}");
            maildrop.change(|contents| {
                contents.messages.push(Message::new("u4", &small(4)));
            });
            env.fetch().expect(1).says(words);
            assert_same_mail(&env.mail(), &small_ones_stored(4));
            assert_eq!(maildrop.left(), ["bad"], "{what}, {pipelining}, {place}");
            maildrop.change(|contents| contents.messages[0] = Message::new("good", &small(5)));
            env.fetch().expect(0);
            assert_same_mail(&env.mail(), &small_ones_stored(5));
            assert!(maildrop.left().is_empty(), "{what}, {pipelining}, {place}");
        }
    }
}
