//! The listening socket of the status page, as the configuration has it now.

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

/// Serves the page where the configuration wants it. A page that cannot be served keeps no mail waiting: it is told, and
/// tried again.
#[derive(Debug)]
pub(crate) struct Listener {
    snapshots: Arc<Snapshots>,
    /// Where clients are served: not where is decided.
    runtime: Handle,
    /// Where the page is wanted.
    wanted: Option<HttpAddress>,
    /// Ends the task that serves, if one does.
    serving: Option<AbortHandle>,
    /// The socket's file, to be removed.
    file: Option<PathBuf>,
    /// Why it was not served when it was tried last.
    failed: Option<String>,
}

impl Listener {
    /// Serves nothing yet.
    pub(crate) fn new(supervisor: mpsc::Sender<Pending>, polls: PollMetrics, runtime: Handle) -> Self {
        let snapshots = Arc::new(Snapshots::new(supervisor, polls));
        Self { snapshots, runtime, wanted: None, serving: None, file: None, failed: None }
    }

    /// The page is wanted there from now on, or nowhere.
    pub(crate) fn listen(&mut self, wanted: Option<HttpAddress>) {
        if self.wanted != wanted {
            self.close();
            (self.wanted, self.failed) = (wanted, None);
        }
        self.try_again();
    }

    /// Tries again what did not work.
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
            // Who comes later finds no page either way.
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
            // The directory says who may come in; by default the group of the daemon, too.
            fs::set_permissions(path, Permissions::from_mode(0o660))?;
            Ok(Socket::Unix(listener))
        }
    }
}

/// Removes a socket at which nobody listens any more; anything else is left alone.
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
