//! What a shell and a system may do to the program: closed pipes, full disks behind its output, limits.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use crate::delivered::assert_same_mail;
use crate::mail::{small_ones, small_ones_stored};
use crate::program::{Account, Outcome, TestEnv};
use crate::scripted::Faults;
use crate::scripted::maildrop::{Maildrop, Message};

/// Runs the program in a shell: `script` sees it as `"$@"`.
fn under_shell(env: &TestEnv, script: &str, args: &[&str]) -> Outcome {
    env.spawn_under(&["bash", "-c", script, "bash"], args).wait()
}

/// A script must not take half an answer for a whole one. A pager may end early.
#[test]
fn an_answer_that_cannot_be_written_is_no_success() {
    let maildrop = Maildrop::new(small_ones(3));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    env.fetch().expect(0);
    let answers = [
        &["check"][..],
        &["check", "--json"],
        &["check", "--offline"],
        &["status", "--json"],
        &["fetch"],
        &["fetch", "--json"],
        &["fetch", "--dry-run"],
        &["uids", "list"],
        &["uids", "list", "a"],
        &["uids", "list", "--json", "a"],
        &["completions", "bash"],
        &["man"],
        &["man", "5"],
        &["--help"],
        &["help", "fetch"],
        &["--version"],
    ];
    for args in answers {
        let outcome = under_shell(&env, "\"$@\" > /dev/full", args).expect(75);
        let told =
            outcome.stderr.matches("mailferry: cannot write to standard output: No space left on device\n").count();
        assert_eq!(told, 1, "{args:?}: {outcome:#?}");
    }
    under_shell(&env, "\"$@\" > /dev/full", &["fetch", "--fetchmail-exit-codes"]).expect(23);
    for args in [&["check"][..], &["check", "--json"], &["fetch"], &["uids", "list", "a"], &["man"], &["--help"]] {
        under_shell(&env, "\"$@\" | true; exit ${PIPESTATUS[0]}", args).expect(0);
        under_shell(&env, "\"$@\" >&-", args).expect(0);
    }
}

#[test]
fn mail_is_fetched_whoever_reads_the_output() {
    let redirections = ["> /dev/full", ">&-", "2> /dev/full", "2>&-", "> /dev/full 2> /dev/full", "| true"];
    for redirection in redirections {
        for args in [&["fetch"][..], &["-vv", "fetch"]] {
            let maildrop = Maildrop::new(small_ones(3));
            let at = Account::at(maildrop.server.address);
            let env = TestEnv::new(&[at.clone().named("b"), at]);
            let script = format!("\"$@\" {redirection}; exit ${{PIPESTATUS[0]}}");
            // What was fetched is safe, but what was to be said about it is lost.
            let expected = if redirection.starts_with("> /dev/full") { 75 } else { 0 };
            under_shell(&env, &script, args).expect(expected);
            assert_eq!(env.mail().len(), 3, "{redirection}");
            assert_eq!(env.mail_of("b").len(), 3, "{redirection}");
        }
    }
}

