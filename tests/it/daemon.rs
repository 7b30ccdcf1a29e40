//! The daemon, run as systemd or a user would run it: it polls, reloads, reports what it does, and ends in order.

mod browser;
mod by_request;
mod crowd;
mod devtools;
mod forwarding;
pub(crate) mod hung;
mod kept;
mod log;
mod monitoring;
mod overview;
mod page;
mod places;
mod slow_credentials;
mod told;

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::certificates::{Authority, Kind};
use crate::delivered::assert_same_mail;
use crate::leaks::assert_no_secret;
use crate::mail::{small, small_ones, small_ones_stored};
use crate::program::{Account, Running, TestEnv, wait_for};
use crate::scripted::Faults;
use crate::scripted::maildrop::{Maildrop, Message};

/// The maximum time to wait for anything, even on a slow machine.
const TIME_LIMIT: Duration = Duration::from_secs(40);

/// A daemon in its home directory.
struct Daemon<'a> {
    env: &'a TestEnv,
    running: Running,
}

impl<'a> Daemon<'a> {
    /// Starts a daemon and waits until it answers.
    fn start(env: &'a TestEnv) -> Self {
        Self::start_with(env, &[])
    }

    fn start_with(env: &'a TestEnv, environment: &[(&str, &str)]) -> Self {
        let running = env.spawn_with(environment, &["daemon"]);
        let daemon = Self { env, running };
        wait_for("the daemon", || daemon.env.run(&["status"]).status == 0);
        daemon
    }

    /// Returns its status.
    fn status(&self) -> Value {
        let outcome = self.env.run(&["status", "--json"]).expect(0);
        assert_no_secret(outcome.stdout.as_bytes());
        serde_json::from_str(&outcome.stdout).unwrap()
    }

    /// Returns its status of one account.
    fn account(&self, name: &str) -> Value {
        let status = self.status();
        let accounts = status["accounts"].as_array().unwrap();
        accounts.iter().find(|account| account["account"] == name).cloned().unwrap_or(Value::Null)
    }

    /// Polls an account and waits until that poll has ended.
    fn poll(&self, name: &str) {
        let polls = || self.account(name)["last_poll"].clone();
        self.env.run(&["poll", name]).expect(0).says(name);
        wait_for("the poll", || self.account(name)["state"] == "idle" && polls() != Value::Null);
    }

    /// Ends the daemon by SIGTERM.
    fn end(self) -> crate::program::Outcome {
        self.running.signal(Signal::TERM);
        self.running.wait().expect(143)
    }
}

#[test]
fn it_polls_by_itself_and_when_asked() {
    let maildrop = Maildrop::new(small_ones(2));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let daemon = Daemon::start(&env);
    wait_for("the first poll", || daemon.account("a")["total"]["messages"] == 2);
    maildrop.change(|contents| contents.messages.push(Message::new("u3", &small(3))));
    daemon.poll("a");
    wait_for("new mail", || daemon.account("a")["total"]["messages"] == 3);
    let account = daemon.account("a");
    assert_eq!((&account["today"]["messages"], &account["on_server"]), (&3.into(), &3.into()), "{account}");
    assert!(account["next_poll_why"].as_str().unwrap().contains("as configured"), "{account}");
    daemon.end().says("2 new messages").says("1 new message");
    assert_same_mail(&env.mail(), &small_ones_stored(3));
}

