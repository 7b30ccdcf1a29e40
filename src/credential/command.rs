//! The output of a command that prints a secret.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use secrecy::zeroize::Zeroizing;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStderr, ChildStdout};

use crate::child::{Tail, heed, prepare};
use crate::system_limit;

/// Runs a command without a shell and returns what it wrote to standard output, at most `max_output` bytes.
/// A command that has not ended after `limit` is killed.
pub(super) async fn output_of(
    argv: &[OsString],
    max_output: usize,
    limit: Duration,
) -> Result<Zeroizing<Vec<u8>>, CommandFault> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(CommandFault::NotFound);
    };
    let mut child = prepare(program, arguments).spawn().map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => CommandFault::NotFound,
        _ => CommandFault::NotStarted(e),
    })?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(CommandFault::NotStarted(io::Error::other("it has no pipes")));
    };
    let mut said = Tail::default();
    let ended = tokio::time::timeout(limit, finish(&mut child, stdout, max_output, stderr, &mut said)).await;
    let stderr = said.text();
    let Ok(ended) = ended else {
        return Err(CommandFault::TimedOut { limit, stderr });
    };
    let (output, status) = ended?;
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(output),
        (Some(code), _) => Err(CommandFault::Failed { code, stderr }),
        (None, signal) => Err(CommandFault::Killed { signal: signal.unwrap_or(0), stderr }),
    }
}

/// Waits for the end of the output and of the command, and meanwhile empties standard error, so that the command
/// cannot get stuck on a full pipe.
async fn finish(
    child: &mut Child,
    stdout: ChildStdout,
    max_output: usize,
    stderr: ChildStderr,
    said: &mut Tail,
) -> Result<(Zeroizing<Vec<u8>>, ExitStatus), CommandFault> {
    let end = async { child.wait().await.map_err(CommandFault::Lost) };
    let work = async { tokio::try_join!(read_bounded(stdout, max_output), end) };
    heed(work, said.listen(stderr)).await
}

async fn read_bounded(mut from: impl AsyncRead + Unpin, max: usize) -> Result<Zeroizing<Vec<u8>>, CommandFault> {
    // Room for all of it at once: a vector that grows leaves copies behind that nobody wipes.
    let mut buffer = Zeroizing::new(vec![0; max.saturating_add(1)]);
    let mut length = 0;
    while let Some(room) = buffer.get_mut(length..).filter(|room| !room.is_empty()) {
        match from.read(room).await.map_err(CommandFault::Lost)? {
            0 => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            n => length += n,
        }
    }
    Err(CommandFault::TooMuch { max })
}

/// Why a command gave no secret. `stderr` is the end of what it wrote to standard error, escaped.
#[derive(Debug)]
pub enum CommandFault {
    /// There is no such program.
    NotFound,
    /// The system did not start it.
    NotStarted(io::Error),
    /// Its output or its end could not be waited for.
    Lost(io::Error),
    /// It ended with this status, which is not 0.
    Failed {
        /// The exit status.
        code: i32,
        /// The end of standard error.
        stderr: String,
    },
    /// A signal ended it.
    Killed {
        /// The signal's number.
        signal: i32,
        /// The end of standard error.
        stderr: String,
    },
    /// It did not end in time and was killed.
    TimedOut {
        /// The time it was given.
        limit: Duration,
        /// The end of standard error.
        stderr: String,
    },
    /// It wrote more than any password has.
    TooMuch {
        /// The most it may write, in bytes.
        max: usize,
    },
}

impl fmt::Display for CommandFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str(
                "was not found; install it, or give its full path (a service's PATH is shorter than a terminal's)",
            ),
            Self::NotStarted(e) => {
                let advice = system_limit::advice(e).unwrap_or("check that it can be executed");
                write!(f, "could not be started: {e}; {advice}")
            }
            Self::Lost(e) => write!(f, "could not be followed to its end: {e}; try again"),
            Self::Failed { code, stderr } => {
                write!(f, "ended with status {code}{}; run it by hand to see why", Said(stderr))
            }
            Self::Killed { signal, stderr } => {
                write!(f, "was killed by signal {signal}{}; run it by hand to see why", Said(stderr))
            }
            Self::TimedOut { limit, stderr } => write!(
                f,
                "did not end within {} seconds{}; does it wait for a passphrase or a prompt that nobody sees? Unlock the \
                 password store first",
                limit.as_secs(),
                Said(stderr)
            ),
            Self::TooMuch { max } => {
                write!(f, "printed more than {} KiB, which is no password; let it print the password alone", max / 1024)
            }
        }
    }
}

/// What the command said, if it said anything.
struct Said<'a>(&'a str);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ", saying: {}", self.0) }
    }
}
