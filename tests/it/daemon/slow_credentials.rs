//! A credential may not arrive: a command, a file or a token server hangs. That is only that account's problem, even
//! for accounts at the same server.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::hung::Disk;
use super::{Daemon, wait_for};
use crate::mail::small_ones;
use crate::program::{Account, TestEnv};
use crate::scripted::maildrop::{Maildrop, PASSWORD};

/// How many accounts have to wait for their credentials. Each may do so for a minute.
const STUCK: usize = 8;

/// A command as TOML.
fn shell(script: &str) -> String {
    format!("[\"sh\", \"-c\", {script:?}]")
}

/// An account whose password is printed by a command.
fn with_command(maildrop: &Maildrop, name: &str, script: &str) -> Account {
    Account::at(maildrop.server.address).named(name).without("password").set("password_command", shell(script))
}

/// Accounts at one server whose commands hang, before one whose command does not and one with a password.
fn accounts(maildrop: &Maildrop) -> Vec<Account> {
    let stuck = (0..STUCK).map(|n| with_command(maildrop, &format!("a{n:02}"), "exec sleep 1000"));
    let good = [
        with_command(maildrop, "prompt", &format!("echo '{PASSWORD}'")),
        Account::at(maildrop.server.address).named("fixed"),
    ];
    stuck.chain(good).map(|account| account.text("interval", "10s")).collect()
}

#[test]
fn commands_that_hang_keep_no_other_account_at_that_server_from_its_polls() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&accounts(&maildrop));
    env.configure_more("\n[daemon]\nconcurrency = 4\nper_host = 2\n");
    let daemon = Daemon::start(&env);
    let polls = |name: &str| daemon.account(name)["polls"]["succeeded"].as_u64().unwrap_or(0);
    let begun = Instant::now();
    wait_for("the others", || polls("fixed") >= 3 && polls("prompt") >= 2);
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    let stuck = (0..STUCK).filter(|n| daemon.account(&format!("a{n:02}"))["state"] == "polling").count();
    assert!(stuck > 4, "{stuck} of them wait for their passwords");
    daemon.end();
}

#[test]
fn commands_that_hang_keep_no_other_account_from_being_fetched() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&accounts(&maildrop));
    env.configure_more("\n[daemon]\nconcurrency = 2\nper_host = 2\n");
    // At a terminal a user might be typing a passphrase.
    let running = env.spawn_under(&["setsid"], &["fetch"]);
    let has_mail = |name: &str| env.maildir(name).exists() && env.mail_of(name).len() == 1;
    wait_for("the others", || has_mail("fixed") && has_mail("prompt"));
    running.signal(Signal::TERM);
    running.wait().expect(143);
}

#[test]
fn password_files_that_hang_keep_no_other_account_at_that_server_from_its_polls() {
    let env = TestEnv::new(&[]);
    let Some(disk) = Disk::make(&env) else { return };
    let maildrop = Maildrop::new(small_ones(1));
    let dir = env.path("vault");
    fs::create_dir(&dir).unwrap();
    let with_file = |n: usize| {
        let file = dir.join(n.to_string());
        fs::write(&file, PASSWORD).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let account = Account::at(maildrop.server.address).named(&format!("a{n}")).without("password");
        account.text("password_file", file.to_str().unwrap())
    };
    let mut accounts: Vec<Account> = (0..4).map(with_file).collect();
    accounts.push(Account::at(maildrop.server.address).named("fixed").text("interval", "10s"));
    env.configure(&accounts);
    env.configure_more("\n[daemon]\nper_host = 1\n");
    disk.hang();
    let daemon = Daemon::start_with(&env, &disk.environment("/vault/"));
    wait_for("the other one", || daemon.account("fixed")["polls"]["succeeded"].as_u64() >= Some(2));
    assert_eq!(maildrop.server.sessions().len(), 2, "none of those that wait has come there");
    disk.answer();
    wait_for("those that had to wait", || {
        (0..4).all(|n| daemon.account(&format!("a{n}"))["polls"]["succeeded"].as_u64() >= Some(1))
    });
    daemon.end();
}
