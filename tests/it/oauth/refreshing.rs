//! Refreshing access tokens: ahead of time, one at a time, and stored before they are used.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::Stage;
use super::authorization_server::TOKEN_MARK;
use crate::program::{Account, Outcome};

/// Runs a command, which must print no token.
fn fetch(stage: &Stage, args: &[&str]) -> Outcome {
    let outcome = stage.env.run(args);
    assert!(!outcome.output().contains(TOKEN_MARK), "{outcome:?}");
    outcome
}

/// Waits until a condition holds.
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "not so: {what}");
        std::thread::sleep(Duration::from_millis(5)); // how often to check
    }
}

#[test]
fn without_a_sign_in_it_is_said_how_to_make_one() {
    let stage = Stage::new();
    let outcome = fetch(&stage, &["fetch"]).expect(77);
    outcome.says("nobody has signed in to this account yet").says("login a");
    assert!(stage.mailbox.logins().is_empty());
}

#[test]
fn an_access_token_that_has_ended_is_replaced_and_kept() {
    let stage = Stage::signed_in();
    let before = stage.kept().unwrap();
    stage.expire();
    fetch(&stage, &["-vv", "fetch"]).expect(0);
    let after = stage.kept().unwrap();
    assert_ne!(before["access_token"], after["access_token"]);
    assert_eq!(before["refresh_token"], after["refresh_token"], "the server has not replaced it");
    assert_eq!(stage.asked_for("refresh_token"), 1);
    fetch(&stage, &["fetch"]).expect(0);
    assert_eq!(stage.asked_for("refresh_token"), 1, "it is valid for an hour");
}

#[test]
fn a_refresh_token_that_was_replaced_is_kept_before_the_access_token_is_used() {
    let stage = Stage::signed_in();
    stage.server.inside().rotates = true;
    stage.expire();
    let before = stage.kept().unwrap()["refresh_token"].clone();
    // Killed before anything was said to the mail server.
    stage.mailbox.silent.store(true, Ordering::Relaxed);
    let fetch_once = stage.env.spawn(&["fetch"]);
    wait_until("the new refresh token is kept", || stage.kept().unwrap()["refresh_token"] != before);
    fetch_once.signal(Signal::KILL);
    assert_eq!(fetch_once.wait().status, -9);
    stage.mailbox.silent.store(false, Ordering::Relaxed);
    let old = before.as_str().unwrap();
    assert!(!stage.server.inside().refresh.contains(old), "the server no longer accepts the old one");
    fetch(&stage, &["fetch"]).expect(0);
    stage.expire();
    fetch(&stage, &["fetch"]).expect(0);
    assert!(stage.mailbox.logins().iter().all(|good| *good));
}

#[test]
fn a_kill_before_the_answer_loses_nothing() {
    let stage = Stage::signed_in();
    stage.server.inside().slow = Duration::from_secs(5);
    stage.expire();
    let before = stage.kept();
    let fetch_once = stage.env.spawn(&["fetch"]);
    wait_until("a refresh is asked for", || stage.asked_for("refresh_token") == 1);
    fetch_once.signal(Signal::KILL);
    assert_eq!(fetch_once.wait().status, -9);
    assert_eq!(stage.kept(), before);
    // An answer that is only slow is waited for.
    stage.server.inside().slow = Duration::from_secs(1);
    fetch(&stage, &["fetch"]).expect(0);
}

#[test]
fn an_interrupt_lets_a_refresh_under_way_come_to_its_end() {
    let stage = Stage::signed_in();
    {
        let mut inside = stage.server.inside();
        (inside.slow, inside.rotates) = (Duration::from_secs(2), true);
    }
    stage.expire();
    let before = stage.kept().unwrap()["refresh_token"].clone();
    let fetch_once = stage.env.spawn(&["fetch"]);
    wait_until("a refresh is asked for", || stage.asked_for("refresh_token") == 1);
    fetch_once.signal(Signal::TERM);
    fetch_once.wait().expect(143);
    assert_ne!(stage.kept().unwrap()["refresh_token"], before, "the new token is stored");
    stage.server.inside().slow = Duration::ZERO;
    fetch(&stage, &["fetch"]).expect(0);
}

