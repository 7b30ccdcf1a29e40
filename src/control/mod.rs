//! The control socket: one request and one answer, each a line of JSON.
//!
//! The daemon answers only its own user and root. A request must be short and arrive soon, or the connection is closed;
//! no client can keep the daemon from its work.

mod arriving;
pub(crate) mod pieces;
pub mod status;
pub(crate) mod visitors;

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tracing::{debug, info, warn};

use self::arriving::Arriving;
pub use self::arriving::StatusReader;
use self::pieces::{Document, Piece, Pieces, Wanted};
use self::status::Status;
use self::visitors::{Visit, Visitors};
use crate::daemon_error::{AskError, ControlError};
use crate::notify::command_runner;
use crate::threads;

/// The file name of the socket.
pub const NAME: &str = "control.sock";

/// The maximum length of a request, in bytes: the names of some thousand accounts.
const LONGEST_QUESTION: u64 = 256 << 10;

/// The maximum total length of the names in a status request, in bytes: each may take six in JSON.
const MOST_NAMES: usize = 32 << 10;

/// How long a request may take to arrive, and an answer, or a piece of it, to be made or to be read.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long all pieces of a status may take in total.
const ALL_PIECES: Duration = Duration::from_secs(120);

/// How much of an answer is read at a time, in bytes.
const READ: usize = 64 << 10;

/// How long accounts may be polled often at most, because the user waits for mail.
pub const LONGEST_OFTEN: Duration = Duration::from_secs(3600);

/// How many requests may wait for the supervisor.
const QUESTIONS: usize = 16;

/// The maximum number of connections. Beyond it, the one that has kept the daemon waiting longest is closed.
const MOST: usize = 64;

/// How often to check that the socket still exists: someone may clean up old files.
pub(crate) const LOOK: Duration = Duration::from_secs(10);

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Request {
    /// Asks for the status.
    Status {
        /// Only of these accounts; of all if none is named. A daemon that does not know this field returns all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        accounts: Vec<String>,
    },
    /// Polls these accounts now; all if none is named.
    Poll {
        /// Their names.
        accounts: Vec<String>,
        /// Polls them often for this many seconds. Daemons and clients without this feature leave it out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        often_for: Option<u64>,
    },
    /// Another process has forwarded mail of these accounts: look at what is left.
    Forwarded {
        /// Their names.
        accounts: Vec<String>,
    },
    /// Another process has polled these accounts, which forward mail: look into their spools.
    Fetched {
        /// Their names.
        accounts: Vec<String>,
    },
    /// Runs the command of `[notify]`, and reports the result.
    TestNotify,
}

impl Request {
    /// Asks for the status of these accounts; of all if none is named, or if they do not fit into a request.
    #[must_use]
    pub fn status_of(accounts: &[String]) -> Self {
        let octets: usize = accounts.iter().map(|name| name.len() + 3).sum();
        let fits = octets <= MOST_NAMES;
        Self::Status { accounts: accounts.iter().filter(|_| fits).cloned().collect() }
    }

