//! Processes that are started for the user: without what is private to this one, for a bounded time, with what they
//! print kept, and ended with all that they started.
//!
//! A command is over when its own process ends. What it leaves running in the background (an agent, a cache of
//! passwords) may hold its standard output open for days and is not waited for; what was printed until then counts.

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

use family::Family;
pub(crate) use family::has_terminal;
pub(crate) use output::{Full, Sink, Tail};

/// What systemd tells this process about itself. A child that believed it could report in our name or read our
/// credentials.
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

/// A command that was started without a shell, with nothing to read unless it is fed.
///
/// When it is dropped before its end, it is ended, too.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    stdout: ChildStdout,
    stderr: ChildStderr,
    /// All that it started. None when it has ended.
    family: Option<Family>,
}

/// Why a command did not come to its end.
#[derive(Debug)]
pub(crate) enum NoEnd {
    /// It took too long, and was ended with all that it had started.
    TimedOut,
    /// It printed too much, and was ended with all that it had started.
    TooMuch,
    /// It could not be followed.
    Lost(io::Error),
}

impl Running {
    /// Starts a command. What systemd told this process and our own `MAILFERRY_` variables are not in its environment,
    /// except what is given here.
    pub(crate) async fn start(
        program: &OsStr,
        arguments: &[OsString],
        environment: impl IntoIterator<Item = (&'static str, OsString)>,
    ) -> io::Result<Self> {
        let mut command = prepare_from(program, arguments, std::env::vars_os().map(|(name, _)| name));
        command.envs(environment);
        off_the_runtime(move || Self::start_command(command, !has_terminal())).await
    }

    /// The same, for a command whose standard input is this file: no symbolic link.
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
        let (mut child, family) = Family::start(&mut command, grouped)?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(io::Error::other("it has no pipes"));
        };
        Ok(Self { child, stdout, stderr, family: Some(family) })
    }

    /// Waits for its end, and listens meanwhile, so that it cannot get stuck on a full pipe. What is not over within the
    /// limit is ended.
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
        // It has ended; what it left running in the background is the user's.
        if let Some(family) = self.family.take() {
            family.let_go();
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

/// Whoever starts a program waits until the system has found and read it: on a disk that hangs, for ever.
async fn off_the_runtime<T: Send + 'static>(start: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    watch::blocking(start).await.unwrap_or_else(|e| Err(e.into()))
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(family) = self.family.take() {
            family.let_go();
            family.abandon();
        }
    }
}

/// Ends all commands that still run, because this process ends. Waits for none of them. As long as the answer lives, nobody
/// goes on who waited for one of them: so nobody tells how it ended.
#[must_use]
pub(crate) fn end_all() -> impl Sized {
    family::abandon_all()
}

/// A command with pipes for what it writes; `inherited` are the names of the environment's variables.
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
