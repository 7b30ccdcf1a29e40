//! The listening socket of the status page, as currently configured.

use std::fs::{self, Permissions};
use std::io;
use std::net::TcpListener as StdTcpListener;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tracing::{info, warn};

use super::accept::{Socket, accept};
use super::request::Hosts;
use super::snapshot::Snapshots;
use crate::config::HttpAddress;
use crate::control::Pending;
use crate::metrics::PollMetrics;
use crate::threads::blocking;

/// How many addresses are worked at simultaneously: each may be on a disk that hangs, and take a thread for ever.
const MOST_WORKED_AT: usize = 8;

/// Serves the page at the configured address. Failing to serve it does not keep mail waiting: the failure is logged,
/// and serving is tried again.
///
/// Sockets are made and removed on other threads, since a path may be on a disk that hangs.
#[derive(Debug)]
pub(crate) struct Listener {
    snapshots: Arc<Snapshots>,
    /// The runtime that serves clients, which is not the supervisor's.
    runtime: Handle,
    /// The address that the configuration has now. None: no page.
    wanted: Option<HttpAddress>,
    /// Ends the task that serves, if one runs.
    serving: Option<AbortHandle>,
    /// The file of the socket, to be removed.
    file: Option<PathBuf>,
    /// Why serving failed the last time.
    failed: Option<String>,
    /// The addresses at which a socket is being made or removed; nothing else is begun there meanwhile.
    worked_at: Vec<HttpAddress>,
    /// Where the threads that do so report.
    sender: mpsc::UnboundedSender<Done>,
    done: mpsc::UnboundedReceiver<Done>,
}

/// A socket was made or removed, or this failed.
#[derive(Debug)]
pub(crate) struct Done {
    address: HttpAddress,
    /// The socket, if one was to be made.
    bound: Option<io::Result<Socket>>,
}

impl Listener {
    /// Makes a listener that serves nothing yet.
    pub(crate) fn new(supervisor: mpsc::Sender<Pending>, polls: PollMetrics, runtime: Handle) -> Self {
        let snapshots = Arc::new(Snapshots::new(supervisor, polls));
        let (sender, done) = mpsc::unbounded_channel();
        Self {
            snapshots,
            runtime,
            wanted: None,
            serving: None,
            file: None,
            failed: None,
            worked_at: Vec::new(),
            sender,
            done,
        }
    }

    /// Serves at this address from now on; None stops serving.
    pub(crate) fn listen(&mut self, wanted: Option<HttpAddress>) {
        if self.wanted != wanted {
            if let Some(path) = self.stop_serving() {
                self.remove(path);
            }
            (self.wanted, self.failed) = (wanted, None);
        }
        self.try_again();
    }

    /// Begins to try again if serving failed.
    pub(crate) fn try_again(&mut self) {
        let Some(address) = self.wanted.clone().filter(|_| self.serving.is_none()) else { return };
        if !self.worked_at.contains(&address) && self.worked_at.len() < MOST_WORKED_AT {
            self.work_at(address, |address| Some(bind(address)));
        }
    }

    /// Waits until a socket was made or removed; the result is for [`take`](Self::take).
    pub(crate) async fn next(&mut self) -> Done {
        match self.done.recv().await {
            Some(done) => done,
            // Never reached, as `self` holds a sender.
            None => std::future::pending().await,
        }
    }

    /// Whether a socket is being made or removed.
    pub(crate) fn is_at_work(&self) -> bool {
        !self.worked_at.is_empty()
    }

    /// Serves at a socket that was made, if it is still wanted.
    pub(crate) fn take(&mut self, Done { address, bound }: Done) {
        self.worked_at.retain(|other| *other != address);
        let is_wanted = self.serving.is_none() && self.wanted.as_ref() == Some(&address);
        match (bound, address) {
            (Some(Ok(socket)), address) if is_wanted => self.serve(socket, address),
            (Some(Err(e)), address) if is_wanted => return self.log_failure(&address, &e),
            (Some(Ok(socket)), HttpAddress::Unix(path)) => {
                drop(socket);
                self.remove(path);
            }
            _ => {}
        }
        // It may have had to wait for this.
        self.try_again();
    }

    fn serve(&mut self, socket: Socket, address: HttpAddress) {
        let task = self.runtime.spawn(accept(socket, Arc::clone(&self.snapshots)));
        self.serving = Some(task.abort_handle());
        self.failed = None;
        info!(event = "http", "the status page is at {address}");
        if let HttpAddress::Unix(path) = address {
            self.file = Some(path);
        }
    }

    fn log_failure(&mut self, address: &HttpAddress, e: &io::Error) {
        let words = e.to_string();
        if self.failed.as_ref() != Some(&words) {
            warn!(event = "http", "the status page cannot be served at {address}: {e}; tried again every 30 s");
            self.failed = Some(words);
        }
    }

    fn remove(&mut self, path: PathBuf) {
        self.work_at(HttpAddress::Unix(path.clone()), move |_| {
            // Whoever connects later finds no page either way.
            let _ = fs::remove_file(path);
            None
        });
    }

