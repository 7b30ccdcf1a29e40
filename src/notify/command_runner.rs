//! Runs the user's commands: few at the same time, each for a bounded time, and without anybody waiting for them.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tracing::{debug, warn};

use super::notification::{ACCOUNT, EVENT, Notification, test_environment};
use crate::account::Account;
use crate::advice::next_step::system;
use crate::config::NotifySettings;
use crate::subprocess::{NoEnd, Running, Tail};
use crate::text;

/// How many commands run at the same time.
const AT_ONCE: usize = 4;

/// How many more may wait for their turn.
const WAITING: usize = 256;

/// No more of the names of accounts is logged, in characters: many may share a piece of news.
const LONGEST_NAMES: usize = 100;

/// The event of `mailferry poll --test-notify`.
const TEST: &str = "test";

/// How long a command may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Runs commands one behind the other. Clones share the queue.
#[derive(Debug, Clone)]
pub(crate) struct CommandRunner {
    /// To the task that starts them in order.
    queue: mpsc::UnboundedSender<RunningCommand>,
    /// A place for each command that waits or runs: this is what bounds the queue.
    places: Arc<Semaphore>,
    /// Where commands run.
    runtime: Handle,
}

/// A command that waits for its turn.
#[derive(Debug)]
struct RunningCommand {
    command: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
    /// Given back when the command has ended.
    place: OwnedSemaphorePermit,
}

impl CommandRunner {
    /// A runner whose commands run in the current tokio runtime, which must be there.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::with_limit(LIMIT)
    }

    fn with_limit(limit: Duration) -> Self {
        let (queue, commands) = mpsc::unbounded_channel();
        tokio::spawn(run_all(commands, limit));
        Self { queue, places: Arc::new(Semaphore::new(AT_ONCE + WAITING)), runtime: Handle::current() }
    }

    /// Tells a piece of news by the command that the configuration has for it, if there is one. Returns at once.
    pub(crate) fn tell_news(&self, notifications: &Notification, account: &Account, settings: &NotifySettings) {
        if let Some(command) = notifications.command(account, settings) {
            self.tell(command, notifications.environment(account));
        }
    }

    /// Runs a command without a shell, with this in its environment. Returns at once; if too many are waiting, the command
    /// is dropped with a warning.
    pub(crate) fn tell(&self, command: &[OsString], environment: Vec<(&'static str, OsString)>) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let (what, account) = (What::of(command, &environment), account_in(&environment));
            warn!(account, event = "notify", "{what} was not run: {WAITING} others are waiting for their turn");
            return;
        };
        // The task at the other end goes on as long as there is a runner.
        let _ = self.queue.send(RunningCommand { command: command.to_vec(), environment, place });
    }

    /// Runs the command of `[notify]` to see whether it works, and answers how it ended. Returns at once.
    pub(crate) fn test(&self, settings: &NotifySettings, answer: oneshot::Sender<Result<String, String>>) {
        let Some(command) = settings.command.clone() else {
            // Who asked may have gone.
            let _ = answer.send(Err("there is no `command` in [notify]".to_owned()));
            return;
        };
        self.runtime.spawn(async move {
            let _ = answer.send(run_to_its_end(&command, test_environment(), LIMIT).await);
        });
    }

    /// Waits until no command runs or waits, at most this long. Whether that came.
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

/// Starts what comes, in order, as long as there is a runner.
async fn run_all(mut commands: mpsc::UnboundedReceiver<RunningCommand>, limit: Duration) {
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(RunningCommand { command, environment, place }) = commands.recv().await {
        // It is never closed.
        let Ok(turn) = Arc::clone(&turns).acquire_owned().await else { return };
        tokio::spawn(async move {
            run(&command, environment, limit).await;
            drop((turn, place));
        });
    }
}

/// Runs a command to its end, and says in the log how it ended.
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

/// Runs a command to its end, and says in a sentence how it ended: well, or how else.
async fn run_to_its_end(
    command: &[OsString],
    environment: Vec<(&'static str, OsString)>,
    limit: Duration,
) -> Result<String, String> {
    let what = What::of(command, &environment);
    let Some((program, arguments)) = command.split_first() else { return Err(format!("{what} is empty")) };
    let running = match Running::start(program, arguments, environment).await {
        Ok(running) => running,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(format!("{what} was not found; install it, or give its full path"));
        }
        Err(e) => {
            let step = system::step(&e).unwrap_or("Check that it can be executed");
            return Err(format!("{what} could not be started: {}. {step}", text::system(&e)));
        }
    };
    let (mut output, mut errors) = (Tail::default(), Tail::default());
    let ended = running.follow(limit, &mut output, &mut errors).await;
    let said = Said(output.text(), errors.text());
    match ended {
        Ok(status) if status.success() => Ok(format!("{what} succeeded{said}")),
        Ok(status) => {
            let how = match (status.code(), status.signal()) {
                (Some(code), _) => format!("ended with status {code}"),
                (None, Some(signal)) => format!("was killed by signal {signal}"),
                (None, None) => "ended in an unknown way".to_owned(),
            };
            Err(format!("{what} {how}{said}; if it works by hand, the daemon's service restricts it"))
        }
        Err(NoEnd::Lost(e)) => Err(format!("{what} could not be waited for: {}{said}", text::system(&e))),
        // A tail takes anything.
        Err(NoEnd::TimedOut | NoEnd::TooMuch) => {
            Err(format!("{what} did not end within {} seconds and was killed{said}", limit.as_secs()))
        }
    }
}

fn account_in<'a>(environment: &'a [(&'static str, OsString)]) -> &'a str {
    value(environment, ACCOUNT)
}

fn value<'a>(environment: &'a [(&'static str, OsString)], name: &str) -> &'a str {
    environment.iter().find(|(one, _)| *one == name).and_then(|(_, value)| value.to_str()).unwrap_or_default()
}

/// Which command for which event of which account, as the beginning of a sentence.
struct What(String);

impl What {
    fn of(command: &[OsString], environment: &[(&'static str, OsString)]) -> Self {
        let program = command.first().map(|program| text::value(&program.to_string_lossy())).unwrap_or_default();
        let (account, event) = (account_in(environment), value(environment, EVENT));
        // What is told for a test is about no account.
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

/// The ends of what a command wrote to standard output and to standard error.
struct Said(String, String);

impl fmt::Display for Said {
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
