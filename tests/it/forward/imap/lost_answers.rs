//! Answers that are lost: each message arrives once all the same.

use std::time::Duration;

use super::*;
use crate::scripted::imap::{Naming, Stored, Unreadable};

#[test]
fn a_lost_answer_costs_a_look_and_no_copy() {
    for uidplus in [true, false] {
        let (maildrop, server) = (Maildrop::new(small_ones(6)), ImapServer::start());
        if !uidplus {
            take_uidplus(&server);
        }
        server.faults(&[Fault::None, Fault::LoseAnswer, Fault::None, Fault::LoseAnswer]);
        let env = TestEnv::new(&[to(&maildrop, &server, ", connections = 1")]);
        env.fetch().expect(75);
        assert_eq!(maildrop.left().len(), 6, "nothing is deleted before its answer");
        all_arrive(&env, &maildrop, &server, 6);
        let commands = server.with(|mailbox| mailbox.commands.clone());
        assert!(!commands.iter().any(|command| command.contains("SEARCH")), "{commands:?}");
    }
}

/// The server has received what was in flight when the connection broke, but has not stored all of it when the next
/// pass looks.
#[test]
fn what_an_earlier_connection_left_and_is_stored_late_is_not_appended_again() {
    for uidplus in [true, false] {
        let (maildrop, server) = (Maildrop::new(small_ones(6)), ImapServer::start());
        if !uidplus {
            take_uidplus(&server);
        }
        server.faults(&[Fault::None, Fault::StoreLate(Duration::from_millis(2500))]);
        let env = TestEnv::new(&[to(&maildrop, &server, "")]);
        env.fetch().expect(75);
        assert!(server.mail().len() < 6, "the server is slow");
        env.fetch().expect(0);
        all_arrive(&env, &maildrop, &server, 6);
        // What was appended again too early would be there before what comes late.
        crate::program::wait_for("the server to be done", || !server.with(|mailbox| mailbox.is_busy()));
        assert_same_mail(&server.mail(), &small_on_the_wire(6));
    }
}

/// A signal ends the wait for messages that may be stored late at once.
#[test]
fn who_waits_for_what_may_be_stored_late_can_be_interrupted() {
    let (maildrop, server) = (Maildrop::new(small_ones(3)), ImapServer::start());
    server.faults(&[Fault::CutLiteral(3)]);
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(75);
    let before = server.with(|mailbox| mailbox.commands.len());
    let running = env.spawn(&["forward"]);
    let looks = |mailbox: &mut crate::scripted::imap::Mailbox| {
        mailbox.commands[before..].iter().filter(|command| command.starts_with("SELECT")).count()
    };
    crate::program::wait_for("another look", || server.with(looks) > 1);
    running.signal(rustix::process::Signal::TERM);
    running.wait().expect(143);
    assert!(server.mail().is_empty(), "one look is not enough to append again");
    env.fetch().expect(0);
    all_arrive(&env, &maildrop, &server, 3);
}

/// So many other messages of its size come meanwhile that not all are looked at.
#[test]
fn a_message_is_looked_for_right_after_those_that_were_there_before_it() {
    let (maildrop, server) = (Maildrop::new(small_ones(1)), ImapServer::start());
    server.faults(&[Fault::LoseAnswer]);
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(75);
    let ours = on_the_wire(&small(1));
    for n in 0..1100 {
        let mut other = ours.clone();
        let end = other.len() - 6;
        other.splice(end..end + 4, format!("{n:04}").into_bytes());
        store(&server, &other);
    }
    env.fetch().expect(0);
    env.fetch().expect(0);
    assert_eq!(server.mail().iter().filter(|one| **one == ours).count(), 1);
    assert!(maildrop.left().is_empty());
}

/// The message may be one of those that are not looked at, so it is not appended again.
#[test]
fn a_message_that_may_be_among_too_many_waits() {
    let (maildrop, server) = (Maildrop::new(small_ones(1)), ImapServer::start());
    server.faults(&[Fault::CutLiteral(3)]);
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(75);
    let ours = on_the_wire(&small(1));
    for _ in 0..1001 {
        store(&server, &vec![b'x'; ours.len()]);
    }
    env.fetch();
    assert_eq!((server.mail().len(), maildrop.left().len()), (1001, 1));
}

/// A reader moves away what has arrived, while the server hangs at a later message and the process is killed.
#[test]
fn what_was_answered_is_written_down_while_the_server_hangs() {
    let (maildrop, server) = (Maildrop::new(small_ones(6)), ImapServer::start());
    server.with(|mailbox| mailbox.hangs = Some(b"<3@example.org>"));
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    let running = env.spawn(&["fetch"]);
    let journal = env.path("state/a.forward");
    let arrived = || {
        let text = std::fs::read_to_string(&journal).unwrap_or_default();
        text.lines().filter(|line| line.split(' ').any(|word| word == "J")).count()
    };
    crate::program::wait_for("two records", || arrived() == 2);
    running.signal(rustix::process::Signal::KILL);
    running.wait();
    server.with(|mailbox| {
        mailbox.hangs = None;
        mailbox.messages.clear();
    });
    env.fetch().expect(0).says("4 forwarded");
    assert_eq!(server.mail().len(), 4);
}

