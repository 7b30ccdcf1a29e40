//! Unique-ids that later name another message of the same size: nothing is deleted that was not retrieved, whatever its
//! header says.

use crate::program::{Account, TestEnv};
use crate::raw::stored;
use crate::scripted::maildrop::{Behaviour, Maildrop, Message};

/// A message about a disk; all of them have the same size.
fn about(disk: &str) -> Vec<u8> {
    format!("Message-ID: <{disk}@example.org>\r\nSubject: full\r\n\r\nThe disk {disk} is full.\r\n").into_bytes()
}

/// Like [`about`], from a machine whose headers say nothing.
fn alarm(disk: &str) -> Vec<u8> {
    format!("Subject: alarm\r\n\r\nThe disk {disk} is full.\r\n").into_bytes()
}

/// Like [`about`], from a machine that does not know the date and sends nothing else that differs.
fn undated(disk: &str) -> Vec<u8> {
    format!("Date: Thu, 1 Jan 1970 00:00:00 +0000\r\nSubject: alarm\r\n\r\nThe disk {disk} is full.\r\n").into_bytes()
}

/// Makes the unique-id 1 name this message.
fn holds(maildrop: &Maildrop, message: &[u8]) {
    maildrop.change(|contents| contents.messages = vec![Message::new("1", message)]);
}

fn without_top(message: &[u8]) -> Maildrop {
    Maildrop::with(vec![Message::new("1", message)], |behaviour| behaviour.top = false)
}

fn arrived(env: &TestEnv, messages: &[&[u8]]) {
    let mut there = env.mail();
    let mut wanted: Vec<Vec<u8>> = messages.iter().map(|message| stored(message)).collect();
    there.sort();
    wanted.sort();
    assert!(there == wanted, "{} of {} messages", there.len(), wanted.len());
}

#[test]
fn what_has_the_unique_id_of_a_deleted_message_is_fetched() {
    let maildrop = without_top(&about("a"));
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting()]);
    env.fetch().expect(0).says("1 deleted on the server");
    for disk in ["b", "c"] {
        holds(&maildrop, &about(disk));
        env.fetch().expect(0).says("1 new message");
        env.fetch().expect(0);
        assert!(maildrop.left().is_empty());
    }
    arrived(&env, &[&about("a"), &about("b"), &about("c")]);
}

#[test]
fn what_has_a_known_unique_id_on_another_host_is_fetched_before_it_is_deleted() {
    let maildrop = without_top(&about("a"));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    env.fetch().expect(0);
    let moved = || Account::at(maildrop.server.address).text("host", "localhost");
    for keeps_first in [true, false] {
        holds(&maildrop, &about("b"));
        if keeps_first {
            env.configure(&[moved()]);
            env.fetch().expect(0);
        }
        env.configure(&[moved().deleting()]);
        env.fetch().expect(0);
        env.fetch().expect(0);
        assert!(maildrop.left().is_empty());
    }
    arrived(&env, &[&about("a"), &about("b")]);
}

/// The server deletes what was marked, but its answer to QUIT is lost.
fn after_a_lost_quit(message: fn(&str) -> Vec<u8>, change: impl Fn(&mut Behaviour)) {
    let maildrop = Maildrop::with(vec![Message::new("1", &message("a"))], |behaviour| {
        change(behaviour);
        behaviour.closes_at = Some("QUIT".to_owned());
    });
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting()]);
    env.fetch().expect(75);
    maildrop.change(|contents| contents.behaviour.closes_at = None);
    holds(&maildrop, &message("b"));
    env.fetch().expect(0).says("1 new message");
    env.fetch().expect(0);
    assert!(maildrop.left().is_empty());
    arrived(&env, &[&message("a"), &message("b")]);
}

#[test]
fn what_took_the_place_of_a_message_whose_deletion_nobody_heard_of_is_fetched() {
    for message in [about, alarm] {
        after_a_lost_quit(message, |behaviour| behaviour.top = false);
        after_a_lost_quit(message, |behaviour| {
            behaviour.answers.push(("TOP".to_owned(), "-ERR no\r\n".to_owned()));
        });
    }
    // Here the header would show the same message.
    after_a_lost_quit(undated, |_| {});
}