#[test]
fn what_was_revoked_is_not_asked_for_again() {
    let stage = Stage::signed_in();
    stage.server.inside().refresh.clear();
    stage.expire();
    let outcome = fetch(&stage, &["fetch"]).expect(77);
    outcome
        .says("the sign-in of this account has ended: the server answered invalid_grant (by the test [secret])")
        .says("login a");
    assert_eq!(stage.asked_for("refresh_token"), 1);
    fetch(&stage, &["fetch"]).expect(77).says("invalid_grant");
    assert_eq!(stage.asked_for("refresh_token"), 1, "the server is left alone until somebody signs in");
    stage.sign_in(&["login", "a"]).expect(0);
    fetch(&stage, &["fetch"]).expect(0);
}

#[test]
fn a_token_that_the_mail_server_does_not_take_any_more_is_replaced_once() {
    let stage = Stage::signed_in();
    // As if it had been issued some time ago.
    stage.change(|kept| kept["renewed"] = (kept["renewed"].as_i64().unwrap() - 600).into());
    stage.server.inside().access.clear();
    fetch(&stage, &["fetch"]).expect(0);
    assert_eq!(stage.mailbox.logins(), [true, false, true]);
    // A token that was just issued is refused for another reason.
    stage.server.inside().access.clear();
    fetch(&stage, &["fetch"]).expect(77);
    assert_eq!(stage.mailbox.logins(), [true, false, true, false]);
    assert_eq!(stage.asked_for("refresh_token"), 1);
}

#[test]
fn a_server_in_trouble_is_asked_again_within_bounds() {
    let stage = Stage::signed_in();
    stage.expire();
    stage.server.inside().failures.extend([503, 429]);
    fetch(&stage, &["fetch"]).expect(0);
    assert_eq!(stage.asked_for("refresh_token"), 3);
    stage.expire();
    let before = stage.kept();
    stage.server.inside().failures.extend([500, 502, 503]);
    fetch(&stage, &["fetch"]).expect(75).says("cannot answer now (HTTP status 503)");
    assert_eq!(stage.asked_for("refresh_token"), 6);
    assert_eq!(stage.kept(), before);
    // Before it expires, the current token is still good.
    stage.change(|kept| kept["access_expires"] = (kept["renewed"].as_i64().unwrap() + 60).into());
    stage.change(|kept| kept["renewed"] = (kept["renewed"].as_i64().unwrap() - 3600).into());
    stage.server.inside().failures.extend([500, 502, 503]);
    fetch(&stage, &["fetch"]).expect(0).says("The token at hand is used meanwhile");
}

#[test]
fn tokens_of_another_client_or_mailbox_are_not_used() {
    let stage = Stage::signed_in();
    for (field, value, why) in [
        ("username", "someone@example.org", "it was for the mailbox someone@example.org"),
        ("client_id", "another", "another `client_id`"),
        ("token_endpoint", "https://evil.example.org/token", "it was at https://evil.example.org/token"),
    ] {
        let mut before = None;
        stage.change(|kept| before = Some(std::mem::replace(&mut kept[field], value.into())));
        fetch(&stage, &["fetch"]).expect(77).says(why);
        stage.change(|kept| kept[field] = before.unwrap());
    }
    fetch(&stage, &["fetch"]).expect(0);
    assert_eq!(stage.asked_for("refresh_token"), 0);
}

#[test]
fn a_sign_in_wakes_the_daemon_which_tells_of_it() {
    let stage = Stage::new();
    let daemon = stage.env.spawn(&["daemon"]);
    let status = || fetch(&stage, &["status"]).stdout;
    wait_until("the daemon says what it lacks", || status().contains("nobody has signed in to this account yet"));
    stage.sign_in(&["login", "a"]).expect(0).says("a: the daemon polls it now");
    wait_until("mail has come", || stage.env.mail().len() == 1);
    wait_until("the age of the token is told", || status().contains("token         renewed"));
    daemon.signal(Signal::TERM);
    let outcome = daemon.wait();
    assert!(!outcome.output().contains(TOKEN_MARK), "{outcome:?}");
}

