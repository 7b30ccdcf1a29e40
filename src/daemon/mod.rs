//! The daemon: polls every account on its own schedule, for years.
//!
//! One task decides ([`supervisor`]): it knows which account is due, starts polls as tasks of their own, hears how they
//! ended, and answers whoever asks. Everything that it waits for is in one `select!`: the next account that is due
//! ([`alarm`]), the end of a poll, a signal, a question from the control socket ([`control`]), the watchdog ([`systemd`]).
//! So nothing needs a lock, and a panic in an account's work is that account's trouble only.

mod accounts;
mod alarm;
pub mod control;
pub mod status;
mod supervisor;
mod systemd;

use std::fs::{File, TryLockError};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::config::{Config, ConfigError};
use crate::disk::{Disk as _, Lock, RealDisk, make_dirs};
use crate::exit::ExitStatus;
use crate::poll::Ferry;
use crate::system_limit;
use control::{Control, ControlError};
use supervisor::Supervisor;

/// What a daemon is made of.
pub struct Start {
    /// The configuration that is in force.
    pub config: Config,
    /// What all polls share.
    pub ferry: Ferry,
    /// Reads the configuration again.
    pub load: Box<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>,
    /// Where the control socket may be, the best place first.
    pub sockets: Vec<PathBuf>,
    /// What systemd or a user's shell says.
    pub signals: mpsc::UnboundedReceiver<Request>,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// SIGTERM or SIGINT: the end, in order; the status to end with.
    Stop(ExitStatus),
    /// SIGHUP: the configuration anew.
    Reload,
    /// SIGUSR1: all accounts, now.
    PollNow,
}

/// Why a daemon cannot begin. The text ends with the next step.
#[derive(Debug)]
pub enum StartError {
    /// Another daemon works with the same state.
    AnotherDaemon {
        /// What it left for others to read.
        holder: String,
        /// The state directory.
        dir: PathBuf,
    },
    /// The state directory cannot be used.
    State {
        /// The directory.
        dir: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// No control socket.
    Control(ControlError),
    /// No timer that goes on while the machine is suspended.
    Alarm(std::io::Error),
}

impl StartError {
    /// The exit status that tells a script about it.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::AnotherDaemon { .. } | Self::Alarm(_) => ExitStatus::Temporary,
            Self::State { source, .. } if system_limit::advice(source).is_some() => ExitStatus::Temporary,
            Self::Control(e) if e.is_temporary() => ExitStatus::Temporary,
            Self::State { .. } | Self::Control(_) => ExitStatus::Local,
        }
    }
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AnotherDaemon { holder, dir } => write!(
                f,
                "another daemon works with the state in {}: {}. End it first, or ask it with `mailferry status`",
                dir.display(),
                holder.escape_debug()
            ),
            Self::State { dir, source } => {
                let advice =
                    system_limit::advice(source).unwrap_or("make it writable for this user, or give --state-dir");
                write!(f, "cannot use the state directory {}: {source}; {advice}", dir.display())
            }
            Self::Control(e) => e.fmt(f),
            Self::Alarm(e) => {
                write!(f, "cannot make a timer: {e}; {}", system_limit::advice(e).unwrap_or("try again later"))
            }
        }
    }
}

impl std::error::Error for StartError {}

/// Runs until it is asked to end; says how it ended.
///
/// # Errors
/// [`StartError`]: it has not begun.
pub async fn run(start: Start) -> Result<ExitStatus, StartError> {
    let Start { config, ferry, load, sockets, signals } = start;
    let _alone = be_alone(&ferry)?;
    let control = Control::listen(&sockets).map_err(StartError::Control)?;
    let alarm = alarm::Alarm::new().map_err(StartError::Alarm)?;
    let mut supervisor = Supervisor::new(config, Arc::new(ferry), load, alarm, control, signals);
    Ok(supervisor.run().await)
}

/// The name of the lock, which cannot be an account's.
const LOCK: &str = ".daemon.lock";

/// Only one daemon works with a state; the answer ends the claim when it is dropped.
fn be_alone(ferry: &Ferry) -> Result<Box<dyn Send + Sync>, StartError> {
    let dir = &ferry.state_dir;
    let failed = |source| StartError::State { dir: dir.clone(), source };
    make_dirs(&RealDisk, dir).map_err(failed)?;
    let mut tries = 0;
    loop {
        tries += 1;
        match RealDisk.lock(&dir.join(LOCK), &ferry.holder).map_err(failed)? {
            Lock::Acquired(lock) => return Ok(lock),
            // Somebody may have just looked whether it is held.
            Lock::Held(_) if tries < 3 => std::thread::sleep(Duration::from_millis(50)),
            Lock::Held(holder) => return Err(StartError::AnotherDaemon { holder, dir: dir.clone() }),
        }
    }
}

/// What the daemon that works with this state left for others to read. None if there is none, or one of another user.
#[must_use]
pub fn holder(state_dir: &Path) -> Option<String> {
    let mut lock = File::open(state_dir.join(LOCK)).ok()?;
    // A shared lock, for a moment: it is refused only where the daemon's is held.
    if !matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)) {
        return None;
    }
    let mut words = Vec::new();
    // Who holds it is for people only.
    let _ = (&mut lock).take(1000).read_to_end(&mut words);
    Some(String::from_utf8_lossy(&words).into_owned())
}
