//! Signals. SIGINT and SIGTERM end the process in order; a second one ends it at once, and so does the first one if the
//! command only looks. SIGHUP and SIGUSR1 are for the daemon. Signal settings inherited from the parent are corrected.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use nix::sys::signal::SigSet;
use rustix::fs::OFlags;
use rustix::io::Errno;
use signal_hook::consts::{SIGABRT, SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::iterator::{Handle, Signals};
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

use super::output::stderr_line;
use crate::daemon::SignalRequest;
use crate::exit::ExitStatus;
use crate::{subprocess, threads};

/// How long a terminal may take to disappear after a SIGHUP: some shells send it just before they end.
const TERMINAL_GOES: Duration = Duration::from_millis(300);

/// The acknowledgement of the first Ctrl-C at a terminal.
const ENDING: &str = "mailferry: ending: what is under way comes in first; Ctrl-C again ends at once";

/// Corrects inherited signal settings: blocked signals, and SIGCHLD ignored, so that the kernel would not report how a
/// child ended. Both survive exec(2). Must be called before any other thread is started.
pub(super) fn begin_anew() {
    // If this fails, nothing can be done: the blocked signals do not arrive.
    let _ = SigSet::all().thread_unblock();
    // The flag is not used: a handler alone is enough.
    let _ = signal_hook::flag::register(SIGCHLD, Arc::new(AtomicBool::new(false)));
    // When memory runs out, the process reports it and calls abort(3).
    let status = i32::from(ExitStatus::Temporary.code());
    let _ = signal_hook::flag::register_conditional_shutdown(SIGABRT, status, Arc::new(AtomicBool::new(true)));
}

/// Listens for signals until dropped.
pub(super) struct Listener {
    /// Ends the listening.
    handle: Option<Handle>,
    /// The first signal received; 0 if none.
    first: Arc<AtomicI32>,
}

impl Listener {
    /// Starts to listen; the first signal cancels `stop`.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(super) fn begin(stop: CancellationToken) -> io::Result<Self> {
        Self::begin_with(stop, || {})
    }

    /// Like [`Self::begin`], for a command that ends in order, which may take a while: at a terminal, Ctrl-C is
    /// acknowledged.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(super) fn begin_to_end_in_order(stop: CancellationToken, quiet: bool) -> io::Result<Self> {
        let is_seen = !quiet && io::stderr().is_terminal();
        Self::begin_with(stop, move || {
            if is_seen {
                // In a thread of its own: writing blocks while the terminal is stopped (Ctrl-S), and the second signal
                // must still be handled.
                let _ = threads::start("ending", || stderr_line(ENDING));
            }
        })
    }

    fn begin_with(stop: CancellationToken, acknowledge: impl Fn() + Send + 'static) -> io::Result<Self> {
        let first = Arc::new(AtomicI32::new(0));
        let mut signals = match Signals::new([SIGINT, SIGTERM]) {
            Ok(signals) => signals,
            Err(e) => {
                tracing::warn!("cannot listen for signals, so Ctrl-C will end at once: {e}");
                return Ok(Self { handle: None, first });
            }
        };
        let handle = signals.handle();
        let seen = Arc::clone(&first);
        threads::start("signals", move || {
            for signal in signals.forever() {
                if seen.swap(signal, Ordering::SeqCst) != 0 {
                    end_now(signal);
                }
                stop.cancel();
                if signal == SIGINT {
                    acknowledge();
                }
            }
        })?;
        Ok(Self { handle: Some(handle), first })
    }

    /// Returns the exit status if a signal was received.
    pub(super) fn status(&self) -> Option<ExitStatus> {
        match self.first.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(status_of(signal)),
        }
    }
}

/// From now on SIGINT or SIGTERM ends the process at once, with the commands that it has started. For commands that
/// only look, or write all or nothing. If there is no thread for it, the signals end the process alone.
pub(super) fn end_at_once() {
    let (ready, listens) = mpsc::channel();
    let started = threads::start("signals", move || {
        let signals = Signals::new([SIGINT, SIGTERM]);
        let _ = ready.send(());
        if let Ok(mut signals) = signals
            && let Some(signal) = signals.forever().next()
        {
            end_now(signal);
        }
    });
    match started {
        // Nothing is started before the thread listens.
        Ok(()) => _ = listens.recv(),
        Err(e) => tracing::debug!("cannot listen for signals: {e}"),
    }
}

