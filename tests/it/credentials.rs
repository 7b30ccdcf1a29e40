//! Where passwords come from: files as editors and containers write them, commands that leave a process running.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::delivered::assert_same_mail;
use crate::mail::{small_ones, small_ones_stored};
use crate::program::{Account, Outcome, TestEnv, skip};
use crate::scripted::maildrop::{Maildrop, PASSWORD};

/// An account without a password, with this key in its place.
fn account(maildrop: &Maildrop, key: &'static str, value: impl ToString) -> Account {
    Account::at(maildrop.server.address).without("password").set(key, value)
}

/// A shell command as TOML.
fn shell(script: &str) -> String {
    format!("[\"sh\", \"-c\", {script:?}]")
}

fn write(path: &Path, contents: &[u8], mode: u32) {
    fs::write(path, contents).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Fetches with a password file of this content.
fn fetch_with_file(contents: &[u8], mode: u32) -> Outcome {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::in_memory(&[]);
    let file = env.path("pw");
    write(&file, contents, mode);
    env.configure(&[account(&maildrop, "password_file", format!("{file:?}"))]);
    env.fetch()
}

#[test]
fn what_an_editor_adds_is_not_part_of_the_password() {
    for around in [["", "\n"], ["", "\r\n"], ["\u{feff}", ""], ["\u{feff}", "\n"], ["\u{feff}", "\r\n"]] {
        fetch_with_file(around.join(PASSWORD).as_bytes(), 0o400).expect(0);
    }
    let wide: Vec<u8> = format!("\u{feff}{PASSWORD}\r\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
    fetch_with_file(&wide, 0o400).expect(78).says("UTF-16");
}

#[test]
fn blanks_in_a_refused_password_are_pointed_out() {
    let hint =
        "the password contains spaces: app passwords are often shown in groups, and are typed without the spaces";
    for password in ["abcd efgh ijkl", "abcd\u{a0}efgh", "abcdefgh ", "abcd\tefgh", "abcd\u{202f}efgh"] {
        let outcome = fetch_with_file(format!("{password}\n").as_bytes(), 0o400).expect(77).says(hint);
        assert!(!outcome.output().contains("abcd"), "{outcome:#?}");
    }
    fetch_with_file(b"abcd\xa0efgh\n", 0o400).expect(77).says(hint);
    for password in [&b"abcdefghijkl\n"[..], b"h\xfcnter2\n"] {
        let outcome = fetch_with_file(password, 0o400).expect(77);
        assert!(!outcome.output().contains("blanks"), "{outcome:#?}");
    }
}

#[test]
fn a_file_that_others_may_read_is_refused_with_advice_that_can_be_followed() {
    for mode in [0o444, 0o604, 0o602] {
        fetch_with_file(b"x\n", mode).expect(78).says("lets other users read it. Run `chmod 600 ");
    }
    if !rustix::process::geteuid().is_root() {
        return skip("a file system can be mounted by root only");
    }
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[]);
    let dir = env.path("secrets");
    fs::create_dir(&dir).unwrap();
    write(&dir.join("pw"), PASSWORD.as_bytes(), 0o444);
    env.configure(&[account(&maildrop, "password_file", format!("{:?}", dir.join("pw")))]);
    let mount = "mount --bind secrets secrets && mount -o remount,bind,ro secrets || exit 99; exec \"$@\"";
    let outcome = env.spawn_under(&["unshare", "-m", "sh", "-c", mount, "sh"], &["fetch"]).wait();
    if outcome.status == 99 || outcome.output().contains("unshare:") {
        return skip("a file system cannot be mounted here");
    }
    let outcome = outcome.expect(78).says("read-only file system").says("mode 0400").says("password_credential");
    assert!(!outcome.output().contains("chmod"), "{outcome:#?}");
}

#[test]
fn a_group_that_root_does_not_belong_to_is_a_group_of_others() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can give a file away");
    }
    let maildrop = Maildrop::new(small_ones(1));
    let ours = rustix::process::getgroups().unwrap();
    let strange = (4000..).find(|id| ours.iter().all(|group| group.as_raw() != *id)).unwrap();
    let env = TestEnv::new(&[]);
    let file = env.path("pw");
    write(&file, PASSWORD.as_bytes(), 0o640);
    env.configure(&[account(&maildrop, "password_file", format!("{file:?}"))]);
    for (group, status) in [(strange, 78), (rustix::process::getegid().as_raw(), 0)] {
        std::os::unix::fs::chown(&file, None, Some(group)).unwrap();
        env.fetch().expect(status);
    }
    env.configure(&[Account::at(maildrop.server.address)]);
    let config = env.path("config.toml");
    fs::set_permissions(&config, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(&config, None, Some(strange)).unwrap();
    env.fetch().expect(78).says("a group that mailferry does not belong to");
}