    /// Returns how long the answer may take.
    fn timeout(&self) -> Duration {
        match self {
            Self::Status { .. } | Self::Poll { .. } | Self::Forwarded { .. } | Self::Fetched { .. } => TIMEOUT,
            Self::TestNotify => command_runner::LIMIT + TIMEOUT,
        }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Response {
    /// Answers [`Request::Status`].
    Status(Box<Status>),
    /// Answers [`Request::Poll`].
    Poll {
        /// The accounts that are now polled.
        woken: Vec<String>,
        /// The accounts that are not configured.
        unknown: Vec<String>,
        /// Until when they are polled often, in seconds since 1970.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        often_until: Option<i64>,
        /// The accounts among them that are in trouble.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        troubles: Vec<TriedAgain>,
    },
    /// Answers [`Request::Forwarded`] and [`Request::Fetched`].
    Noted,
    /// Answers [`Request::TestNotify`].
    Notified {
        /// Whether the command succeeded.
        well: bool,
        /// Whether a command is configured.
        configured: bool,
        /// The result in a sentence.
        text: String,
    },
    /// This version does not understand the request.
    NotUnderstood {
        /// Why.
        why: String,
    },
}

/// An account that was in trouble when a poll was requested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriedAgain {
    /// Its name.
    pub account: String,
    /// How long it has been in trouble, in seconds.
    pub for_seconds: u64,
    /// What happened, and what to do about it.
    pub text: String,
    /// How long it waits if the poll fails again, in seconds.
    pub next_wait: u64,
}

/// A request with the sender for its answer.
#[derive(Debug)]
pub(super) enum Pending {
    /// A request for a piece of the status.
    Status { wanted: Wanted, answer: oneshot::Sender<Piece> },
    /// Any other request.
    Request { request: Request, answer: oneshot::Sender<Response> },
}

/// The socket and its listener. The file is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Control {
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
    pub(super) fn listen(dirs: &[PathBuf]) -> Result<Self, ControlError> {
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
    pub(super) fn path(&self) -> PathBuf {
        self.path.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes the socket again now if someone removed it. Also checked every [`LOOK`].
    pub(super) fn restore(&self) {
        self.look.notify_one();
    }

    /// Returns a sender for requests that do not come through the socket.
    pub(super) fn sender(&self) -> mpsc::Sender<Pending> {
        self.sender.clone()
    }

    /// Returns a pending request, if any.
    pub(super) fn waiting(&mut self) -> Option<Pending> {
        self.questions.try_recv().ok()
    }

    /// Waits for the next request.
    pub(super) async fn next(&mut self) -> Pending {
        match self.questions.recv().await {
            Some(asked) => asked,
            // Nobody is listening any more.
            None => std::future::pending().await,
        }
    }
}

/// The maximum length of a socket's path, in bytes: `sun_path` of unix(7) without its NUL.
const LONGEST_PATH: usize = 107;

/// Returns a path for the socket in a directory that fits into a socket address; valid as long as `opened` is open.
fn address(dir: &Path, opened: &File) -> PathBuf {
    let path = dir.join(NAME);
    if path.as_os_str().len() <= LONGEST_PATH {
        return path;
    }
    PathBuf::from(format!("/proc/self/fd/{}/{NAME}", opened.as_raw_fd()))
}

/// Opens a directory, so that a socket in it can be reached through a short path.
fn open_dir(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    fs::OpenOptions::new().read(true).custom_flags(i32::try_from(flags.bits()).unwrap_or(0)).open(path)
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
    /// Its directory.
    dir: PathBuf,
    /// Candidates for the directory, best first.
    others: Vec<PathBuf>,
    /// Its path, shared.
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

/// Handles one request.
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

/// Asks the daemon whose socket is in the first of these directories that has one.
///
/// # Errors
/// [`AskError`].
pub async fn ask(dirs: &[PathBuf], request: &Request) -> Result<Response, AskError> {
    let (socket, stream) = connect(dirs).await?;
    let answer = tokio::time::timeout(3 * TIMEOUT + request.timeout(), converse(stream, request)).await;
    let answer = answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    answer.map_err(|e| AskError::NoAnswer { socket, why: e.to_string() })
}

/// Asks the daemon for the status of these accounts, of all if none is named, and reads it as it arrives. Returns the
/// answer if it is not a status.
///
/// # Errors
/// [`AskError`]; part of the status may have been read.
pub async fn ask_status(
    dirs: &[PathBuf],
    accounts: &[String],
    reader: &mut impl StatusReader,
) -> Result<Option<Response>, AskError> {
    let (socket, stream) = connect(dirs).await?;
    let answer = read_status(stream, &Request::status_of(accounts), reader).await;
    answer.map_err(|e| AskError::NoAnswer { socket, why: e.to_string() })
}

async fn connect(dirs: &[PathBuf]) -> Result<(PathBuf, UnixStream), AskError> {
    let mut looked = Vec::new();
    for dir in dirs {
        let socket = dir.join(NAME);
        let Ok(opened) = open_dir(dir) else {
            looked.push(socket);
            continue;
        };
        match UnixStream::connect(address(dir, &opened)).await {
            Ok(stream) => return Ok((socket, stream)),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                looked.push(socket);
            }
            Err(e) => return Err(AskError::NoAnswer { socket, why: e.to_string() }),
        }
    }
    Err(AskError::NoDaemon { looked })
}

async fn read_status(
    mut stream: UnixStream,
    request: &Request,
    reader: &mut impl StatusReader,
) -> io::Result<Option<Response>> {
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    let silence = 3 * TIMEOUT + request.timeout();
    let timed_out = |_| io::Error::from(io::ErrorKind::TimedOut);
    tokio::time::timeout(silence, stream.write_all(&text)).await.map_err(timed_out)??;
    let (mut arriving, mut octets) = (Arriving::default(), vec![0; READ]);
    loop {
        let read = tokio::time::timeout(silence, stream.read(&mut octets)).await.map_err(timed_out)??;
        match octets.get(..read) {
            None | Some([]) => return arriving.finish(),
            Some(octets) => arriving.take_in(octets, reader)?,
        }
    }
}

async fn converse(mut stream: UnixStream, request: &Request) -> io::Result<Response> {
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    stream.write_all(&text).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    if answer.is_empty() {
        return Err(io::Error::other("it closed the connection; it answers only the user it runs as, and root"));
    }
    Ok(serde_json::from_slice(&answer)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_of_an_older_or_a_newer_client_is_understood() {
        let poll = |often_for| Request::Poll { accounts: vec!["a".to_owned()], often_for };
        let (all, old_status) = (Request::status_of(&[]), r#"{"ask":"status"}"#);
        assert_eq!(serde_json::from_str::<Request>(old_status).unwrap(), all);
        assert_eq!(serde_json::to_string(&all).unwrap(), old_status);
        let old = r#"{"ask":"poll","accounts":["a"]}"#;
        assert_eq!(serde_json::from_str::<Request>(old).unwrap(), poll(None));
        assert_eq!(serde_json::to_string(&poll(None)).unwrap(), old, "an older daemon gets what it knows");
        let newer = r#"{"ask":"poll","accounts":["a"],"often_for":600,"quietly":true}"#;
        assert_eq!(serde_json::from_str::<Request>(newer).unwrap(), poll(Some(600)));
    }

    #[test]
    fn more_names_than_fit_into_a_question_ask_about_all() {
        let names = |count: usize| (0..count).map(|n| format!("{n:\u{1}<100}")).collect::<Vec<_>>();
        let question = serde_json::to_vec(&Request::status_of(&names(300))).unwrap();
        assert!(question.len() > 100 << 10 && u64::try_from(question.len()).unwrap() < LONGEST_QUESTION);
        assert_eq!(Request::status_of(&names(400)), Request::status_of(&[]));
    }

    #[test]
    fn an_answer_of_an_older_daemon_is_understood() {
        let old = r#"{"answer":"poll","woken":["a"],"unknown":[]}"#;
        let answer =
            Response::Poll { woken: vec!["a".to_owned()], unknown: vec![], often_until: None, troubles: vec![] };
        assert_eq!(serde_json::from_str::<Response>(old).unwrap(), answer);
        assert_eq!(serde_json::to_string(&answer).unwrap(), old);
    }
}
