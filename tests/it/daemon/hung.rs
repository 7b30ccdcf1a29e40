//! A disk that hangs affects the accounts on it, but neither others nor the daemon.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Daemon, wait_for};
use crate::mail::{small, small_ones, small_ones_stored};
use crate::program::{Account, TestEnv, skip};
use crate::scripted::maildrop::{Maildrop, Message, PASSWORD, USER};

/// A disk that hangs as long as a certain file exists.
pub(crate) struct Disk {
    library: PathBuf,
    hangs: PathBuf,
}

impl Disk {
    /// Makes such a disk. None if that is not possible: then the test is skipped.
    pub(crate) fn make(env: &TestEnv) -> Option<Self> {
        let (library, hangs) = (env.path("hang.so"), env.path("hangs"));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/hang.c");
        let made = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl").status();
        if !made.is_ok_and(|status| status.success()) {
            skip("there is no C compiler (Debian package gcc)");
            return None;
        }
        Some(Self { library, hangs })
    }

    pub(crate) fn hang(&self) {
        std::fs::write(&self.hangs, "").unwrap();
    }

    pub(crate) fn answer(&self) {
        std::fs::remove_file(&self.hangs).unwrap();
    }

    /// Returns the environment of a program for which everything below this path is on the disk.
    pub(crate) fn environment<'a>(&'a self, below: &'a str) -> [(&'static str, &'a str); 3] {
        let paths = [("LD_PRELOAD", &self.library), ("HANG_WHILE", &self.hangs)];
        let [preload, hangs] = paths.map(|(name, path)| (name, path.to_str().unwrap()));
        [preload, hangs, ("HANG_BELOW", below)]
    }

    fn start<'a>(&self, env: &'a TestEnv, below: &str) -> Daemon<'a> {
        Daemon::start_with(env, &self.environment(below))
    }
}

/// The number of accounts on a disk that hangs.
const STUCK: usize = 3;

#[test]
fn accounts_on_a_disk_that_hangs_give_their_places_to_others() {
    let env = TestEnv::new(&[]);
    let Some(disk) = Disk::make(&env) else { return };
    let stuck: Vec<Maildrop> = (0..STUCK).map(|_| Maildrop::new(small_ones(2))).collect();
    let good = Maildrop::new(small_ones(2));
    let mut accounts: Vec<Account> = (0..STUCK)
        .map(|n| Account::at(stuck[n].server.address).named(&format!("stuck{n}")).text("interval", "10s"))
        .collect();
    accounts.push(Account::at(good.server.address).named("good").text("interval", "10s"));
    env.configure(&accounts);
    env.configure_more("\n[daemon]\nconcurrency = 1\nper_host = 8\n");
    disk.hang();
    let daemon = disk.start(&env, "/Mail/stuck");
    wait_for("the account on another disk", || daemon.account("good")["total"]["messages"] == 2);
    wait_for("all of the others to hang", || {
        (0..STUCK).all(|n| daemon.account(&format!("stuck{n}"))["state"] == "hung")
    });
    let account = daemon.account("stuck0");
    let since = account["hung_since"].as_i64().unwrap();
    assert!(daemon.status()["now"].as_i64().unwrap() - since >= 15, "{account}");
    env.run(&["status"]).expect(0).says("stuck0  hung: waiting for the disk since ");
    let polls = |maildrop: &Maildrop| maildrop.server.sessions().len();
    let before = polls(&good);
    env.run(&["poll"]).expect(0);
    wait_for("another poll of the good one", || polls(&good) > before);
    assert!(stuck.iter().all(|maildrop| polls(maildrop) == 1), "no second poll of an account whose first one hangs");
    // The disk responds again: everything continues by itself.
    disk.answer();
    for (n, maildrop) in stuck.iter().enumerate() {
        maildrop.change(|contents| contents.messages.push(Message::new("u3", &small(3))));
        let name = format!("stuck{n}");
        wait_for("the mail", || daemon.account(&name)["total"]["messages"] == 3);
        assert_eq!(env.mail_of(&name), small_ones_stored(3));
    }
    let outcome = daemon.end().says("does not respond");
    for n in 0..STUCK {
        let said = outcome.output().matches(&format!("stuck{n}: the disk responds again")).count();
        assert_eq!(said, 1, "{}", outcome.output());
    }
}

#[test]
fn the_end_does_not_wait_for_a_disk_that_hangs_and_nothing_is_lost() {
    let env = TestEnv::new(&[]);
    let Some(disk) = Disk::make(&env) else { return };
    let maildrop = Maildrop::new(small_ones(3));
    env.configure(&[Account::at(maildrop.server.address).deleting()]);
    disk.hang();
    let daemon = disk.start(&env, "/Mail/a");
    wait_for("the account to hang", || daemon.account("a")["state"] == "hung");
    let begun = Instant::now();
    daemon.running.signal(Signal::TERM);
    daemon.running.wait().expect(143);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(maildrop.left().len(), 3, "nothing was deleted");
    disk.answer();
    env.fetch().expect(0);
    assert_eq!(env.mail(), small_ones_stored(3));
}