#[test]
fn while_mail_is_awaited_it_polls_often_and_says_until_when() {
    let (awaited, other) = (Maildrop::new(small_ones(1)), Maildrop::new(small_ones(1)));
    let accounts = [awaited.server.address, other.server.address];
    let env = TestEnv::new(&[Account::at(accounts[0]).named("awaited"), Account::at(accounts[1]).named("other")]);
    let daemon = Daemon::start(&env);
    wait_for("the first polls", || {
        daemon.account("awaited")["last_poll"].is_i64() && daemon.account("other")["last_poll"].is_i64()
    });
    assert!(daemon.account("awaited")["often_until"].is_null());
    env.run(&["poll", "--for", "10m", "awaited"]).expect(0).says("awaited: will be polled now, and often until 2");
    wait_for("the plan", || daemon.account("awaited")["next_poll_why"].to_string().contains("is waiting for mail"));
    let (now, account) = (daemon.status()["now"].as_i64().unwrap(), daemon.account("awaited"));
    let left = account["often_until"].as_i64().unwrap() - now;
    assert!((540..=601).contains(&left), "{account}");
    assert!(account["next_poll"].as_i64().unwrap() - now <= 18, "{account}");
    assert!(daemon.account("other")["often_until"].is_null());
    env.run(&["status"]).expect(0).says("  often         until 2").says(", for another ");
    // Mail arrives, and nobody asks for another poll.
    awaited.change(|contents| contents.messages.push(Message::new("code", &small(2))));
    wait_for("the code", || daemon.account("awaited")["total"]["messages"] == 2);
    for (time, why) in [("2h", "at most \"1h\""), ("59s", "at least \"1m\""), ("ten", "not a duration")] {
        env.run(&["poll", "--for", time]).expect(64).says(why);
    }
    daemon.end();
}

#[test]
fn an_interval_with_bounds_is_learnt_over_a_restart() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address).text("interval", "1m..15m")]);
    let hints = || std::fs::read_to_string(env.path("state/a.hints")).unwrap_or_default();
    for round in 1..=2 {
        let daemon = Daemon::start(&env);
        wait_for("the plan", || {
            daemon.account("a")["next_poll_why"].to_string().contains("arrival times are being learned")
        });
        let (now, account) = (daemon.status()["now"].as_i64().unwrap(), daemon.account("a"));
        let wait = account["next_poll"].as_i64().unwrap() - now;
        assert!((50..=900).contains(&wait), "{account}");
        maildrop.change(|contents| contents.messages.push(Message::new(&format!("more{round}"), &small(1 + round))));
        daemon.poll("a");
        wait_for("the mail", || daemon.account("a")["total"]["messages"] == 1 + round);
        daemon.end();
        assert!(hints().contains(&format!("counted = {round}")), "{}", hints());
    }
}

#[test]
fn signal_usr1_asks_for_all_accounts() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let daemon = Daemon::start(&env);
    wait_for("the first poll", || daemon.account("a")["total"]["messages"] == 1);
    maildrop.change(|contents| contents.messages.push(Message::new("u2", &small(2))));
    daemon.running.signal(Signal::USR1);
    wait_for("new mail", || daemon.account("a")["total"]["messages"] == 2);
    daemon.end();
}

#[test]
fn without_a_daemon_it_is_said_where_was_looked() {
    let env = TestEnv::new(&[Account::at(([127, 0, 0, 1], 9).into())]);
    for command in ["status", "poll"] {
        env.run(&[command]).expect(75).says("no daemon is running").says("state/control.sock");
    }
}

#[test]
fn a_second_daemon_is_refused_with_the_process_of_the_first() {
    let env = TestEnv::new(&[Account::at(([127, 0, 0, 1], 9).into())]);
    let daemon = Daemon::start(&env);
    let pid = daemon.running.pid();
    env.run(&["daemon"]).expect(75).says(&format!("process {pid}"));
    assert_eq!(daemon.status()["pid"], pid, "the first one goes on");
    daemon.end();
    // What a killed daemon leaves behind does not prevent a start.
    let killed = Daemon::start(&env);
    killed.running.signal(Signal::KILL);
    killed.running.wait();
    Daemon::start(&env).end();
}