    /// Begins work on a thread that may hang.
    fn work_at(
        &mut self,
        address: HttpAddress,
        work: impl FnOnce(&HttpAddress) -> Option<io::Result<Socket>> + Send + 'static,
    ) {
        self.worked_at.push(address.clone());
        let (sender, theirs) = (self.sender.clone(), address.clone());
        // The runtime that waits at a socket is the one in which it was made.
        let _there = self.runtime.enter();
        let work = blocking(move || work(&theirs));
        self.runtime.spawn(async move {
            let bound = work.await.unwrap_or_else(|e| Some(Err(e.into())));
            // The supervisor may have ended.
            let _ = sender.send(Done { address, bound });
        });
    }

    /// Stops serving, and returns the file that is to be removed.
    fn stop_serving(&mut self) -> Option<PathBuf> {
        if let Some(task) = self.serving.take() {
            task.abort();
        }
        self.file.take()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(path) = self.stop_serving() {
            let _ = fs::remove_file(path);
        }
    }
}

fn bind(address: &HttpAddress) -> io::Result<Socket> {
    match address {
        HttpAddress::Tcp(address) => {
            let listener = StdTcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let hosts = if address.ip().is_loopback() { Hosts::Loopback } else { Hosts::Addresses };
            Ok(Socket::Tcp(TcpListener::from_std(listener)?, hosts))
        }
        HttpAddress::Unix(path) => {
            remove_left_behind(path)?;
            let listener = UnixListener::bind(path)?;
            // The permissions of the directory decide who may connect; by default the daemon's group may, too.
            fs::set_permissions(path, Permissions::from_mode(0o660))?;
            Ok(Socket::Unix(listener))
        }
    }
}

/// Removes a socket at which no process listens any more. Leaves anything else alone.
fn remove_left_behind(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(there) if there.file_type().is_socket() => match is_listened_at(path) {
            Ok(true) => Err(io::ErrorKind::AddrInUse.into()),
            Ok(false) => fs::remove_file(path),
            Err(e) => Err(e),
        },
        Ok(_) => Err(io::Error::other("something that is not a socket is there")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

/// Whether a process listens at a socket. Does not wait for one that accepts no connections.
fn is_listened_at(path: &Path) -> io::Result<bool> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &SocketAddrUnix::new(path)?) {
        // AGAIN: as many connections as it allows wait to be accepted. PROTOTYPE: it is a socket of another kind.
        Ok(()) | Err(Errno::AGAIN | Errno::PROTOTYPE) => Ok(true),
        Err(Errno::CONNREFUSED) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream};
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn listener() -> Listener {
        let (supervisor, _) = mpsc::channel(1);
        Listener::new(supervisor, PollMetrics::default(), Handle::current())
    }

    async fn settle(listener: &mut Listener) {
        while listener.is_at_work() {
            let done = timeout(Duration::from_secs(20), listener.next()).await.unwrap();
            listener.take(done);
        }
    }

    /// Fills the queue of connections that wait to be accepted, and returns them.
    fn fill_backlog(path: &Path) -> Vec<rustix::fd::OwnedFd> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let address = SocketAddrUnix::new(path).unwrap();
        let mut waiting = Vec::new();
        loop {
            let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
            match rustix::net::connect(&socket, &address) {
                Ok(()) => waiting.push(socket),
                Err(e) => {
                    assert_eq!(e, Errno::AGAIN);
                    return waiting;
                }
            }
        }
    }

    #[tokio::test]
    async fn a_socket_whose_owner_accepts_nothing_is_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("page");
        let owner = StdUnixListener::bind(&path).unwrap();
        rustix::net::listen(&owner, 1).unwrap();
        let waiting = fill_backlog(&path);
        let mut listener = listener();
        listener.listen(Some(HttpAddress::Unix(path.clone())));
        settle(&mut listener).await;
        assert!(listener.serving.is_none() && listener.failed.is_some());
        // Once it is gone, what it left behind is replaced.
        drop((owner, waiting));
        listener.try_again();
        settle(&mut listener).await;
        assert!(listener.serving.is_some());
        UnixStream::connect(&path).unwrap();
    }

    #[tokio::test]
    async fn an_address_that_hangs_is_tried_once_and_keeps_no_other_one_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let [hung, good] = ["hung", "good"].map(|name| HttpAddress::Unix(dir.path().join(name)));
        let mut listener = listener();
        // As if a thread hung there.
        listener.worked_at.push(hung.clone());
        listener.listen(Some(hung.clone()));
        listener.try_again();
        assert_eq!(listener.worked_at, std::slice::from_ref(&hung), "no second thread hangs");
        listener.listen(Some(good.clone()));
        let done = timeout(Duration::from_secs(20), listener.next()).await.unwrap();
        listener.take(done);
        assert!(listener.serving.is_some());
        assert_eq!(listener.worked_at, std::slice::from_ref(&hung));
        // When it comes back at last, nobody wants it.
        let bound = Some(bind(&hung));
        listener.take(Done { address: hung, bound });
        settle(&mut listener).await;
        assert!(dir.path().join("good").exists() && !dir.path().join("hung").exists());
    }

    #[tokio::test]
    async fn the_page_moves_to_and_fro() {
        let dir = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| HttpAddress::Unix(dir.path().join(name)));
        let mut listener = listener();
        for address in [&one, &other, &one, &one] {
            listener.listen(Some(address.clone()));
        }
        settle(&mut listener).await;
        UnixStream::connect(dir.path().join("one")).unwrap();
        assert!(!dir.path().join("other").exists());
        listener.listen(None);
        settle(&mut listener).await;
        assert!(!dir.path().join("one").exists());
    }
}