#[test]
fn a_password_file_that_hangs_keeps_the_daemon_from_nothing() {
    let env = TestEnv::new(&[]);
    let Some(disk) = Disk::make(&env) else { return };
    let (refused, good) = (Maildrop::new(small_ones(1)), Maildrop::new(small_ones(1)));
    let dir = env.path("vault");
    std::fs::create_dir(&dir).unwrap();
    let write = |name: &str, password: &str| {
        let file = dir.join(name);
        std::fs::write(&file, password).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let with_file = |name: &str, file: &str| {
        Account::at(refused.server.address).named(name).without("password").text("password_file", file)
    };
    let (wrong, right) = (write("wrong", "not this one"), write("right", PASSWORD));
    env.configure(&[
        with_file("wrong", &wrong),
        with_file("later", &right).text("interval", "15s").text("username", USER),
        Account::at(good.server.address).named("good").text("interval", "10s"),
    ]);
    let daemon = disk.start(&env, "/vault/");
    wait_for("the refusal", || daemon.account("wrong")["trouble"]["cause"] == "login-refused");
    wait_for("the other one", || daemon.account("later")["total"]["messages"] == 1);
    disk.hang();
    wait_for("a poll that hangs at its password", || daemon.account("later")["state"] == "hung");
    // The daemon checks the file of the refused password twice a minute; it has done so at least once by now, or does
    // so now.
    let polls = good.server.sessions().len();
    wait_for("further polls of the good one", || good.server.sessions().len() >= polls + 2);
    write("wrong", PASSWORD);
    disk.answer();
    wait_for("the changed password to be tried", || daemon.account("wrong")["state"] == "idle");
    wait_for("the other one to go on", || daemon.account("later")["state"] == "idle");
    daemon.end();
}

#[test]
fn a_command_on_a_disk_that_hangs_keeps_nobody_from_anything() {
    let env = TestEnv::new(&[]);
    let Some(disk) = Disk::make(&env) else { return };
    let (stuck, good) = (Maildrop::new(small_ones(1)), Maildrop::new(small_ones(1)));
    let dir = env.path("vault");
    std::fs::create_dir(&dir).unwrap();
    let command = dir.join("password");
    std::fs::write(&command, format!("#!/bin/sh\necho '{PASSWORD}'\n")).unwrap();
    std::fs::set_permissions(&command, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    // More of them than the runtime has threads.
    let many = std::thread::available_parallelism().map_or(1, usize::from) + 1;
    let command = format!("[\"{}\"]", command.display());
    let with_command = |n: usize| {
        let account = Account::at(stuck.server.address).named(&format!("stuck{n}")).without("password");
        account.set("password_command", &command)
    };
    let mut accounts: Vec<Account> = (0..many).map(with_command).collect();
    let account = Account::at(good.server.address).named("good").text("interval", "10s");
    accounts.push(account.set("on_new_mail", &command));
    env.configure(&accounts);
    env.configure_more("\n[daemon]\nper_host = 64\n");
    disk.hang();
    let daemon = disk.start(&env, "/vault/");
    wait_for("the good one", || daemon.account("good")["total"]["messages"] == 1);
    let polls = good.server.sessions().len();
    wait_for("another poll, though the command that tells of the first one hangs", || {
        good.server.sessions().len() > polls
    });
    wait_for("the others to hang", || (0..many).all(|n| daemon.account(&format!("stuck{n}"))["state"] == "hung"));
    disk.answer();
    wait_for("all mail", || (0..many).all(|n| daemon.account(&format!("stuck{n}"))["total"]["messages"] == 1));
    daemon.end();
}

#[test]
fn sockets_on_a_disk_that_hangs_keep_neither_polls_nor_answers_waiting() {
    let env = TestEnv::new(&[]);
    let Some(disk) = Disk::make(&env) else { return };
    let good = Maildrop::new(small_ones(2));
    let account = |name: &str| Account::at(good.server.address).named(name).text("interval", "1h");
    env.configure(&[account("good")]);
    let daemon = disk.start(&env, ".sock");
    wait_for("the first poll", || daemon.account("good")["total"]["messages"] == 2);
    disk.hang();
    let page = env.path("http.sock");
    env.configure(&[account("good"), account("more")]);
    env.configure_more(&format!("\n[daemon]\nhttp = {:?}\n", page.display().to_string()));
    // Both sockets are looked at now.
    daemon.running.signal(Signal::HUP);
    wait_for("the reload", || daemon.account("more")["total"]["messages"] == 2);
    let polls = || good.server.sessions().len();
    let before = polls();
    env.run(&["poll"]).expect(0);
    wait_for("the next poll", || polls() > before);
    env.run(&["status"]).expect(0);
    assert!(!page.exists());
    disk.answer();
    wait_for("the page", || page.exists());
    daemon.end();
}
