//! Processes started for the user: without this process's private variables, for a bounded time, with their output
//! kept, and ended together with everything that they started.
//!
//! A command is over when its own process ends. Processes that it leaves in the background (an agent, a password cache)
//! may hold its standard output open for days and are not waited for; what was printed until then counts.

use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::OFlags;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

use crate::watch;

mod family;
mod output;
mod under_way;
mod unsuccessful;

use family::Family;
pub(crate) use family::has_terminal;
pub(crate) use output::{Full, Sink, Tail};
use under_way::UNDER_WAY;
pub(crate) use unsuccessful::Unsuccessful;

/// Variables by which systemd tells this process about itself. A child that used them could report in our name or read
/// our credentials.
const NOT_INHERITED: [&str; 16] = [
    "NOTIFY_SOCKET",
    "CREDENTIALS_DIRECTORY",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "STATE_DIRECTORY",
    "RUNTIME_DIRECTORY",
    "CACHE_DIRECTORY",
    "LOGS_DIRECTORY",
    "CONFIGURATION_DIRECTORY",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "MAINPID",
    "MANAGERPID",
];

/// A command that was started without a shell. Its standard input is empty unless it is given one.
///
/// Dropping this before the command has ended ends the command.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    stdout: ChildStdout,
    stderr: ChildStderr,
    /// The command's processes. None once it has ended.
    family: Option<Family>,
}

/// Why a command was not run to its end.
#[derive(Debug)]
pub(crate) enum NoEnd {
    /// It took too long, and was ended with everything that it had started.
    TimedOut,
    /// It printed too much, and was ended with everything that it had started.
    TooMuch,
    /// Waiting for it failed.
    Lost(io::Error),
}

impl Running {
    /// Starts a command. Its environment lacks what systemd told this process, and all `MAILFERRY_` variables except
    /// those given here.
    pub(crate) async fn start(
        program: &OsStr,
        arguments: &[OsString],
        environment: impl IntoIterator<Item = (&'static str, OsString)>,
    ) -> io::Result<Self> {
        let mut command = prepare_from(program, arguments, std::env::vars_os().map(|(name, _)| name));
        command.envs(environment);
        off_the_runtime(move || Self::start_command(command, !has_terminal())).await
    }

    /// Starts a command that reads this file as its standard input. The file must not be a symbolic link.
    pub(crate) async fn start_fed(
        program: &OsStr,
        arguments: &[OsString],
        environment: impl IntoIterator<Item = (&'static str, OsString)>,
        input: &Path,
    ) -> io::Result<Self> {
        let mut command = prepare_from(program, arguments, std::env::vars_os().map(|(name, _)| name));
        command.envs(environment);
        let no_link = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
        let input = input.to_owned();
        let start = move || {
            command.stdin(OpenOptions::new().read(true).custom_flags(no_link).open(input)?);
            Self::start_command(command, !has_terminal())
        };
        off_the_runtime(start).await
    }

    fn start_command(mut command: Command, grouped: bool) -> io::Result<Self> {
        let (mut child, family) = UNDER_WAY.start(|| Family::start(&mut command, grouped))?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(io::Error::other("it has no pipes"));
        };
        Ok(Self { child, stdout, stderr, family: Some(family) })
    }

    /// Waits for the command's end, and reads its output meanwhile so that it cannot block on a full pipe. Ends it when
    /// the limit is over.
    pub(crate) async fn follow(
        mut self,
        limit: Duration,
        output: &mut impl Sink,
        errors: &mut Tail,
    ) -> Result<ExitStatus, NoEnd> {
        let ended = timeout(limit, self.listen(output, errors)).await.unwrap_or(Err(NoEnd::TimedOut));
        if let (Err(_), Some(family)) = (&ended, &self.family) {
            family.end(&mut self.child).await;
        }
        // It has ended; processes that it left in the background are the user's.
        if let Some(family) = self.family.take() {
            UNDER_WAY.let_go(&family);
        }
        ended
    }

    async fn listen(&mut self, output: &mut impl Sink, errors: &mut Tail) -> Result<ExitStatus, NoEnd> {
        let listening = async {
            match tokio::try_join!(output::listen(&mut self.stdout, output), output::listen(&mut self.stderr, errors)) {
                Ok(_) => std::future::pending().await,
                Err(Full) => NoEnd::TooMuch,
            }
        };
        let status = tokio::select! {
            biased;
            too_much = listening => return Err(too_much),
            ended = self.child.wait() => ended.map_err(NoEnd::Lost)?,
        };
        output::drain(&self.stdout, output).map_err(|Full| NoEnd::TooMuch)?;
        output::drain(&self.stderr, errors).map_err(|Full| NoEnd::TooMuch)?;
        Ok(status)
    }
}

/// Runs `start` on another thread: it blocks until the system has found and read the program, for ever if the disk
/// hangs.
async fn off_the_runtime<T: Send + 'static>(start: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    watch::blocking(start).await.unwrap_or_else(|e| Err(e.into()))
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(family) = self.family.take() {
            UNDER_WAY.let_go(&family);
            family.abandon();
        }
    }
}

/// Ends all running commands without waiting for them, because this process ends. While the returned guard is held,
/// code that waited for one of them does not continue, so nothing reports how it ended.
#[must_use]
pub(crate) fn end_all() -> impl Sized {
    UNDER_WAY.abandon_all()
}

/// Prepares a command with pipes for its output; `inherited` are the names of the variables in our environment.
fn prepare_from(program: &OsStr, arguments: &[OsString], inherited: impl Iterator<Item = OsString>) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for name in inherited {
        let ours = name.as_encoded_bytes().starts_with(b"MAILFERRY_");
        if ours || NOT_INHERITED.iter().any(|private| *private == name) {
            command.env_remove(name);
        }
    }
    command
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
