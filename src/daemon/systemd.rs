//! What the daemon tells systemd (sd_notify(3)); nothing, where nobody asked.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::debug;

use crate::threads::blocking;

/// How long systemd is asked to wait for the end, once it has begun.
const ENDING: Duration = Duration::from_secs(30);

/// Sends what cannot fail in a way that matters.
fn send(states: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(states) {
        debug!("cannot tell systemd: {e}");
    }
}

/// It is ready to work, with a line for `systemctl status`.
pub(super) fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The configuration is being read again; [`ready`] follows. Since systemd 253 `Type=notify-reload` waits for it.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(_) => send(&[NotifyState::Reloading]),
    }
}

/// A line for `systemctl status`.
pub(super) fn status(status: &str) {
    send(&[NotifyState::Status(status)]);
}

/// The end has begun.
pub(super) fn stopping(status: &str) {
    let micros = u32::try_from(ENDING.as_micros()).unwrap_or(u32::MAX);
    send(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(micros), NotifyState::Status(status)]);
}

/// The work goes on: said by the threads that do it, those of the polls and those that wait for the disk, and only once
/// they come to it.
pub(super) fn alive() {
    tokio::spawn(async {
        if blocking(|| ()).await.is_ok() {
            send(&[NotifyState::Watchdog]);
        }
    });
}

/// How often [`alive`] is to be called, if anybody watches: twice in the time after which systemd would act.
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}
