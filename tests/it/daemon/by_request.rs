//! Users who ask the daemon about an account, or for its poll, are told what prevents it.

use std::fs;

use super::{Daemon, wait_for};
use crate::mail::small_ones;
use crate::program::{Account, TestEnv};
use crate::scripted::maildrop::Maildrop;
use crate::terminal::Terminal;

#[test]
fn an_account_that_a_console_holds_is_not_in_trouble() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let daemon = Daemon::start(&env);
    wait_for("the first poll", || {
        daemon.account("a")["total"]["messages"] == 1 && daemon.account("a")["state"] == "idle"
    });
    let (mut terminal, mut running) = Terminal::start(&env, 80, &[], &["console", "a"]);
    terminal.wait_for("a> ");
    env.run(&["poll", "a"]).expect(0);
    wait_for("the poll that finds it held", || daemon.account("a")["state"] == "held");
    let account = daemon.account("a");
    assert!(account["trouble"].is_null() && account["held"]["text"].as_str().unwrap().contains("(mailferry console"));
    let next = account["next_poll"].as_i64().unwrap() - account["last_poll"].as_i64().unwrap();
    assert!((59..=90).contains(&next), "{account}");
    let shown = env.run(&["status", "--check"]).expect(0);
    shown
        .says("1 account: 0 well, 1 in use by another mailferry")
        .says("a: in use by another mailferry")
        .says("in use        for");
    // A repeated request is answered with the reason why the poll may not happen.
    env.run(&["poll", "a"]).expect(0).says("a: will be polled now").says("in use by process");
    terminal.type_in("QUIT\r");
    wait_for("the end", || !running.is_running());
    daemon.poll("a");
    assert!(daemon.account("a")["held"].is_null());
    let log = daemon.end();
    assert!(!log.output().contains("WARN") && !log.output().contains("works again"), "{log:#?}");
}

#[test]
fn who_waits_for_mail_of_an_account_in_trouble_is_told_so() {
    let refusing = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(refusing.server.address).text("password", "not this one")]);
    let daemon = Daemon::start(&env);
    wait_for("the refusal", || daemon.account("a")["state"] == "trouble");
    let outcome = env.run(&["poll", "--for", "10m", "a"]).expect(0);
    for words in [
        "a: will be polled now, and often until 2",
        "a: its polls have failed for ",
        "refused the login",
        "Check username and password",
        "If this one fails, too, the next is in 60 min; it is polled often only once a poll has succeeded",
    ] {
        assert!(outcome.output().contains(words), "{words}: {outcome:#?}");
    }
    wait_for("another try", || refusing.server.count("AUTH") == 2);
    daemon.end();
}

#[test]
fn an_account_that_the_daemon_does_not_have_is_told_with_the_reason() {
    let maildrop = Maildrop::new(small_ones(1));
    let account = |name: &str| Account::at(maildrop.server.address).named(name);
    let (work, off) = (account("work"), account("off").set("enabled", false));
    let env = TestEnv::new(&[work.clone(), off.clone()]);
    let daemon = Daemon::start(&env);
    for command in ["poll", "status"] {
        let disabled = env.run(&[command, "off"]).expect(64);
        disabled.says("the account `off` is disabled in").says("fetch off");
        env.run(&[command, "wrok"]).expect(64).says("there is no account `wrok` in").says("did you mean `work`?");
    }
    // The known account is polled nevertheless.
    env.run(&["poll", "work", "wrok"]).expect(64).says("work: will be polled now").says("did you mean `work`?");
    env.configure(&[work, off, account("new")]);
    env.run(&["poll", "new"]).expect(64).says("does not have the account `new` yet").says("Reload the daemon (SIGHUP)");
    // Another configuration with the same state directory: to reload the daemon would not help.
    let other = env.path("other.toml");
    fs::copy(env.path("config.toml"), &other).unwrap();
    let state = env.path("state");
    for command in ["poll", "status"] {
        let args = ["--config", other.to_str().unwrap(), "--state-dir", state.to_str().unwrap(), command, "new"];
        let outcome = env.spawn_plain(&[], &args).wait().expect(64);
        outcome.says("the daemon polls the accounts of ").says("and `new` is not one of them");
    }
    env.configure_more("[accounts.broken\n");
    env.run(&["poll", "new"]).expect(64).says("the configuration has errors").says("check --offline");
    daemon.end();
}

#[test]
fn a_daemon_that_has_nothing_to_poll_says_so() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address).set("enabled", "false")]);
    let daemon = Daemon::start(&env);
    daemon.end().says("no account is enabled; remove `enabled = false`");
}
