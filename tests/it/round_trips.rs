//! How often a poll waits for the server, and that what is remembered about a server to save such waiting does no harm
//! when it is wrong.

use std::fs;
use std::time::{Duration, Instant};

use crate::delivered::assert_same_mail;
use crate::mail::{small, small_ones, small_ones_stored};
use crate::program::{Account, TestEnv};
use crate::scripted::Session;
use crate::scripted::maildrop::{Behaviour, Maildrop, Message};

/// The sessions so far, all of which have ended.
fn sessions(maildrop: &Maildrop) -> Vec<Session> {
    maildrop.server.wait_until_idle();
    maildrop.server.sessions()
}

/// The last session.
fn last(maildrop: &Maildrop) -> Session {
    sessions(maildrop).pop().unwrap()
}

/// The commands of a session without their arguments.
fn commands(session: &Session) -> Vec<&str> {
    session.lines.iter().map(|line| line.split(' ').next().unwrap()).collect()
}

/// A maildrop of some messages that were fetched, and the home.
fn fetched(count: usize, change: impl FnOnce(&mut Behaviour)) -> (Maildrop, TestEnv) {
    let maildrop = Maildrop::with(small_ones(count), change);
    let env = TestEnv::in_memory(&[Account::at(maildrop.server.address)]);
    env.fetch().expect(0);
    assert_same_mail(&env.mail(), &small_ones_stored(count));
    (maildrop, env)
}

#[test]
fn a_first_poll_takes_five_round_trips_and_an_idle_one_three() {
    let (maildrop, env) = fetched(200, |_| {});
    let session = last(&maildrop);
    assert_eq!(commands(&session)[..6], ["CAPA", "AUTH", "CAPA", "STAT", "UIDL", "LIST"]);
    // CAPA, AUTH, the listings, all RETRs, QUIT.
    assert!(session.flights >= 5, "{}", session.flights);
    env.fetch().expect(0).says("nothing new");
    let session = last(&maildrop);
    assert_eq!(commands(&session), ["AUTH", "CAPA", "STAT", "UIDL", "LIST", "QUIT"]);
    assert_eq!(session.flights, 3);
    // The same listing again is recognised, and needs no sizes.
    env.fetch().expect(0).says("nothing new");
    let session = last(&maildrop);
    assert_eq!(commands(&session), ["AUTH", "CAPA", "STAT", "UIDL", "QUIT"]);
    assert_eq!(session.flights, 3);
    assert_eq!(sessions(&maildrop).len(), 3, "one session each");
    // The program counts them itself.
    let json = env.run(&["fetch", "--json"]).expect(0);
    let report: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(report["round_trips"], 3, "{report}");
}

/// An account that has fetched some messages and then polled without anything new, before more arrive.
fn with_new(known: usize, new: usize, settings: impl FnOnce(Account) -> Account) -> (Maildrop, TestEnv) {
    let maildrop = Maildrop::new(small_ones(known));
    let env = TestEnv::in_memory(&[settings(Account::at(maildrop.server.address))]);
    env.fetch().expect(0);
    (0..2).for_each(|_| _ = env.fetch().expect(0).says("nothing new"));
    assert!(!commands(&last(&maildrop)).contains(&"LIST"), "at rest no size is asked for");
    maildrop.change(|contents| contents.messages.extend(small_ones(known + new).split_off(known)));
    (maildrop, env)
}

#[test]
fn new_mail_takes_four_round_trips_and_its_sizes_come_beside_it() {
    let (maildrop, env) = with_new(3, 2, |account| account);
    env.fetch().expect(0).says("2 new messages");
    let session = last(&maildrop);
    let asked: Vec<&str> = session.lines.iter().skip(1).map(String::as_str).collect();
    let retrieved = ["LIST 4", "RETR 4", "LIST 5", "RETR 5", "STAT"];
    assert_eq!(asked, [&["CAPA", "STAT", "UIDL"][..], &retrieved, &["QUIT"]].concat());
    assert_eq!(session.flights, 4);
    assert_same_mail(&env.mail(), &small_ones_stored(5));
    // The look after it is complete, and the sizes are those that it lists.
    env.fetch().expect(0).says("nothing new");
    assert_eq!(commands(&last(&maildrop)), ["AUTH", "CAPA", "STAT", "UIDL", "LIST", "QUIT"]);
    env.fetch().expect(0).says("nothing new");
    assert_eq!(commands(&last(&maildrop)), ["AUTH", "CAPA", "STAT", "UIDL", "QUIT"]);
}