#[test]
fn what_is_back_is_retrieved_once_and_not_at_every_poll() {
    let maildrop = without_top(&about("a"));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    env.fetch().expect(0);
    maildrop.change(|contents| contents.messages.clear());
    env.fetch().expect(0);
    holds(&maildrop, &about("a"));
    for _ in 0..3 {
        env.fetch().expect(0);
    }
    arrived(&env, &[&about("a")]);
    assert_eq!(maildrop.retrieved("1"), 2);
}

#[test]
fn what_is_still_there_after_a_lost_quit_is_retrieved_to_be_sure_and_not_delivered_again() {
    for message in [about, alarm] {
        let maildrop = without_top(&message("a"));
        maildrop.change(|contents| contents.behaviour.closes_at = Some("QUIT".to_owned()));
        let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting()]);
        env.fetch().expect(75);
        maildrop.change(|contents| contents.behaviour.closes_at = None);
        env.fetch().expect(0).says("1 deleted on the server");
        assert!(maildrop.left().is_empty());
        arrived(&env, &[&message("a")]);
    }
}

/// A server that derives the unique-id from the header, which is the same for all of them.
#[test]
fn of_messages_that_are_listed_alike_in_all_but_their_bytes_each_is_stored_once() {
    for to_grow_old in [false, true] {
        let maildrop = Maildrop::new(vec![Message::new("1", &undated("a"))]);
        let account = Account::at(maildrop.server.address);
        let env = TestEnv::new(&[if to_grow_old { account.text("leave_on_server", "1d") } else { account }]);
        env.fetch().expect(0).says("1 new message");
        let lists = |disks: &[&str]| {
            let messages = disks.iter().map(|disk| Message::new("1", &undated(disk))).collect();
            maildrop.change(|contents| contents.messages = messages);
        };
        for disks in [&["b", "a"][..], &["b", "c", "a"]] {
            lists(disks);
            (0..3).for_each(|_| _ = env.fetch().expect(0));
            let there: Vec<Vec<u8>> = disks.iter().map(|disk| undated(disk)).collect();
            arrived(&env, &there.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
    }
}

/// A server with this behaviour, at which the same alarm comes again and again.
fn where_the_same_alarm_comes_again(change: impl Fn(&mut Behaviour)) {
    let maildrop = Maildrop::with(vec![Message::new("1", &alarm("a"))], change);
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting()]);
    env.fetch().expect(0).says("1 new message").says("1 deleted on the server");
    for polls_between in [0, 2] {
        (0..polls_between).for_each(|_| _ = env.fetch().expect(0).says("nothing new"));
        holds(&maildrop, &alarm("a"));
        env.fetch().expect(0).says("1 new message").says("1 deleted on the server");
    }
    assert!(maildrop.left().is_empty());
    arrived(&env, &[&alarm("a"), &alarm("a"), &alarm("a")]);
}

#[test]
fn where_unique_ids_say_nothing_the_same_alarm_is_stored_as_often_as_it_comes() {
    where_the_same_alarm_comes_again(|behaviour| behaviour.counts = true);
    where_the_same_alarm_comes_again(|behaviour| (behaviour.counts, behaviour.top) = (true, false));
    where_the_same_alarm_comes_again(|behaviour| behaviour.uidl = false);
}

/// Its answers to DELE and QUIT promise what it does not do.
#[test]
fn that_the_server_keeps_what_it_said_it_had_removed_is_told() {
    for top in [true, false] {
        let maildrop = Maildrop::with(vec![Message::new("lasts", &about("a"))], |behaviour| behaviour.top = top);
        let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting()]);
        let first = env.fetch().expect(0).says("1 deleted on the server");
        assert!(!first.output().contains("again"), "{first:?}");
        for _ in 0..2 {
            maildrop.change(|contents| contents.messages = vec![Message::new("lasts", &about("a"))]);
            env.fetch().expect(0).says("the server lists 1 message again that it said it had removed");
        }
        arrived(&env, &[&about("a")]);
    }
}
