//! A shortage of system resources: threads, files, memory, streams, readers, sensible variables.

use std::fs;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::delivered::assert_same_mail;
use crate::mail::{small_ones, small_ones_stored};
use crate::program::{Account, Outcome, Running, TestEnv, skip};
use crate::scripted::maildrop::{Maildrop, PASSWORD};

/// Words that no message about a system limit may contain.
const WRONG: [&str; 5] = ["panicked", "report it", "internal error", "Free some space", "free some space"];

/// Starts the program in a shell: `script` sees it as `"$@"`.
fn in_shell(env: &TestEnv, script: &str, args: &[&str]) -> Running {
    env.spawn_under(&["bash", "-c", script, "bash"], args)
}

/// Checks that the run ended as it should in a shortage: done, or to be retried later, with a message.
#[track_caller]
fn ended_in_words(outcome: &Outcome, statuses: &[i32]) {
    assert!(statuses.contains(&outcome.status), "{outcome:#?}");
    assert!(outcome.elapsed < Duration::from_secs(20), "{outcome:#?}");
    for wrong in WRONG {
        assert!(!outcome.output().contains(wrong), "{wrong:?} in {outcome:#?}");
    }
    assert!(outcome.status == 0 || !outcome.stderr.is_empty(), "{outcome:#?}");
}

/// Waits until a condition holds or the process has ended; returns whether it holds.
fn wait_for(running: &mut Running, mut so: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while running.is_running() && begun.elapsed() < Duration::from_secs(40) {
        if so() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20)); // how often to check; nothing depends on it
    }
    so()
}

/// Returns a wrapper that runs the program as another user, who may have only this many processes and threads. None if
/// that is not possible.
fn with_threads(env: &TestEnv, limit: u32) -> Option<Vec<String>> {
    // A number that nobody else uses.
    let user = (60_000 + std::process::id() % 5000).to_string();
    let script = "chown -R \"$0\" . && exec setpriv --reuid=\"$0\" --regid=\"$0\" --clear-groups \"$@\"";
    let wrapper = ["sh", "-c", script, &user].map(str::to_owned).to_vec();
    let mut probe: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    probe.extend([env!("CARGO_BIN_EXE_mailferry"), "--version"]);
    let probed = std::process::Command::new(probe[0]).args(&probe[1..]).current_dir(env.path("")).output();
    if !probed.is_ok_and(|probed| probed.status.success()) {
        skip("another user with few processes needs root, setpriv, and a program that all users can run");
        return None;
    }
    let limit = format!("--nproc={limit}");
    Some(wrapper.into_iter().chain(["prlimit".to_owned(), limit]).collect())
}

#[test]
fn few_threads_are_enough_or_said_in_words() {
    let mut fetched = false;
    for limit in 1..=9 {
        for command in ["fetch", "status", "poll", "daemon"] {
            let maildrop = Maildrop::new(small_ones(2));
            let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
            let Some(wrapper) = with_threads(&env, limit) else { return };
            let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
            let mut running = env.spawn_under(&wrapper, &[command]);
            if command == "daemon" {
                if wait_for(&mut running, || env.mail().len() == 2) {
                    running.signal(Signal::TERM);
                    ended_in_words(&running.wait(), &[143]);
                } else {
                    ended_in_words(&running.wait(), &[75]);
                }
                continue;
            }
            let outcome = running.wait();
            ended_in_words(&outcome, if command == "fetch" { &[0, 75] } else { &[75] });
            if outcome.status == 75 && command == "fetch" {
                assert!(outcome.stderr.contains("ulimit -u"), "{limit}: {outcome:#?}");
            }
            fetched |= command == "fetch" && outcome.status == 0;
        }
    }
    assert!(fetched, "nine threads are enough");
}

#[test]
fn a_command_that_the_system_cannot_start_is_tried_again() {
    let maildrop = Maildrop::new(small_ones(1));
    let at = Account::at(maildrop.server.address);
    let mut refused = false;
    for limit in 1..=9 {
        let env = TestEnv::new(&[at.clone().without("password").set("password_command", "[\"false\"]")]);
        let Some(wrapper) = with_threads(&env, limit) else { return };
        let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
        let outcome = env.spawn_under(&wrapper, &["fetch"]).wait();
        // 78: it was started, and failed.
        assert!([75, 78].contains(&outcome.status), "{limit}: {outcome:#?}");
        refused |= outcome.output().contains("could not be started");
        if outcome.output().contains("could not be started") {
            assert!(outcome.status == 75 && outcome.output().contains("ulimit -u"), "{limit}: {outcome:#?}");
        }
    }
    assert!(refused, "no limit was the one");
}

