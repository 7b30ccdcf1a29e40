//! `status` of many accounts, for monitors, and with `--watch`.

use rustix::process::Signal;

use super::{Daemon, wait_for};
use crate::mail::small_ones;
use crate::program::{Account, TestEnv};
use crate::scripted::maildrop::Maildrop;
use crate::terminal::Terminal;

/// Starts a daemon with `all` accounts, the first `wrong` of which have a wrong password, all polled once.
fn polled<'a>(env: &'a TestEnv, maildrop: &Maildrop, wrong: usize, all: usize) -> Daemon<'a> {
    let account = |n: usize| {
        let account = Account::at(maildrop.server.address).named(&format!("acc{n:02}"));
        if n < wrong { account.text("password", "not this one") } else { account }
    };
    env.configure(&(0..all).map(account).collect::<Vec<_>>());
    let config = std::fs::read_to_string(env.path("config.toml")).unwrap();
    env.write_config(&format!("[daemon]\nper_host = 32\n{config}"), 0o600);
    let daemon = Daemon::start(env);
    env.run(&["poll"]).expect(0);
    wait_for("the first polls", || {
        let status = daemon.status();
        status["accounts"].as_array().unwrap().iter().all(|it| it["last_poll"].is_i64() && it["state"] != "polling")
    });
    daemon
}

#[test]
fn of_thirty_accounts_the_sums_and_the_failures_stand_first() {
    let (maildrop, env) = (Maildrop::new(small_ones(1)), TestEnv::new(&[]));
    let daemon = polled(&env, &maildrop, 2, 30);
    let outcome = env.run(&["status"]).expect(0);
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert!(lines[0].starts_with("30 accounts: 28 well, 2 IN TROUBLE; 0 being polled"), "{outcome:#?}");
    for (line, name) in [(lines[3], "acc00"), (lines[4], "acc01")] {
        assert!(line.starts_with(&format!("{name}  login-refused at 127.0.0.1 for ")), "{line}");
        assert!(line.contains("; next try in "), "{line}");
    }
    assert!(lines[5].contains("Check username and password"), "{outcome:#?}");
    assert!(lines[7].starts_with("acc02  well     last ") && lines[7].contains("  today 1 message ("), "{}", lines[7]);
    assert_eq!(lines.len(), 7 + 28, "{outcome:#?}");
    // Everything on demand.
    let named = env.run(&["status", "acc07", "acc01"]).expect(0);
    assert!(named.stdout.starts_with("2 accounts: 1 well, 1 IN TROUBLE"), "{named:#?}");
    assert!(named.stdout.find("acc01: in trouble") < named.stdout.find("acc07: all is well"), "{named:#?}");
    assert_eq!(env.run(&["-v", "status"]).expect(0).stdout.matches("  last new mail ").count(), 30);
    env.run(&["status", "acc07", "nobody"]).expect(64).says("no account `nobody`");
    daemon.end();
}

#[test]
fn a_monitor_is_told_by_the_exit_status() {
    let (maildrop, env) = (Maildrop::new(small_ones(1)), TestEnv::new(&[]));
    env.configure(&[Account::at(maildrop.server.address)]);
    env.run(&["status", "--check"]).expect(75);
    let daemon = polled(&env, &maildrop, 1, 5);
    env.run(&["status", "--check"]).expect(1).says("1 IN TROUBLE");
    let silent = env.run(&["-q", "status", "--check"]).expect(1);
    assert_eq!((silent.stdout.as_str(), silent.stderr.as_str()), ("", ""));
    env.run(&["status", "--check", "acc03"]).expect(0);
    let json = env.run(&["status", "--check", "--json", "acc00"]).expect(1);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json.stdout).unwrap()["accounts"][0]["account"], "acc00");
    env.write_config("[accounts.acc03]\nhost = \n", 0o600);
    daemon.running.signal(Signal::HUP);
    wait_for("the refusal", || daemon.status()["config_problem"].is_string());
    env.run(&["status", "--check"]).expect(78).says("was changed and has errors");
    daemon.end();
}

/// The private mode that is switched on when a program takes the full screen.
const TAKES: &str = "\u{1b}[?1049h";
const GIVES_BACK: &str = "\u{1b}[?1049l";