#[test]
fn a_failure_is_told_with_the_next_step_and_holds_up_nobody() {
    let stalled = Maildrop::with(small_ones(1), |behaviour| {
        behaviour.next_faults = Some(Faults { stall_after: Some(0), ..Faults::default() });
    });
    let (good, refusing) = (Maildrop::new(small_ones(3)), Maildrop::new(small_ones(1)));
    let env = TestEnv::new(&[
        Account::at(stalled.server.address).named("silent"),
        Account::at(refusing.server.address).named("wrong").text("password", "not this one"),
        Account::at(good.server.address).named("good"),
    ]);
    let daemon = Daemon::start(&env);
    wait_for("the good one", || daemon.account("good")["total"]["messages"] == 3);
    wait_for("the refusal", || daemon.account("wrong")["state"] == "trouble");
    let wrong = daemon.account("wrong");
    assert_eq!(wrong["trouble"]["cause"], "login-refused", "{wrong}");
    let pause = wrong["next_poll"].as_i64().unwrap() - wrong["last_poll"].as_i64().unwrap();
    assert!(pause >= 3600 && wrong["next_poll_why"].as_str().unwrap().contains("refused the login"), "{wrong}");
    // The first polls are spread out a little, so this one may be the last to begin.
    wait_for("the poll that gets no answer", || daemon.account("silent")["state"] == "polling");
    env.run(&["status"]).expect(0).says("wrong: in trouble").says("Check username and password");
    let tries = || refusing.server.count("AUTH");
    assert_eq!(tries(), 1, "the account is not hammered");
    // A poll that is asked for is another try.
    env.run(&["poll", "wrong"]).expect(0);
    wait_for("another try", || tries() == 2);
    env.run(&["poll", "nobody"]).expect(64).says("nobody");
    stalled.server.release();
    daemon.end();
}

#[test]
fn a_changed_configuration_is_taken_over_as_a_whole_or_not_at_all() {
    let (one, two) = (Maildrop::new(small_ones(1)), Maildrop::new(small_ones(2)));
    let env = TestEnv::new(&[Account::at(one.server.address).named("one")]);
    let daemon = Daemon::start(&env);
    wait_for("the first poll", || daemon.account("one")["total"]["messages"] == 1);
    env.write_config("[accounts.two]\nhost = \n", 0o600);
    daemon.running.signal(Signal::HUP);
    wait_for("the refusal", || daemon.status()["config_problem"].is_string());
    assert_eq!(daemon.account("one")["account"], "one");
    env.configure(&[Account::at(two.server.address).named("two").text("host", "localhost")]);
    daemon.running.signal(Signal::HUP);
    wait_for("the new account", || daemon.account("two")["total"]["messages"] == 2);
    assert_eq!((daemon.account("one"), &daemon.status()["config_problem"]), (Value::Null, &Value::Null));
    daemon.end().says("was refused").says("was reloaded");
}

#[test]
fn a_reload_breaks_no_session() {
    let maildrop = Maildrop::with(small_ones(3), |behaviour| {
        behaviour.next_faults = Some(Faults { stall_after: Some(400), ..Faults::default() });
    });
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let daemon = Daemon::start(&env);
    maildrop.server.wait_until_stalled(1);
    env.configure(&[Account::at(maildrop.server.address).text("interval", "1h")]);
    daemon.running.signal(Signal::HUP);
    assert_eq!(daemon.account("a")["state"], "polling");
    maildrop.server.release();
    wait_for("the mail", || daemon.account("a")["total"]["messages"] == 3);
    daemon.end();
    assert!(maildrop.server.sessions()[0].quit, "the session that ran was ended in order");
    assert_same_mail(&env.mail(), &small_ones_stored(3));
}

#[test]
fn systemd_is_told_what_happens() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let path = env.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(TIME_LIMIT)).unwrap();
    let heard = |wanted: &str| {
        let mut buffer = [0; 4096];
        loop {
            let count = socket.recv(&mut buffer).unwrap_or_else(|e| panic!("{wanted} is not told: {e}"));
            let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
            if text.lines().any(|line| line == wanted) {
                return text;
            }
        }
    };
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "400000")];
    let daemon = Daemon::start_with(&env, &environment);
    assert!(heard("READY=1").contains("STATUS=1 account,"));
    heard("WATCHDOG=1");
    daemon.running.signal(Signal::HUP);
    assert!(heard("RELOADING=1").contains("MONOTONIC_USEC="));
    heard("READY=1");
    // A daemon that hangs does not report to be alive.
    daemon.running.signal(Signal::STOP);
    socket.set_read_timeout(Some(Duration::from_millis(1500))).unwrap();
    while socket.recv(&mut [0; 4096]).is_ok() {}
    daemon.running.signal(Signal::CONT);
    socket.set_read_timeout(Some(TIME_LIMIT)).unwrap();
    heard("WATCHDOG=1");
    daemon.running.signal(Signal::TERM);
    heard("STOPPING=1");
    daemon.running.wait().expect(143);
}

