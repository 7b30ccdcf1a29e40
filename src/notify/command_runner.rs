//! Runs the user's commands: a few at a time ([`super::lines`]), each for a limited time, while nobody waits for
//! them.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, warn};

use super::lines::{Lines, Owner, WAITING};
use super::notification::{ACCOUNT, EVENT, Notification, test_environment};
use crate::account::{Account, NotifySettings};
use crate::advice;
use crate::advice::next_step::notify::NO_COMMAND;
use crate::subprocess::{NoEnd, Running, Tail, Unsuccessful};
use crate::text;

/// How many characters of account names are logged: many accounts may share a notification.
const LONGEST_NAMES: usize = 100;

/// The event of `mailferry poll --test-notify`.
const TEST: &str = "test";

/// How long a command may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// After running this long, an account's command passes on its place.
const LONG: Duration = Duration::from_secs(5);

/// Runs commands. Clones share the lines in which they wait.
#[derive(Debug, Clone)]
pub(crate) struct CommandRunner {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// What waits, and how much runs.
    lines: Mutex<Lines<QueuedCommand>>,
    /// Whether nothing waits or runs. Changed only while the lines are locked.
    idle: watch::Sender<bool>,
    /// How long a command may take.
    limit: Duration,
    /// How long an account's command keeps its place for certain.
    long: Duration,
    /// The runtime in which commands run.
    runtime: Handle,
}

/// A command that waits for its turn.
#[derive(Debug)]
struct QueuedCommand {
    command: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
}

impl CommandRunner {
    /// Returns a runner whose commands run in the current tokio runtime, which must exist.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::with_limits(LIMIT, LONG)
    }

    fn with_limits(limit: Duration, long: Duration) -> Self {
        let (lines, idle, runtime) = (Mutex::default(), watch::Sender::new(true), Handle::current());
        Self { shared: Arc::new(Shared { lines, idle, limit, long, runtime }) }
    }

    /// Runs the command that the configuration has for a notification, if any. Returns at once. If an account's command
    /// for new mail still waits, one command tells of both.
    pub(crate) fn run_for(&self, notification: &Notification, account: &Account, settings: &NotifySettings) {
        let Some(command) = notification.command(account, settings) else { return };
        let Notification::NewMail { count } = notification else {
            self.tell(command, notification.environment(account));
            return;
        };
        let queued = |count| QueuedCommand {
            command: command.to_vec(),
            environment: Notification::NewMail { count }.environment(account),
        };
        self.change(|lines| lines.add_mail(&account.name, *count, queued));
        self.begin_next();
    }

    /// Runs a command of `[notify]` without a shell, with these environment variables. Returns at once. If too many
    /// wait, the command is dropped with a warning.
    pub(crate) fn tell(&self, command: &[OsString], environment: Vec<(&'static str, OsString)>) {
        let (what, account) = (What::of(command, &environment), account_in(&environment).to_owned());
        let queued = QueuedCommand { command: command.to_vec(), environment };
        if !self.change(|lines| lines.add(queued)) {
            warn!(account, event = "notify", "{what} was not run: {WAITING} others are waiting for their turn");
        }
        self.begin_next();
    }

    fn change<T>(&self, change: impl FnOnce(&mut Lines<QueuedCommand>) -> T) -> T {
        let mut lines = self.shared.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut lines);
        self.shared.idle.send_replace(lines.is_idle());
        result
    }

    /// Begins the commands whose turn it is.
    fn begin_next(&self) {
        loop {
            let Some((owner, command)) = self.change(Lines::next) else { return };
            let runner = self.clone();
            self.shared.runtime.spawn(async move {
                let (begun, limit) = (Instant::now(), runner.shared.limit);
                let run = run(&command.command, command.environment, limit);
                tokio::select! {
                    biased;
                    () = run => {}
                    () = runner.passes_on_its_place(&owner) => {}
                }
                runner.change(|lines| lines.ended(owner, begun.elapsed() >= limit));
                runner.begin_next();
            });
        }
    }

    /// Lets the command of an account that takes long stand aside, as soon as there is room for it. Never returns.
    async fn passes_on_its_place(&self, owner: &Owner) {
        loop {
            sleep(self.shared.long).await;
            if self.change(|lines| lines.stand_aside(owner)) {
                self.begin_next();
                std::future::pending::<()>().await;
            }
        }
    }

    /// Runs the command of `[notify]` as a test, and sends how it ended. Returns at once.
    pub(crate) fn test(&self, settings: &NotifySettings, answer: oneshot::Sender<Result<String, String>>) {
        let Some(command) = settings.command.clone() else {
            // The requester may have gone.
            let _ = answer.send(Err(NO_COMMAND.to_owned()));
            return;
        };
        self.shared.runtime.spawn(async move {
            let _ = answer.send(run_to_its_end(&command, test_environment(), LIMIT).await);
        });
    }

    /// Waits until no command runs or waits, at most this long. Returns whether that was reached.
    pub(crate) async fn finish(&self, within: Duration) -> bool {
        let mut idle = self.shared.idle.subscribe();
        timeout(within, idle.wait_for(|idle| *idle)).await.is_ok_and(|all| all.is_ok())
    }
}

impl Default for CommandRunner {
    fn default() -> Self {
        Self::new()
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
