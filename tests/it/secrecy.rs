//! No secret and no control character is ever printed. Every run of every test is checked for that as well.

use std::fs;
use std::os::unix::fs::MetadataExt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::delivered::{assert_same_mail, files};
use crate::leaks::secrets;
use crate::mail::{small_ones, small_ones_stored};
use crate::program::{Account, TestEnv};
use crate::scripted::Faults;
use crate::scripted::maildrop::{Maildrop, PASSWORD, USER};

#[test]
fn the_dialogue_is_shown_without_the_secrets() {
    for auth in ["plain", "user"] {
        let maildrop = Maildrop::new(small_ones(2));
        let env = TestEnv::new(&[Account::at(maildrop.server.address).text("auth", auth)]);
        let outcome = env.run(&["-v", "fetch"]).expect(0).says("[secret]").says("RETR 1");
        assert!(outcome.stderr.contains("+OK"), "{outcome:#?}");
        assert_same_mail(&env.mail(), &small_ones_stored(2));
    }
}

#[test]
fn control_bytes_of_the_server_are_escaped() {
    let mut messages = small_ones(2);
    messages[0].refusal = Some("-ERR \u{1b}]0;title\u{7} \u{7f}\u{8} \u{9b}31m bad".to_owned());
    let maildrop = Maildrop::with(messages, |behaviour| behaviour.greeting = "+OK \u{1b}[31mred\r".to_owned());
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let outcome = env.run(&["-v", "fetch"]).expect(1).says("bad");
    assert!(!outcome.output().contains('\u{9b}'), "{outcome:#?}");

    let refusal = Some("-ERR [AUTH] \u{1b}[2J wrong".to_owned());
    let maildrop = Maildrop::with(small_ones(1), |behaviour| behaviour.login_answer = refusal);
    TestEnv::new(&[Account::at(maildrop.server.address)]).fetch().expect(77).says("wrong");
}

#[test]
fn a_server_that_repeats_the_password_does_not_get_it_printed() {
    let refusal = Some(format!("-ERR [AUTH] no user has the password {PASSWORD}, sorry"));
    let maildrop = Maildrop::with(small_ones(1), |behaviour| behaviour.login_answer = refusal);
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    env.run(&["-v", "fetch"]).expect(77).says("sorry");
}

/// Every run of a test fails if the password is anywhere in its output.
#[test]
fn a_password_in_the_wrong_place_is_not_printed_either() {
    let encoded = BASE64_STANDARD.encode(format!("\0{USER}\0{PASSWORD}"));
    let answers = [
        ("PASS", format!("PASS {PASSWORD}\r\n-ERR no\r\n")),
        ("PASS", format!("+OK\r\nPASS {PASSWORD}\r\n")),
        ("PASS", format!("-ERR [{}] {PASSWORD} is not welcome\r\n", PASSWORD.replace(' ', "/"))),
        ("AUTH", format!("AUTH PLAIN {encoded}\r\n")),
        ("STAT", format!("what is {PASSWORD}?\r\n")),
        ("STAT", format!("{} {PASSWORD}\r\n", "x".repeat(109))),
        ("CAPA", format!("+OK\r\nIMPLEMENTATION {PASSWORD}\r\nUIDL\r\n.\r\n")),
        ("UIDL", format!("+OK\r\n1 {PASSWORD}\r\n.\r\n")),
        ("RETR", format!("-ERR {PASSWORD}\r\n")),
    ];
    for (command, answer) in answers {
        let auth = if command == "AUTH" { "plain" } else { "user" };
        let maildrop = Maildrop::with(small_ones(1), |behaviour| {
            behaviour.answers =
                vec![(command.to_owned(), answer.clone()), ("RETR".to_owned(), "-ERR no\r\n".to_owned())];
        });
        let env = TestEnv::new(&[Account::at(maildrop.server.address).text("auth", auth)]);
        for flags in [&["fetch"][..], &["fetch", "--dry-run"], &["-vv", "fetch"]] {
            let outcome = env.run(flags);
            let beginning: String = PASSWORD.chars().take(8).collect();
            assert!(!outcome.output().contains(&beginning), "{command}: {outcome:#?}");
        }
    }
}

