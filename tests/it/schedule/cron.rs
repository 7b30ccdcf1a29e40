//! `fetch --scheduled`, for cron and timers: a back-off lasts from one run to the next.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::certificates::{Authority, Kind};
use crate::mail::{small, small_ones};
use crate::program::{Account, Outcome, TestEnv};
use crate::scripted::imap::ImapServer;
use crate::scripted::maildrop::{Maildrop, Message, PASSWORD};

fn run(env: &TestEnv) -> Outcome {
    env.run(&["-q", "fetch", "--scheduled"])
}

/// Ends the back-off, as if its time had passed.
fn later(env: &TestEnv) {
    let path = env.path("state/a.hints");
    let hints = fs::read_to_string(&path).unwrap();
    let kept = format!("due_in = {}\n", due_in(env));
    fs::write(&path, hints.replace(&kept, "due_in = 0\n")).unwrap();
}

fn due_in(env: &TestEnv) -> u64 {
    let hints = fs::read_to_string(env.path("state/a.hints")).unwrap();
    hints.lines().find_map(|line| line.strip_prefix("due_in = ")).unwrap().parse().unwrap()
}

#[test]
fn a_refused_password_is_offered_as_seldom_as_by_the_daemon_and_told_once() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address).text("password", "not this one")]);
    assert!(run(&env).expect(77).stderr.starts_with("a: the server refused the login"));
    for _ in 0..5 {
        let left_out = run(&env).expect(0);
        assert_eq!(left_out.output(), "", "no output, and nothing went wrong in this run");
        env.run(&["-q", "fetch", "--scheduled", "--fetchmail-exit-codes"]).expect(1);
    }
    assert_eq!(maildrop.count("AUTH"), 1, "the runs after the first do not log in");
    for hours in [2, 4, 8] {
        later(&env);
        assert_eq!(run(&env).expect(77).output(), "", "the same failure is not reported again");
        let due = due_in(&env);
        assert!((hours * 3600..=hours * 3960 + 1).contains(&due), "{hours} hours: {due} s");
    }
    assert_eq!(maildrop.count("AUTH"), 4);
    // The daemon keeps to the same back-off.
    let daemon = env.spawn(&["daemon"]);
    let status = || env.run(&["status", "--json"]);
    while status().status != 0 || !status().stdout.contains("\"login-refused\"") {
        std::thread::sleep(std::time::Duration::from_millis(50)); // how often to check
    }
    daemon.signal(rustix::process::Signal::TERM);
    daemon.wait().expect(143);
    assert_eq!(maildrop.count("AUTH"), 4);
    // The password is corrected: it is tried at once, and the success is reported.
    env.configure(&[Account::at(maildrop.server.address)]);
    assert_eq!(run(&env).expect(0).output(), "a: it works again\n");
    assert_eq!(run(&env).expect(0).output(), "");
    assert_eq!(env.mail().len(), 1);
}

#[test]
fn a_changed_password_file_is_tried_at_once() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[]);
    let file = env.path("password");
    let write = |password: &str| {
        fs::write(&file, password).unwrap();
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    };
    write("wrong");
    let account = Account::at(maildrop.server.address).without("password");
    env.configure(&[account.text("password_file", file.to_str().unwrap())]);
    run(&env).expect(77);
    run(&env).expect(0);
    write(PASSWORD);
    run(&env).expect(0).says("works again");
    assert_eq!(maildrop.count("AUTH"), 2);
}

#[test]
fn whoever_asks_himself_waits_for_no_back_off_and_a_success_ends_it() {
    let maildrop = Maildrop::with(small_ones(1), |behaviour| {
        behaviour.login_answer = Some("-ERR [AUTH] closed until noon".to_owned());
    });
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    run(&env).expect(77);
    env.fetch().expect(77).says("closed until noon");
    run(&env).expect(0);
    assert_eq!(maildrop.count("AUTH"), 2);
    maildrop.change(|contents| contents.behaviour.login_answer = None);
    env.fetch().expect(0).says("1 new message");
    assert_eq!(run(&env).expect(0).output(), "", "the recovery was seen already");
    assert_eq!(maildrop.count("AUTH"), 4, "and the back-off is over");
}

#[test]
fn a_login_that_worked_before_is_doubted_once_and_a_busy_server_is_not_told_at_once() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    run(&env).expect(0);
    maildrop.change(|contents| contents.behaviour.login_answer = Some("-ERR no".to_owned()));
    assert_eq!(run(&env).expect(77).output(), "");
    later(&env);
    assert!(run(&env).expect(77).stderr.contains("the server refused the login"));
    maildrop.change(|contents| contents.behaviour.login_answer = Some("-ERR [IN-USE] locked".to_owned()));
    later(&env);
    assert_eq!(run(&env).expect(75).output(), "", "it will probably pass by itself");
    maildrop.change(|contents| contents.behaviour.login_answer = None);
    later(&env);
    assert_eq!(run(&env).expect(0).output(), "a: it works again\n");
}

#[test]
fn what_fails_with_one_message_is_told_once() {
    let maildrop = Maildrop::new(small_ones(3));
    maildrop.change(|contents| contents.messages[1].refusal = Some("-ERR cannot open it".to_owned()));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let first = run(&env).expect(1);
    assert_eq!(first.stderr.lines().count(), 1, "{first:?}");
    assert!(first.stderr.contains("u2"), "{first:?}");
    assert_eq!(run(&env).expect(1).output(), "");
    let third = run(&env).expect(1);
    assert!(third.stderr.contains("is in quarantine"), "{third:?}");
    for _ in 0..3 {
        assert_eq!(run(&env).expect(0).output(), "");
    }
}

