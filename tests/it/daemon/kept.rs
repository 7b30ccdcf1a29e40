//! What survives a reload and a restart: a back-off, and which notifications were sent.

use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::Value;

use super::{Daemon, wait_for};
use crate::mail::small_ones;
use crate::program::{Account, TestEnv};
use crate::scripted::maildrop::{Maildrop, PASSWORD};

/// A password that is refused.
const WRONG: Option<&str> = Some("not this one");

/// Configures an account whose login is refused, and one that works.
fn configure(env: &TestEnv, refusing: &Maildrop, good: &Maildrop, wrong: Option<&str>) -> PathBuf {
    let mut accounts = vec![Account::at(good.server.address).named("good")];
    if let Some(password) = wrong {
        accounts.push(Account::at(refusing.server.address).named("wrong").text("password", password));
    }
    env.configure(&accounts);
    let told = env.path("told");
    let command = format!("[\"sh\", \"-c\", 'echo $MAILFERRY_EVENT $MAILFERRY_ACCOUNT >> {}']", told.display());
    env.configure_more(&format!("\n[notify]\ncommand = {command}\n"));
    told
}

fn lines(told: &PathBuf) -> Vec<String> {
    std::fs::read_to_string(told).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn pause(account: &Value, now: &Value) -> i64 {
    account["next_poll"].as_i64().unwrap() - now.as_i64().unwrap()
}

#[test]
fn a_restart_offers_no_refused_password_again_and_tells_nothing_twice() {
    let (refusing, good) = (Maildrop::new(small_ones(1)), Maildrop::new(small_ones(1)));
    let env = TestEnv::new(&[]);
    let told = configure(&env, &refusing, &good, WRONG);
    for round in 1..=4 {
        let daemon = Daemon::start(&env);
        let polled = good.server.sessions().len();
        env.run(&["poll", "good"]).expect(0);
        wait_for("the good one", || good.server.sessions().len() > polled);
        wait_for("the refusal", || daemon.account("wrong")["state"] == "trouble");
        wait_for("the news", || lines(&told) == ["trouble wrong"]);
        let wrong = daemon.account("wrong");
        assert!(pause(&wrong, &daemon.status()["now"]) > 3500, "{wrong}");
        assert_eq!((&wrong["trouble"]["cause"], &wrong["trouble"]["times"]), (&"login-refused".into(), &1.into()));
        assert!(wrong["trouble"]["text"].as_str().unwrap().contains("Check username and password"), "{wrong}");
        if round == 3 {
            daemon.running.signal(Signal::KILL);
            daemon.running.wait();
        } else {
            daemon.end();
        }
        assert_eq!(refusing.count("AUTH"), 1, "in life {round}");
    }
    // The user corrects it.
    configure(&env, &refusing, &good, Some(PASSWORD));
    let daemon = Daemon::start(&env);
    wait_for("the mail", || daemon.account("wrong")["total"]["messages"] == 1);
    daemon.end().says("works again");
}

#[test]
fn what_is_taken_out_and_put_back_keeps_its_back_off_and_what_was_told() {
    let (refusing, good) = (Maildrop::new(small_ones(1)), Maildrop::new(small_ones(1)));
    let env = TestEnv::new(&[]);
    let told = configure(&env, &refusing, &good, WRONG);
    let daemon = Daemon::start(&env);
    wait_for("the refusal", || daemon.account("wrong")["state"] == "trouble");
    wait_for("the news", || lines(&told).len() == 1);
    let reload = |wrong: Option<&str>| {
        configure(&env, &refusing, &good, wrong);
        daemon.running.signal(Signal::HUP);
        wait_for("the reload", || daemon.account("wrong").is_null() == wrong.is_none());
    };
    for _ in 0..3 {
        reload(None);
        reload(WRONG);
    }
    let wrong = daemon.account("wrong");
    assert_eq!((&wrong["state"], &wrong["trouble"]["times"]), (&"trouble".into(), &1.into()), "{wrong}");
    assert!(pause(&wrong, &daemon.status()["now"]) > 3500, "{wrong}");
    // An account that comes back with changes is polled.
    reload(None);
    reload(Some(PASSWORD));
    wait_for("the mail", || daemon.account("wrong")["total"]["messages"] == 1);
    daemon.end();
    assert_eq!(refusing.count("AUTH"), 2);
    assert_eq!(lines(&told)[0], "trouble wrong");
    assert!(lines(&told).iter().filter(|line| line.starts_with("trouble")).count() == 1, "{:?}", lines(&told));
}

#[test]
fn a_reload_brings_no_login_that_the_server_forbids() {
    let polite = Maildrop::with(small_ones(1), |behaviour| {
        behaviour.capabilities.as_mut().unwrap().push("LOGIN-DELAY 3600".to_owned());
    });
    let other = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[]);
    let at_polite = || Account::at(polite.server.address).named("polite");
    let at_other = |name: &str| Account::at(other.server.address).named(name);
    env.configure(&[at_other("first"), at_polite()]);
    let daemon = Daemon::start(&env);
    wait_for("the mail", || daemon.account("polite")["total"]["messages"] == 1);
    wait_for("the end of the poll", || daemon.account("polite")["state"] == "idle");
    // Each reload has another name for the other account, which shows that it is over.
    let reload = |name: &str, polite: Option<Account>| {
        env.configure(&[at_other(name)].into_iter().chain(polite).collect::<Vec<_>>());
        daemon.running.signal(Signal::HUP);
        wait_for("the reload", || !daemon.account(name).is_null());
    };
    reload("second", None);
    reload("third", Some(at_polite()));
    assert!(pause(&daemon.account("polite"), &daemon.status()["now"]) > 3500, "unchanged");
    reload("fourth", Some(at_polite().text("timeout", "29s")));
    assert!(pause(&daemon.account("polite"), &daemon.status()["now"]) > 3500, "changed");
    reload("fifth", None);
    reload("sixth", Some(at_polite().text("timeout", "28s")));
    assert!(pause(&daemon.account("polite"), &daemon.status()["now"]) > 3500, "removed, changed and put back");
    assert_eq!(polite.count("AUTH"), 1);
    // Whoever asks for it gets it.
    env.run(&["poll", "polite"]).expect(0);
    wait_for("the poll", || polite.count("AUTH") == 2);
    daemon.end();
}