#[test]
fn a_password_is_in_no_core_dump() {
    let faults = Faults { stall_after: Some(0), ..Faults::default() };
    let maildrop = Maildrop::with(small_ones(1), |behaviour| behaviour.next_faults = Some(faults));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let running = env.spawn_under(&["bash", "-c", "ulimit -S -c \"$(ulimit -H -c)\"; exec \"$@\"", "bash"], &["fetch"]);
    maildrop.server.wait_until_stalled(1);
    let limits = fs::read_to_string(format!("/proc/{}/limits", running.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    maildrop.server.release();
    running.wait().expect(0);
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_of_the_file() {
    let maildrop = Maildrop::new(vec![Message::large("large", 100_000)]);
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting()]);
    // However often: it says nothing about the message, which is never in quarantine for it.
    for _ in 0..5 {
        under_shell(&env, "ulimit -f 8; exec \"$@\"", &["fetch"]).expect(73).says("Allow larger files");
    }
    assert_eq!(maildrop.left(), ["large"]);
    assert_eq!(env.tmp(), Vec::<std::path::PathBuf>::new());
    env.fetch().expect(0);
    assert_eq!(env.mail().len(), 1);
}

#[test]
fn too_few_files_for_anything_is_said_in_words() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    under_shell(&env, "ulimit -n 6; exec \"$@\"", &["fetch"]).expect(75).says("only 6 files may be open");
    for limit in 16..20 {
        let outcome = under_shell(&env, &format!("ulimit -n {limit}; exec \"$@\""), &["fetch"]);
        assert!([0, 73, 75].contains(&outcome.status), "{limit}: {outcome:#?}");
        assert!(!outcome.output().contains("panicked"), "{limit}: {outcome:#?}");
    }
    under_shell(&env, "ulimit -S -n 6; exec \"$@\"", &["fetch"]).expect(0);
    env.fetch().expect(0);
    assert_same_mail(&env.mail(), &small_ones_stored(1));
}

#[test]
fn a_state_directory_that_everybody_may_write_to_is_refused() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let state = env.path("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
    env.fetch().expect(73).says("chmod o-w ");
    fs::set_permissions(&state, fs::Permissions::from_mode(0o775)).unwrap();
    env.fetch().expect(0);
}

#[test]
fn no_link_in_the_state_directory_is_followed() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let victim = env.path("victim");
    fs::write(&victim, "precious").unwrap();
    fs::create_dir(env.path("state")).unwrap();
    symlink(&victim, env.path("state/a.lock")).unwrap();
    env.fetch().expect(73).says("symbolic link");
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
}

#[test]
fn a_warning_names_its_account() {
    let maildrop = Maildrop::with(small_ones(1), |behaviour| {
        behaviour.answers = vec![("STAT".to_owned(), "+OK 99 5\r\n".to_owned())];
    });
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let outcome = env.fetch().expect(0).says("a: the server's answers");
    assert!(outcome.stderr.lines().all(|line| line.starts_with("a: ")), "as its other lines: {outcome:#?}");
}

#[test]
fn fetchmails_exit_codes_are_for_every_end() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    env.run(&["fetch", "--fetchmail-exit-codes", "--bogus"]).expect(5);
    env.run(&["fetch", "--bogus"]).expect(64);
    env.run(&["fetch", "--fetchmail-exit-codes", "nobody"]).expect(5);
    env.run(&["fetch", "--fetchmail-exit-codes", "--dry-run"]).expect(0);
    env.run(&["fetch", "--fetchmail-exit-codes"]).expect(0);
    env.run(&["fetch", "--fetchmail-exit-codes", "--dry-run"]).expect(1);
}

#[test]
fn accounts_that_somebody_else_polls_keep_no_place_while_they_are_waited_for() {
    let maildrop = Maildrop::new(small_ones(1));
    let at = |name: &str| Account::at(maildrop.server.address).named(name);
    // One more than are polled concurrently at one server.
    let held = ["h1", "h2", "h3", "h4", "h5"];
    let accounts: Vec<Account> = held.into_iter().chain(["free"]).map(at).collect();
    let env = TestEnv::new(&accounts);
    fs::create_dir(env.path("state")).unwrap();
    let locks = held.map(|name| {
        let file = fs::File::create(env.path("state").join(format!("{name}.lock"))).unwrap();
        file.lock().unwrap();
        file
    });
    let running = env.spawn(&["fetch", "--wait"]);
    maildrop.server.wait_until("a session", |sessions| sessions.iter().any(|session| session.quit));
    running.signal(rustix::process::Signal::TERM);
    let outcome = running.wait().expect(143).says("free: 1 new message").says("interrupted");
    assert!(!outcome.output().contains("--wait"), "{outcome:#?}");
    assert!(outcome.elapsed < Duration::from_secs(30), "{outcome:#?}");
    drop(locks);
}
