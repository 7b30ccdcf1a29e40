//! A poll that makes no progress loses its place to those that wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Daemon, wait_for};
use crate::mail::small_ones;
use crate::program::{Account, TestEnv};
use crate::scripted::maildrop::{Maildrop, Message, USER};
use crate::scripted::{Server, Wire};

/// A server without passwords; `answer` answers the commands behind the login, whose user name it is given.
fn server(answer: impl Fn(&mut Wire, &str, &str) -> Option<()> + Send + Sync + 'static) -> Server {
    Server::start(Arc::new(move |wire: &mut Wire| {
        let mut user = String::new();
        say(wire, "+OK\r\n");
        while let Some(line) = wire.line() {
            let said = match line.split(' ').next().unwrap_or_default() {
                "CAPA" => say(wire, "+OK\r\nUSER\r\nUIDL\r\n.\r\n"),
                "USER" => {
                    user = line.trim_start_matches("USER ").to_owned();
                    say(wire, "+OK\r\n")
                }
                _ => answer(wire, &user, &line),
            };
            if said.is_none() {
                return;
            }
        }
    }))
}

fn say(wire: &mut Wire, text: &str) -> Option<()> {
    wire.send(text.as_bytes())
}

/// A server with one message. Only the honest user gets it; others get it octet by octet, and never completely.
fn dripping() -> Server {
    server(|wire, user, line| match line.split(' ').next().unwrap_or_default() {
        "STAT" => say(wire, "+OK 1 40\r\n"),
        "UIDL" => say(wire, "+OK\r\n1 u1\r\n.\r\n"),
        "LIST" => say(wire, "+OK\r\n1 40\r\n.\r\n"),
        "RETR" if user.contains(USER) => say(wire, "+OK\r\nMessage-ID: <1@x>\r\n\r\nhonest\r\n.\r\n"),
        "RETR" => drip(wire),
        _ => say(wire, "+OK\r\n"),
    })
}

fn drip(wire: &mut Wire) -> Option<()> {
    wire.send(b"+OK\r\n")?;
    loop {
        wire.send(b"x")?;
        std::thread::sleep(Duration::from_millis(200)); // this is what is tested
    }
}

#[test]
fn servers_that_drip_keep_nobody_else_from_its_turn() {
    let drips: Vec<Server> = (0..2).map(|_| dripping()).collect();
    let good = Maildrop::new(small_ones(1));
    let mut accounts: Vec<Account> = (0..2)
        .map(|n| Account::at(drips[n].address).named(&format!("drip{n}")).text("username", "drip").text("auth", "user"))
        .collect();
    accounts.push(Account::at(good.server.address).named("good").text("interval", "10s"));
    let env = TestEnv::new(&accounts);
    env.configure_more("\n[daemon]\nconcurrency = 2\n");
    let daemon = Daemon::start(&env);
    wait_for("both to drip", || drips.iter().all(|drip| drip.count("RETR") == 1));
    let begun = Instant::now();
    wait_for("the honest one", || good.server.sessions().len() >= 2);
    assert!(begun.elapsed() < Duration::from_secs(20), "two polls, 10 s apart, after {:?}", begun.elapsed());
    for n in 0..2 {
        assert_eq!(daemon.account(&format!("drip{n}"))["state"], "polling", "nobody is in anybody's way");
    }
    daemon.end();
}

#[test]
fn who_drips_at_a_server_gives_its_place_there_to_those_who_wait() {
    let server = dripping();
    let env = TestEnv::new(&[
        Account::at(server.address).named("drip").text("username", "drip").text("auth", "user"),
        Account::at(server.address).named("good").text("auth", "user"),
    ]);
    env.configure_more("\n[daemon]\nper_host = 1\n");
    let daemon = Daemon::start(&env);
    // That account waits now; the one that trickles would be polled again.
    wait_for("the drip", || server.count("RETR") > 0);
    env.run(&["poll", "good"]).expect(0);
    let begun = Instant::now();
    while daemon.account("good")["total"]["messages"] != 1 || daemon.account("drip")["state"] != "trouble" {
        assert!(begun.elapsed() < Duration::from_secs(150), "{}", daemon.status());
        std::thread::sleep(Duration::from_millis(100)); // how often to check
    }
    let drip = daemon.account("drip");
    assert_eq!(drip["trouble"]["cause"], "too-slow", "{drip}");
    let pause = drip["next_poll"].as_i64().unwrap() - drip["last_poll"].as_i64().unwrap();
    assert!(pause >= 300, "{drip}");
    daemon.end().says("while other accounts waited");
}