#[test]
fn the_same_bytes_twice_are_two_messages_even_if_answers_are_lost() {
    for lost in 0..4 {
        let twin = |n: usize| Message::new(&format!("u{n}"), &small(1));
        let (maildrop, server) = (Maildrop::new((1..=4).map(twin).collect()), ImapServer::start());
        let mut faults = vec![Fault::None; lost];
        faults.push(Fault::LoseAnswer);
        server.faults(&faults);
        let env = TestEnv::new(&[to(&maildrop, &server, ", connections = 1")]);
        for _ in 0..4 {
            env.fetch();
        }
        assert_same_mail(&server.mail(), &vec![on_the_wire(&small(1)); 4]);
        assert!(maildrop.left().is_empty());
    }
}

#[test]
fn a_link_that_breaks_in_the_middle_of_a_literal_leaves_nothing_behind() {
    let large = [small(1), vec![b'x'; 30_000], b"\r\n".to_vec()].concat();
    for cut in [0, 1, 20_000] {
        let (maildrop, server) = (Maildrop::new(vec![Message::new("u1", &large)]), ImapServer::start());
        server.faults(&[Fault::CutLiteral(cut)]);
        let env = TestEnv::new(&[to(&maildrop, &server, "")]);
        env.fetch().expect(75);
        assert!(server.mail().is_empty() && maildrop.left().len() == 1);
        env.fetch().expect(0);
        env.fetch().expect(0);
        assert_same_mail(&server.mail(), &[on_the_wire(&large)]);
        assert!(maildrop.left().is_empty());
    }
}

#[test]
fn a_message_that_goes_to_another_mailbox_after_a_lost_answer_is_appended_there() {
    let (maildrop, server, other) = (Maildrop::new(small_ones(1)), ImapServer::start(), ImapServer::start());
    // The same bytes are already there, from elsewhere.
    store(&other, &on_the_wire(&small(1)));
    server.faults(&[Fault::LoseAnswer]);
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(75);
    env.configure(&[to(&maildrop, &other, "")]);
    env.fetch().expect(0);
    env.fetch().expect(0);
    assert_eq!((server.mail().len(), other.mail().len(), maildrop.left().len()), (1, 2, 0));
}

/// Several messages of the same size may have the same header and different bodies.
#[test]
fn a_message_with_the_same_header_and_size_is_not_taken_for_one_whose_answer_was_lost() {
    let (maildrop, server) = (Maildrop::new(small_ones(1)), ImapServer::start());
    server.faults(&[Fault::CutLiteral(20)]);
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(75);
    // Another client stores such a message meanwhile.
    let ours = on_the_wire(&small(1));
    let mut other = ours.clone();
    let last = other.iter().rposition(u8::is_ascii_alphanumeric).unwrap();
    other[last] = if other[last] == b'x' { b'y' } else { b'x' };
    store(&server, &other);
    env.fetch().expect(0);
    env.fetch().expect(0);
    let mut both = vec![ours, other];
    both.sort();
    assert_same_mail(&server.mail(), &both);
    assert!(maildrop.left().is_empty());
}

/// Whatever UIDs a server reports, no message is lost.
#[test]
fn the_same_bytes_twice_are_two_messages_even_if_the_server_names_wrong_uids_or_none() {
    let namings =
        [Naming::Nothing, Naming::Always(1), Naming::TooHigh(2), Naming::OtherValidity, Naming::Garbage, Naming::Right];
    let six_twins = |naming, lost| {
        let twin = |n: usize| Message::new(&format!("u{n}"), &small(1));
        let (maildrop, server) = (Maildrop::new((1..=6).map(twin).collect()), ImapServer::start());
        server.with(|mailbox| mailbox.naming = naming);
        // The connection breaks before one is stored; all after it are sent again.
        let mut faults = vec![Fault::None; lost];
        faults.push(Fault::CutLiteral(3));
        server.faults(&faults);
        let env = TestEnv::new(&[to(&maildrop, &server, ", connections = 2")]);
        for _ in 0..4 {
            env.fetch();
        }
        let there = server.mail().len();
        assert!(there >= 6 && maildrop.left().is_empty(), "{naming:?}, {lost}: {there} of 6 are there");
        assert!(there == 6 || naming != Naming::Right, "{naming:?}, {lost}: {there} are there");
    };
    // In parallel: in each case a run waits five seconds for messages that may still arrive.
    std::thread::scope(|scope| {
        for naming in namings {
            (1..6).for_each(|lost| _ = scope.spawn(move || six_twins(naming, lost)));
        }
    });
}

