//! SIGINT and SIGTERM end in order; the second one ends at once. SIGHUP and SIGUSR1 are for the daemon.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::iterator::{Handle, Signals};
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

use crate::daemon::Request;
use crate::exit::ExitStatus;

/// Listens for signals until it is dropped.
pub(super) struct Listener {
    /// Ends the listening.
    handle: Option<Handle>,
    /// The first signal that came, 0 if none has.
    first: Arc<AtomicI32>,
}

impl Listener {
    /// Begins to listen; the first signal cancels `stop`.
    pub(super) fn begin(stop: CancellationToken) -> Self {
        let first = Arc::new(AtomicI32::new(0));
        let mut signals = match Signals::new([SIGINT, SIGTERM]) {
            Ok(signals) => signals,
            Err(e) => {
                tracing::warn!("cannot listen for signals, so Ctrl-C will end at once: {e}");
                return Self { handle: None, first };
            }
        };
        let handle = signals.handle();
        let seen = Arc::clone(&first);
        thread::spawn(move || {
            for signal in signals.forever() {
                if seen.swap(signal, Ordering::SeqCst) != 0 {
                    std::process::exit(i32::from(status_of(signal).code()));
                }
                stop.cancel();
            }
        });
        Self { handle: Some(handle), first }
    }

    /// How to end if a signal has come.
    pub(super) fn status(&self) -> Option<ExitStatus> {
        match self.first.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(status_of(signal)),
        }
    }
}

/// Passes what signals ask for on to a daemon, as long as the answer lives. A second SIGINT or SIGTERM ends at once.
pub(super) fn tell_daemon(daemon: UnboundedSender<Request>) -> Listener {
    let first = Arc::new(AtomicI32::new(0));
    let mut signals = match Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1]) {
        Ok(signals) => signals,
        Err(e) => {
            tracing::warn!("cannot listen for signals, so the daemon can neither reload nor end in order: {e}");
            return Listener { handle: None, first };
        }
    };
    let handle = signals.handle();
    let seen = Arc::clone(&first);
    thread::spawn(move || {
        for signal in signals.forever() {
            let request = match signal {
                SIGHUP => Request::Reload,
                SIGUSR1 => Request::PollNow,
                _ if seen.swap(signal, Ordering::SeqCst) != 0 => {
                    std::process::exit(i32::from(status_of(signal).code()));
                }
                _ => Request::Stop(status_of(signal)),
            };
            if daemon.send(request).is_err() {
                return;
            }
        }
    });
    Listener { handle: Some(handle), first }
}

/// A file that grows beyond the limit on its size (`ulimit -f`) is an error of that file from here on, and no longer the
/// end of the process.
pub(super) fn survive_limit_on_files() {
    // Nobody looks at the flag: that somebody listens is enough.
    if let Err(e) = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))) {
        tracing::warn!("cannot listen for SIGXFSZ, so a limit on the size of files would end everything: {e}");
    }
}

fn status_of(signal: i32) -> ExitStatus {
    if signal == SIGTERM { ExitStatus::Terminated } else { ExitStatus::Interrupted }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(handle) = &self.handle {
            handle.close();
        }
    }
}
