//! The daemon's side: the socket, its listener, and the requests that come in.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tracing::{debug, info, warn};

use super::Pending;
use super::pieces::{Document, Pieces};
use super::protocol::{LONGEST_QUESTION, Request, Response, TIMEOUT};
use super::socket::{LOOK, NAME, address, open_dir};
use super::visitors::{Visit, Visitors};
use crate::daemon_error::ControlError;
use crate::threads;

/// How long all pieces of a status may take in total.
const ALL_PIECES: Duration = Duration::from_secs(120);

/// How many requests may wait for the supervisor.
const QUESTIONS: usize = 16;

/// The maximum number of connections. Beyond it, the one that has kept the daemon waiting longest is closed.
const MOST: usize = 64;

/// The socket and its listener. The file is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Control {
    questions: mpsc::Receiver<Pending>,
    /// Lets others in the process make requests.
    sender: mpsc::Sender<Pending>,
    /// The path of the socket.
    path: Arc<Mutex<PathBuf>>,
    /// Triggers a check that the socket still exists.
    look: Arc<Notify>,
}

impl Drop for Control {
    fn drop(&mut self) {
        // Later clients find no daemon either way.
        let _ = fs::remove_file(self.path());
    }
}

impl Control {
    /// Listens in the first usable one of these directories. The caller has ensured that there is no other daemon, so
    /// an existing socket was left behind.
    pub(crate) fn listen(dirs: &[PathBuf]) -> Result<Self, ControlError> {
        let mut tried = Vec::new();
        for dir in dirs {
            match bind(dir) {
                Ok(listener) => {
                    let (sender, questions) = mpsc::channel(QUESTIONS);
                    let (look, path) = (Arc::new(Notify::new()), Arc::new(Mutex::new(dir.join(NAME))));
                    let place =
                        Place { dir: dir.clone(), others: dirs.to_vec(), path: Arc::clone(&path), troubled: false };
                    tokio::spawn(accept(listener, place, Arc::clone(&look), sender.clone()));
                    return Ok(Self { questions, sender, path, look });
                }
                Err(e) => tried.push((dir.clone(), e)),
            }
        }
        Err(ControlError { tried })
    }