#[test]
fn an_idle_run_writes_nothing() {
    let maildrop = Maildrop::new(small_ones(2));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    run(&env).expect(0);
    run(&env).expect(0);
    // The lock file names its last holder, for people; nothing else changes.
    let files = || {
        ["state/a.hints", "state/a.uids"].map(|name| {
            let file = env.path(name);
            (fs::metadata(&file).unwrap().modified().unwrap(), fs::read(&file).unwrap())
        })
    };
    let before = files();
    std::thread::sleep(std::time::Duration::from_millis(20)); // so that a write would change the time stamp
    run(&env).expect(0);
    assert!(before == files());
}

#[test]
fn in_the_state_of_another_user_nothing_is_made_and_what_lies_there_is_not_heeded() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let state = env.path("state");
    fs::create_dir(&state).unwrap();
    let there = || fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
    run(&env).expect(73);
    run(&env).expect(73);
    assert!(there().is_empty(), "{:?}", there());
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    // Only root can give a directory away.
    if std::os::unix::fs::chown(&state, Some(12345), Some(12345)).is_ok() {
        run(&env).expect(73);
        assert!(there().is_empty(), "{:?}", there());
        std::os::unix::fs::chown(&state, Some(0), Some(0)).unwrap();
    }
    // A back-off that any user may have written there silences nothing.
    maildrop.change(|contents| contents.behaviour.login_answer = Some("-ERR [AUTH] no".to_owned()));
    run(&env).expect(77);
    fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
    run(&env).expect(73);
}

#[test]
fn what_a_person_has_to_mend_is_told_at_the_first_time_and_once() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[]);
    let file = env.path("password");
    fs::write(&file, PASSWORD).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let account = Account::at(maildrop.server.address).without("password");
    env.configure(&[account.text("password_file", file.to_str().unwrap())]);
    run(&env).expect(78).says("chmod 600");
    later(&env);
    assert_eq!(run(&env).expect(78).output(), "", "the same failure is not reported again");
    // After a `chmod` it is tried at once.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    run(&env).expect(0).says("works again");
    // A lost state.
    fs::remove_file(env.path("state/a.uids")).unwrap();
    run(&env).expect(73).says("--new-state");
    later(&env);
    assert_eq!(run(&env).expect(73).output(), "");
}

#[test]
fn an_untrusted_certificate_is_told_at_the_first_time() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    let maildrop = Maildrop::with(small_ones(1), |behaviour| {
        behaviour.tls = Some(authority.server_config(Kind::Expired));
        behaviour.implicit_tls = true;
    });
    let env = TestEnv::new(&[Account::at(maildrop.server.address).tls("implicit", &authority.ca_file)]);
    run(&env).expect(69).says("certificate");
    later(&env);
    assert_eq!(run(&env).expect(69).output(), "");
}

#[test]
fn what_cannot_be_kept_is_told_in_each_run() {
    let maildrop = Maildrop::with(small_ones(1), |behaviour| {
        behaviour.login_answer = Some("-ERR [IN-USE] locked".to_owned());
    });
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    assert_eq!(run(&env).expect(75).output(), "", "it will probably pass by itself");
    later(&env);
    fs::remove_file(env.path("state/a.hints")).unwrap();
    // A directory in place of the file: not even root can replace it.
    fs::create_dir(env.path("state/a.hints")).unwrap();
    for _ in 0..2 {
        run(&env).expect(75).says("a: ").says("locked");
    }
}

#[test]
fn a_login_that_was_refused_to_a_person_is_not_offered_again_by_cron() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address).text("password", "not this one")]);
    env.fetch().expect(77);
    // Whoever saw it at a terminal may not be the one who reads cron's mail.
    assert!(run(&env).expect(0).stderr.starts_with("a: the server refused the login"));
    assert_eq!(run(&env).expect(0).output(), "", "it was reported");
    assert_eq!(maildrop.count("AUTH"), 1, "and not tried");
    later(&env);
    assert_eq!(run(&env).expect(77).output(), "", "the same failure is not reported again");
    env.configure(&[Account::at(maildrop.server.address)]);
    run(&env).expect(0).says("works again");
}

#[test]
fn a_failure_that_cron_told_nobody_of_ends_without_a_word() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address).text("password", "not this one")]);
    env.fetch().expect(77);
    env.configure(&[Account::at(maildrop.server.address)]);
    assert_eq!(run(&env).expect(0).output(), "");
}

/// Whoever reads cron's mail does not know of a failure that was seen in a run by hand.
#[test]
fn a_destination_that_fails_is_told_to_cron_although_somebody_met_it_by_hand() {
    let (maildrop, server) = (Maildrop::new(small_ones(1)), ImapServer::start());
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting().set("forward", server.forward(""))]);
    run(&env).expect(0);
    server.with(|mailbox| mailbox.login_refusal = Some("NO [UNAVAILABLE] down for today"));
    maildrop.change(|contents| contents.messages.push(Message::new("u2", &small(2))));
    env.fetch().expect(75).says("down for today");
    env.fetch().expect(75).says("down for today");
    assert!(run(&env).expect(75).stderr.starts_with("a: forwarding to "), "that is news to whoever reads cron's mail");
    assert_eq!(run(&env).expect(75).output(), "", "and it was reported");
    server.with(|mailbox| mailbox.login_refusal = None);
    env.fetch().expect(0);
    assert_eq!(run(&env).expect(0).output(), "", "the recovery was seen already");
}