#[test]
fn few_files_are_enough_or_said_in_words() {
    for limit in [10, 15, 16, 17, 18, 19, 20, 22, 24, 28, 32, 40, 64] {
        let maildrop = Maildrop::new(small_ones(30));
        let at = |name: &str| Account::at(maildrop.server.address).named(name);
        let env = TestEnv::new(&[at("a"), at("b"), at("c")]);
        let outcome = in_shell(&env, &format!("ulimit -n {limit}; exec \"$@\""), &["fetch"]).wait();
        ended_in_words(&outcome, &[0, 75]);
        assert!(outcome.status == 0 || outcome.stderr.contains("files"), "{limit}: {outcome:#?}");
        assert!(limit < 64 || outcome.status == 0, "{limit}: {outcome:#?}");
        // What was not fetched before is fetched now.
        env.fetch().expect(0);
        assert_same_mail(&env.mail(), &small_ones_stored(30));
        for command in ["status", "poll"] {
            let outcome = in_shell(&env, &format!("ulimit -n {limit}; exec \"$@\""), &[command]).wait();
            ended_in_words(&outcome, &[75]);
        }
    }
}

#[test]
fn a_daemon_with_few_files_lives_and_brings_the_mail_or_says_what_it_lacks() {
    for limit in [16, 20, 27, 28, 32, 40] {
        let maildrop = Maildrop::new(small_ones(30));
        let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
        let mut running = in_shell(&env, &format!("ulimit -n {limit}; exec \"$@\""), &["daemon"]);
        let status = || env.run(&["status"]).output();
        let done = wait_for(&mut running, || env.mail().len() == 30 || status().contains("ulimit -n"));
        if running.is_running() {
            assert!(done && (limit < 32 || env.mail().len() == 30), "{limit}: {}", status());
            running.signal(Signal::TERM);
        }
        let outcome = running.wait();
        ended_in_words(&outcome, if limit < 28 { &[143, 75] } else { &[143] });
        env.fetch().expect(0);
        assert_same_mail(&env.mail(), &small_ones_stored(30));
    }
}

#[test]
fn little_address_space_is_enough_or_said_in_words() {
    let mut fetched = false;
    for mebibytes in [100, 150, 191, 192, 200, 220, 256, 400] {
        let maildrop = Maildrop::new(small_ones(100));
        let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
        let script = format!("ulimit -v {}; exec \"$@\"", mebibytes * 1024);
        let outcome = in_shell(&env, &script, &["fetch"]).wait();
        // If the program itself does not fit, the system's loader reports it.
        if outcome.status != 127 {
            ended_in_words(&outcome, &[0, 75]);
        }
        assert!(mebibytes >= 192 || outcome.status != 0, "{mebibytes}: {outcome:#?}");
        fetched |= outcome.status == 0;
        env.fetch().expect(0);
        assert_same_mail(&env.mail(), &small_ones_stored(100));
    }
    assert!(fetched);
}

#[test]
fn little_stack_is_enough() {
    for limit in ["64", "128", "256", "512", "1024", "unlimited"] {
        let maildrop = Maildrop::new(small_ones(20));
        let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
        let script = format!("ulimit -s {limit}; exec \"$@\"");
        ended_in_words(&in_shell(&env, &script, &["check"]).wait(), &[0]);
        ended_in_words(&in_shell(&env, &script, &["fetch"]).wait(), &[0]);
        assert_same_mail(&env.mail(), &small_ones_stored(20));
        let mut daemon = in_shell(&env, &script, &["daemon"]);
        assert!(wait_for(&mut daemon, || env.run(&["status"]).status == 0), "{limit}");
        daemon.signal(Signal::TERM);
        ended_in_words(&daemon.wait(), &[143]);
    }
}