    /// Returns the current path.
    pub(crate) fn path(&self) -> PathBuf {
        self.path.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes the socket again now if someone removed it. Also checked every [`LOOK`].
    pub(crate) fn restore(&self) {
        self.look.notify_one();
    }

    /// Returns a sender for requests that do not come through the socket.
    pub(crate) fn sender(&self) -> mpsc::Sender<Pending> {
        self.sender.clone()
    }

    /// Returns a pending request, if any.
    pub(crate) fn waiting(&mut self) -> Option<Pending> {
        self.questions.try_recv().ok()
    }

    /// Waits for the next request.
    pub(crate) async fn next(&mut self) -> Pending {
        match self.questions.recv().await {
            Some(asked) => asked,
            // Nobody is listening any more.
            None => std::future::pending().await,
        }
    }
}

fn bind(dir: &Path) -> io::Result<UnixListener> {
    if let Err(e) = fs::DirBuilder::new().mode(0o700).create(dir)
        && e.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(e);
    }
    let opened = open_dir(dir)?;
    let path = address(dir, &opened);
    match fs::symlink_metadata(&path) {
        Ok(there) if there.file_type().is_socket() => fs::remove_file(&path)?,
        Ok(_) => return Err(io::Error::other(format!("{NAME} exists and is not a socket"))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Where the socket is.
#[derive(Debug, Clone)]
struct Place {
    /// The directory that it is in, or is to be made in.
    dir: PathBuf,
    /// Candidates for the directory, best first.
    others: Vec<PathBuf>,
    /// The path of the socket, shared with those who tell it to users.
    path: Arc<Mutex<PathBuf>>,
    /// Whether it has been reported that the socket cannot be made again.
    troubled: bool,
}

/// A look at the place of the socket: the place as it is now, and the socket if it was made again.
type Look = threads::Blocking<(Place, Option<UnixListener>)>;

impl Place {
    /// Does [`restored`](Self::restored) on another thread: the directory may be on a disk that hangs.
    fn looked_at(&self) -> Look {
        let mut place = self.clone();
        threads::blocking(move || {
            let restored = place.restored();
            (place, restored)
        })
    }

    /// Makes the socket again if its name is gone, and elsewhere if its directory is gone, too. None if it exists or
    /// cannot be made.
    fn restored(&mut self) -> Option<UnixListener> {
        let dir = &self.dir.clone();
        let there = open_dir(dir).and_then(|opened| fs::symlink_metadata(address(dir, &opened)));
        if !there.is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
            return None;
        }
        let error = match bind(dir) {
            Ok(listener) => {
                self.troubled = false;
                info!(event = "control", "the control socket in {} was removed and has been made again", dir.display());
                return Some(listener);
            }
            Err(e) => e,
        };
        let elsewhere = self.others.iter().filter(|other| *other != dir);
        if let Some((other, listener)) = elsewhere.filter_map(|other| Some((other, bind(other).ok()?))).next() {
            let (from, to) = (dir.display(), other.display());
            info!(event = "control", "the control socket in {from} was removed and is in {to} now: {error}");
            self.troubled = false;
            *self.path.lock().unwrap_or_else(PoisonError::into_inner) = other.join(NAME);
            self.dir = other.clone();
            return Some(listener);
        }
        // Reported only once.
        if !std::mem::replace(&mut self.troubled, true) {
            let dir = dir.display();
            warn!(event = "control", "the control socket in {dir} was removed and cannot be made again: {error}");
        }
        None
    }
}

/// Waits until the next look is due.
async fn due(looks: &mut tokio::time::Interval, asked: &Notify) {
    tokio::select! {
        _ = looks.tick() => {}
        () = asked.notified() => {}
    }
}

/// Waits for the look that is under way.
async fn ended(under_way: &mut Option<Look>) -> <Look as Future>::Output {
    match under_way {
        Some(look) => look.await,
        None => std::future::pending().await,
    }
}

async fn accept(mut listener: UnixListener, mut at: Place, look: Arc<Notify>, sender: mpsc::Sender<Pending>) {
    let visitors = Visitors::new(MOST);
    let us = rustix::process::geteuid().as_raw();
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut under_way = None;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = due(&mut looks, &look), if under_way.is_none() => {
                under_way = Some(at.looked_at());
                continue;
            }
            looked = ended(&mut under_way) => {
                under_way = None;
                // Without a thread for it, the next look is as good.
                if let Ok((place, restored)) = looked {
                    at = place;
                    listener = restored.unwrap_or(listener);
                }
                continue;
            }
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(e) => {
                debug!("the control socket: {e}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let ours = stream.peer_cred().is_ok_and(|peer| peer.uid() == us || peer.uid() == 0);
        if !ours {
            continue;
        }
        visitors.make_room().await;
        let sender = sender.clone();
        visitors.receive(|visit| {
            let hearing = async move {
                if hear(stream, sender, &visit).await.is_none() {
                    debug!("the control socket: a client did not ask, or did not take the answer, in time");
                }
            };
            tokio::spawn(hearing).abort_handle()
        });
    }
}

/// Reads a request, passes it on to the supervisor and writes the answer. None: the client has gone.
async fn hear(stream: UnixStream, sender: mpsc::Sender<Pending>, visit: &Visit) -> Option<()> {
    let (read, mut write) = stream.into_split();
    let mut line = Vec::new();
    let mut read = BufReader::new(read.take(LONGEST_QUESTION));
    tokio::time::timeout(TIMEOUT, read.read_until(b'\n', &mut line)).await.ok()?.ok()?;
    visit.is_served();
    let answer = match serde_json::from_slice::<Request>(&line) {
        Ok(Request::Status { accounts }) => {
            let pieces = Pieces::of(sender, &accounts);
            return tokio::time::timeout(ALL_PIECES, tell_status(pieces, &mut write, visit)).await.ok()?;
        }
        Ok(request) => {
            let (answer, answered) = oneshot::channel();
            let timeout = request.timeout();
            let question = Pending::Request { request, answer };
            tokio::time::timeout(TIMEOUT, sender.send(question)).await.ok()?.ok()?;
            tokio::time::timeout(timeout, answered).await.ok()?.ok()?
        }
        Err(e) => Response::NotUnderstood { why: e.to_string() },
    };
    let mut text = serde_json::to_vec(&answer).ok()?;
    text.push(b'\n');
    tell(&text, &mut write, visit).await
}

/// Answers a status request. The next piece is requested after the previous one was read.
async fn tell_status(mut pieces: Pieces, write: &mut OwnedWriteHalf, visit: &Visit) -> Option<()> {
    let (mut document, mut text) = (Document::answer(), Vec::new());
    while let Some(piece) = pieces.next().await.ok()? {
        document.add(piece, &mut text).ok()?;
        tell(&text, write, visit).await?;
        text.clear();
    }
    text.extend_from_slice(Document::END);
    text.push(b'\n');
    tell(&text, write, visit).await
}

async fn tell(text: &[u8], write: &mut OwnedWriteHalf, visit: &Visit) -> Option<()> {
    visit.is_awaited();
    tokio::time::timeout(TIMEOUT, write.write_all(text)).await.ok()?.ok()?;
    visit.is_served();
    Some(())
}
