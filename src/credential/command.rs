//! Runs commands that print a secret.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use secrecy::zeroize::Zeroizing;

use crate::subprocess::{Full, NoEnd, Running, Sink, Tail};

/// The output of a successful command.
pub(super) struct Output {
    /// Standard output.
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// The end of standard error, escaped.
    pub(super) stderr: String,
}

/// Runs a command without a shell and returns its output, at most `max_output` bytes of standard output. After `limit`
/// the command is killed, with all that it started.
pub(super) async fn output_of(argv: &[OsString], max_output: usize, limit: Duration) -> Result<Output, CommandFault> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(CommandFault::NotFound);
    };
    let running = Running::start(program, arguments, []).await.map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => CommandFault::NotFound,
        _ => CommandFault::NotStarted(e),
    })?;
    let (mut output, mut said) = (Printed::new(max_output), Tail::default());
    let ended = running.follow(limit, &mut output, &mut said).await;
    let stderr = said.text();
    let status = ended.map_err(|no_end| match no_end {
        NoEnd::TimedOut => CommandFault::TimedOut { limit, stderr: stderr.clone() },
        NoEnd::TooMuch => CommandFault::TooMuch { max: max_output },
        NoEnd::Lost(e) => CommandFault::Lost(e),
    })?;
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(Output { bytes: output.bytes, stderr }),
        (Some(code), _) => Err(CommandFault::Failed { code, stderr }),
        (None, signal) => Err(CommandFault::Killed { signal: signal.unwrap_or(0), stderr }),
    }
}

/// The standard output of a command, limited in length.
struct Printed {
    /// The bytes. Allocated at full size: a growing vector would leave copies behind that are not wiped.
    bytes: Zeroizing<Vec<u8>>,
    /// The limit in bytes.
    max: usize,
}

impl Printed {
    fn new(max: usize) -> Self {
        Self { bytes: Zeroizing::new(Vec::with_capacity(max)), max }
    }
}

impl Sink for Printed {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Full> {
        if bytes.len() > self.max - self.bytes.len() {
            return Err(Full);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

/// Why a command gave no secret. `stderr` is the end of its standard error, escaped.
#[derive(Debug)]
pub enum CommandFault {
    /// There is no such program.
    NotFound,
    /// The system could not start it.
    NotStarted(io::Error),
    /// Its output or its end could not be waited for.
    Lost(io::Error),
    /// It exited with a status other than 0.
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
        /// The time limit.
        limit: Duration,
        /// The end of standard error.
        stderr: String,
    },
    /// It printed more than any secret has.
    TooMuch {
        /// The limit in bytes.
        max: usize,
    },
}

impl fmt::Display for CommandFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("was not found"),
            Self::NotStarted(e) => write!(f, "could not be started: {}", crate::text::system(e)),
            Self::Lost(e) => write!(f, "could not be waited for: {}", crate::text::system(e)),
            Self::Failed { code, stderr } => write!(f, "ended with status {code}{}", StderrText(stderr)),
            Self::Killed { signal, stderr } => write!(f, "was killed by signal {signal}{}", StderrText(stderr)),
            Self::TimedOut { limit, stderr } => {
                write!(f, "did not end within {} seconds{}", limit.as_secs(), StderrText(stderr))
            }
            Self::TooMuch { max } => write!(f, "printed more than {} KiB, which cannot be a password", max / 1024),
        }
    }
}

/// Formats what the command wrote to standard error, if anything.
pub(super) struct StderrText<'a>(pub(super) &'a str);

impl fmt::Display for StderrText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ", saying: {}", self.0) }
    }
}
