//! What `fetch` shows on a terminal: the progress of each account, lines printed meanwhile, and the result.

use rustix::process::Signal;
use serde_json::Value;

use crate::mail::{small, small_ones};
use crate::program::{Account, TestEnv};
use crate::scripted::Faults;
use crate::scripted::maildrop::{Maildrop, Message};
use crate::terminal::Terminal;

fn accounts(maildrop: &Maildrop, all: usize, wrong: usize) -> Vec<Account> {
    let account = |n: usize| {
        let account = Account::at(maildrop.server.address).named(&format!("acc{n:02}"));
        if n < wrong { account.text("password", "not this one") } else { account }
    };
    (0..all).map(account).collect()
}

/// A server that stalls in the middle of the mail of its first session.
fn stalling() -> Maildrop {
    let mut messages = small_ones(3);
    messages.push(Message::large("large", 2_000_000));
    Maildrop::with(messages, |behaviour| {
        behaviour.next_faults = Some(Faults { stall_after: Some(1_000_000), ..Faults::default() });
    })
}

/// Returns the width of the longest line shown on a terminal, provided that every drawn line fits.
fn widest_line(text: &str) -> usize {
    let mut widest = 0;
    for line in text.split(['\n', '\r']) {
        let mut shown = 0;
        let mut rest = line;
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            shown += before.chars().count();
            let end = after.find(|c: char| c.is_ascii_alphabetic()).map_or(after.len(), |end| end + 1);
            rest = after.get(end..).unwrap_or_default();
        }
        widest = widest.max(shown + rest.chars().count());
    }
    widest
}

#[test]
fn one_account_shows_how_far_it_is_and_the_line_goes_at_the_end() {
    for columns in [60, 80, 200] {
        let maildrop = stalling();
        let env = TestEnv::new(&[Account::at(maildrop.server.address).named("work")]);
        let (mut terminal, running) = Terminal::start(&env, columns, &[], &["fetch"]);
        maildrop.server.wait_until_stalled(1);
        terminal.wait_for("work");
        terminal.wait_for("/4 ");
        terminal.wait_for(if columns > 60 { " of 1.9 MiB" } else { "/1.9 MiB" });
        let drawn = terminal.text();
        assert!(widest_line(&drawn) < columns.into(), "{columns}: {drawn:?}");
        maildrop.server.release();
        terminal.wait_for("work: 4 new messages");
        assert_eq!(running.wait().status, 0);
        let end = terminal.rest();
        assert!(!end.contains("/4 ") && !end.contains("polled"), "{end:?}");
    }
}

#[test]
fn of_many_accounts_what_failed_is_told_last_with_the_sums() {
    let maildrop = Maildrop::new(small_ones(2));
    let env = TestEnv::new(&accounts(&maildrop, 30, 1));
    let (mut terminal, running) = Terminal::start(&env, 80, &[], &["fetch"]);
    terminal.wait_for("acc00:\u{1b}[0m the server refused the login");
    terminal.wait_for("29 accounts polled, 1 failed: acc00; 58 new messages (");
    assert_eq!(running.wait().status, 77);
    assert!(!terminal.rest().contains("acc"), "nothing comes behind the sums: {:?}", terminal.rest());
    assert_eq!(terminal.text().matches(": 2 new messages (").count(), 29);
}

#[test]
fn lines_that_are_printed_do_not_tear_what_is_shown() {
    let slow = stalling();
    let quick = Maildrop::new(small_ones(1));
    let mut all = accounts(&quick, 5, 1);
    all.push(Account::at(slow.server.address).named("slow"));
    let env = TestEnv::new(&all);
    let (mut terminal, running) = Terminal::start(&env, 80, &[], &["fetch"]);
    slow.server.wait_until_stalled(1);
    terminal.wait_for("slow ");
    terminal.wait_for("5 of 6 accounts done, 1 failed, 1 being polled; ");
    slow.server.release();
    terminal.wait_for("5 accounts polled, 1 failed: acc00");
    assert_eq!(running.wait().status, 77);
    // Each printed line begins at the start of a line, in whatever was erased.
    for line in terminal.text().split('\n') {
        if let Some((before, _)) = line.split_once(": 1 new message") {
            let name = before.rsplit(['J', 'l', '\r']).next().unwrap();
            assert!(name.starts_with("acc0") && name.len() == 5, "{line:?}");
        }
    }
}

