//! The daemon: polls every account on its own schedule, for years.
//!
//! One task makes all decisions ([`supervisor`]): it knows which accounts are due, starts each poll as a task of its
//! own, handles its end, and answers requests. It waits for everything in one `select!`: the next due account
//! ([`alarm`]), the end of a poll, a signal, a request on the control socket ([`control`]), the watchdog ([`systemd`]).
//! So no locks are needed, and a panic while working for one account affects only that account.

mod accounts;
mod configuration_reader;
mod configured;
mod forwarders;
mod log;
mod outside;
mod polls;
mod supervisor;
mod systemd;

use std::fs::{File, TryLockError};
use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tracing::error;

use crate::account::Account;
use crate::config::{Config, ConfigError};
use crate::control::Control;
use crate::daemon_error::StartError;
use crate::disk::{Disk as _, Lock, RealDisk, make_dirs};
use crate::exit::ExitStatus;
use crate::poll::PollContext;
use crate::state::ownership;
use crate::{advice, threads};
use supervisor::{Parts, Supervisor};

/// What a daemon starts with.
pub(crate) struct Start {
    /// The configuration in force.
    pub config: Config,
    /// The stamp of its file, taken before it was read.
    pub config_stamp: String,
    /// What all polls share.
    pub context: PollContext,
    /// How many passes of forwarders may run at the same time.
    pub most_passes: usize,
    /// Reads the configuration again.
    pub load: Load,
    /// Candidates for the path of the control socket, best first.
    pub sockets: Vec<PathBuf>,
    /// Signals from systemd or a user's shell.
    pub signals: mpsc::UnboundedReceiver<SignalRequest>,
}

/// Reads the configuration again, and shares each account as soon as it is read. The account list in the returned
/// configuration is empty.
pub(crate) type Load = Box<dyn Fn(Share<'_>) -> Result<(Config, Vec<Arc<Account>>), ConfigError> + Send + Sync>;

/// Turns an account into the shared one that the daemon keeps.
pub(crate) type Share<'a> = &'a dyn Fn(Account) -> Arc<Account>;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignalRequest {
    /// SIGTERM or SIGINT: shut down in order, with this exit status.
    Stop(ExitStatus),
    /// SIGHUP: reload the configuration.
    Reload,
    /// SIGUSR1: poll all accounts now.
    PollNow,
}

/// How long the final clean-up may take: it may involve a disk that hangs.
const GIVING_BACK: Duration = Duration::from_secs(1);

/// Runs until asked to stop. Returns the exit status. Polls run in the runtime that calls this.
///
/// # Errors
/// [`StartError`], if it could not start.
pub(crate) async fn run(start: Start) -> Result<ExitStatus, StartError> {
    let (ended, mut ends) = mpsc::unbounded_channel();
    let polls = Handle::current();
    let Start { signals, .. } = start;
    let (forward, signals_of_supervisor) = mpsc::unbounded_channel();
    let start = Start { signals: signals_of_supervisor, ..start };
    let late = ended.clone();
    begin_thread("signals", move || pass_on(signals, &forward, &late))?;
    // On its own thread and runtime: a poll that blocks where it should not then holds up polls, but not the
    // supervisor.
    begin_thread("supervisor", move || {
        let end = catch_unwind(AssertUnwindSafe(|| supervise(start, polls)));
        let _ = ended.send(end.unwrap_or_else(|_| {
            error!(event = "stopped", "{}", advice::told_of_bug("the daemon had an internal error"));
            Ok(ExitStatus::Temporary)
        }));
    })?;
    ends.recv().await.unwrap_or(Ok(ExitStatus::Temporary))
}

fn begin_thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
    threads::start(name, work).map_err(StartError::Thread)
}

/// Passes signals on, and ensures that a request to stop is obeyed in time, even if the supervisor hangs where it
/// should not.
fn pass_on(
    mut signals: mpsc::UnboundedReceiver<SignalRequest>,
    supervisor: &mpsc::UnboundedSender<SignalRequest>,
    late: &mpsc::UnboundedSender<Result<ExitStatus, StartError>>,
) {
    while let Some(request) = signals.blocking_recv() {
        // The supervisor may have ended.
        let _ = supervisor.send(request);
        if let SignalRequest::Stop(status) = request {
            thread::sleep(supervisor::ENDING + supervisor::NOTIFYING + GIVING_BACK);
            let _ = late.send(Ok(status));
            return;
        }
    }
}

fn supervise(start: Start, polls: Handle) -> Result<ExitStatus, StartError> {
    let runtime = threads::small_runtime().map_err(StartError::Thread)?;
    let ended = runtime.block_on(async {
        let Start { config, config_stamp, context, most_passes, load, sockets, signals } = start;
        let alone = take_daemon_lock(&context)?;
        let control = Control::listen(&sockets).map_err(StartError::Control)?;
        let alarm = crate::clock::alarm::Alarm::new().map_err(StartError::Alarm)?;
        let context = Arc::new(context);
        let parts = Parts { config, config_stamp, context, most_passes, load, alarm, control, signals, polls };
        let mut supervisor = Supervisor::new(parts);
        let status = supervisor.run().await;
        // Closes the socket and releases the lock.
        let give_back = threads::blocking(move || drop((supervisor, alone)));
        let _ = tokio::time::timeout(GIVING_BACK, give_back).await;
        Ok(status)
    });
    runtime.shutdown_background();
    ended
}

/// The name of the lock file, which cannot be that of an account.
const LOCK: &str = ".daemon.lock";

/// Claims the state directory, which only one daemon may use. Dropping the result releases the claim.
fn take_daemon_lock(context: &PollContext) -> Result<Box<dyn Send + Sync>, StartError> {
    let dir = &context.state_dir;
    let failed = |source| StartError::State { dir: dir.clone(), source };
    ownership::check_directory(&RealDisk, dir).map_err(StartError::Owner)?;
    make_dirs(&RealDisk, dir).map_err(failed)?;
    let mut tries = 0;
    loop {
        tries += 1;
        match RealDisk.lock(&dir.join(LOCK), &context.holder).map_err(failed)? {
            Lock::Acquired(lock) => return Ok(lock),
            // Another process may just be checking whether it is held.
            Lock::Held(_) if tries < 3 => thread::sleep(Duration::from_millis(50)),
            Lock::Held(holder) => return Err(StartError::AnotherDaemon { holder, dir: dir.clone() }),
        }
    }
}

/// Returns what the daemon that uses this state directory wrote into its lock file. None if there is none or it belongs
/// to another user.
#[must_use]
pub(crate) fn holder(state_dir: &Path) -> Option<String> {
    let mut lock = File::open(state_dir.join(LOCK)).ok()?;
    // A shared lock, held for a moment, is refused only if the daemon holds its own.
    if !matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)) {
        return None;
    }
    let mut words = Vec::new();
    // The holder's name is only for display.
    let _ = (&mut lock).take(1000).read_to_end(&mut words);
    Some(String::from_utf8_lossy(&words).into_owned())
}
