//! Runs the user's commands: a few at a time, each for a limited time, while nobody waits for them.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tracing::{debug, warn};

use super::notification::{ACCOUNT, EVENT, Notification, test_environment};
use crate::account::{Account, NotifySettings};
use crate::advice;
use crate::advice::next_step::notify::NO_COMMAND;
use crate::subprocess::{NoEnd, Running, Tail, Unsuccessful};
use crate::text;

/// How many commands run concurrently.
const AT_ONCE: usize = 4;

/// How many more may wait in the queue.
const WAITING: usize = 256;

/// How many characters of account names are logged: many accounts may share a notification.
const LONGEST_NAMES: usize = 100;

/// The event of `mailferry poll --test-notify`.
const TEST: &str = "test";

/// How long a command may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Runs commands in order. Clones share the queue.
#[derive(Debug, Clone)]
pub(crate) struct CommandRunner {
    /// The sender to the task that starts the commands in order.
    queue: mpsc::UnboundedSender<RunningCommand>,
    /// One permit for each command that waits or runs, which bounds the queue.
    places: Arc<Semaphore>,
    /// The runtime in which commands run.
    runtime: Handle,
}

/// A queued command.
#[derive(Debug)]
struct RunningCommand {
    command: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
    /// Released when the command has ended.
    place: OwnedSemaphorePermit,
}

impl CommandRunner {
    /// Returns a runner whose commands run in the current tokio runtime, which must exist.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::with_limit(LIMIT)
    }

    fn with_limit(limit: Duration) -> Self {
        let (queue, commands) = mpsc::unbounded_channel();
        tokio::spawn(run_all(commands, limit));
        Self { queue, places: Arc::new(Semaphore::new(AT_ONCE + WAITING)), runtime: Handle::current() }
    }

    /// Runs the command that the configuration has for a notification, if any. Returns at once.
    pub(crate) fn run_for(&self, notifications: &Notification, account: &Account, settings: &NotifySettings) {
        if let Some(command) = notifications.command(account, settings) {
            self.tell(command, notifications.environment(account));
        }
    }

    /// Runs a command without a shell, with these environment variables. Returns at once. If the queue is full, the
    /// command is dropped with a warning.
    pub(crate) fn tell(&self, command: &[OsString], environment: Vec<(&'static str, OsString)>) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let (what, account) = (What::of(command, &environment), account_in(&environment));
            warn!(account, event = "notify", "{what} was not run: {WAITING} others are waiting for their turn");
            return;
        };
        // The receiving task lives as long as any runner.
        let _ = self.queue.send(RunningCommand { command: command.to_vec(), environment, place });
    }

    /// Runs the command of `[notify]` as a test, and sends how it ended. Returns at once.
    pub(crate) fn test(&self, settings: &NotifySettings, answer: oneshot::Sender<Result<String, String>>) {
        let Some(command) = settings.command.clone() else {
            // The requester may have gone.
            let _ = answer.send(Err(NO_COMMAND.to_owned()));
            return;
        };
        self.runtime.spawn(async move {
            let _ = answer.send(run_to_its_end(&command, test_environment(), LIMIT).await);
        });
    }

    /// Waits until no command runs or waits, at most this long. Returns whether that was reached.
    pub(crate) async fn finish(&self, within: Duration) -> bool {
        let all = u32::try_from(AT_ONCE + WAITING).unwrap_or(u32::MAX);
        timeout(within, self.places.acquire_many(all)).await.is_ok_and(|all| all.is_ok())
    }
}

impl Default for CommandRunner {
    fn default() -> Self {
        Self::new()
    }
}

/// Starts the queued commands in order, as long as there is a runner.
async fn run_all(mut commands: mpsc::UnboundedReceiver<RunningCommand>, limit: Duration) {
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(RunningCommand { command, environment, place }) = commands.recv().await {
        // The semaphore is never closed.
        let Ok(turn) = Arc::clone(&turns).acquire_owned().await else { return };
        tokio::spawn(async move {
            run(&command, environment, limit).await;
            drop((turn, place));
        });
    }
}

/// Runs a command to its end, and logs how it ended.
async fn run(command: &[OsString], environment: Vec<(&'static str, OsString)>, limit: Duration) {
    if command.is_empty() {
        return;
    }
    let account = account_in(&environment).to_owned();
    match run_to_its_end(command, environment, limit).await {
        Ok(words) => debug!(account, event = "notify", "{words}"),
        Err(words) => warn!(account, event = "notify", "{words}"),
    }
}

/// Runs a command to its end, and returns a sentence about how it ended: an error unless it succeeded.
async fn run_to_its_end(
    command: &[OsString],
    environment: Vec<(&'static str, OsString)>,
    limit: Duration,
) -> Result<String, String> {
    let what = What::of(command, &environment);
    let Some((program, arguments)) = command.split_first() else { return Err(format!("{what} is empty")) };
    let running = match Running::start(program, arguments, environment).await {
        Ok(running) => running,
        Err(e) => {
            let is_there = e.kind() != io::ErrorKind::NotFound;
            let error = if is_there { Unsuccessful::NotStarted(e) } else { Unsuccessful::NotFound };
            return Err(advice::told_of_command(what, "", &error));
        }
    };
    let (mut output, mut errors) = (Tail::default(), Tail::default());
    let ended = running.follow(limit, &mut output, &mut errors).await;
    let ends = OutputEnds(output.text(), errors.text());
    let error = match ended {
        Ok(status) if status.success() => return Ok(format!("{what} succeeded{ends}")),
        Ok(status) => Unsuccessful::Ended(status),
        Err(NoEnd::Lost(e)) => Unsuccessful::Lost(e),
        // A tail accepts any amount of output.
        Err(NoEnd::TimedOut | NoEnd::TooMuch) => Unsuccessful::TimedOut(limit),
    };
    Err(advice::told_of_command(what, ends, &error))
}

fn account_in<'a>(environment: &'a [(&'static str, OsString)]) -> &'a str {
    value(environment, ACCOUNT)
}

fn value<'a>(environment: &'a [(&'static str, OsString)], name: &str) -> &'a str {
    environment.iter().find(|(one, _)| *one == name).and_then(|(_, value)| value.to_str()).unwrap_or_default()
}

/// Names the command, the event and the account, to begin a sentence.
struct What(String);

impl What {
    fn of(command: &[OsString], environment: &[(&'static str, OsString)]) -> Self {
        let program = command.first().map(|program| text::value(&program.to_string_lossy())).unwrap_or_default();
        let (account, event) = (account_in(environment), value(environment, EVENT));
        // A test concerns no account.
        let account = match event {
            TEST => String::new(),
            _ => format!("{}: ", account.chars().take(LONGEST_NAMES).collect::<String>()),
        };
        Self(format!("{account}the command `{program}` for the event {event}"))
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The ends of a command's standard output and standard error.
struct OutputEnds(String, String);

impl fmt::Display for OutputEnds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.as_str(), self.1.as_str()) {
            ("", "") => Ok(()),
            (words, "") | ("", words) => write!(f, ", saying: {words}"),
            (output, errors) => write!(f, ", saying: {errors} and: {output}"),
        }
    }
}

#[cfg(test)]
#[path = "command_runner_tests.rs"]
mod tests;
