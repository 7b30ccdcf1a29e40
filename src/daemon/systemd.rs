//! Notifies systemd (sd_notify(3)). Does nothing if not started by it.

mod outbox;

use std::fmt::Write as _;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::threads::blocking;
use outbox::Kind;

/// How long systemd is asked to wait for the shutdown, once it has begun.
const ENDING: Duration = Duration::from_secs(30);

/// Sends a notification. The crate's own function would wait until the socket is read.
fn send(kind: Kind, states: &[NotifyState<'_>]) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let mut text = String::new();
    for state in states {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{state}");
    }
    outbox::notify(&socket, kind, text);
}

/// Reports that the daemon is ready, with a line for `systemctl status`.
pub(super) fn ready(status: &str) {
    send(Kind::Ready, &[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Reports a reload; [`ready`] follows. Since systemd 253 `Type=notify-reload` waits for it.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(Kind::Reloading, &[NotifyState::Reloading, now]),
        Err(_) => send(Kind::Reloading, &[NotifyState::Reloading]),
    }
}

/// Updates the line for `systemctl status`.
pub(super) fn status(status: &str) {
    send(Kind::Status, &[NotifyState::Status(status)]);
}

/// Reports that the shutdown has begun.
pub(super) fn stopping(status: &str) {
    let micros = u32::try_from(ENDING.as_micros()).unwrap_or(u32::MAX);
    send(Kind::Stopping, &[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(micros), NotifyState::Status(status)]);
}

/// Feeds the watchdog. The message is sent by the threads that do the work, those of the polls and those that wait for
/// the disk, and only once they get to it.
pub(super) fn alive() {
    tokio::spawn(async {
        if blocking(|| ()).await.is_ok() {
            send(Kind::Watchdog, &[NotifyState::Watchdog]);
        }
    });
}

/// How often to call [`alive`] if the watchdog is enabled: twice per timeout.
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}
