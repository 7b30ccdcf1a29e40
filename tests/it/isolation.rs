//! Messages that break sessions: each is found again in the next session, however it is listed there, and none is left
//! behind in silence.

use std::time::Duration;

use mailferry::account::RemovalPolicy;
use mailferry::exit::ExitStatus;

use crate::delivered::assert_same_mail;
use crate::mail::{small, small_ones, small_ones_stored};
use crate::program::{Account, TestEnv};
use crate::quarantine::Bench;
use crate::raw::stored;
use crate::scripted::maildrop::{Behaviour, Maildrop, Message};

/// A message that cannot be retrieved: the server does not double the dot of a line that looks like the end.
fn unstuffed(uid: &str) -> Message {
    let bytes = b"Subject: bad\r\n\r\n.\r\nsecond half\r\n";
    let answer = format!("+OK\r\n{}.", String::from_utf8_lossy(bytes));
    Message { refusal: Some(answer), ..Message::new(uid, bytes) }
}

#[test]
fn one_whose_unique_id_shifts_while_others_are_deleted_is_told() {
    for (pipelining, top) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut messages = small_ones(3);
        messages[1].refusal = Some("<close>".to_owned());
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

/// The first message is deleted when it is old enough, and then the bad one has the unique-id and the size of a stored
/// one.
#[test]
fn one_that_takes_the_unique_id_and_the_size_of_one_that_is_known_is_told() {
    const DAY: u64 = 86_400;
    let like_the_bad_one = |n: u32| {
        let message = Message::new("", format!("Message-ID: <{n}@x>\r\n\r\nnumber {n}.\r\n").as_bytes());
        assert_eq!(message.size(), unstuffed("").size());
        message
    };
    let maildrop = Maildrop::with(vec![like_the_bad_one(1)], |behaviour| {
        *behaviour = Behaviour { pipelining: false, counts: true, top: false, ..behaviour.clone() };
    });
    let add = |message| maildrop.change(|contents| contents.messages.push(message));
    let mut bench = Bench::at(&maildrop);
    bench.account.removal = RemovalPolicy::AfterAge(Duration::from_secs(2 * DAY));
    assert_eq!(bench.poll().exit_status(), ExitStatus::Ok);
    bench.wait(DAY);
    (2..=3).for_each(|n| add(like_the_bad_one(n)));
    assert_eq!(bench.poll().exit_status(), ExitStatus::Ok);
    bench.wait(DAY);
    add(unstuffed(""));
    let report = bench.poll();
    assert_eq!((report.exit_status(), report.removed, report.failed.len()), (ExitStatus::Partial, 1, 1), "{report:?}");
    assert_eq!(maildrop.left().len(), 3);
    bench.wait(60);
    let again = bench.poll();
    assert_eq!(
        (again.exit_status(), again.failed.len()),
        (ExitStatus::Partial, 1),
        "not only the first time: {again:?}"
    );
}

/// What was retrieved before the session broke may be delivered twice: nothing shows that it is the same.
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

#[test]
fn several_with_other_unique_ids_in_each_session_do_not_stop_the_others() {
    for pipelining in [false, true] {
        let mut messages = small_ones(6);
        messages.insert(2, unstuffed("bad"));
        messages.insert(5, unstuffed("worse"));
        let maildrop = Maildrop::with(messages, |behaviour| {
            *behaviour = Behaviour { pipelining, new_names: true, ..behaviour.clone() };
        });
        let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting()]);
        env.fetch().expect(1).says("second half");
        let mut mail = env.mail();
        let came = mail.len();
        mail.dedup();
        assert_same_mail(&mail, &small_ones_stored(6));
        assert!(came <= 3 * 6, "{came} copies");
        assert_eq!(maildrop.left().len(), 2, "pipelining {pipelining}");
        env.fetch().expect(1).says("second half");
        assert_eq!((env.mail().len(), maildrop.left().len()), (came, 2));
    }
}

#[test]
fn one_of_several_under_a_unique_id_does_not_stop_the_others() {
    for (delete, strong) in [(false, true), (true, true), (false, false), (true, false)] {
        let header = |n: u32| if strong { format!("Date: {n}") } else { format!("X-N: x{n}") };
        let bytes = |n: u32| format!("{}\r\n\r\nnumber {n} of 3 here.\r\n", header(n)).into_bytes();
        let mut messages = vec![unstuffed("x")];
        messages.extend((1..=3).map(|n| Message::new("x", &bytes(n))));
        assert!(messages.iter().all(|message| message.size() == unstuffed("x").size()));
        let maildrop = Maildrop::new(messages);
        let account = Account::at(maildrop.server.address);
        let env = TestEnv::new(&[if delete { account.deleting() } else { account }]);
        (0..3).for_each(|_| _ = env.fetch());
        let mut mail = env.mail();
        mail.dedup();
        let mut expected: Vec<Vec<u8>> = (1..=3).map(|n| stored(&bytes(n))).collect();
        expected.sort();
        assert_same_mail(&mail, &expected);
    }
}

/// A server that lists 250 messages at a time; one in the second portion is unstuffed.
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

#[test]
fn one_that_the_server_does_not_list_in_the_next_session_is_told() {
    let mut messages = small_ones(2);
    messages.push(unstuffed("bad"));
    let maildrop = Maildrop::with(messages, |behaviour| behaviour.remembers = Some(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    env.fetch().expect(1).says("1 message is left for the next poll");
    maildrop.change(|contents| contents.behaviour.remembers = None);
    env.fetch().expect(1).says("second half");
    assert_same_mail(&env.mail(), &small_ones_stored(2));
}