#[test]
fn at_no_terminal_nothing_is_drawn_and_no_color_is_kept_to() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&accounts(&maildrop, 3, 1));
    let outcome = env.fetch().expect(77);
    assert!(!outcome.output().contains('\u{1b}') && !outcome.output().contains("polled"), "{outcome:#?}");
    assert!(outcome.stderr.contains("acc00: the server refused the login"), "{outcome:#?}");
    for environment in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let (mut terminal, running) = Terminal::start(&env, 80, &[environment], &["fetch"]);
        terminal.wait_for("\nacc00: the server refused");
        terminal.wait_for("2 accounts polled, 1 failed: acc00");
        assert_eq!(running.wait().status, 77);
        assert!(!terminal.text().contains("\u{1b}[1"), "{environment:?}: {:?}", terminal.text());
    }
}

#[test]
fn ctrl_c_ends_in_order_and_leaves_nothing_behind() {
    let maildrop = stalling();
    let env = TestEnv::new(&[Account::at(maildrop.server.address).named("work")]);
    let (mut terminal, running) = Terminal::start(&env, 80, &[], &["fetch"]);
    maildrop.server.wait_until_stalled(1);
    terminal.wait_for("/4 messages");
    running.signal(Signal::INT);
    maildrop.server.release();
    assert_eq!(running.wait().status, 130);
    let text = terminal.text();
    let (_, behind) = text.rsplit_once("/4 messages").unwrap();
    assert!(behind.contains("\u{1b}[J"), "it was erased: {text:?}");
}

#[test]
fn ctrl_c_is_acknowledged_at_once_and_the_second_one_ends_at_once() {
    let maildrop = stalling();
    let env = TestEnv::new(&[Account::at(maildrop.server.address).named("work")]);
    let (mut terminal, running) = Terminal::start(&env, 100, &[], &["fetch"]);
    maildrop.server.wait_until_stalled(1);
    terminal.wait_for("/4 messages");
    terminal.type_in("\u{3}");
    terminal.wait_for("ending: what is under way comes in first; Ctrl-C again ends at once");
    terminal.type_in("\u{3}");
    // The server is still stalled.
    assert_eq!(running.wait().status, 130);
}

#[test]
fn a_report_for_scripts_is_an_object_a_line() {
    let maildrop = Maildrop::new(small_ones(2));
    let env = TestEnv::new(&accounts(&maildrop, 4, 1));
    let read = |text: &str| -> Vec<Value> { text.lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    let dry = read(&env.run(&["fetch", "--json", "--dry-run"]).expect(77).stdout);
    assert_eq!(dry.len(), 4);
    assert!(dry.iter().filter(|it| it["account"] != "acc00").all(|it| it["would"]["fetch"] == 2), "{dry:?}");
    let outcome = env.run(&["fetch", "--json"]).expect(77);
    let mut reports = read(&outcome.stdout);
    reports.sort_by_key(|report| report["account"].as_str().unwrap().to_owned());
    assert_eq!(reports.len(), 4);
    let (failed, good) = reports.split_first().unwrap();
    assert_eq!((&failed["status"], &failed["new"]), (&77.into(), &0.into()));
    assert!(failed["error"].as_str().unwrap().contains("refused the login"), "{failed}");
    assert!(good.iter().all(|it| it["new"] == 2 && it["on_server"] == 2 && it["error"].is_null()), "{good:?}");
    assert!(good.iter().all(|it| it["status"] == 0 && it["would"].is_null() && it["octets"].as_u64() > Some(100)));
}

#[test]
fn a_dry_run_of_many_accounts_is_a_line_each() {
    let maildrop = Maildrop::new((1..=20).map(|n| Message::new(&format!("u{n}"), &small(n))).collect());
    let env = TestEnv::new(&accounts(&maildrop, 4, 0));
    let outcome = env.run(&["fetch", "--dry-run"]).expect(0);
    assert_eq!(outcome.stdout.lines().count(), 4, "{outcome:#?}");
    assert!(outcome.stdout.lines().all(|line| line.contains("would fetch 20 messages")), "{outcome:#?}");
    for options in [&["fetch", "--dry-run", "-v"][..], &["fetch", "--dry-run", "acc01"]] {
        let outcome = env.run(options).expect(0);
        let accounts = outcome.stdout.matches("would fetch").count();
        assert_eq!(outcome.stdout.matches("  fetch message ").count(), 20 * accounts, "{options:?}");
    }
}
