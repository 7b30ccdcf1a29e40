//! Why a daemon does not start, or does not answer.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::advice::Class;
use crate::advice::next_step::{state::of_directory, system};
use crate::exit::ExitStatus;
use crate::state::error::StateError;
use crate::{advice, system_limit, text};

/// Why a daemon cannot start. The text ends with the next step.
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

impl StartError {
    /// Returns the exit status that tells scripts about it.
    #[must_use]
    pub(crate) fn exit_status(&self) -> ExitStatus {
        match self {
            Self::AnotherDaemon { .. } | Self::Alarm(_) | Self::Thread(_) => ExitStatus::Temporary,
            Self::State { source, .. } if system_limit::may_pass(source) => ExitStatus::Temporary,
            Self::Control(e) if e.is_temporary() => ExitStatus::Temporary,
            Self::Owner(e) => Class::of_state(e).exit_status(),
            Self::State { .. } | Self::Control(_) => ExitStatus::Local,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnotherDaemon { holder, dir } => write!(
                f,
                "another daemon uses the state in {}: {}. Stop it first, or see `mailferry status`",
                dir.display(),
                text::value(holder)
            ),
            Self::State { dir, source } => {
                let step = system::step(source).unwrap_or("Make it writable for this user, or give --state-dir");
                write!(f, "cannot use the state directory {}: {}. {step}", dir.display(), text::system(source))
            }
            Self::Owner(e) => f.write_str(&advice::with_step(e, of_directory(e).as_deref())),
            Self::Control(e) => e.fmt(f),
            Self::Alarm(e) => {
                write!(f, "cannot make a timer: {e}. {}", system::step(e).unwrap_or("Try again later"))
            }
            Self::Thread(e) => {
                write!(f, "cannot start a thread: {e}. {}", system::step(e).unwrap_or("Try again later"))
            }
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

impl ControlError {
    /// Whether the system lacks something that it may have later.
    pub(crate) fn is_temporary(&self) -> bool {
        self.lacking().is_some()
    }

    fn lacking(&self) -> Option<&'static str> {
        self.tried.iter().find_map(|(_, why)| system::step(why))
    }
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tried: Vec<String> = self.tried.iter().map(|(path, why)| format!("{}: {why}", path.display())).collect();
        let step =
            self.lacking().unwrap_or("Make one of these directories writable for this user, or give --state-dir");
        write!(f, "cannot make a control socket: {}. {step}", tried.join("; "))
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
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |looked: &[PathBuf], and: &str| {
            let looked: Vec<String> = looked.iter().map(|path| path.display().to_string()).collect();
            looked.join(and)
        };
        match self {
            Self::NoDaemon { looked } => write!(
                f,
                "no daemon is running: looked for its control socket at {}. Start it with `mailferry daemon` or as a \
                 service. Only the user it runs as, and root, can talk to it",
                list(looked, " and ")
            ),
            Self::NoSocket { holder, state_dir, looked, restored_within } => write!(
                f,
                "a daemon uses the state in {}: {}, but its control socket is {} {}. If somebody removed it, it \
                 comes back within {} seconds; if the daemon was started with other options or another environment, give \
                 the same here",
                state_dir.display(),
                text::value(holder),
                if looked.len() > 1 { "neither at" } else { "not at" },
                list(looked, " nor at "),
                restored_within.as_secs()
            ),
            Self::NoAnswer { socket, why } => {
                write!(f, "the daemon at {} did not answer: {why}. Try again", socket.display())
            }
        }
    }
}

impl std::error::Error for AskError {}