#[test]
fn who_watches_sees_what_changes_and_has_the_terminal_back_afterwards() {
    let (maildrop, env) = (Maildrop::new(small_ones(1)), TestEnv::new(&[]));
    let daemon = polled(&env, &maildrop, 1, 60);
    let (mut terminal, mut running) = Terminal::start(&env, 80, &[], &["status", "--watch"]);
    terminal.wait_for(TAKES);
    terminal.wait_for("60 accounts: 59 well, 1 IN TROUBLE");
    terminal.wait_for("acc00");
    terminal.wait_for("\u{1b}[24;1Hq: quit   arrows");
    assert!(!terminal.echoes());
    // What has not changed is not drawn again: in the next update the head is not.
    terminal.wait_for("\u{1b}[?2026h");
    terminal.wait_for("\u{1b}[?2026l");
    assert!(!terminal.rest().contains("60 accounts"), "{:?}", terminal.rest());
    terminal.type_in("\u{1b}[F");
    terminal.wait_for("acc59  well");
    terminal.type_in("\u{1b}[5~");
    terminal.wait_for("acc19");
    terminal.type_in("g");
    terminal.wait_for("acc00");
    // If no shell could wake it, it continues at once; in between, the terminal was restored.
    terminal.type_in("\u{1a}");
    terminal.wait_for(GIVES_BACK);
    terminal.wait_for(TAKES);
    terminal.wait_for("60 accounts:");
    assert!(!terminal.echoes());
    // The size changes.
    terminal.resize(60, 40);
    terminal.wait_for("\u{1b}[2J");
    terminal.wait_for("60 accounts:");
    terminal.wait_for("\u{1b}[40;1Hq: quit   lines");
    // The daemon is restarted.
    daemon.end();
    terminal.wait_for("no daemon is running");
    terminal.type_in("q");
    terminal.wait_for(GIVES_BACK);
    wait_for("the end", || !running.is_running());
    assert_eq!(running.wait().status, 0);
    assert!(terminal.echoes(), "the terminal is as it was");
}

#[test]
fn a_terminal_is_given_back_at_every_end() {
    let env = TestEnv::new(&[Account::at(([127, 0, 0, 1], 9).into())]);
    let watch = |environment: &[(&str, &str)]| {
        let (mut terminal, running) = Terminal::start(&env, 80, environment, &["status", "--watch"]);
        terminal.wait_for("no daemon is running");
        (terminal, running)
    };
    for (signal, status) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let (mut terminal, running) = watch(&[]);
        running.signal(signal);
        terminal.wait_for(GIVES_BACK);
        assert_eq!(running.wait().status, status);
        assert!(terminal.echoes());
    }
    let (mut terminal, running) = watch(&[("NO_COLOR", "1")]);
    terminal.type_in("\u{3}");
    terminal.wait_for(GIVES_BACK);
    assert_eq!(running.wait().status, 130);
    assert!(terminal.echoes() && !terminal.text().contains("1;31m"), "{:?}", terminal.text());
    let (mut terminal, _running) = watch(&[]);
    assert!(terminal.text().contains("\u{1b}[1;31m"), "{:?}", terminal.text());
    terminal.type_in("q");
    terminal.wait_for(GIVES_BACK);
}

#[test]
fn without_a_terminal_it_is_printed_again_and_again() {
    let env = TestEnv::new(&[Account::at(([127, 0, 0, 1], 9).into())]);
    let daemon = Daemon::start(&env);
    let out = env.path("out");
    let script = format!("exec \"$@\" >{}", out.display());
    let watching = env.spawn_under(&["bash", "-c", &script, "bash"], &["status", "--watch"]);
    let printed = || std::fs::read_to_string(&out).unwrap_or_default();
    wait_for("the second round", || printed().matches("1 account:").count() >= 2);
    watching.signal(Signal::TERM);
    watching.wait();
    assert!(!printed().contains('\u{1b}'), "{}", printed());
    daemon.end();
}

#[test]
fn without_a_terminal_an_error_is_printed_once_and_it_ends_with_its_reader() {
    let env = TestEnv::new(&[Account::at(([127, 0, 0, 1], 9).into())]);
    let err = env.path("err");
    let script = format!("exec \"$@\" 2>{}", err.display());
    let watching = env.spawn_under(&["bash", "-c", &script, "bash"], &["status", "--watch"]);
    let told = || std::fs::read_to_string(&err).unwrap_or_default().matches("no daemon is running").count();
    wait_for("the first round", || told() > 0);
    std::thread::sleep(std::time::Duration::from_secs(3)); // rounds in which nothing is printed
    watching.signal(Signal::TERM);
    watching.wait();
    assert_eq!(told(), 1);

    let mut watching = env.spawn_under(&["bash", "-c", "\"$@\" | true", "bash"], &["status", "--watch"]);
    wait_for("the end", || !watching.is_running());
    watching.wait();
}