/// Whether there is memory must not depend on which thread asks first.
#[test]
fn a_daemon_with_little_address_space_lives() {
    for mebibytes in [192, 229, 256, 288, 300, 320] {
        let maildrop = Maildrop::new(small_ones(20));
        let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
        let script = format!("ulimit -v {}; exec \"$@\"", mebibytes * 1024);
        let mut running = in_shell(&env, &script, &["daemon"]);
        let polled = |times| maildrop.server.sessions().len() >= times;
        let asked = |times| {
            env.run(&["poll"]);
            polled(times)
        };
        assert!(wait_for(&mut running, || asked(3) && env.run(&["status"]).status == 0), "{mebibytes}");
        running.signal(Signal::TERM);
        running.wait().expect(143);
        assert_same_mail(&env.mail(), &small_ones_stored(20));
    }
}

/// A state is worked on by one thread after the other, and each used to keep the memory that it had needed for that.
#[test]
#[cfg(target_env = "gnu")]
fn a_daemon_gives_large_blocks_of_memory_back_and_is_still_called_by_its_name() {
    for given in [None, Some(("MALLOC_MMAP_THRESHOLD_", "65536"))] {
        let maildrop = Maildrop::new(Vec::new());
        let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
        let mut running = env.spawn_with(given.as_slice(), &["daemon"]);
        assert!(wait_for(&mut running, || env.run(&["status"]).status == 0), "{given:?}");
        let proc = std::path::PathBuf::from(format!("/proc/{}", running.pid()));
        let environment = fs::read(proc.join("environ")).unwrap();
        let variables: Vec<&[u8]> = environment.split(|c| *c == 0).collect();
        let expected = format!("MALLOC_MMAP_THRESHOLD_={}", given.map_or("1048576", |(_, value)| value));
        assert!(variables.contains(&expected.as_bytes()), "{}", String::from_utf8_lossy(&environment));
        assert_eq!(fs::read_to_string(proc.join("comm")).unwrap(), "mailferry\n");
        running.signal(Signal::TERM);
        running.wait().expect(143);
    }
}

#[test]
fn what_a_parent_left_of_signals_is_put_right() {
    let ignored = "trap '' CHLD; exec \"$@\"";
    let maildrop = Maildrop::new(small_ones(2));
    let account = Account::at(maildrop.server.address).without("password");
    let command = format!("[\"sh\", \"-c\", \"echo '{PASSWORD}'\"]");
    let account = account.set("password_command", command).set("on_new_mail", "[\"sh\", \"-c\", \"echo told > told\"]");
    let env = TestEnv::new(std::slice::from_ref(&account));
    in_shell(&env, ignored, &["fetch"]).wait().expect(0);
    assert_eq!(env.mail().len(), 2);
    let env = TestEnv::new(&[account]);
    let mut running = in_shell(&env, ignored, &["daemon"]);
    assert!(wait_for(&mut running, || env.path("told").exists()));
    running.signal(Signal::TERM);
    let outcome = running.wait().expect(143);
    assert!(!outcome.output().contains("could not be followed"), "{outcome:#?}");
    // Blocked signals survive exec, too.
    let blocked = "use POSIX; \
        POSIX::sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD)) or die; \
        exec @ARGV or die";
    let mut running = env.spawn_under(&["perl", "-e", blocked], &["daemon"]);
    assert!(wait_for(&mut running, || env.run(&["status"]).status == 0));
    running.signal(Signal::TERM);
    running.wait().expect(143);
}

#[test]
fn without_standard_streams_nothing_of_ours_gets_their_numbers() {
    let maildrop = Maildrop::new(small_ones(3));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let closed = "exec 0<&- 1>&- 2>&-; exec \"$@\"";
    in_shell(&env, closed, &["-vv", "fetch"]).wait().expect(0);
    assert_same_mail(&env.mail(), &small_ones_stored(3));
    let mut running = in_shell(&env, closed, &["-vv", "daemon"]);
    assert!(wait_for(&mut running, || env.run(&["status"]).status == 0));
    for number in 0..3 {
        let leads = fs::read_link(format!("/proc/{}/fd/{number}", running.pid())).unwrap();
        assert_eq!(leads.to_str(), Some("/dev/null"), "{number}");
    }
    running.signal(Signal::TERM);
    running.wait().expect(143);
}

/// A script that makes standard error a pipe that nobody reads, named `pipe`.
const UNREAD: &str = "mkfifo pipe; exec 2<>pipe; exec \"$@\"";

