//! What `-v` shows of a session, and the timestamps in a daemon's log.

use rustix::process::Signal;

use crate::certificates::{Authority, Kind};
use crate::mail::small_ones;
use crate::program::{Account, TestEnv};
use crate::scripted::maildrop::Maildrop;

#[test]
fn a_session_is_told_from_the_address_to_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    for mode in ["implicit", "starttls"] {
        let maildrop = Maildrop::with(small_ones(2), |behaviour| {
            behaviour.tls = Some(authority.server_config(Kind::Good));
            behaviour.implicit_tls = mode == "implicit";
        });
        let env = TestEnv::new(&[Account::at(maildrop.server.address).tls(mode, &authority.ca_file)]);
        let outcome = env.run(&["-v", "fetch"]).expect(0);
        let log = outcome.output();
        let line = |words: &[&str]| {
            let found = log.lines().find(|line| words.iter().all(|word| line.contains(word)));
            found.unwrap_or_else(|| panic!("no line has {words:?}: {log}")).to_owned()
        };
        let port = maildrop.server.address.port();
        line(&["connecting to localhost", "127.0.0.1"]);
        line(&[&format!("127.0.0.1:{port}: connected in 0."), "a: "]);
        line(&[
            "TLS 1.3 with X25519MLKEM768, TLS_",
            " in 0.",
            "; the certificate of CN=",
            ", issued by CN=",
            ", valid until ",
            "; its key is sha256//",
        ]);
        line(&["S: PIPELINING"]);
        line(&["2 messages on the server: 2 to fetch, 0 to delete, 0 known"]);
        line(&["S: +OK", "  (RETR 2, 0.", " s)"]);
        line(&["S: +OK", "  (QUIT, 0."]);
        let delivered = line(&["message 2 (", " octets) is delivered as "]);
        let file = delivered.split(" is delivered as ").nth(1).unwrap();
        assert!(std::path::Path::new(file).is_file(), "{file}");
    }
}

#[test]
fn an_address_that_does_not_answer_is_told_with_its_reason() {
    let env = TestEnv::new(&[Account::at(([127, 0, 0, 1], 9).into())]);
    let outcome = env.run(&["-v", "fetch"]).expect(75);
    assert!(outcome.output().contains("127.0.0.1:9: not connected after 0."), "{outcome:#?}");
}

#[test]
fn the_log_of_a_daemon_has_times_unless_the_journal_has_its_own() {
    let env = TestEnv::new(&[Account::at(([127, 0, 0, 1], 9).into())]);
    let log = |script: &str| {
        let running = env.spawn_under(&["bash", "-c", script, "bash"], &["--log-format", "text", "daemon"]);
        let begun = std::time::Instant::now();
        while env.run(&["status"]).status != 0 {
            assert!(begun.elapsed() < std::time::Duration::from_secs(40), "the daemon does not begin");
        }
        running.signal(Signal::TERM);
        running.wait().expect(143).stderr
    };
    let with_times = log("exec \"$@\"");
    let begins_with_a_time = |line: &str| {
        let time = line.split(' ').next().unwrap();
        // For example 2026-11-26T07:30:00+01:00.
        time.len() == 25 && time.starts_with("20") && time.contains('T') && time.matches(':').count() == 3
    };
    assert!(with_times.lines().count() > 1 && with_times.lines().all(begins_with_a_time), "{with_times}");
    let journal = log("export JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2); exec \"$@\"");
    assert!(journal.lines().count() > 1 && !journal.lines().any(begins_with_a_time), "{journal}");
}
