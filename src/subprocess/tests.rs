use std::path::Path;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use super::under_way::UnderWay;
use super::*;

const SOON: Duration = Duration::from_secs(30);

#[test]
fn what_systemd_told_us_and_our_own_settings_are_not_inherited() {
    let names = ["PATH", "HOME", "NOTIFY_SOCKET", "MAINPID", "MAILFERRY_CONFIG", "MAILFERRY", "STATE_DIRECTORY"];
    let command = prepare_from(OsStr::new("true"), &[], names.iter().map(OsString::from));
    let removed: Vec<_> = command.as_std().get_envs().filter(|(_, v)| v.is_none()).map(|(n, _)| n).collect();
    assert_eq!(removed, ["MAILFERRY_CONFIG", "MAINPID", "NOTIFY_SOCKET", "STATE_DIRECTORY"]);
}

/// Runs a script in a shell; `$0` is the directory. It gets a process group of its own, or stays in ours as at a
/// terminal.
fn shell(dir: &Path, script: &str, grouped: bool) -> Running {
    let arguments = ["-c".into(), script.into(), dir.into()];
    let inherited = std::env::vars_os().map(|(name, _)| name);
    Running::start_command(prepare_from(OsStr::new("sh"), &arguments, inherited), grouped).unwrap()
}

/// Takes at most this many bytes.
struct Bounded(Vec<u8>, usize);

impl Sink for Bounded {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.0.extend_from_slice(bytes);
        if self.0.len() > self.1 { Err(Full) } else { Ok(()) }
    }
}

/// Returns what a command printed and how it ended.
async fn follow(running: Running, limit: Duration) -> (String, Result<ExitStatus, NoEnd>) {
    let mut output = Bounded(Vec::new(), 100_000);
    let ended = running.follow(limit, &mut output, &mut Tail::default()).await;
    (String::from_utf8(output.0).unwrap(), ended)
}

/// Reads process ids from files.
fn processes(dir: &Path, names: &[&str]) -> Vec<Pid> {
    let read = |name: &&str| std::fs::read_to_string(dir.join(name)).unwrap().trim().parse().unwrap();
    names.iter().map(read).map(|number| Pid::from_raw(number).unwrap()).collect()
}

fn is_alive(process: Pid) -> bool {
    // A dead process may wait for its new parent to notice.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn what_was_printed_when_the_command_ended_counts_and_nobody_waits_for_what_it_left_running() {
    for grouped in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let begun = Instant::now();
        let running =
            shell(dir.path(), "sleep 1000 & echo $! > $0/agent; head -c 60000 /dev/zero | tr '\\0' x", grouped);
        let (output, ended) = follow(running, SOON).await;
        assert!(ended.unwrap().success());
        assert_eq!(output.len(), 60_000);
        assert!(begun.elapsed() < Duration::from_secs(10));
        let [agent] = processes(dir.path(), &["agent"])[..] else { panic!("no agent") };
        assert!(is_alive(agent), "what ended in time is left alone");
        kill_process(agent, Signal::KILL).unwrap();
    }
}

#[tokio::test]
async fn an_agent_that_goes_on_printing_does_not_hold_anybody_up() {
    let dir = tempfile::tempdir().unwrap();
    let script =
        "echo secret; { trap '' PIPE; while [ -d $0 ] && [ ! -e $0/stop ]; do echo noise; done 2>/dev/null; } & exit 0";
    let (output, ended) = follow(shell(dir.path(), script, true), SOON).await;
    std::fs::write(dir.path().join("stop"), "").unwrap();
    assert!(ended.unwrap().success());
    assert!(output.starts_with("secret\n"), "{output}");
}

#[tokio::test]
async fn what_does_not_end_in_time_is_gone_with_all_that_it_started() {
    // A child, one that ignores signals, an orphan, and one with a session of its own.
    let script = "sleep 1000 & echo $! > $0/child
                  sh -c 'trap \"\" TERM; echo $$ > $0/deaf; while :; do sleep 1; done' $0 &
                  sh -c 'sleep 1000 & echo $! > $0/orphan' $0
                  setsid sh -c 'echo $$ > $0/session; sleep 1000' $0 &
                  echo $$ > $0/leader; while [ ! -s $0/deaf ] || [ ! -s $0/session ]; do sleep 0.01; done
                  touch $0/ready; wait";
    for grouped in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let running = shell(dir.path(), &script.replace("$0", &dir.path().display().to_string()), grouped);
        let begun = Instant::now();
        let (_, ended) = follow(running, Duration::from_secs(3)).await;
        assert!(matches!(ended, Err(NoEnd::TimedOut)), "{ended:?}");
        assert!(begun.elapsed() < SOON);
        assert!(dir.path().join("ready").exists());
        for (name, process) in ["leader", "child", "deaf", "orphan", "session"]
            .into_iter()
            .zip(processes(dir.path(), &["leader", "child", "deaf", "orphan", "session"]))
        {
            assert!(!is_alive(process), "{name} is alive, grouped: {grouped}");
        }
    }
}

#[tokio::test]
async fn what_prints_too_much_is_gone_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let (_, ended) = follow(shell(dir.path(), "echo $$ > $0/leader; yes", true), SOON).await;
    assert!(matches!(ended, Err(NoEnd::TooMuch)), "{ended:?}");
    assert!(processes(dir.path(), &["leader"]).into_iter().all(|process| !is_alive(process)));
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_ended() {
    for grouped in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let running =
            shell(dir.path(), "sleep 1000 & echo $! > $0/child; echo $$ > $0/leader; touch $0/ready; wait", grouped);
        let waiting = follow(running, SOON);
        let ready = async {
            while !dir.path().join("ready").exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            _ = waiting => panic!("it ended"),
            () = ready => {}
        }
        let begun = Instant::now();
        while processes(dir.path(), &["leader", "child"]).into_iter().any(is_alive) {
            assert!(begun.elapsed() < SOON, "grouped: {grouped}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[test]
fn what_is_just_being_started_when_this_process_ends_is_ended_too() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let commands = UnderWay::new();
    let (begun, begins) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _entered = runtime.enter();
            let started = commands.start(|| {
                let mut sleeps = Command::new("sleep");
                let started = Family::start(sleeps.arg("1000"), true)?;
                begun.send(started.0.id().unwrap()).unwrap();
                // It runs already, and the system has not answered yet.
                std::thread::sleep(Duration::from_millis(100));
                Ok(started)
            });
            drop(started.unwrap().0);
        });
        let process = Pid::from_raw(begins.recv().unwrap().try_into().unwrap()).unwrap();
        drop(commands.abandon_all());
        let ended = Instant::now();
        while is_alive(process) {
            assert!(ended.elapsed() < SOON);
            std::thread::sleep(Duration::from_millis(5));
        }
    });
}

#[test]
fn a_start_that_the_system_never_answers_holds_up_no_end() {
    let commands = UnderWay::new();
    let (begun, begins) = std::sync::mpsc::channel();
    let (answer, answered) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let commands = &commands;
        scope.spawn(move || {
            let started = commands.start(|| {
                begun.send(()).unwrap();
                answered.recv().unwrap();
                Err(io::Error::other("the disk is gone"))
            });
            assert!(started.is_err());
        });
        begins.recv().unwrap();
        let asked = Instant::now();
        drop(commands.abandon_all());
        assert!(asked.elapsed() < SOON);
        answer.send(()).unwrap();
    });
}