#[test]
fn an_agent_that_a_command_leaves_behind_is_not_waited_for() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[]);
    let script = format!("sleep 1000 & echo $! > agent; echo '{PASSWORD}'");
    env.configure(&[account(&maildrop, "password_command", shell(&script))]);
    let outcome = env.fetch().expect(0);
    assert!(outcome.elapsed < Duration::from_secs(20), "{outcome:#?}");
    assert_same_mail(&env.mail(), &small_ones_stored(1));
    let agent = fs::read_to_string(env.path("agent")).unwrap().trim().parse().unwrap();
    let agent = rustix::process::Pid::from_raw(agent).unwrap();
    rustix::process::kill_process(agent, rustix::process::Signal::KILL).expect("what ended in time leaves it running");
}

#[test]
fn a_command_that_is_interrupted_leaves_nothing_behind() {
    for words in [&["fetch"][..], &["daemon"], &["check"], &["console", "a"], &["uids", "adopt", "a", "--all", "--yes"]]
    {
        is_interrupted_and_leaves_nothing_behind(words);
    }
}

fn is_interrupted_and_leaves_nothing_behind(words: &[&str]) {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[]);
    let script = "sleep 1000 & echo $! > child; mv child ready; wait";
    env.configure(&[account(&maildrop, "password_command", shell(script))]);
    let running = env.spawn(words);
    let ready = env.path("ready");
    let begun = std::time::Instant::now();
    while !ready.exists() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{words:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    running.signal(rustix::process::Signal::TERM);
    running.wait().expect(143);
    let child = fs::read_to_string(&ready).unwrap();
    let stat = format!("/proc/{}/stat", child.trim());
    while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{words:?}: it still runs");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A command that asks for a passphrase must be able to read from the terminal: in its own process group it would be
/// stopped.
#[test]
fn a_command_may_ask_at_the_terminal() {
    if std::process::Command::new("script").arg("--version").output().is_err() {
        return skip("script is not there (Debian package bsdutils)");
    }
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[]);
    write(&env.path("pw"), PASSWORD.as_bytes(), 0o600);
    let asks =
        "stty -echo < /dev/tty && read answer < /dev/tty && stty echo < /dev/tty && [ \"$answer\" = yes ] && cat pw";
    env.configure(&[account(&maildrop, "password_command", shell(asks))]);
    let at_a_terminal = "echo yes | script -qec \"$(printf '%q ' \"$@\") > out 2>&1\" /dev/null > typed";
    env.spawn_under(&["bash", "-c", at_a_terminal, "bash"], &["fetch"]).wait().expect(0);
    assert_same_mail(&env.mail(), &small_ones_stored(1));
}

/// What an interrupted run left is finished when the state is read, so it does not wait for a password.
#[test]
fn the_state_is_read_where_there_is_no_password() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    env.fetch().expect(0);
    env.configure(&[account(&maildrop, "password_command", "[\"false\"]")]);
    // So that the last listing does not show what is left to do.
    let uids = env.path("state/a.uids");
    let records = fs::read_to_string(&uids).unwrap();
    fs::write(&uids, records.replacen('\n', "\nnot a record\n", 1)).unwrap();
    env.fetch().expect(73).says("is damaged");
    fs::write(&uids, records).unwrap();
    env.fetch().expect(78).says("the password command `false` ended with status 1");
}