/// A sign-in with a fixed end: the status always shows it, and a notification comes in the last quarter.
#[test]
fn the_end_of_a_sign_in_is_told_in_its_last_quarter() {
    let stage = Stage::signed_in();
    let day = 24 * 60 * 60;
    let told = stage.env.path("told");
    let lines = || std::fs::read_to_string(&told).unwrap_or_default();
    let command = format!("[\"sh\", \"-c\", 'echo $MAILFERRY_EVENT $MAILFERRY_TEXT >> {}']", told.display());
    stage.env.configure_more(&format!("\n[notify]\ncommand = {command}\n"));
    let ends_in = |days: i64| {
        stage.change(|kept| {
            let now = kept["renewed"].as_i64().unwrap();
            (kept["signed_in"], kept["refresh_end_is_fixed"]) = ((now - (100 - days) * day).into(), true.into());
            kept["refresh_expires"] = (now + days * day + 60 * 60).into();
        });
    };
    ends_in(60);
    let daemon = stage.env.spawn(&["daemon"]);
    wait_until("mail has come", || stage.env.mail().len() == 1);
    let status = || fetch(&stage, &["status"]).stdout;
    wait_until("the end is told", || status().contains("60 d") && status().contains("unless somebody signs in again"));
    assert_eq!(lines(), "");
    ends_in(20);
    fetch(&stage, &["poll"]).expect(0);
    wait_until("the notification", || lines().starts_with("sign-in a: the sign-in at the provider ends in 20 days"));
    daemon.signal(Signal::TERM);
    daemon.wait().expect(143);
    assert_eq!(lines().lines().count(), 1, "{}", lines());
}

/// Ten accounts whose token endpoint hangs, and one at the same mail server whose access token is valid.
#[test]
fn a_token_endpoint_that_hangs_keeps_no_other_account_from_its_polls() {
    let stage = Stage::signed_in();
    let names: Vec<String> = (0..10).map(|n| format!("a{n}")).chain(["good".to_owned()]).collect();
    let account = |name: &String| {
        let account = Account::at(stage.mailbox.address).named(name).without("password").text("interval", "10s");
        account.text("username", "jo@example.org").set("oauth2", stage.server.settings(""))
    };
    stage.env.configure(&names.iter().map(account).collect::<Vec<_>>());
    stage.env.configure_more("\n[daemon]\nconcurrency = 2\nper_host = 2\n");
    let token = |name: &str| stage.env.path(&format!("state/{name}.token"));
    std::fs::rename(token("a"), token("good")).unwrap();
    let mut ended: Value = serde_json::from_slice(&std::fs::read(token("good")).unwrap()).unwrap();
    ended["access_expires"] = 1.into();
    for name in names.iter().filter(|name| *name != "good") {
        std::fs::write(token(name), ended.to_string()).unwrap();
        std::fs::set_permissions(token(name), Permissions::from_mode(0o600)).unwrap();
    }
    stage.server.inside().slow = Duration::from_secs(600);
    let daemon = stage.env.spawn(&["daemon"]);
    let begun = Instant::now();
    wait_until("two polls of the good one", || stage.mailbox.logins().len() >= 2);
    assert!(begun.elapsed() < Duration::from_secs(25), "no poll waits for these requests: {:?}", begun.elapsed());
    wait_until("several wait at the same time", || stage.asked_for("refresh_token") > 2);
    assert!(stage.mailbox.logins().iter().all(|let_in| *let_in));
    daemon.signal(Signal::TERM);
    daemon.wait();
}

#[test]
fn after_a_sign_in_a_back_off_is_over() {
    let stage = Stage::signed_in();
    stage.server.inside().refresh.clear();
    stage.expire();
    fetch(&stage, &["fetch", "--scheduled"]).expect(77);
    fetch(&stage, &["fetch", "--scheduled"]).expect(0);
    assert_eq!(stage.mailbox.logins(), [true], "the account is skipped");
    // Time stamps are in seconds, so this makes the new sign-in differ from the first one.
    stage.change(|kept| kept["signed_in"] = 1.into());
    fetch(&stage, &["fetch", "--scheduled"]).expect(77);
    stage.sign_in(&["login", "a"]).expect(0);
    fetch(&stage, &["fetch", "--scheduled"]).expect(0);
    assert_eq!(stage.env.mail().len(), 1);
}
