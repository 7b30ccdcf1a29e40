//! One process at a time forwards an account's mail, and others are told which. Accounts do not hold each other up.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use super::*;
use crate::program::wait_for;

#[test]
fn who_comes_second_is_told_who_forwards_and_waits_or_tries_later() {
    let dir = tempfile::tempdir().unwrap();
    let (program, begun, go) = (dir.path().join("deliver"), dir.path().join("begun"), dir.path().join("go"));
    let script = "#!/bin/sh\n>$1/begun; while [ ! -e $1/go ]; do sleep 0.05; done; cat >/dev/null\n";
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let maildrop = Maildrop::new(small_ones(2));
    let forward = format!("{{ command = [{program:?}, {:?}] }}", dir.path());
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting().set("forward", forward)]);
    let first = env.spawn(&["fetch"]);
    wait_for("the command", || begun.exists());
    let who = format!("process {} (mailferry fetch) is forwarding this account's mail", first.pid());
    env.fetch().expect(75).says(&who).says("Try later");
    let log = fs::File::create(dir.path().join("log")).unwrap();
    let mut second = env.command(&[], &["forward"]).stderr(log).stdout(std::process::Stdio::null()).spawn().unwrap();
    let said = || fs::read_to_string(dir.path().join("log")).unwrap();
    wait_for("the message that it waits", || said().contains(&who) && said().contains("waiting"));
    fs::write(go, "").unwrap();
    assert!(second.wait().unwrap().success(), "{}", said());
    first.wait().expect(0);
    env.fetch().expect(0);
    assert!(maildrop.left().is_empty());
}

#[test]
fn whoever_waits_for_another_process_can_be_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let begun = dir.path().join("begun");
    let maildrop = Maildrop::new(small_ones(1));
    let forward = format!("{{ command = [\"/bin/sh\", \"-c\", \">{}; exec sleep 30\"] }}", begun.display());
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting().set("forward", forward)]);
    let first = env.spawn(&["fetch"]);
    wait_for("the command", || begun.exists());
    let second = env.spawn(&["forward"]);
    std::thread::sleep(Duration::from_millis(500));
    let asked = Instant::now();
    second.signal(rustix::process::Signal::TERM);
    second.wait().expect(143);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    first.signal(rustix::process::Signal::KILL);
    first.wait();
}

/// Between fork and exec a child holds a copy of each of its parent's locks. No account may take it for another
/// process.
#[test]
fn accounts_that_start_commands_side_by_side_are_not_in_each_other_s_way() {
    let maildrops: Vec<_> = (0..20).map(|_| Maildrop::new(small_ones(2))).collect();
    let accounts: Vec<_> = (1..)
        .zip(&maildrops)
        .map(|(n, maildrop): (usize, _)| {
            let account = Account::at(maildrop.server.address).named(&format!("a{n}")).deleting();
            account.set("forward", "{ command = [\"/bin/cat\"] }")
        })
        .collect();
    let env = TestEnv::new(&accounts);
    for _ in 0..2 {
        let outcome = env.fetch().expect(0);
        assert!(!outcome.output().contains("is forwarding"), "{outcome:#?}");
    }
    assert!(maildrops.iter().all(|maildrop| maildrop.left().is_empty()));
}