#[test]
fn systemd_that_does_not_listen_stops_nothing_and_is_told_later() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let path = env.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let filling = UnixDatagram::unbound().unwrap();
    filling.set_nonblocking(true).unwrap();
    while filling.send_to(b"filling", &path).is_ok() {}
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "400000")];
    let daemon = Daemon::start_with(&env, &environment);
    wait_for("the mail", || env.mail().len() == 1);
    env.run(&["status"]).expect(0);
    socket.set_read_timeout(Some(TIME_LIMIT)).unwrap();
    let mut buffer = [0; 4096];
    let mut heard = || {
        let count = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    };
    while !heard().contains("READY=1") {}
    while !heard().contains("WATCHDOG=1") {}
    while filling.send_to(b"filling", &path).is_ok() {}
    let begun = Instant::now();
    daemon.end();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn the_end_in_a_large_download_is_bounded_and_the_next_start_completes_it() {
    let mut messages = small_ones(2);
    messages.push(Message::large("large", 4_000_000));
    let maildrop = Maildrop::with(messages, |behaviour| {
        behaviour.next_faults = Some(Faults { stall_after: Some(1_000_000), ..Faults::default() });
    });
    let env = TestEnv::in_memory(&[Account::at(maildrop.server.address).deleting()]);
    let daemon = Daemon::start(&env);
    maildrop.server.wait_until_stalled(1);
    let begun = Instant::now();
    daemon.end();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_same_mail(&env.mail(), &small_ones_stored(2));
    let daemon = Daemon::start(&env);
    wait_for("the rest", || maildrop.left().is_empty());
    daemon.end();
    assert_eq!(env.mail().len(), 3);
    assert!(env.tmp().is_empty());
    assert_eq!((maildrop.retrieved("u1"), maildrop.retrieved("large")), (1, 1));
}

#[test]
fn a_fetch_beside_it_takes_turns() {
    let maildrop = Maildrop::with(small_ones(3), |behaviour| {
        behaviour.next_faults = Some(Faults { stall_after: Some(400), ..Faults::default() });
    });
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let daemon = Daemon::start(&env);
    maildrop.server.wait_until_stalled(1);
    let pid = daemon.running.pid();
    env.fetch().expect(75).says(&format!("process {pid} (mailferry daemon)"));
    let waiting = env.spawn(&["fetch", "--wait"]);
    maildrop.server.release();
    waiting.wait().expect(0);
    daemon.end();
    assert_same_mail(&env.mail(), &small_ones_stored(3));
    assert_eq!(maildrop.retrieved("u1"), 1);
}

#[test]
fn a_changed_password_file_is_tried_again() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[]);
    let file = env.path("password");
    let write = |password: &str| {
        std::fs::write(&file, password).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    };
    write("wrong at first");
    let address = maildrop.server.address;
    let text = format!(
        "[accounts.a]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nusername = \"{}\"\npassword_file = \"{}\"\n\
         maildir = \"{}\"\n",
        address.port(),
        crate::scripted::maildrop::USER,
        file.display(),
        env.maildir("a").display()
    );
    env.write_config(&text, 0o600);
    let daemon = Daemon::start(&env);
    wait_for("the refusal", || daemon.account("a")["state"] == "trouble");
    write(crate::scripted::maildrop::PASSWORD);
    wait_for("the mail", || daemon.account("a")["total"]["messages"] == 1);
    daemon.end().says("has changed");
}

#[test]
fn log_lines_for_machines_have_fields() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let running = env.spawn(&["--log-format", "json", "daemon"]);
    let daemon = Daemon { env: &env, running };
    wait_for("the mail", || env.run(&["status"]).output().contains("1 message"));
    let outcome = daemon.end();
    let lines: Vec<Value> = outcome.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let polled = lines.iter().find(|line| line["event"] == "polled").unwrap();
    assert_eq!((&polled["account"], &polled["host"], &polled["new"]), (&"a".into(), &"127.0.0.1".into(), &1.into()));
}

