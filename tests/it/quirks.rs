//! What servers do beyond the RFCs, and how mailferry handles it: `docs/server-quirks.md`.

use crate::delivered::assert_same_mail;
use crate::mail::{small, small_ones, small_ones_stored};
use crate::program::{Account, TestEnv};
use crate::raw::stored;
use crate::scripted::Faults;
use crate::scripted::dialogue::{self, Step};
use crate::scripted::maildrop::{Maildrop, Message, PASSWORD, USER};

/// The account for this maildrop.
fn account(maildrop: &Maildrop, delete: bool) -> Account {
    let account = Account::at(maildrop.server.address);
    if delete { account.deleting() } else { account }
}

/// Steps in which the client must send each line on the left and gets the text on the right, with LF for CRLF.
fn steps(greeting: &str, conversation: &[(&'static str, &str)], line_end: &str) -> Vec<Step> {
    let send = |text: &str| Step::Send(text.replace('\n', line_end).into_bytes());
    let turns = conversation.iter().flat_map(|(line, answer)| [Step::Expect(line), send(answer)]);
    std::iter::once(send(greeting)).chain(turns).chain([Step::Close]).collect()
}

/// A login by USER and PASS, with these answers to CAPA before and after it.
fn login(before: &'static str, after: &'static str) -> Vec<(&'static str, &'static str)> {
    let (user, pass) = (format!("USER {USER}").leak(), format!("PASS {PASSWORD}").leak());
    vec![("CAPA", before), (user, "+OK\n"), (pass, "+OK\n"), ("CAPA", after)]
}

#[test]
fn numbers_may_have_gaps() {
    let mut conversation = login("-ERR\n", "-ERR\n");
    conversation.extend([
        ("STAT", "+OK 2 39\n"),
        ("UIDL", "+OK\n2 a\n4000000000 b\n.\n"),
        ("LIST", "+OK\n2 19\n4000000000 20\n.\n"),
        ("RETR 2", "+OK\nSubject: 2\n\ntwo\n.\n"),
        ("RETR 4000000000", "+OK\nSubject: 4\n\nfour\n.\n"),
        ("STAT", "+OK 2 39\n"),
        ("QUIT", "+OK\n"),
    ]);
    // Everything was new, so it looks whether there is more.
    let server = dialogue::serve(steps("+OK\n", &conversation, "\r\n"));
    let env = TestEnv::new(&[Account::at(server.address).text("auth", "user")]);
    env.fetch();
    assert_same_mail(&env.mail(), &[b"Subject: 2\n\ntwo\n".to_vec(), b"Subject: 4\n\nfour\n".to_vec()]);
    server.wait_until_idle();
    assert_eq!(server.sessions()[0].mismatch, None);
}

#[test]
fn a_server_may_end_its_lines_by_lf_alone() {
    let mut conversation = login("+OK\nTOP\nUIDL\n.\n", "+OK\nTOP\nUIDL\n.\n");
    conversation.extend([
        ("STAT", "+OK 2 40\n"),
        ("UIDL", "+OK\n1 a\n2 b\n.\n"),
        ("LIST", "+OK\n1 20\n2 20\n.\n"),
        ("RETR 1", "+OK\nSubject: 1\n\n..\n..dot\n.\n"),
        ("RETR 2", "+OK\nSubject: 2\n\ntwo\n.\n"),
        ("STAT", "+OK 2 40\n"),
        ("QUIT", "+OK\n"),
    ]);
    let server = dialogue::serve(steps("+OK\n", &conversation, "\n"));
    let env = TestEnv::new(&[Account::at(server.address).text("auth", "user")]);
    env.fetch();
    assert_same_mail(&env.mail(), &[b"Subject: 1\n\n.\n.dot\n".to_vec(), b"Subject: 2\n\ntwo\n".to_vec()]);
    server.wait_until_idle();
    assert_eq!(server.sessions()[0].mismatch, None);
}

#[test]
fn capabilities_may_be_told_only_after_the_login_or_only_before_it_and_in_lower_case() {
    let full = "+OK\nuser\ntop\nuidl\nPipelining\n.\n";
    for (before, after, then) in [
        ("-ERR\n", full, vec!["STAT", "UIDL", "LIST"]),
        ("+OK\nUSER\n.\n", full, vec!["STAT", "UIDL", "LIST"]),
        // Announced before the login: CAPA is sent again in one flight with the rest, and may be refused then.
        (full, "-ERR\n", vec![]),
    ] {
        let mut conversation = login(before, after);
        let mut turns = Vec::new();
        if then.is_empty() {
            // PASS is sent alone; what follows the login is sent in one flight of four.
            let (_capa, answer) = conversation.pop().unwrap();
            turns = ["CAPA", "STAT", "UIDL", "LIST"].map(Step::Expect).to_vec();
            turns.push(Step::Send(answer.replace('\n', "\r\n").into_bytes()));
        }
        turns.extend(then.into_iter().map(Step::Expect));
        turns.push(Step::Send(b"+OK 1 8\r\n+OK\r\n1 a\r\n.\r\n+OK\r\n1 8\r\n.\r\n".to_vec()));
        turns.extend([Step::Expect("RETR 1"), Step::Send(b"+OK\r\nS: 1\r\n\r\n.\r\n".to_vec())]);
        turns.extend([Step::Expect("STAT"), Step::say("+OK 1 8")]);
        turns.extend([Step::Expect("QUIT"), Step::say("+OK"), Step::Close]);
        let mut all = steps("+OK\n", &conversation, "\r\n");
        all.pop();
        all.extend(turns);
        let server = dialogue::serve(all);
        let env = TestEnv::new(&[Account::at(server.address).text("auth", "user")]);
        env.fetch();
        server.wait_until_idle();
        assert_eq!(server.sessions()[0].mismatch, None, "{before:?} {after:?}");
        assert_same_mail(&env.mail(), &[b"S: 1\n\n".to_vec()]);
    }
}

#[test]
fn unique_ids_may_be_of_any_kind() {
    let longest = "x".repeat(1024);
    let odd = ["with a blank", "sla/sh/../..", "\u{fc}ml\u{e4}ut\u{20ac}", "%", "-", "100%25", &longest];
    for delete in [false, true] {
        let messages: Vec<_> = (1..).zip(odd).map(|(n, uid)| Message::new(uid, &small(n))).collect();
        let maildrop = Maildrop::new(messages);
        let env = TestEnv::new(&[account(&maildrop, false)]);
        env.fetch().expect(0);
        env.fetch().expect(0).says("nothing new");
        assert_same_mail(&env.mail(), &small_ones_stored(odd.len()));
        assert_eq!(maildrop.count("RETR"), odd.len());
        env.configure(&[account(&maildrop, delete)]);
        env.fetch().expect(0);
        assert_eq!(maildrop.left().len(), if delete { 0 } else { odd.len() });
    }
}

#[test]
fn a_unique_id_that_is_longer_than_we_take_is_never_cut() {
    let mut messages = small_ones(3);
    messages[1].uid = "x".repeat(1025);
    let maildrop = Maildrop::new(messages);
    let env = TestEnv::new(&[account(&maildrop, true)]);
    env.fetch().expect(1).says("1 without a unique-id").says("message 2");
    assert_eq!(env.mail().len(), 2);
    assert_eq!(maildrop.left(), ["x".repeat(1025)]);
    maildrop.change(|contents| contents.messages[0].uid = "short".to_owned());
    env.fetch().expect(0);
    assert_same_mail(&env.mail(), &small_ones_stored(3));
}

#[test]
fn an_ok_may_stand_in_front_of_each_line_of_a_listing() {
    let lines = |column: &dyn Fn(usize) -> String| -> String {
        (1..=3).map(|n| format!("+OK {n} {}\r\n", column(n))).collect()
    };
    let unique_ids = format!("+OK\r\n{}.\r\n", lines(&|n| format!("u{n}")));
    let sizes = format!("+OK\r\n{}.\r\n", lines(&|n| small(n).len().to_string()));
    let maildrop = Maildrop::with(small_ones(3), |behaviour| {
        behaviour.answers = vec![("UIDL".to_owned(), unique_ids), ("LIST".to_owned(), sizes)];
    });
    let env = TestEnv::new(&[account(&maildrop, false)]);
    env.fetch().expect(0);
    maildrop.change(|contents| contents.behaviour.answers.clear());
    env.fetch().expect(0).says("nothing new");
    assert_same_mail(&env.mail(), &small_ones_stored(3));
}

#[test]
fn a_plus_err_is_no_success() {
    let mut messages = small_ones(2);
    messages[0].refusal = Some("+ERR it is broken".to_owned());
    let maildrop = Maildrop::new(messages);
    let env = TestEnv::new(&[account(&maildrop, true)]);
    env.fetch().expect(1).says("it is broken");
    assert_eq!((env.mail().len(), maildrop.left()), (1, vec!["u1".to_owned()]));
    let refuse = Some("+ERR who are you".to_owned());
    let maildrop = Maildrop::with(small_ones(1), |behaviour| behaviour.login_answer = refuse);
    TestEnv::new(&[account(&maildrop, false)]).fetch().expect(77).says("who are you");
}

#[test]
fn another_size_under_a_known_unique_id_is_retrieved_once() {
    for top in [true, false] {
        let maildrop = Maildrop::with(small_ones(3), |behaviour| behaviour.top = top);
        let env = TestEnv::new(&[account(&maildrop, false)]);
        env.fetch().expect(0);
        let true_size = small(2).len() as u64;
        for size in [true_size + 2, true_size - 2] {
            maildrop.change(|contents| contents.messages[1].reported_size = Some(size));
            env.fetch().expect(0);
            let counts = ["TOP", "RETR"].map(|command| maildrop.count(command));
            env.fetch().expect(0).says("nothing new");
            assert_eq!(["TOP", "RETR"].map(|command| maildrop.count(command)), counts, "it is settled");
        }
        // It is retrieved once for each of its sizes, and recognised only then: a header shows only a part.
        assert_eq!((maildrop.count("RETR"), env.mail().len()), (5, 3));
    }
}

#[test]
fn a_server_that_takes_away_what_was_retrieved_loses_nothing() {
    // What was retrieved in a session that ended by QUIT is gone.
    let taking = |count| Maildrop::with(small_ones(count), |behaviour| behaviour.window = Some(usize::MAX));
    let maildrop = taking(20);
    let env = TestEnv::new(&[account(&maildrop, false)]);
    env.fetch().expect(0);
    for _ in 0..2 {
        env.fetch().expect(0).says("nothing new");
    }
    maildrop.change(|contents| contents.messages.extend(small_ones(45).split_off(20)));
    env.fetch().expect(0).says("25 new messages");
    assert_same_mail(&env.mail(), &small_ones_stored(45));

    // A session that breaks ends without QUIT: everything is there in the next one.
    let maildrop = taking(20);
    let env = TestEnv::new(&[account(&maildrop, false)]);
    let faults = Faults { cut_after: Some(1500), ..Faults::default() };
    maildrop.change(|contents| contents.behaviour.next_faults = Some(faults));
    env.fetch().expect(75);
    let there = maildrop.change(|contents| contents.messages.iter().filter(|message| !message.popped).count());
    assert_eq!((there, env.mail().len() < 20), (20, true));
    env.fetch().expect(0);
    assert_same_mail(&env.mail(), &small_ones_stored(20));
}

#[test]
fn a_quit_that_is_refused_or_not_answered_has_deleted_nothing_for_us() {
    for answer in ["-ERR some deleted messages not removed\r\n", "+ERR\r\n", ""] {
        let maildrop = Maildrop::with(small_ones(3), |behaviour| {
            behaviour.answers.push(("QUIT".to_owned(), answer.to_owned()));
            if answer.is_empty() {
                behaviour.closes_at = Some("QUIT".to_owned());
            }
        });
        let env = TestEnv::new(&[account(&maildrop, true)]);
        let outcome = env.fetch().expect(if answer.is_empty() { 75 } else { 1 });
        assert!(!outcome.stdout.contains("deleted on the server"), "{outcome:#?}");
        assert_same_mail(&env.mail(), &small_ones_stored(3));
        maildrop.change(|contents| {
            contents.behaviour.answers.clear();
            contents.behaviour.closes_at = None;
        });
        env.fetch().expect(0).says("3 deleted on the server");
        assert!(maildrop.left().is_empty());
        // What the server had agreed to delete is retrieved to be sure, and not delivered again.
        assert_eq!((env.mail().len(), maildrop.count("RETR")), (3, 6));
    }
}

#[test]
fn a_refused_dele_is_told_and_tried_again() {
    let maildrop = Maildrop::with(small_ones(3), |behaviour| {
        behaviour.answers.push(("DELE".to_owned(), "-ERR read-only\r\n".to_owned()));
    });
    let env = TestEnv::new(&[account(&maildrop, true)]);
    for _ in 0..2 {
        env.fetch().expect(1).says("refused to delete 3 messages");
        assert_eq!(maildrop.left().len(), 3);
    }
    maildrop.change(|contents| contents.behaviour.answers.clear());
    env.fetch().expect(0).says("3 deleted on the server");
    assert_same_mail(&env.mail(), &small_ones_stored(3));
    assert_eq!((maildrop.left().len(), maildrop.count("RETR")), (0, 3));
}

#[test]
fn an_answer_that_ends_too_early_costs_no_other_message() {
    // What Dovecot does with a message that begins with a dot, without needing a Dovecot.
    for delete in [false, true] {
        let mut messages = small_ones(3);
        messages[1].refusal = Some("+OK\r\n.\r\nSubject: lost by the server\r\n\r\ntext\r\n.".to_owned());
        let maildrop = Maildrop::new(messages);
        let env = TestEnv::new(&[account(&maildrop, delete)]);
        for _ in 0..4 {
            env.fetch();
        }
        for n in [1, 3] {
            assert_eq!(env.mail().iter().filter(|message| **message == stored(&small(n))).count(), 1);
        }
        assert!(env.mail().len() <= 3, "the beginning of the garbled one is delivered again and again");
        assert_eq!(maildrop.left().len(), if delete { 1 } else { 3 });
        assert!(maildrop.left().contains(&"u2".to_owned()), "what never came was deleted");
    }
}

#[test]
fn what_ended_too_early_is_fetched_whole_once_the_server_is_repaired() {
    // If its listed size is right, it is shorter than listed and not accepted. If the listed size is a lie, a part is
    // stored.
    for (delete, reported_size) in [(false, None), (true, None), (false, Some(0)), (true, Some(0))] {
        let mut messages = small_ones(3);
        messages[1].refusal = Some("+OK\r\n.\r\nSubject: the rest\r\n\r\ntext\r\n.".to_owned());
        messages[1].reported_size = reported_size;
        let maildrop = Maildrop::new(messages);
        let env = TestEnv::new(&[account(&maildrop, delete)]);
        env.fetch().expect(1).says("could not be fetched");
        assert!(reported_size.is_some() || env.mail().len() == 2, "a part of it was stored");
        maildrop.change(|contents| contents.messages.iter_mut().for_each(|message| message.refusal = None));
        env.fetch().expect(0).says("1 new message");
        let mail = env.mail();
        assert!(small_ones_stored(3).iter().all(|message| mail.contains(message)), "{mail:?}");
        if reported_size.is_some() {
            // The others have sizes, so a message without one may be a part.
            assert!(maildrop.left().contains(&"u2".to_owned()));
            env.fetch().expect(0);
        }
        assert_eq!(maildrop.left().len(), if delete { 0 } else { 3 });
    }
}

#[test]
fn a_message_at_which_the_server_always_closes_the_connection_costs_no_other_message() {
    for delete in [false, true] {
        let maildrop = Maildrop::with(small_ones(4), |behaviour| behaviour.closes_at = Some("RETR 2".to_owned()));
        let env = TestEnv::new(&[account(&maildrop, false)]);
        for run in 1..=4 {
            let outcome = env.fetch();
            assert_eq!(outcome.status, if run < 4 { 75 } else { 0 }, "run {run}: {outcome:#?}");
        }
        let mut others = small_ones_stored(4);
        others.retain(|message| *message != stored(&small(2)));
        assert_same_mail(&env.mail(), &others);
        env.fetch().expect(0).says("1 in quarantine");
        env.configure(&[account(&maildrop, delete)]);
        env.fetch().expect(0);
        assert_eq!(maildrop.left().len(), if delete { 1 } else { 4 });
    }
}

#[test]
fn each_message_at_which_a_session_broke_has_a_session_of_its_own() {
    let maildrop = Maildrop::new(small_ones(4));
    let env = TestEnv::new(&[account(&maildrop, false)]);
    for number in [2, 4] {
        maildrop.change(|contents| contents.behaviour.closes_at = Some(format!("RETR {number}")));
        env.fetch().expect(75);
    }
    maildrop.change(|contents| contents.behaviour.closes_at = None);
    maildrop.server.wait_until_idle();
    let before = maildrop.server.sessions().len();
    env.fetch().expect(0).says("2 new messages");
    assert_same_mail(&env.mail(), &small_ones_stored(4));
    maildrop.server.wait_until_idle();
    for session in &maildrop.server.sessions()[before..] {
        let retrieved = session.lines.iter().filter(|line| line.starts_with("RETR")).count();
        assert!(retrieved <= 1, "{:?}", session.lines);
    }
    env.fetch().expect(0).says("nothing new");
}

#[test]
fn a_goodbye_in_the_middle_is_for_later() {
    let goodbye = "-ERR Disconnected for inactivity.\n";
    let listed = [("STAT", "+OK 1 20\n"), ("UIDL", "+OK\n1 a\n.\n"), ("LIST", "+OK\n1 20\n.\n")];
    // In place of an answer, and after one, when nothing was requested.
    for (before, last) in [
        (&listed[..], ("RETR 1", goodbye.to_owned())),
        (&listed[..2], ("LIST", format!("{}{goodbye}", listed[2].1))),
        (&listed[..0], ("STAT", format!("{}{goodbye}", listed[0].1))),
    ] {
        let mut conversation = login("+OK\nUIDL\nTOP\n.\n", "-ERR\n");
        conversation.extend(before);
        conversation.push((last.0, last.1.leak()));
        let server = dialogue::serve(steps("+OK\n", &conversation, "\r\n"));
        let env = TestEnv::new(&[Account::at(server.address).text("auth", "user")]);
        let outcome = env.fetch().expect(75);
        let in_its_place = last.0 == "RETR 1";
        assert!(in_its_place || outcome.output().contains("Disconnected for inactivity"), "{outcome:#?}");
        assert!(env.mail().is_empty());
        assert_eq!(dialogue::first_mismatch(&server), None);
    }
}
