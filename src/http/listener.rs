//! The listening socket of the status page, as currently configured.

use std::fs::{self, Permissions};
use std::io;
use std::net::TcpListener as StdTcpListener;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

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

/// Serves the page at the configured address. Failing to serve it does not keep mail waiting: the failure is logged,
/// and serving is tried again.
#[derive(Debug)]
pub(crate) struct Listener {
    snapshots: Arc<Snapshots>,
    /// The runtime that serves clients, which is not the supervisor's.
    runtime: Handle,
    /// The configured address.
    wanted: Option<HttpAddress>,
    /// Ends the task that serves, if one runs.
    serving: Option<AbortHandle>,
    /// The file of the socket, to be removed.
    file: Option<PathBuf>,
    /// Why serving failed the last time.
    failed: Option<String>,
}

impl Listener {
    /// Makes a listener that serves nothing yet.
    pub(crate) fn new(supervisor: mpsc::Sender<Pending>, polls: PollMetrics, runtime: Handle) -> Self {
        let snapshots = Arc::new(Snapshots::new(supervisor, polls));
        Self { snapshots, runtime, wanted: None, serving: None, file: None, failed: None }
    }

    /// Serves at this address from now on; None stops serving.
    pub(crate) fn listen(&mut self, wanted: Option<HttpAddress>) {
        if self.wanted != wanted {
            self.close();
            (self.wanted, self.failed) = (wanted, None);
        }
        self.try_again();
    }

    /// Tries again if serving failed.
    pub(crate) fn try_again(&mut self) {
        let Some(address) = self.wanted.clone().filter(|_| self.serving.is_none()) else { return };
        let there = self.runtime.enter();
        let bound = bind(&address);
        drop(there);
        match bound {
            Ok(socket) => {
                let task = self.runtime.spawn(accept(socket, Arc::clone(&self.snapshots)));
                self.serving = Some(task.abort_handle());
                if let HttpAddress::Unix(path) = &address {
                    self.file = Some(path.clone());
                }
                self.failed = None;
                info!(event = "http", "the status page is at {address}");
            }
            Err(e) => {
                let words = e.to_string();
                if self.failed.as_ref() != Some(&words) {
                    warn!(event = "http", "the status page cannot be served at {address}: {e}; tried again every 30 s");
                    self.failed = Some(words);
                }
            }
        }
    }

    fn close(&mut self) {
        if let Some(task) = self.serving.take() {
            task.abort();
        }
        if let Some(path) = self.file.take() {
            // Whoever connects later finds no page either way.
            let _ = fs::remove_file(path);
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.close();
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
        Ok(there) if there.file_type().is_socket() => match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
            Err(_) => fs::remove_file(path),
        },
        Ok(_) => Err(io::Error::other("something that is not a socket is there")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}