/// In the forms that servers and devices in between use.
#[test]
fn a_password_that_comes_back_encoded_is_not_printed_either() {
    let octets = PASSWORD.as_bytes();
    let hex =
        |octets: &[u8], before: &str| octets.iter().map(|octet| format!("{before}{octet:02x}")).collect::<String>();
    let plain = BASE64_STANDARD.encode(format!("\0{USER}\0{PASSWORD}"));
    let single = BASE64_STANDARD.encode(PASSWORD);
    let within = BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let forms = [
        single.trim_end_matches('=').to_owned(),
        single,
        plain.trim_end_matches('=').to_owned(),
        plain,
        within,
        PASSWORD.replace(' ', "%20").replace('!', "%21"),
        PASSWORD.replace(' ', "+"),
        hex(octets, "%"),
        hex(octets, "%").to_uppercase(),
        hex(octets, ""),
        hex(octets, "").to_uppercase(),
    ];
    for form in forms {
        let maildrop = Maildrop::with(small_ones(1), |behaviour| {
            behaviour.greeting = format!("+OK {form}");
            behaviour.capabilities = Some(vec!["USER".to_owned(), format!("X-{form}")]);
            behaviour.answers = vec![("RETR".to_owned(), format!("-ERR no {form} here\r\n"))];
        });
        maildrop.change(|contents| contents.messages[0].uid = format!("uid-{}", form.replace(' ', "_")));
        let env = TestEnv::in_memory(&[Account::at(maildrop.server.address)]);
        let mut output = env.run(&["-vv", "fetch"]).expect(1).output();
        maildrop.change(|contents| {
            contents.behaviour.answers = vec![("PASS".to_owned(), format!("-ERR [X-{form}] bad {form} really\r\n"))];
        });
        output += &env.run(&["-vv", "fetch"]).expect(77).says("[secret]").output();
        let kept = fs::read_to_string(env.path("state/a.hints")).unwrap();
        assert!(!output.contains(&form) && !kept.contains(&form), "{form}: {output}");
    }
}

#[test]
fn a_server_that_greets_with_the_password_does_not_get_it_printed() {
    let maildrop = Maildrop::with(small_ones(1), |behaviour| behaviour.greeting = format!("-ERR seen {PASSWORD}"));
    TestEnv::new(&[Account::at(maildrop.server.address)]).fetch().expect(75).says("seen [secret]");
}

#[test]
fn the_process_shows_no_secret_while_it_runs() {
    let faults = Faults { stall_after: Some(500), ..Faults::default() };
    let maildrop = Maildrop::with(small_ones(30), |behaviour| behaviour.next_faults = Some(faults));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let running = env.spawn(&["fetch"]);
    maildrop.server.wait_until_stalled(1);
    for name in ["cmdline", "environ"] {
        let content = fs::read(format!("/proc/{}/{name}", running.pid())).unwrap_or_default();
        let content = String::from_utf8_lossy(&content).into_owned();
        assert!(secrets().iter().all(|secret| !content.contains(secret)), "{name}: {content}");
    }
    maildrop.server.release();
    running.wait().expect(0);
}

#[test]
fn what_is_remembered_holds_no_secret_and_is_nobody_elses_to_read() {
    let maildrop = Maildrop::new(small_ones(2));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    env.fetch().expect(0);
    let state = env.path("state");
    assert_eq!(fs::metadata(&state).unwrap().mode() & 0o7777, 0o700);
    let kept = files(&state);
    assert!(kept.contains(&state.join("a.uids")), "{kept:?}");
    for file in kept {
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o600, "{}", file.display());
        let content = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
        assert!(secrets().iter().all(|secret| !content.contains(secret)), "{}", file.display());
    }
}
