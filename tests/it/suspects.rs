//! Messages at which sessions break: each is found again in the next session, whatever it is listed as there, and none is
//! left in silence.

use crate::delivered::assert_same_mail;
use crate::mail::{small, small_ones, small_ones_stored};
use crate::program::{Account, TestEnv};
use crate::scripted::maildrop::{Behaviour, Maildrop, Message};

/// A message that cannot be had: the server does not double the dot of a line that looks like its end.
fn unstuffed(uid: &str) -> Message {
    let bytes = b"Subject: bad\r\n\r\n.\r\nsecond half\r\n";
    let answer = format!("+OK\r\n{}.", String::from_utf8_lossy(bytes));
    Message { refusal: Some(answer), ..Message::new(uid, bytes) }
}

#[test]
fn one_whose_unique_id_shifts_while_others_are_deleted_is_told() {
    for (pipelining, top) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut messages = small_ones(3);
        messages[1].refusal = Some("hang up".to_owned());
        let maildrop = Maildrop::with(messages, |behaviour| {
            *behaviour = Behaviour { pipelining, top, counts: true, ..behaviour.clone() };
        });
        let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting()]);
        env.fetch().expect(75);
        maildrop.change(|contents| {
            contents.messages[1].refusal = None;
            contents.messages.push(unstuffed("bad"));
        });
        env.fetch().expect(1).says("second half");
        assert_same_mail(&env.mail(), &small_ones_stored(3));
        assert_eq!(maildrop.left().len(), 1, "pipelining {pipelining}, top {top}");
        maildrop.server.wait_until_idle();
        assert!(maildrop.server.sessions().len() < 10, "{} sessions", maildrop.server.sessions().len());
    }
}

/// What came before the session broke may come once more: nothing tells that it is the same.
#[test]
fn one_with_another_unique_id_in_each_session_does_not_stop_the_others() {
    for (pipelining, place) in [(false, 0), (false, 1), (true, 0), (true, 1), (true, 3)] {
        let mut messages = small_ones(3);
        messages.insert(place, unstuffed("bad"));
        let maildrop = Maildrop::with(messages, |behaviour| {
            *behaviour = Behaviour { pipelining, new_names: true, ..behaviour.clone() };
        });
        let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting()]);
        env.fetch().expect(1).says("second half");
        let mut mail = env.mail();
        assert_eq!(mail.len(), 3 + place, "pipelining {pipelining}, place {place}");
        mail.dedup();
        assert_same_mail(&mail, &small_ones_stored(3));
        assert_eq!(maildrop.left().len(), 1, "pipelining {pipelining}, place {place}");
        env.fetch().expect(1).says("second half");
        assert_eq!((env.mail().len(), maildrop.left().len()), (3 + place, 1));
    }
}

/// A server that lists 250 messages at a time, one of its second portion unstuffed.
fn in_portions(top: bool) -> Maildrop {
    let mut messages = small_ones(251);
    messages.extend([unstuffed("bad"), Message::new("u252", &small(252))]);
    Maildrop::with(messages, |behaviour| (behaviour.window, behaviour.top) = (Some(250), top))
}

#[test]
fn one_in_the_second_portion_costs_the_others_nothing_and_is_told() {
    for top in [false, true] {
        let maildrop = in_portions(top);
        let env = TestEnv::in_memory(&[Account::at(maildrop.server.address)]);
        env.fetch().expect(1).says("second half");
        assert_same_mail(&env.mail(), &small_ones_stored(252));
    }
}

#[test]
fn what_is_left_of_the_second_portion_where_the_server_lets_nobody_in_any_more_is_no_success() {
    let maildrop = in_portions(true);
    maildrop.change(|contents| contents.behaviour.logins = Some(2));
    let env = TestEnv::in_memory(&[Account::at(maildrop.server.address)]);
    env.fetch().expect(75);
    maildrop.change(|contents| contents.behaviour.logins = None);
    env.fetch().expect(1).says("second half");
    assert_same_mail(&env.mail(), &small_ones_stored(252));
}