/// The server has not stored the message of one account when another account forwards the same bytes.
#[test]
fn the_message_of_another_account_is_not_taken_for_one_whose_answer_was_lost() {
    for (fault, copies) in [(Fault::CutLiteral(3), 2), (Fault::LoseAnswer, 2)] {
        let (maildrop, other, server) =
            (Maildrop::new(small_ones(1)), Maildrop::new(small_ones(1)), ImapServer::start());
        server.faults(&[fault]);
        let env = TestEnv::new(&[to(&maildrop, &server, ""), to(&other, &server, "").named("b")]);
        env.run(&["fetch", "a"]).expect(75);
        env.run(&["fetch", "b"]).expect(0);
        env.run(&["fetch", "a"]).expect(0);
        env.fetch().expect(0);
        assert_same_mail(&server.mail(), &vec![on_the_wire(&small(1)); copies]);
        assert!(maildrop.left().is_empty() && other.left().is_empty());
    }
}

#[test]
fn a_server_that_estimates_sizes_gets_no_message_twice() {
    for error in [2, -1, 700] {
        let (maildrop, server) = (Maildrop::new(small_ones(4)), ImapServer::start());
        server.with(|mailbox| mailbox.size_error = error);
        let env = TestEnv::new(&[to(&maildrop, &server, ", connections = 1")]);
        for _ in 0..3 {
            server.faults(&[Fault::LoseAnswer, Fault::LoseAnswer]);
            env.fetch();
        }
        server.faults(&[]);
        all_arrive(&env, &maildrop, &server, 4);
    }
}

/// Nothing shows that the stored message is ours, so it is appended again, but not for ever.
#[test]
fn where_the_server_changes_the_bytes_lost_answers_cost_a_few_copies_at_most() {
    let (maildrop, server) = (Maildrop::new(small_ones(1)), ImapServer::start());
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    for _ in 0..8 {
        server.faults(&[Fault::LoseAnswer]);
        env.fetch();
        server.with(|mailbox| {
            let changed = |message: &mut Stored| {
                if !message.bytes.ends_with(b"\r\nchanged\r\n") {
                    message.bytes.extend_from_slice(b"\r\nchanged\r\n");
                }
            };
            mailbox.messages.iter_mut().for_each(changed);
        });
    }
    assert_eq!((server.mail().len(), maildrop.left().len()), (3, 1));
    env.fetch().expect(1).says("with its header and other bytes");
}

/// The copy of a message that was forwarded and then forgotten is not taken for its twin.
#[test]
fn the_twin_of_a_message_that_was_forwarded_long_ago_is_not_taken_for_that() {
    for is_made_anew in [false, true] {
        let (maildrop, server) = (Maildrop::new(small_ones(1)), ImapServer::start());
        server.with(|mailbox| mailbox.tells_next = is_made_anew);
        let env = TestEnv::new(&[to(&maildrop, &server, "")]);
        env.fetch().expect(0);
        env.fetch().expect(0);
        maildrop.change(|contents| contents.messages.push(Message::new("twin", &small(1))));
        server.faults(&[Fault::CutLiteral(3)]);
        env.fetch().expect(75);
        server.with(|mailbox| mailbox.validity += u32::from(is_made_anew));
        env.fetch().expect(0);
        env.fetch().expect(0);
        assert_eq!((server.mail().len(), maildrop.left().len()), (2, 0), "{is_made_anew}");
    }
}

#[test]
fn an_answer_without_the_messages_that_are_there_shows_nothing() {
    let (maildrop, server) = (Maildrop::new(small_ones(1)), ImapServer::start());
    server.faults(&[Fault::LoseAnswer]);
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(75);
    server.with(|mailbox| mailbox.shows_nothing = true);
    for _ in 0..2 {
        env.fetch().expect(76).says("OK without the last of 1 messages");
    }
    server.with(|mailbox| mailbox.shows_nothing = false);
    all_arrive(&env, &maildrop, &server, 1);
}

/// The unreadable message may be the one that is looked for, so that one waits, and no other.
#[test]
fn a_message_that_cannot_be_looked_at_holds_no_other() {
    for how in [Unreadable::IsRefused, Unreadable::EndsTheConnection] {
        let (maildrop, server) = (Maildrop::new(small_ones(3)), ImapServer::start());
        take_uidplus(&server);
        server.faults(&[Fault::CutLiteral(3)]);
        let env = TestEnv::new(&[to(&maildrop, &server, "")]);
        env.fetch().expect(75);
        store(&server, b"Subject: foreign\r\n\r\nx\r\n");
        server.with(|mailbox| mailbox.unreadable = Some((b"foreign", how)));
        env.fetch().expect(1).says("2 forwarded, 1 waits in the spool");
        assert_eq!(server.mail().len(), 3, "{how:?}");
        more(&maildrop, 4);
        env.fetch().expect(1);
        assert_eq!((server.mail().len(), maildrop.left().len()), (4, 2), "{how:?}");
        server.with(|mailbox| {
            mailbox.unreadable = None;
            mailbox.messages.retain(|message| !message.bytes.starts_with(b"Subject: foreign"));
        });
        all_arrive(&env, &maildrop, &server, 4);
    }
}
