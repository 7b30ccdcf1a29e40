//! Why a daemon does not start, or does not answer.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::state::error::StateError;
use crate::text;

/// Why a daemon cannot start.
#[derive(Debug)]
pub(crate) enum StartError {
    /// Another daemon uses the same state directory.
    AnotherDaemon {
        /// What it wrote into its lock file for others to read.
        holder: String,
        /// The state directory.
        dir: PathBuf,
    },
    /// The state directory cannot be used.
    State {
        /// The directory.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The state directory belongs to another user.
    Owner(StateError),
    /// The control socket cannot be opened.
    Control(ControlError),
    /// There is no timer that keeps running while the machine is suspended.
    Alarm(io::Error),
    /// The supervisor's thread cannot be started.
    Thread(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnotherDaemon { holder, dir } => {
                write!(f, "another daemon uses the state in {}: {}", dir.display(), text::value(holder))
            }
            Self::State { dir, source } => {
                write!(f, "cannot use the state directory {}: {}", dir.display(), text::system(source))
            }
            Self::Owner(e) => e.fmt(f),
            Self::Control(e) => e.fmt(f),
            Self::Alarm(e) => write!(f, "cannot create a timer: {e}"),
            Self::Thread(e) => write!(f, "cannot start a thread: {e}"),
        }
    }
}

impl std::error::Error for StartError {}

/// Why there is no control socket.
#[derive(Debug)]
pub struct ControlError {
    /// The paths that were tried, each with its error.
    pub(crate) tried: Vec<(PathBuf, io::Error)>,
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tried: Vec<String> = self.tried.iter().map(|(path, why)| format!("{}: {why}", path.display())).collect();
        write!(f, "cannot create a control socket: {}", tried.join("; "))
    }
}

impl std::error::Error for ControlError {}

/// Why a daemon did not answer.
#[derive(Debug)]
pub enum AskError {
    /// There is no daemon at these paths.
    NoDaemon {
        /// The paths that were tried.
        looked: Vec<PathBuf>,
    },
    /// A daemon uses this state directory, but its socket is gone.
    NoSocket {
        /// What it wrote into its lock file for others to read.
        holder: String,
        /// The state directory.
        state_dir: PathBuf,
        /// The paths that were tried.
        looked: Vec<PathBuf>,
        /// Within this time the daemon makes its socket again.
        restored_within: Duration,
    },
    /// There is a daemon, but it did not answer properly.
    NoAnswer {
        /// Its socket.
        socket: PathBuf,
        /// Why.
        why: String,
    },
    /// A daemon answered, but not what was asked: it is of another version.
    NotUnderstood {
        /// What it said about the request, if it said so.
        why: Option<String>,
    },
    /// A daemon answered with nothing.
    NothingSaid,
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |looked: &[PathBuf], and: &str| {
            let looked: Vec<String> = looked.iter().map(|path| path.display().to_string()).collect();
            looked.join(and)
        };
        match self {
            Self::NoDaemon { looked } => {
                write!(f, "no daemon is running: looked for its control socket at {}", list(looked, " and "))
            }
            Self::NoSocket { holder, state_dir, looked, .. } => write!(
                f,
                "a daemon uses the state in {}: {}, but its control socket is {} {}",
                state_dir.display(),
                text::value(holder),
                if looked.len() > 1 { "neither at" } else { "not at" },
                list(looked, " nor at ")
            ),
            Self::NoAnswer { socket, why } => {
                write!(f, "the daemon at {} did not answer: {why}", socket.display())
            }
            Self::NotUnderstood { why } => {
                let why = why.as_deref().map_or_else(|| "it gave another answer".to_owned(), text::value);
                write!(f, "the daemon did not understand the request ({why})")
            }
            Self::NothingSaid => f.write_str("the daemon said nothing"),
        }
    }
}

impl std::error::Error for AskError {}
