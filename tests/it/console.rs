//! `mailferry console`: what is typed is sent, responses are readable, and nothing is deleted until the user has asked
//! for it twice.

use std::fs::File;

use crate::mail::small_ones;
use crate::program::{Account, Outcome, TestEnv, wait_for};
use crate::scripted::maildrop::{Maildrop, Message, PASSWORD};
use crate::terminal::Terminal;

/// Runs a session whose commands come from a pipe.
fn piped(env: &TestEnv, commands: &str, options: &[&str]) -> Outcome {
    let words: Vec<&str> = ["console", "a"].iter().chain(options).copied().collect();
    env.spawn_with_input(commands, &words).wait()
}

#[test]
fn commands_from_a_pipe_are_answered_readably() {
    let maildrop = Maildrop::new(small_ones(2));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let commands = "stat\n# a comment\n\nLIST\nlist 2\nUIDL\nuidl 1\nTOP 1 0\nretr 2\nNOOP\nCAPA\nHELP\nQUIT\n";
    let outcome = piped(&env, commands, &[]).expect(0);
    for words in ["+OK 2 messages, 129 octets", "     1        64 B", "     2  u2", "Subject:", "PIPELINING"] {
        assert!(outcome.stdout.contains(words), "{words}: {outcome:#?}");
    }
    assert!(outcome.stdout.contains("DELE N ") && outcome.stdout.ends_with("+OK\n") && outcome.stderr.is_empty());
    assert!(!outcome.stdout.contains("a>"), "there is no prompt: {outcome:#?}");
    maildrop.server.wait_until_idle();
    assert!(maildrop.server.sessions()[0].quit);
    assert_eq!(maildrop.left(), ["u1", "u2"]);
    assert!(!env.path("state").exists(), "nothing is remembered");
}

#[test]
fn the_exit_status_tells_of_what_went_wrong_in_a_pipe() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    piped(&env, "RETR 9\nSTAT\nQUIT\n", &[]).expect(1).says("-ERR").says("+OK 1 message");
    piped(&env, "RETR\nQUIT\n", &[]).expect(64).says("RETR takes the number");
    piped(&env, &format!("PASS {PASSWORD}\nQUIT\n"), &[]).expect(64).says("logged in already");
    piped(&env, "STAT", &[]).expect(0);
    env.run(&["console"]).expect(64);
    env.run(&["console", "b"]).expect(64).says("there is no account `b`");
    env.configure(&[Account::at(maildrop.server.address).text("password", "wrong")]);
    piped(&env, "STAT\n", &[]).expect(77).says("refused the login");
}

#[test]
fn nothing_is_deleted_without_the_word_for_it_and_quit() {
    let maildrop = Maildrop::new(small_ones(4));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    // There is nobody to ask.
    piped(&env, "DELE 1\nQUIT\n", &[]).expect(64).says("DELE 1 was not sent").says("console a --yes");
    assert_eq!(maildrop.count("DELE"), 0);
    // RSET undoes the marks, and so does an end without QUIT.
    piped(&env, "DELE 1\nRSET\nQUIT\n", &["--yes"]).expect(0);
    piped(&env, "DELE 1\n", &["--yes"]).expect(1).says("ended without QUIT: nothing was deleted");
    maildrop.server.wait_until_idle();
    assert_eq!(maildrop.left().len(), 4);
    piped(&env, "DELE 9\nDELE 2\nDELE 3\nQUIT\n", &["--yes"]).expect(1).says("+OK, 2 messages deleted");
    maildrop.server.wait_until_idle();
    assert_eq!(maildrop.left(), ["u1", "u4"]);
}

#[test]
fn what_a_server_sends_does_no_harm_to_a_terminal() {
    let mail = "Subject: \u{1b}[2J\u{7}\r\n\r\na\tb\u{9b}31m caf\u{e9} \u{202e}x\r\n..dot\r\n".as_bytes();
    let raw = [mail, b"\xff\xfe bytes\r\nno end"].concat();
    let maildrop = Maildrop::with(vec![Message::new("u1", &raw)], |behaviour| {
        let echo = format!("-ERR \u{1b}]0;x\u{7} {PASSWORD}\r\n");
        behaviour.answers = vec![("NOOP".to_owned(), echo)];
        behaviour.expire_0 = true;
    });
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    // That no output contains control characters or the password is checked in every run of the program.
    let outcome = piped(&env, "RETR 1\nNOOP\n", &[]).expect(1);
    assert!(outcome.stdout.contains("Subject: \\u{1b}[2J\\u{7}") && outcome.stdout.contains("café"), "{outcome:#?}");
    assert!(outcome.stdout.contains("a b\\u{9b}31m") && outcome.stdout.contains("\\u{202e}x"), "{outcome:#?}");
    assert!(outcome.stderr.contains("deletes at QUIT"), "{outcome:#?}");
}