/// A maildrop and an account whose sessions, shown with -vv, fill any pipe.
fn talkative() -> (Maildrop, TestEnv) {
    let maildrop = Maildrop::new(small_ones(250));
    let env = TestEnv::new(&[Account::at(maildrop.server.address).set("max_messages_per_session", 5)]);
    (maildrop, env)
}

#[test]
fn streams_that_nobody_reads_do_not_stop_a_command() {
    for script in [UNREAD, "mkfifo pipe; exec 1<>pipe 2>&1; exec \"$@\""] {
        let (_maildrop, env) = talkative();
        let outcome = in_shell(&env, script, &["-vv", "fetch"]).wait().expect(0);
        assert!(outcome.elapsed < Duration::from_secs(40), "{outcome:#?}");
        assert_same_mail(&env.mail(), &small_ones_stored(250));
    }
}

#[test]
fn a_reader_that_is_slow_gets_everything() {
    let (_maildrop, env) = talkative();
    // The reader starts when the pipe has been full for a while, and reads slowly.
    let slowly = "\"$@\" 2>&1 | perl -e 'sleep 2; while (sysread(STDIN, $b, 8192)) { print $b; select(undef, undef, undef, 0.002) }'";
    let outcome = in_shell(&env, slowly, &["-vv", "fetch"]).wait().expect(0);
    assert!(!outcome.stdout.contains("were dropped"), "{outcome:#?}");
    let retrieved = outcome.stdout.lines().filter(|line| line.contains("C: RETR ")).count();
    assert_eq!(retrieved, 250);
    assert!(outcome.stdout.contains("a: 250 new messages"));
}

#[test]
fn standard_error_that_nobody_reads_does_not_stop_a_daemon_and_what_was_dropped_is_counted() {
    for reads in [false, true] {
        let (_maildrop, env) = talkative();
        let mut running = in_shell(&env, UNREAD, &["-vv", "daemon"]);
        assert!(wait_for(&mut running, || env.mail().len() == 250), "the pipe stops the daemon");
        env.run(&["status"]).expect(0);
        if reads {
            let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
            let mut pipe = fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(env.path("pipe")).unwrap();
            let mut log = Vec::new();
            let counted = wait_for(&mut running, || {
                let _ = pipe.read_to_end(&mut log);
                String::from_utf8_lossy(&log).contains("lines of the log were dropped")
            });
            let text = String::from_utf8_lossy(&log);
            assert!(counted && text.contains("polling 1 account"), "{}", text.len());
            assert!(text.lines().all(|line| line.len() < 1000), "a line was cut and joined with another");
        }
        running.signal(Signal::TERM);
        let outcome = running.wait().expect(143);
        assert!(!reads || outcome.elapsed < Duration::from_secs(60), "{outcome:#?}");
    }
}

#[test]
fn odd_variables_harm_nobody() {
    for odd in [
        &[("TOKIO_WORKER_THREADS", "")][..],
        &[("TOKIO_WORKER_THREADS", "many")],
        &[("TOKIO_WORKER_THREADS", "0")],
        &[("RUST_MIN_STACK", "0")],
        &[("RUST_LOG", "==,[{/:*")],
        &[("RUST_BACKTRACE", "full"), ("RUST_LOG", "trace")],
        &[("HOME", ""), ("XDG_STATE_HOME", ""), ("XDG_RUNTIME_DIR", "")],
        &[("JOURNAL_STREAM", "x:y"), ("NOTIFY_SOCKET", ""), ("WATCHDOG_USEC", "soon")],
        &[("LISTEN_FDS", "-1"), ("CREDENTIALS_DIRECTORY", ""), ("TZ", "Nowhere/At all"), ("LC_ALL", "xx_YY")],
    ] {
        let maildrop = Maildrop::new(small_ones(1));
        let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
        env.spawn_with(odd, &["fetch"]).wait().expect(0);
        let mut running = env.spawn_with(odd, &["daemon"]);
        assert!(wait_for(&mut running, || env.run(&["status"]).status == 0), "{odd:?}");
        running.signal(Signal::TERM);
        let outcome = running.wait().expect(143);
        assert!(!outcome.output().contains("panicked"), "{odd:?}: {outcome:#?}");
    }
    // Without any variables.
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    env.spawn_under(&["env", "-i"], &["fetch"]).wait().expect(0);
    assert_eq!(env.mail().len(), 1);
}
