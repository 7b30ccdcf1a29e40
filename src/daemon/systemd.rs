//! Notifies systemd (sd_notify(3)). Does nothing if not started by it.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::debug;

use crate::threads::blocking;

/// How long systemd is asked to wait for the shutdown, once it has begun.
const ENDING: Duration = Duration::from_secs(30);

/// Sends a notification; a failure does not matter.
fn send(states: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(states) {
        debug!("cannot tell systemd: {e}");
    }
}

/// Reports that the daemon is ready, with a line for `systemctl status`.
pub(super) fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Reports a reload; [`ready`] follows. Since systemd 253 `Type=notify-reload` waits for it.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(_) => send(&[NotifyState::Reloading]),
    }
}

/// Updates the line for `systemctl status`.
pub(super) fn status(status: &str) {
    send(&[NotifyState::Status(status)]);
}

/// Reports that the shutdown has begun.
pub(super) fn stopping(status: &str) {
    let micros = u32::try_from(ENDING.as_micros()).unwrap_or(u32::MAX);
    send(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(micros), NotifyState::Status(status)]);
}

/// Feeds the watchdog. The message is sent by the threads that do the work, those of the polls and those that wait for
/// the disk, and only once they get to it.
pub(super) fn alive() {
    tokio::spawn(async {
        if blocking(|| ()).await.is_ok() {
            send(&[NotifyState::Watchdog]);
        }
    });
}

/// How often to call [`alive`] if the watchdog is enabled: twice per timeout.
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}