/// How many messages the server of [`lists_slowly`] has.
const LISTED: usize = 1400;

/// A server that lists its messages to one user in some 70 s, and to others an empty maildrop.
fn lists_slowly() -> Server {
    server(|wire, user, line| match line.split(' ').next().unwrap_or_default() {
        "STAT" if user.contains("slow") => say(wire, &format!("+OK {LISTED} {}\r\n", 40 * LISTED)),
        "STAT" => say(wire, "+OK 0 0\r\n"),
        "UIDL" | "LIST" if !user.contains("slow") => say(wire, "+OK\r\n.\r\n"),
        "UIDL" => list_slowly(wire),
        "LIST" => {
            let lines: String = (1..=LISTED).map(|n| format!("{n} 40\r\n")).collect();
            say(wire, &format!("+OK\r\n{lines}.\r\n"))
        }
        "RETR" => say(wire, &format!("+OK\r\nMessage-ID: <{}@x>\r\n\r\n.\r\n", line.trim_start_matches("RETR "))),
        _ => say(wire, "+OK\r\n"),
    })
}

fn list_slowly(wire: &mut Wire) -> Option<()> {
    wire.send(b"+OK\r\n")?;
    for first in (1..=LISTED).step_by(5) {
        let lines: String = (first..first + 5).map(|n| format!("{n} {n:060}\r\n")).collect();
        wire.send(lines.as_bytes())?;
        std::thread::sleep(Duration::from_millis(250)); // this is what is tested
    }
    wire.send(b".\r\n")
}

#[test]
fn a_listing_that_takes_longer_than_a_turn_brings_mail_while_others_wait() {
    let server = lists_slowly();
    let env = TestEnv::new(&[
        Account::at(server.address).named("slow").text("username", "slow").text("auth", "user"),
        Account::at(server.address).named("other").text("auth", "user"),
    ]);
    env.configure_more("\n[daemon]\nper_host = 1\n");
    let daemon = Daemon::start(&env);
    wait_for("the listing", || server.count("UIDL") > 0 && daemon.account("slow")["state"] == "polling");
    env.run(&["poll", "other"]).expect(0);
    let begun = Instant::now();
    while daemon.account("slow")["total"]["messages"] == 0 {
        assert!(begun.elapsed() < Duration::from_secs(150), "{}", daemon.status());
        std::thread::sleep(Duration::from_millis(100)); // how often to check
    }
    assert_eq!(daemon.account("slow")["trouble"], serde_json::Value::Null, "{}", daemon.status());
    daemon.end();
}

#[test]
fn a_reload_gives_nobody_a_place_that_is_taken() {
    let server = dripping();
    let account = |name: &str| Account::at(server.address).named(name).text("auth", "user");
    let env = TestEnv::new(&[]);
    let configure = |good: Account| {
        env.configure(&[account("drip").text("username", "drip"), good]);
        env.configure_more("\n[daemon]\nper_host = 1\n");
    };
    configure(account("good"));
    let daemon = Daemon::start(&env);
    wait_for("the drip", || server.count("RETR") > 0 && daemon.account("drip")["state"] == "polling");
    let elsewhere = env.path("Elsewhere");
    configure(account("good").text("maildir", elsewhere.to_str().unwrap()));
    daemon.running.signal(Signal::HUP);
    wait_for("the reload", || daemon.account("good")["maildir"] == elsewhere.to_str().unwrap());
    env.run(&["poll", "good"]).expect(0);
    assert_eq!(daemon.account("good")["state"], "queued", "{}", daemon.status());
    daemon.end();
}

#[test]
fn a_large_message_on_one_account_does_not_delay_the_small_mail_of_others() {
    let slow = Maildrop::with(vec![Message::large("large", 40_000_000)], |behaviour| behaviour.chunk = Some(200));
    let good = Maildrop::new(small_ones(1));
    let env = TestEnv::in_memory(&[
        Account::at(slow.server.address).named("large"),
        Account::at(good.server.address).named("good").text("interval", "10s"),
    ]);
    env.configure_more("\n[daemon]\nconcurrency = 1\n");
    let daemon = Daemon::start(&env);
    slow.server.wait_until("the large message", |sessions| sessions.iter().any(|session| session.sent > 100_000));
    let begun = Instant::now();
    wait_for("small mail", || daemon.account("good")["total"]["messages"] == 1);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    daemon.end();
}
