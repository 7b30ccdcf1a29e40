//! SIGINT and SIGTERM end in order; the second one ends at once, and so does the first one of a command that only looks.
//! SIGHUP and SIGUSR1 are for the daemon. What a parent left of other signals is put right.

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

/// How long after a SIGHUP the terminal may take to be gone: some shells say it just before they end.
const TERMINAL_GOES: Duration = Duration::from_millis(300);

/// What is said at a terminal after the first Ctrl-C.
const ENDING: &str = "mailferry: ending: what is under way comes in first; Ctrl-C again ends at once";

/// Puts right what a parent may have left: signals that are blocked, and SIGCHLD ignored, with which the kernel tells
/// nobody how a child ended. Both outlive exec(2). To be called before there is any other thread.
pub(super) fn begin_anew() {
    // Nothing is to be done where this fails: the signals that are blocked then do not come, as the parent wanted.
    let _ = SigSet::all().thread_unblock();
    // Nobody looks at the flag: that somebody listens is enough.
    let _ = signal_hook::flag::register(SIGCHLD, Arc::new(AtomicBool::new(false)));
    // Where memory runs out the process says so and calls abort(3).
    let status = i32::from(ExitStatus::Temporary.code());
    let _ = signal_hook::flag::register_conditional_shutdown(SIGABRT, status, Arc::new(AtomicBool::new(true)));
}

/// Listens for signals until it is dropped.
pub(super) struct Listener {
    /// Ends the listening.
    handle: Option<Handle>,
    /// The first signal that came, 0 if none has.
    first: Arc<AtomicI32>,
}

impl Listener {
    /// Begins to listen; the first signal cancels `stop`.
    ///
    /// # Errors
    /// That the system has no thread for it.
    pub(super) fn begin(stop: CancellationToken) -> io::Result<Self> {
        Self::begin_with(stop, || {})
    }

    /// The same for what comes to its end in order, which may take a while: at a terminal a Ctrl-C is acknowledged.
    ///
    /// # Errors
    /// That the system has no thread for it.
    pub(super) fn begin_to_end_in_order(stop: CancellationToken, quiet: bool) -> io::Result<Self> {
        let is_seen = !quiet && io::stderr().is_terminal();
        Self::begin_with(stop, move || {
            if is_seen {
                // In a thread of its own: a terminal that was stopped (Ctrl-S) takes no words, and the second signal must
                // be heard all the same.
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

    /// How to end if a signal has come.
    pub(super) fn status(&self) -> Option<ExitStatus> {
        match self.first.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(status_of(signal)),
        }
    }
}

/// From here on a SIGINT or SIGTERM ends the process at once, and the commands that it has started with it. For what only
/// looks, and for what is written as a whole or not at all. Where there is no thread for it they end the process alone.
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
        // Nothing is started before somebody listens.
        Ok(()) => _ = listens.recv(),
        Err(e) => tracing::debug!("cannot listen for signals: {e}"),
    }
}

/// Ends the process, and leaves nothing behind that it has started.
fn end_now(signal: i32) -> ! {
    let _ended = subprocess::end_all();
    super::terminal::give_back();
    std::process::exit(i32::from(status_of(signal).code()))
}

/// Passes what signals ask for on to a daemon, as long as the answer lives. A second SIGINT or SIGTERM ends at once.
///
/// # Errors
/// That the system has no thread for it.
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

/// The terminal that a daemon was started in. When it is closed, SIGHUP means the end and not a reload.
struct Terminal {
    /// Whether there is one whose end is also the daemon's: not where `nohup` started it.
    ends_with_us: bool,
}

impl Terminal {
    /// To be asked before anybody listens for SIGHUP.
    fn of_process() -> Self {
        let nohup = std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, SIGHUP));
        Self { ends_with_us: !nohup && controlling_terminal().is_ok() }
    }

    /// Whether it has been closed. Waits a moment for that.
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

/// Opens the terminal that controls this process; ENXIO if there is none, or none any more.
fn controlling_terminal() -> io::Result<File> {
    let flags = i32::try_from((OFlags::NOCTTY | OFlags::NONBLOCK).bits()).unwrap_or(0);
    OpenOptions::new().read(true).custom_flags(flags).open("/dev/tty")
}

/// Whether a process ignores a signal, by its `/proc/PID/status`.
fn ignores(status: &str, signal: i32) -> bool {
    let redactor = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let redactor = redactor.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0);
    redactor & (1 << (signal - 1)) != 0
}

/// A file that grows beyond the limit on its size (`ulimit -f`) is an error of that file from here on, and no longer the
/// end of the process.
pub(super) fn survive_limit_on_files() {
    // Nobody looks at the flag: that somebody listens is enough.
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