#[test]
fn new_mail_among_thousands_takes_no_more() {
    // More than the part of a listing that is compared to recognise it.
    let (maildrop, env) = with_new(6_000, 1, |account| account);
    env.fetch().expect(0).says("1 new message");
    let session = last(&maildrop);
    assert_eq!(commands(&session), ["AUTH", "CAPA", "STAT", "UIDL", "LIST", "RETR", "STAT", "QUIT"]);
    assert_eq!(session.flights, 4);
}

#[test]
fn where_mail_is_deleted_a_round_trip_more_marks_it() {
    let (maildrop, env) = with_new(1, 2, Account::deleting);
    env.fetch().expect(0).says("2 new messages");
    let session = last(&maildrop);
    let first = ["AUTH", "CAPA", "STAT", "UIDL", "LIST", "RETR", "LIST", "RETR", "STAT"];
    assert_eq!(commands(&session), [&first[..], &["DELE", "DELE", "QUIT"]].concat());
    assert_eq!(session.flights, 5);
    assert!(maildrop.left().is_empty());
}

#[test]
fn all_sizes_come_first_where_they_decide_something() {
    type Case = (&'static str, usize, fn(Account) -> Account);
    let cases: [Case; 2] = [
        ("much is new", 65, |account| account),
        ("a limit on sizes", 1, |account| account.text("max_message_size", "1 MB")),
    ];
    for (what, new, settings) in cases {
        let (maildrop, env) = with_new(3, new, settings);
        env.fetch().expect(0);
        let session = last(&maildrop);
        assert_eq!(commands(&session)[..6], ["AUTH", "CAPA", "STAT", "UIDL", "LIST", "RETR"], "{what}");
        assert_eq!(session.lines[4], "LIST", "{what}");
        assert_same_mail(&env.mail(), &small_ones_stored(3 + new));
    }
    // One of the known messages is gone.
    let (maildrop, env) = with_new(3, 1, |account| account);
    maildrop.change(|contents| _ = contents.messages.remove(0));
    env.fetch().expect(0).says("1 new message");
    assert!(last(&maildrop).lines.iter().any(|line| line == "LIST"), "{:?}", last(&maildrop).lines);
}

#[test]
fn a_message_that_is_exchanged_while_new_mail_comes_is_found_by_the_look_behind_it() {
    let (maildrop, env) = with_new(3, 1, |account| account);
    let another = Message::new("u1", &[&small(1)[..], b"and more\r\n"].concat());
    maildrop.change(|contents| contents.messages[0] = another);
    env.fetch().expect(0).says("1 new message");
    env.fetch().expect(0).says("1 new message");
    assert_eq!(env.mail().len(), 5);
    env.fetch().expect(0).says("nothing new");
}

#[test]
fn a_message_that_is_exchanged_is_found_though_the_new_one_cannot_be_had() {
    let (maildrop, env) = with_new(3, 1, |account| account);
    let another = Message::new("u1", &[&small(1)[..], b"and more\r\n"].concat());
    maildrop.change(|contents| {
        contents.messages[0] = another;
        contents.behaviour.answers = vec![("RETR 4".to_owned(), "-ERR not now\r\n".to_owned())];
    });
    (0..3).for_each(|_| _ = env.fetch());
    assert_eq!(env.mail().len(), 4, "the other one under the known unique-id");
}

#[test]
fn a_server_that_counts_anew_is_asked_for_a_unique_id_behind_the_sizes() {
    let (maildrop, env) = with_new(3, 2, |account| account);
    maildrop.change(|contents| contents.behaviour.stat_after_retr = Some("+OK 5 1".to_owned()));
    env.fetch().expect(0).says("2 new messages");
    let session = last(&maildrop);
    assert!(session.lines.ends_with(&["STAT", "UIDL 5", "QUIT"].map(str::to_owned)), "{:?}", session.lines);
    assert_same_mail(&env.mail(), &small_ones_stored(5));
}

#[test]
fn a_server_that_does_not_tell_the_size_of_one_message_is_asked_for_all_from_then_on() {
    for answer in ["-ERR not so\r\n", "+OK 9 5\r\n", "+OK\r\n", "+OK\r\n4 5\r\n.\r\n"] {
        for delete in [false, true] {
            let settings = |account: Account| if delete { account.deleting() } else { account };
            let (known, number) = if delete { (1, 1) } else { (3, 4) };
            let (maildrop, env) = with_new(known, 2, settings);
            let answers = vec![(format!("LIST {number}"), answer.to_owned())];
            maildrop.change(|contents| contents.behaviour.answers = answers);
            env.fetch();
            let is_kept = maildrop.left().contains(&format!("u{}", known + 1));
            assert!(is_kept || !answer.starts_with('-'), "of unknown size it is not deleted");
            env.fetch().expect(0);
            env.fetch().expect(0).says("nothing new");
            assert_same_mail(&env.mail(), &small_ones_stored(known + 2));
            assert_eq!(maildrop.left().len(), if delete { 0 } else { 5 }, "{answer:?}");
            // It is known now.
            env.fetch().expect(0).says("nothing new");
            maildrop.change(|contents| contents.messages.extend(small_ones(known + 3).pop()));
            env.fetch().expect(0).says("1 new message");
            assert!(last(&maildrop).lines.iter().any(|line| line == "LIST"), "{answer:?}");
            assert_same_mail(&env.mail(), &small_ones_stored(known + 3));
        }
    }
}

#[test]
fn a_server_that_closes_the_connection_at_the_question_for_one_size_is_asked_for_all_from_then_on() {
    let (maildrop, env) = with_new(3, 1, |account| account);
    maildrop.change(|contents| contents.behaviour.closes_at = Some("LIST 4".to_owned()));
    env.fetch().expect(75);
    env.fetch().expect(0);
    env.fetch().expect(0).says("nothing new");
    assert_same_mail(&env.mail(), &small_ones_stored(4));
    env.fetch().expect(0).says("nothing new");
    maildrop.change(|contents| {
        contents.behaviour.closes_at = Some("LIST 5".to_owned());
        contents.messages.extend(small_ones(5).pop());
    });
    env.fetch().expect(0).says("1 new message");
    assert_same_mail(&env.mail(), &small_ones_stored(5));
}

#[test]
fn user_and_pass_leave_in_one_flight() {
    let only_user = |behaviour: &mut Behaviour| behaviour.capabilities = Some(vec!["USER".to_owned()]);
    let (maildrop, env) = fetched(3, only_user);
    env.fetch().expect(0).says("nothing new");
    let session = last(&maildrop);
    assert_eq!(commands(&session), ["USER", "PASS", "CAPA", "STAT", "UIDL", "LIST", "QUIT"]);
    assert_eq!(session.flights, 3);
}

#[test]
fn without_pipelining_each_command_waits() {
    let (maildrop, env) = fetched(3, |behaviour| behaviour.pipelining = false);
    env.fetch().expect(0).says("nothing new");
    let session = last(&maildrop);
    assert_eq!((session.flights, session.pipelined), (session.lines.len(), 0));
}

#[test]
fn a_login_that_is_not_offered_any_more_is_replaced() {
    let (maildrop, env) = fetched(3, |behaviour| behaviour.capabilities = Some(vec!["SASL PLAIN".to_owned()]));
    maildrop.change(|contents| {
        contents.behaviour.capabilities = Some(vec!["USER".to_owned()]);
        contents.behaviour.answers = vec![("AUTH".to_owned(), "-ERR unknown command\r\n".to_owned())];
    });
    env.fetch().expect(0).says("nothing new");
    assert_eq!(commands(&last(&maildrop))[..4], ["AUTH", "CAPA", "USER", "PASS"]);
    // That was learned.
    env.fetch().expect(0).says("nothing new");
    assert_eq!(commands(&last(&maildrop))[..2], ["CAPA", "USER"]);
    env.fetch().expect(0).says("nothing new");
    assert_eq!(commands(&last(&maildrop))[..3], ["USER", "PASS", "CAPA"]);
}

#[test]
fn a_wrong_password_is_offered_once_from_memory_as_well() {
    let (maildrop, env) = fetched(3, |_| {});
    env.configure(&[Account::at(maildrop.server.address).text("password", "not this one")]);
    env.fetch().expect(77);
    let session = last(&maildrop);
    assert_eq!(commands(&session), ["AUTH"], "what was refused is not offered again");
}

#[test]
fn a_server_that_announces_less_after_the_login_is_asked_again() {
    let (maildrop, env) = fetched(3, |_| {});
    maildrop.change(|contents| contents.behaviour.pipelining = false);
    env.fetch().expect(0).says("nothing new");
    env.fetch().expect(0).says("nothing new");
    let session = last(&maildrop);
    assert_eq!((commands(&session)[0], session.pipelined), ("CAPA", 0), "{:?}", session.lines);
}

#[test]
fn hints_that_are_damaged_or_gone_cost_a_round_trip_and_no_more() {
    let (maildrop, env) = fetched(3, |_| {});
    let hints = env.path("state/a.hints");
    // How many sizes were right is learned from new messages only.
    let of_the_server = || -> Vec<String> {
        let all = fs::read_to_string(&hints).unwrap();
        let lines = all.split("[past]").next().unwrap().lines();
        lines.filter(|line| !line.starts_with("sizes_exact")).map(str::to_owned).collect()
    };
    let whole = fs::read_to_string(&hints).unwrap();
    let good = of_the_server();
    for damaged in ["", "\0\0\0\0", whole.get(..12).unwrap()] {
        fs::write(&hints, damaged).unwrap();
        env.fetch().expect(0).says("nothing new");
        assert_eq!(commands(&last(&maildrop))[0], "CAPA");
        assert_eq!(of_the_server(), good, "they are gathered again");
    }
    fs::remove_file(&hints).unwrap();
    env.fetch().expect(0).says("nothing new");
    env.fetch().expect(0).says("nothing new");
    assert_eq!(commands(&last(&maildrop))[0], "AUTH");
}

#[test]
fn a_server_that_cannot_bear_what_it_announces_is_noticed_and_remembered() {
    let mut first = true;
    let maildrop = Maildrop::with(small_ones(5), |behaviour| {
        behaviour.most_ahead = Some(0);
        behaviour.capabilities = Some(vec!["SASL PLAIN".to_owned()]);
    });
    let env = TestEnv::in_memory(&[Account::at(maildrop.server.address)]);
    for sessions_in_all in [2, 4, 5, 6] {
        env.fetch().expect(0).says(if first { "5 new messages" } else { "nothing new" });
        first = false;
        // Each of the first two polls tries it, notices, and continues in another session; the others know.
        assert_eq!(sessions(&maildrop).len(), sessions_in_all);
    }
    assert_eq!(last(&maildrop).pipelined, 0);
    assert_same_mail(&env.mail(), &small_ones_stored(5));
}

/// LOGIN-DELAY of a server whose first session with us broke: short ones are waited for, others left to the next poll.
#[test]
fn a_session_that_broke_while_listing_is_no_reason_to_log_in_too_soon() {
    for (delay, statuses, sessions_in_all) in [(1, [0, 0], [2, 4]), (31, [75, 0], [1, 2])] {
        let maildrop = Maildrop::with(small_ones(2), |behaviour| {
            behaviour.most_ahead = Some(0);
            behaviour.capabilities = Some(vec!["SASL PLAIN".to_owned(), format!("LOGIN-DELAY {delay}")]);
        });
        let env = TestEnv::in_memory(&[Account::at(maildrop.server.address)]);
        for (status, in_all) in statuses.into_iter().zip(sessions_in_all) {
            let begun = Instant::now();
            env.fetch().expect(status);
            assert_eq!(sessions(&maildrop).len(), in_all, "LOGIN-DELAY {delay}");
            assert!(status != 0 || delay > 1 || begun.elapsed() >= Duration::from_secs(1), "it did not wait");
        }
        // What could not be tried in the same poll is tried in the next one.
        assert_eq!(last(&maildrop).pipelined, 0);
        assert_same_mail(&env.mail(), &small_ones_stored(2));
    }
}

#[test]
fn a_server_that_breaks_only_at_retrievals_sent_ahead_is_noticed_as_well() {
    // The server tolerates the listings.
    let maildrop = Maildrop::with(small_ones(6), |behaviour| behaviour.most_ahead = Some(3));
    let env = TestEnv::in_memory(&[Account::at(maildrop.server.address)]);
    let statuses: Vec<i32> = (0..4).map(|_| env.fetch().status).collect();
    assert_eq!(statuses.last(), Some(&0), "{statuses:?}");
    assert_same_mail(&env.mail(), &small_ones_stored(6));
    for n in 1..=6 {
        assert_eq!(maildrop.retrieved(&format!("u{n}")), 1, "u{n}");
    }
}