/// How long the last lines of the log may take when a signal ends the process at once.
const LAST_LINES: Duration = Duration::from_millis(100);

/// Ends the process and all that it has started.
fn end_now(signal: i32) -> ! {
    let _ended = subprocess::end_all();
    super::terminal::give_back();
    super::unread::finish_log(LAST_LINES);
    std::process::exit(i32::from(status_of(signal).code()))
}

/// Passes the requests of signals on to a daemon until the returned listener is dropped. A second SIGINT or SIGTERM
/// ends the process at once.
///
/// # Errors
/// The system has no thread for it.
pub(super) fn tell_daemon(daemon: UnboundedSender<SignalRequest>) -> io::Result<Listener> {
    let terminal = Terminal::of_process();
    let first = Arc::new(AtomicI32::new(0));
    let mut signals = match Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1]) {
        Ok(signals) => signals,
        Err(e) => {
            tracing::warn!("cannot listen for signals, so the daemon can neither reload nor end in order: {e}");
            return Ok(Listener { handle: None, first });
        }
    };
    let handle = signals.handle();
    let seen = Arc::clone(&first);
    threads::start("signals", move || {
        for signal in signals.forever() {
            let request = match signal {
                SIGHUP if terminal.is_gone() => SignalRequest::Stop(ExitStatus::Terminated),
                SIGHUP => SignalRequest::Reload,
                SIGUSR1 => SignalRequest::PollNow,
                _ if seen.swap(signal, Ordering::SeqCst) != 0 => end_now(signal),
                _ => SignalRequest::Stop(status_of(signal)),
            };
            if daemon.send(request).is_err() {
                return;
            }
        }
    })?;
    Ok(Listener { handle: Some(handle), first })
}

/// The terminal in which a daemon was started. When it is closed, SIGHUP means to end, not to reload.
struct Terminal {
    /// Whether the daemon ends with the terminal: there is one, and `nohup` is not used.
    ends_with_us: bool,
}

impl Terminal {
    /// Must be called before anything listens for SIGHUP.
    fn of_process() -> Self {
        let nohup = std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, SIGHUP));
        Self { ends_with_us: !nohup && controlling_terminal().is_ok() }
    }

    /// Whether the terminal has been closed. Waits a moment for that.
    fn is_gone(&self) -> bool {
        if !self.ends_with_us {
            return false;
        }
        let begun = Instant::now();
        while begun.elapsed() < TERMINAL_GOES {
            let answer = controlling_terminal().map_err(|e| Errno::from_io_error(&e));
            if matches!(answer, Err(Some(Errno::NXIO | Errno::IO))) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

/// Opens the controlling terminal of this process; ENXIO if there is none, or none any more.
fn controlling_terminal() -> io::Result<File> {
    let flags = i32::try_from((OFlags::NOCTTY | OFlags::NONBLOCK).bits()).unwrap_or(0);
    OpenOptions::new().read(true).custom_flags(flags).open("/dev/tty")
}

/// Whether a process ignores a signal, according to its `/proc/PID/status`.
fn ignores(status: &str, signal: i32) -> bool {
    let redactor = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let redactor = redactor.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0);
    redactor & (1 << (signal - 1)) != 0
}

/// From now on, exceeding the file size limit (`ulimit -f`) is an error of the write and no longer kills the process.
pub(super) fn survive_limit_on_files() {
    // The flag is not used: a handler alone is enough.
    if let Err(e) = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))) {
        tracing::warn!("cannot listen for SIGXFSZ, so exceeding the file size limit would kill the process: {e}");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_ignores_stands_in_its_status() {
        let status = "Name:\tmailferry\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        assert!(ignores(status, SIGHUP));
        assert!(!ignores(status, SIGTERM) && !ignores("", SIGHUP));
    }
}
