//! Forwarding to a command: its exit status decides.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// Makes a maildrop with `count` small messages, and an account that forwards to the shell script `deliver`, which
/// writes into the directory `$1`.
fn bench(count: usize, script: &str) -> (tempfile::TempDir, Maildrop, TestEnv) {
    let dir = tempfile::tempdir().unwrap();
    let maildrop = Maildrop::new(small_ones(count));
    write_script(&dir, script);
    let (program, out) = (dir.path().join("deliver"), dir.path().to_owned());
    let forward = format!("{{ command = [{program:?}, {out:?}] }}");
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting().set("forward", forward)]);
    (dir, maildrop, env)
}

fn write_script(dir: &tempfile::TempDir, script: &str) {
    let program = dir.path().join("deliver");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Writes the message to a file named after its delivery id, and adds the id to a list.
const DELIVER: &str = "echo $MAILFERRY_DELIVERY_ID >>$1/ids; cat >$1/m.$MAILFERRY_DELIVERY_ID";

/// Returns the delivered messages, sorted.
fn delivered(dir: &tempfile::TempDir) -> Vec<Vec<u8>> {
    let is_message = |path: &std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("m.");
    let mut all: Vec<_> =
        files(dir.path()).into_iter().filter(is_message).map(|path| fs::read(path).unwrap()).collect();
    all.sort();
    all
}

#[test]
fn a_command_gets_each_message_as_it_is_stored() {
    let (dir, maildrop, env) = bench(4, DELIVER);
    env.fetch().expect(0).says("4 forwarded");
    assert_same_mail(&delivered(&dir), &crate::mail::small_ones_stored(4));
    env.fetch().expect(0);
    assert!(maildrop.left().is_empty());
    assert_eq!(fs::read_to_string(dir.path().join("ids")).unwrap().lines().count(), 4, "each once");
}

#[test]
fn a_temporary_failure_and_a_signal_are_tried_again_with_the_same_id() {
    for end in ["exit 75", "exit 111", "kill -9 $$"] {
        let (dir, maildrop, env) = bench(1, &format!("{DELIVER}; printf 'no \\033[1mdisk' >&2; {end}"));
        let outcome = env.run(&["fetch"]).expect(1);
        assert!(outcome.stderr.contains("(no \\u{1b}[1mdisk)") && outcome.stderr.contains("ended "), "{outcome:#?}");
        assert!(!outcome.stderr.contains("the destination said"), "{outcome:#?}");
        assert_eq!(outcome.stderr.contains("was ended by signal 9"), end.starts_with("kill"), "{outcome:#?}");
        assert!(outcome.stdout.contains("0 forwarded, 1 waits in the spool"), "{outcome:#?}");
        env.fetch().expect(1);
        assert_eq!(maildrop.left().len(), 1);
        write_script(&dir, DELIVER);
        env.fetch().expect(0);
        env.fetch().expect(0);
        assert!(maildrop.left().is_empty());
        let ids = fs::read_to_string(dir.path().join("ids")).unwrap();
        let ids: Vec<&str> = ids.lines().collect();
        assert!(ids.len() == 3 && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }
}

#[test]
fn a_permanent_failure_is_set_aside_and_told_with_what_the_command_said() {
    for status in [65, 67, 69, 77, 100] {
        let (dir, maildrop, env) = bench(2, &format!("cat >/dev/null; echo no such box >&2; exit {status}"));
        let outcome = env.fetch().expect(1);
        assert!(outcome.stdout.contains("2 set aside") && outcome.stderr.contains("no such box"), "{outcome:#?}");
        write_script(&dir, DELIVER);
        env.fetch().expect(1);
        assert_eq!((maildrop.left().len(), delivered(&dir).len()), (2, 0), "nothing is deleted or tried again");
        env.run(&["forward", "--again", "a"]).expect(0);
        env.fetch().expect(0);
        assert!(maildrop.left().is_empty());
        assert_same_mail(&delivered(&dir), &crate::mail::small_ones_stored(2));
    }
}

#[test]
fn nothing_private_is_in_its_environment() {
    let (dir, _maildrop, env) = bench(1, "cat >/dev/null; env >$1/m.env");
    env.fetch().expect(0);
    let seen = String::from_utf8(delivered(&dir).remove(0)).unwrap();
    assert!(!seen.contains(crate::scripted::maildrop::PASSWORD), "{seen}");
    assert!(seen.contains("MAILFERRY_ACCOUNT=a") && seen.contains("MAILFERRY_SIZE="), "{seen}");
}

#[test]
fn a_failure_is_told_by_scheduled_runs_when_it_begins_and_when_it_ends() {
    let (dir, maildrop, env) = bench(1, "cat >/dev/null; echo no disk >&2; exit 75");
    let run = || env.run(&["fetch", "--scheduled", "-q"]);
    let outcome = run().expect(1);
    assert!(outcome.stderr.contains("(no disk)"), "{outcome:#?}");
    assert_eq!(run().expect(1).output(), "", "it was reported already");
    write_script(&dir, DELIVER);
    assert_eq!(run().expect(0).stderr, "a: mail is forwarded again\n");
    assert_eq!(run().expect(0).output(), "");
    // The same for messages that are set aside.
    write_script(&dir, "cat >/dev/null; exit 65");
    maildrop.change(|contents| contents.messages.push(Message::new("u2", &small(2))));
    let outcome = run().expect(1);
    assert!(outcome.stderr.contains("1 message is set aside and not forwarded: unique-id u2 ("), "{outcome:#?}");
    assert_eq!(run().expect(1).output(), "");
    write_script(&dir, DELIVER);
    env.run(&["forward", "--again", "a"]).expect(0);
    assert_eq!(run().expect(0).stderr, "a: no mail is set aside any more\n");
    assert_eq!(run().expect(0).output(), "");
}

#[test]
fn of_many_messages_that_are_set_aside_the_first_few_are_named() {
    // One of three is accepted.
    let script = "cat >/dev/null; echo >>$1/n; [ $(($(wc -l <$1/n) % 3)) = 0 ] || exit 65";
    let (_dir, _maildrop, env) = bench(45, script);
    let outcome = env.run(&["fetch"]).expect(1);
    assert_eq!(outcome.stderr.matches(" set aside").count(), 1, "it is told once: {outcome:#?}");
    assert!(outcome.stderr.contains("30 messages are set aside and not forwarded: unique-id u1 ("), "{outcome:#?}");
    assert!(outcome.stderr.contains("; and 27 more. They stay in the spool"), "{outcome:#?}");
}

/// A script that a shell runs by hand, and the system does not.
#[test]
fn what_keeps_a_script_from_being_run_is_told() {
    for (text, mode, expected) in [
        ("cat >/dev/null\n", 0o755, "its first line names an interpreter"),
        ("#!/nowhere/sh\ncat >/dev/null\n", 0o755, "its first line names an interpreter"),
        ("#!/bin/sh\ncat >/dev/null\n", 0o644, "chmod +x"),
    ] {
        let (dir, maildrop, env) = bench(1, DELIVER);
        let program = dir.path().join("deliver");
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
        env.fetch().expect(78).says("could not be started").says(expected);
        write_script(&dir, DELIVER);
        env.fetch().expect(0).says("1 forwarded");
        assert_eq!((delivered(&dir).len(), maildrop.left().len()), (1, 1), "{text}");
    }
}
