//! How a command ended that did not succeed.

use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use crate::text;

/// Why a command did not succeed. The text follows the name of the command.
#[derive(Debug)]
pub(crate) enum Unsuccessful {
    /// There is no such program.
    NotFound,
    /// The system could not start it.
    NotStarted(io::Error),
    /// It ended with another status than 0.
    Ended(ExitStatus),
    /// Its end could not be waited for.
    Lost(io::Error),
    /// It did not end in time and was killed.
    TimedOut(Duration),
}

impl fmt::Display for Unsuccessful {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("was not found"),
            Self::NotStarted(e) => write!(f, "could not be started: {}", text::system(e)),
            Self::Ended(status) => match (status.code(), status.signal()) {
                (Some(code), _) => write!(f, "ended with status {code}"),
                (None, Some(signal)) => write!(f, "was killed by signal {signal}"),
                (None, None) => f.write_str("ended in an unknown way"),
            },
            Self::Lost(e) => write!(f, "could not be waited for: {}", text::system(e)),
            Self::TimedOut(limit) => write!(f, "did not end within {} seconds and was killed", limit.as_secs()),
        }
    }
}

impl std::error::Error for Unsuccessful {}
