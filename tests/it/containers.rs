//! The program as PID 1 of a container, next to a tidy neighbour, and in a terminal that is closed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::OpenptFlags;

use crate::mail::small_ones;
use crate::program::{Account, Running, TestEnv, skip, wait_for};
use crate::scripted::maildrop::{Maildrop, PASSWORD};

/// Returns the children of a process, each with its state.
fn children(parent: u32) -> Vec<(u32, String)> {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let of_parent = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?.to_owned();
        (fields.next()?.parse() == Ok(parent)).then_some((pid, state))
    };
    pids.filter_map(of_parent).collect()
}

fn zombies(parent: u32) -> usize {
    children(parent).iter().filter(|(_, state)| state == "Z").count()
}

/// An account whose password command leaves a process behind.
fn littering(maildrop: &Maildrop) -> TestEnv {
    let command = format!("[\"sh\", \"-c\", \"sleep 0.5 >/dev/null 2>&1 & echo '{PASSWORD}'\"]");
    let account = Account::at(maildrop.server.address).without("password").set("password_command", command);
    TestEnv::new(&[account.set("on_new_mail", "[\"sh\", \"-c\", \"exit 3\"]")])
}

/// Checks that a daemon reaps the orphans reparented to it, and still learns how its own children ended.
fn reaps(env: &TestEnv, running: Running, daemon: u32) {
    wait_for("mail", || env.mail().len() == 2);
    wait_for("an orphan", || zombies(daemon) > 0);
    wait_for("its end", || zombies(daemon) == 0);
    kill_process(Pid::from_raw(i32::try_from(daemon).unwrap()).unwrap(), Signal::TERM).unwrap();
    let outcome = running.wait();
    assert!(outcome.output().contains("ended with status 3"), "{outcome:#?}");
}

#[test]
fn the_first_process_of_a_container_reaps_what_commands_leave_behind() {
    let maildrop = Maildrop::new(small_ones(2));
    let env = littering(&maildrop);
    let wrapper = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    if !Command::new(wrapper[0]).args(&wrapper[1..]).arg("true").status().is_ok_and(|status| status.success()) {
        return skip("a namespace of processes needs root and unshare");
    }
    let running = env.spawn_under(&wrapper, &["daemon"]);
    let mut daemon = None;
    wait_for("the first process", || {
        daemon = children(running.pid()).first().map(|(pid, _)| *pid);
        daemon.is_some()
    });
    reaps(&env, running, daemon.unwrap());
}

#[test]
fn so_does_a_sub_reaper() {
    let number = match std::env::consts::ARCH {
        "x86_64" => 157,
        "aarch64" | "riscv64" => 167,
        other => return skip(&format!("the number of prctl(2) on {other} is not known here")),
    };
    let maildrop = Maildrop::new(small_ones(2));
    let env = littering(&maildrop);
    let script = format!("syscall({number}, 36, 1, 0, 0, 0) == 0 or die; exec @ARGV or die");
    let running = env.spawn_under(&["perl", "-e", &script], &["daemon"]);
    let daemon = running.pid();
    reaps(&env, running, daemon);
}

#[test]
fn a_control_socket_that_somebody_removed_comes_back() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let running = env.spawn(&["daemon"]);
    let answers = || env.run(&["status"]).status == 0;
    wait_for("the daemon", answers);
    let socket = env.path("state/control.sock");
    // At once after a reload, soon without one.
    for reload in [true, false] {
        fs::remove_file(&socket).unwrap();
        for command in ["status", "poll"] {
            let outcome = env.run(&[command]);
            // It may exist again already.
            if outcome.status != 0 {
                let holder = format!("process {} (mailferry daemon)", running.pid());
                outcome.expect(75).says("a daemon uses the state").says(&holder);
            }
        }
        if reload {
            running.signal(Signal::HUP);
        }
        let begun = Instant::now();
        wait_for("the socket", answers);
        assert!(!reload || begun.elapsed() < Duration::from_secs(5));
    }
    env.run(&["daemon"]).expect(75).says("another daemon");
    running.signal(Signal::TERM);
    running.wait().expect(143).says("was removed and has been made again");
    assert!(!socket.exists());
    env.run(&["status"]).expect(75).says("no daemon is running");
}

#[test]
fn a_control_socket_whose_place_is_gone_is_made_elsewhere() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let (runtime, state) = (env.path("runtime"), env.path("xdg/mailferry"));
    for dir in [&runtime, &state] {
        fs::create_dir_all(dir).unwrap();
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).unwrap();
    }
    let (config, home) = (env.path("config.toml"), env.path("xdg"));
    let command = |word: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailferry"));
        command.arg("--config").arg(&config).arg(word).env_remove("RUNTIME_DIRECTORY").env_remove("STATE_DIRECTORY");
        command.env("XDG_RUNTIME_DIR", &runtime).env("XDG_STATE_HOME", &home).stdout(Stdio::null());
        command.stderr(fs::OpenOptions::new().create(true).append(true).open(env.path("log")).unwrap());
        command
    };
    let mut daemon = command("daemon").spawn().unwrap();
    let answers = || command("status").status().unwrap().success();
    wait_for("the daemon", answers);
    assert!(runtime.join("mailferry/control.sock").exists() && !state.join("control.sock").exists());
    fs::remove_dir_all(&runtime).unwrap();
    let pid = Pid::from_child(&daemon);
    kill_process(pid, Signal::HUP).unwrap();
    wait_for("the socket", answers);
    assert!(state.join("control.sock").exists());
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(daemon.wait().unwrap().code(), Some(143));
    assert!(!state.join("control.sock").exists(), "{}", fs::read_to_string(env.path("log")).unwrap());
}

#[test]
fn a_daemon_ends_with_the_terminal_that_it_was_started_in_unless_nohup_says_otherwise() {
    for nohup in [false, true] {
        let maildrop = Maildrop::new(small_ones(1));
        let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let terminal = rustix::pty::openpt(flags).unwrap();
        rustix::pty::grantpt(&terminal).unwrap();
        rustix::pty::unlockpt(&terminal).unwrap();
        let name = rustix::pty::ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
        // Opened here, so that it exists until this test closes it.
        let _ours =
            rustix::fs::open(name.as_str(), OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, rustix::fs::Mode::empty())
                .unwrap();
        // The tests themselves may run under nohup.
        let signals = if nohup { "--ignore-signal=HUP" } else { "--default-signal=HUP" };
        let script = format!("exec env {signals} setsid --ctty \"$@\" <{name}");
        let mut running = env.spawn_under(&["bash", "-c", &script, "bash"], &["daemon"]);
        wait_for("the daemon", || env.run(&["status"]).status == 0);
        // A manual reload stays a reload, also in a terminal.
        running.signal(Signal::HUP);
        let problem = || env.run(&["status"]).output().contains("has errors");
        env.write_config("nonsense = 1", 0o600);
        running.signal(Signal::HUP);
        wait_for("the reload", || problem() || env.run(&["status"]).status == 78);
        drop((terminal, _ours));
        if nohup {
            std::thread::sleep(Duration::from_secs(2)); // long enough for anything that would end it
            assert!(running.is_running());
            running.signal(Signal::TERM);
        }
        running.wait().expect(143).says("was refused");
    }
}