#[test]
fn while_the_account_is_polled_it_is_busy_and_the_other_way_round() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    env.fetch().expect(0);
    let before = env.everything();
    let (mut terminal, mut running) = Terminal::start(&env, 80, &[], &["console", "a"]);
    terminal.wait_for("a> ");
    env.fetch().expect(75).says("mailferry console");
    terminal.type_in("QUIT\r");
    wait_for("the end", || !running.is_running());
    let lock = env.path("state/a.lock");
    let without_lock = |mut all: std::collections::BTreeMap<_, _>| {
        all.remove(&lock);
        all
    };
    assert_eq!(without_lock(env.everything()), without_lock(before), "the state is as it was");
    // Another process holds the lock.
    let holder = File::options().write(true).open(&lock).unwrap();
    holder.try_lock().unwrap();
    piped(&env, "STAT\n", &[]).expect(75);
}

#[test]
fn a_real_server_is_talked_to() {
    let Some(dovecot) = crate::dovecot::shared() else { return };
    let user = dovecot.user("console", &[b"Subject: one\n\nx\n".to_vec(), b"Subject: two\n\ny\n".to_vec()]);
    for account in [user.by_stls(), user.inside_tls()] {
        let env = TestEnv::new(&[account]);
        piped(&env, "STAT\nLIST\nUIDL\nTOP 1 1\nRETR 1\nNOOP\nRSET\nQUIT\n", &[]).expect(0).says("Subject: one");
    }
    let env = TestEnv::new(&[user.inside_tls()]);
    piped(&env, "DELE 1\nQUIT\n", &["--yes"]).expect(0);
    assert_eq!(user.left(), 1);
}

#[test]
fn at_a_terminal_there_is_a_prompt_a_question_before_dele_and_a_history() {
    for columns in [60, 80, 200] {
        let maildrop = Maildrop::new(small_ones(2));
        let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
        let (mut terminal, mut running) = Terminal::start(&env, columns, &[], &["console", "a"]);
        terminal.wait_for("HELP lists the commands");
        terminal.wait_for("a> ");
        terminal.type_in("stat\r");
        terminal.wait_for("+OK 2 messages");
        terminal.wait_for("a> ");
        // Arrow up.
        terminal.type_in("\u{1b}[A\r");
        terminal.wait_for("+OK 2 messages");
        terminal.wait_for("a> ");
        terminal.type_in("dele 1\r");
        terminal.wait_for("Delete message 1 on the server at QUIT?");
        terminal.type_in("no\r");
        terminal.wait_for("not marked");
        terminal.wait_for("a> ");
        // Ctrl-C cancels the line and does not end the session.
        terminal.type_in("dele 2\u{3}");
        terminal.wait_for("a> ");
        terminal.type_in("dele 2\r");
        terminal.wait_for("at QUIT?");
        terminal.type_in("y\r");
        terminal.wait_for("RSET undoes that");
        terminal.wait_for("a> ");
        terminal.type_in("quit\r");
        terminal.wait_for("+OK, 1 message deleted");
        wait_for("the end", || !running.is_running());
        assert_eq!(running.wait().status, 0);
        assert_eq!(maildrop.left(), ["u1"]);
        assert_eq!(maildrop.count("DELE"), 1);
        assert!(!terminal.text().contains(PASSWORD));
    }
}

#[test]
fn the_end_of_the_input_deletes_nothing() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let (mut terminal, mut running) = Terminal::start(&env, 80, &[], &["console", "a"]);
    terminal.wait_for("a> ");
    terminal.type_in("dele 1\r");
    terminal.wait_for("at QUIT?");
    terminal.type_in("yes\r");
    terminal.wait_for("a> ");
    terminal.type_in("\u{4}");
    terminal.wait_for("nothing was deleted");
    wait_for("the end", || !running.is_running());
    maildrop.server.wait_until_idle();
    assert_eq!(maildrop.left(), ["u1"]);
}
