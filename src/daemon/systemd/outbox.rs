//! What systemd has yet to be told. Nothing waits until its socket is read: what the socket does not take stays here,
//! and is sent again by a task for a while, then together with the next notification.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixDatagram;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{SendFlags, SocketAddrUnix, sendto};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tracing::debug;

/// How often to try again.
const PAUSE: Duration = Duration::from_millis(100);

/// How many times to try again before the next notification.
const MOST_RETRIES: u32 = 50;

/// What a notification is about. A later one of the same kind makes an earlier one obsolete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ready,
    Reloading,
    Stopping,
    Status,
    Watchdog,
}

/// The notifications that are still to be sent.
pub(super) struct Outbox {
    /// Their texts, oldest first; at most one of each kind.
    waiting: Vec<(Kind, String)>,
    /// The task that tries again.
    retries: Option<AbortHandle>,
}

static OUTBOX: Mutex<Outbox> = Mutex::new(Outbox::new());

impl Outbox {
    const fn new() -> Self {
        Self { waiting: Vec::new(), retries: None }
    }

    fn put(&mut self, kind: Kind, text: String) {
        self.waiting.retain(|(waiting, _)| *waiting != kind);
        self.waiting.push((kind, text));
    }

    /// Sends what the socket takes, in order; returns whether that was all.
    fn send(&mut self, to: &OsStr) -> bool {
        while let Some((_, text)) = self.waiting.first() {
            match send(to, text.as_bytes()) {
                Err(Errno::AGAIN) => return false,
                Err(Errno::INTR) => {}
                // A failure does not matter.
                sent => {
                    self.waiting.remove(0);
                    if let Err(e) = sent {
                        debug!("cannot tell systemd: {e}");
                    }
                }
            }
        }
        true
    }

    /// Drops a sign of life: sent later, it would be untrue.
    fn give_up(&mut self) {
        self.waiting.retain(|(kind, _)| *kind != Kind::Watchdog);
    }
}

/// Sends a notification to the socket `to`, now or later.
pub(super) fn notify(to: &OsStr, kind: Kind, text: String) {
    let mut outbox = OUTBOX.lock().unwrap_or_else(PoisonError::into_inner);
    outbox.put(kind, text);
    if outbox.send(to) || outbox.retries.as_ref().is_some_and(|retries| !retries.is_finished()) {
        return;
    }
    match Handle::try_current() {
        Ok(runtime) => outbox.retries = Some(runtime.spawn(retry(to.to_owned())).abort_handle()),
        Err(_) => outbox.give_up(),
    }
}

async fn retry(to: OsString) {
    for _ in 0..MOST_RETRIES {
        tokio::time::sleep(PAUSE).await;
        if OUTBOX.lock().unwrap_or_else(PoisonError::into_inner).send(&to) {
            return;
        }
    }
    OUTBOX.lock().unwrap_or_else(PoisonError::into_inner).give_up();
}

/// Sends a datagram, or fails if that would block. A name that begins with `@` is an abstract one (unix(7)).
fn send(to: &OsStr, text: &[u8]) -> Result<(), Errno> {
    let address = match to.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddrUnix::new_abstract_name(name)?,
        None => SocketAddrUnix::new(to)?,
    };
    let socket = UnixDatagram::unbound().map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
    sendto(&socket, text, SendFlags::DONTWAIT | SendFlags::NOSIGNAL, &address).map(drop)
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::SocketAddr;

    use super::*;

    /// Returns what can be read without waiting.
    fn read(socket: &UnixDatagram) -> Vec<String> {
        let mut buffer = [0; 1024];
        let one = || {
            let count = socket.recv(&mut buffer).ok()?;
            Some(String::from_utf8_lossy(&buffer[..count]).into_owned())
        };
        std::iter::from_fn(one).filter(|text| text != "filling").collect()
    }

    /// Sends to a socket that is full, then reads it.
    fn full_then_read(socket: &UnixDatagram, to: &OsStr) {
        socket.set_nonblocking(true).unwrap();
        while send(to, b"filling").is_ok() {}
        let mut outbox = Outbox::new();
        for (kind, text) in [
            (Kind::Ready, "ready"),
            (Kind::Status, "first"),
            (Kind::Watchdog, "alive"),
            (Kind::Reloading, "reloading"),
            (Kind::Ready, "ready again"),
            (Kind::Status, "last"),
        ] {
            outbox.put(kind, text.to_owned());
            assert!(!outbox.send(to));
        }
        outbox.give_up();
        assert!(read(socket).is_empty());
        assert!(outbox.send(to));
        assert_eq!(read(socket), ["reloading", "ready again", "last"]);
    }

    #[test]
    fn a_socket_that_nobody_reads_is_not_waited_for_and_gets_the_latest_later() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        full_then_read(&UnixDatagram::bind(&path).unwrap(), path.as_os_str());
    }

    #[test]
    fn an_abstract_socket_is_the_same() {
        let name = format!("mailferry-test-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        full_then_read(&socket, OsStr::new(&format!("@{name}")));
    }

    #[test]
    fn without_a_socket_there_nothing_is_kept() {
        let mut outbox = Outbox::new();
        outbox.put(Kind::Ready, "ready".to_owned());
        assert!(outbox.send(OsStr::new("/nonexistent/notify")) && outbox.waiting.is_empty());
    }
}