#[test]
fn logins_refused_at_other_ports_hold_up_no_new_account() {
    let (wrong, good) = ([(); 3].map(|()| Maildrop::new(small_ones(1))), Maildrop::new(small_ones(1)));
    let refused = wrong.iter().enumerate().map(|(n, maildrop)| {
        Account::at(maildrop.server.address).named(&format!("wrong{n}")).text("password", "not this one")
    });
    let mut accounts: Vec<Account> = refused.collect();
    let env = TestEnv::new(&[]);
    env.configure(&accounts);
    let daemon = Daemon::start(&env);
    for n in 0..3 {
        wait_for("the refusals", || daemon.account(&format!("wrong{n}"))["state"] == "trouble");
    }
    accounts.push(Account::at(good.server.address).named("good"));
    env.configure(&accounts);
    daemon.running.signal(Signal::HUP);
    wait_for("the mail", || daemon.account("good")["total"]["messages"] == 1);
    daemon.end();
}

#[test]
fn many_reloads_in_a_row_are_one() {
    let (refusing, good) = (Maildrop::new(small_ones(1)), Maildrop::new(small_ones(1)));
    let env = TestEnv::new(&[]);
    configure(&env, &refusing, &good, WRONG);
    let daemon = Daemon::start(&env);
    wait_for("the refusal", || daemon.account("wrong")["state"] == "trouble");
    for _ in 0..200 {
        daemon.running.signal(Signal::HUP);
        std::thread::sleep(std::time::Duration::from_millis(2)); // so that each is a signal of its own
    }
    wait_for("another try", || refusing.server.count("AUTH") == 2);
    wait_for("its end", || daemon.account("wrong")["state"] == "trouble");
    let outcome = daemon.end();
    assert_eq!(outcome.output().matches("was reloaded").count(), 1, "{outcome:#?}");
    assert_eq!(refusing.count("AUTH"), 2);
}

#[test]
fn what_a_fetch_has_met_before_is_told_once_by_the_daemon() {
    let (refusing, good) = (Maildrop::new(small_ones(1)), Maildrop::new(small_ones(1)));
    let env = TestEnv::new(&[]);
    let told = configure(&env, &refusing, &good, WRONG);
    env.run(&["fetch"]).expect(77);
    assert!(lines(&told).is_empty(), "whoever fetches reads it at the terminal");
    for life in 1..=2 {
        let daemon = Daemon::start(&env);
        wait_for("the news", || lines(&told) == ["trouble wrong"]);
        let written = || std::fs::read_to_string(env.path("state/wrong.hints")).unwrap_or_default();
        wait_for("it to be kept", || written().contains("[standing.told.troubles]"));
        daemon.end().says("wrong: from before: the server refused the login");
        assert_eq!(refusing.count("AUTH"), 1, "in life {life}: a restart offers no refused password");
        assert_eq!(lines(&told), ["trouble wrong"], "in life {life}");
    }
}
