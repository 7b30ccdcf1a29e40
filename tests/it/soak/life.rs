//! One run of the daemon, from its start to the signal that ends it.

use std::time::{Duration, Instant};

use mailferry::control::status::{State, Status};
use mailferry::control::{Request, Response, ask};
use rustix::process::Signal;

use super::growth::Growth;
use crate::program::{Outcome, Running, TestEnv};

/// The longest time that anything is waited for. A session with a silent server times out after 5 seconds, and each of
/// the five accounts may have several such sessions.
const LIMIT: Duration = Duration::from_secs(60);

/// How often to check; nothing else depends on it.
const LOOK: Duration = Duration::from_millis(5);

/// A running daemon.
pub(super) struct Life {
    /// None once it has been ended.
    running: Option<Running>,
    /// The directory of its control socket.
    state_dir: std::path::PathBuf,
    /// Its resource usage whenever all accounts had come to rest.
    pub(super) growth: Growth,
    /// Runs the requests to it.
    runtime: tokio::runtime::Runtime,
}

impl Life {
    /// Starts a daemon and waits until it answers.
    pub(super) fn start(env: &TestEnv) -> Result<Self, String> {
        Self::start_with(env, &[])
    }

    /// Starts it with additional environment variables.
    pub(super) fn start_with(env: &TestEnv, environment: &[(&str, &str)]) -> Result<Self, String> {
        let running = Some(env.spawn_with(environment, &["daemon"]));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut life = Self { running, state_dir: env.path("state"), growth: Growth::default(), runtime };
        let begun = Instant::now();
        while life.status().is_err() {
            if !life.running().is_running() || begun.elapsed() > LIMIT {
                let ended = life.end(Signal::KILL);
                return Err(format!("the daemon does not start: {}", last_words(&ended)));
            }
            std::thread::sleep(LOOK);
        }
        Ok(life)
    }

    /// Returns its process id.
    pub(super) fn pid(&mut self) -> u32 {
        self.running().pid()
    }

    fn running(&mut self) -> &mut Running {
        self.running.as_mut().expect("it has not been ended")
    }

    /// Takes a sample of its resource usage.
    pub(super) fn look(&mut self) {
        let pid = self.running().pid();
        self.growth.look(pid, &self.state_dir);
    }

    /// Asks for its status.
    pub(super) fn status(&mut self) -> Result<Status, String> {
        let pid = self.running().pid();
        let dirs = [self.state_dir.clone()];
        let answer = self.runtime.block_on(ask(&dirs, &Request::status_of(&[]))).map_err(|e| e.to_string())?;
        match answer {
            Response::Status(status) if status.pid == pid => Ok(*status),
            other => Err(format!("this is no status of process {pid}: {other:?}")),
        }
    }

    /// Wakes all accounts, as a user does.
    pub(super) fn wake(&mut self, env: &TestEnv) -> Result<(), String> {
        let outcome = env.run(&["poll"]);
        if outcome.status == 0 { Ok(()) } else { Err(format!("`mailferry poll`: {outcome:?}")) }
    }

    /// Waits until its status satisfies `wanted`, and returns it.
    pub(super) fn until(&mut self, what: &str, wanted: impl Fn(&Status) -> bool) -> Result<Status, String> {
        let begun = Instant::now();
        loop {
            let status = self.status().map_err(|why| format!("waiting for {what}: {why}"))?;
            if wanted(&status) {
                return Ok(status);
            }
            if begun.elapsed() > LIMIT {
                return Err(format!("waited in vain for {what}"));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Sends it a signal.
    pub(super) fn signal(&mut self, signal: Signal) {
        self.running().signal(signal);
    }

    /// Ends it by a signal.
    pub(super) fn end(&mut self, signal: Signal) -> Outcome {
        let running = self.running.take().expect("it is ended once");
        running.signal(signal);
        running.wait()
    }
}

/// Whether no account is being polled or waits for a poll.
pub(super) fn is_settled(status: &Status) -> bool {
    status.accounts.iter().all(|account| matches!(account.state, State::Idle | State::Failing))
}

/// Returns the end of what the daemon printed.
pub(super) fn last_words(ended: &Outcome) -> String {
    let output = ended.output();
    let lines: Vec<&str> = output.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}