#[test]
fn a_quiet_one_says_what_is_wrong_and_nothing_else() {
    let maildrop = Maildrop::new(small_ones(1));
    let nobody = Account::at(([127, 0, 0, 1], 9).into()).named("nobody");
    let env = TestEnv::new(&[Account::at(maildrop.server.address), nobody]);
    let daemon = Daemon { env: &env, running: env.spawn(&["--quiet", "daemon"]) };
    wait_for("the failure", || env.run(&["status"]).output().contains("nobody: in trouble"));
    wait_for("the mail", || daemon.account("a")["total"]["messages"] == 1);
    let outcome = daemon.end();
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    assert!(matches!(lines[..], [one] if one.contains("nobody: cannot connect")), "{outcome:?}");
}

#[test]
fn people_are_told_of_changes_and_not_of_every_poll() {
    let maildrop = Maildrop::with(small_ones(2), |behaviour| {
        behaviour.login_answer = Some("-ERR [AUTH] closed until further notice".to_owned());
    });
    let env = TestEnv::new(&[]);
    let told = env.path("told");
    let command = |words: &str| format!("[\"sh\", \"-c\", 'echo {words} >> {}']", told.display());
    let account = Account::at(maildrop.server.address);
    env.configure(&[account.set("on_new_mail", command("$MAILFERRY_EVENT $MAILFERRY_ACCOUNT $MAILFERRY_COUNT"))]);
    env.configure_more(&format!("\n[notify]\ncommand = {}\n", command("$MAILFERRY_EVENT $MAILFERRY_TEXT")));
    let daemon = Daemon::start(&env);
    let lines = || std::fs::read_to_string(&told).unwrap_or_default();
    wait_for("the failure", || lines().contains("trouble a: the server refused the login"));
    for tries in [2, 3] {
        env.run(&["poll"]).expect(0);
        wait_for("another try", || maildrop.server.count("AUTH") == tries);
    }
    wait_for("its end", || daemon.account("a")["state"] == "trouble");
    assert_eq!(lines().lines().count(), 1, "{}", lines());
    maildrop.change(|contents| contents.behaviour.login_answer = None);
    env.run(&["poll"]).expect(0);
    wait_for("the recovery", || lines().contains("recovered") && lines().contains("new-mail a 2"));
    daemon.end();
    assert_eq!(lines().lines().count(), 3, "{}", lines());
    assert_no_secret(lines().as_bytes());
}

#[test]
fn people_are_told_that_a_certificate_is_about_to_expire() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    let maildrop = Maildrop::with(small_ones(1), |behaviour| {
        behaviour.tls = Some(authority.server_config(Kind::Expiring));
        behaviour.implicit_tls = true;
    });
    let env = TestEnv::new(&[Account::at(maildrop.server.address).tls("implicit", &authority.ca_file)]);
    let told = env.path("told");
    let command = format!("[\"sh\", \"-c\", 'echo $MAILFERRY_EVENT $MAILFERRY_TEXT >> {}']", told.display());
    env.configure_more(&format!("\n[notify]\ncommand = {command}\n"));
    let daemon = Daemon::start(&env);
    let lines = || std::fs::read_to_string(&told).unwrap_or_default();
    wait_for("the warning", || lines().starts_with("certificate a: the certificate of localhost expires in "));
    daemon.poll("a");
    daemon.end();
    assert_eq!(lines().lines().count(), 1, "told once: {}", lines());
}

#[test]
fn what_a_long_poll_has_brought_is_told_meanwhile() {
    let large = [small(2), b"text of a long message\r\n".repeat(4000)].concat();
    let messages = vec![Message::new("u1", &small(1)), Message::new("u2", &large)];
    let faults = Faults { stall_after: Some(60_000), ..Faults::default() };
    let maildrop = Maildrop::with(messages, |behaviour| behaviour.next_faults = Some(faults));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let daemon = Daemon::start(&env);
    maildrop.server.wait_until_stalled(1);
    wait_for("the first message", || daemon.account("a")["this_poll"]["messages"] == 1);
    maildrop.server.release_stalled();
    wait_for("the end", || daemon.account("a")["total"]["messages"] == 2);
    assert_eq!(daemon.account("a")["this_poll"], Value::Null);
    daemon.end();
}
