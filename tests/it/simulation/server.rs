//! POP3 servers in memory. They count what is requested of them, and check at each QUIT that the client has kept its
//! promise.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mailferry::account::Endpoint;
use mailferry::net::{Connection, Dial, Dialling, NetError};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

use super::clock::SimClock;
use super::destination::{self, Destination};
use super::dialogue::{Dialogue, Next};
use super::disk::{Shared, look};
use super::sizes::{Lag, Note};

/// The buffer for what is in transit in one direction, in bytes.
const PIPE: usize = 1 << 14;

/// The maximum number of sessions per process: no script needs more, and without a limit some would not end.
pub(crate) const MOST_SESSIONS: usize = 300;

/// A message on a server.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// Its name in the world, unique; no client sees it.
    pub(crate) id: String,
    /// Its unique-id, on a server where these last.
    pub(crate) unique_id: String,
    /// Its bytes, with CRLF line ends.
    pub(crate) bytes: Arc<[u8]>,
    /// What had its unique-id before, if anything: its own beginning, or another message.
    pub(crate) before: Option<Arc<[u8]>>,
    /// What its bytes are to become, if it is not complete yet.
    pub(crate) after: Option<Arc<[u8]>>,
}

impl Message {
    /// Makes a message that does not change.
    pub(crate) fn new(id: &str, unique_id: &str, bytes: impl Into<Arc<[u8]>>) -> Self {
        let (before, after) = (None, None);
        Self { id: id.to_owned(), unique_id: unique_id.to_owned(), bytes: bytes.into(), before, after }
    }

    /// Turns it into another message.
    pub(crate) fn becomes(&mut self, bytes: Arc<[u8]>) {
        self.before = Some(std::mem::replace(&mut self.bytes, bytes));
        self.after = None;
    }
}

/// How a server makes its unique-ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UniqueIds {
    /// A message keeps its unique-id.
    Lasting,
    /// 1, 2, 3, by position: they shift when a message is removed.
    Counting,
    /// Each session makes new ones.
    PerSession,
}

/// The features and the behaviour of a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) pipelining: bool,
    pub(crate) uidl: bool,
    pub(crate) top: bool,
    /// TOP is announced, but always refused.
    pub(crate) refuses_top: bool,
    /// How unique-ids are made, if there is UIDL.
    pub(crate) unique_ids: UniqueIds,
    /// Whether a dot at the beginning of a line is doubled, as it must be.
    pub(crate) stuffs_dots: bool,
    /// Whether everything that was retrieved is removed at QUIT (`EXPIRE 0`).
    pub(crate) takes_retrieved: bool,
    /// Whether it only estimates the sizes of its messages.
    pub(crate) estimates: bool,
}

/// The faults of one session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mishaps {
    /// Every TOP is refused.
    pub(crate) refuses_top: bool,
    /// Every DELE is refused.
    pub(crate) refuses_dele: bool,
    /// RETR is refused for these messages.
    pub(crate) refuses_retr: BTreeSet<String>,
    /// QUIT is obeyed, but its answer is lost.
    pub(crate) loses_goodbye: bool,
}

/// Which listings omit messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lacking {
    /// All of them, as if the messages did not exist.
    Everywhere,
    /// Only UIDL.
    Uidl,
    /// Only LIST.
    List,
}

/// What a session has shown about one message.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) id: String,
    /// None if UIDL omits it, or there is no UIDL.
    pub(crate) unique_id: Option<String>,
    /// Its size in octets. None if LIST omits it, or in [`Shown::as_told`] if it was not requested.
    pub(crate) octets: Option<usize>,
    /// Whether LIST omits it.
    pub(crate) lacks_size: bool,
    /// Whether its size is that of another moment.
    pub(crate) is_stale: bool,
}

/// What a session has listed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown {
    pub(crate) lines: Vec<Line>,
    /// Whether UIDL or LIST was answered.
    pub(crate) listed: bool,
    /// Whether everything that the client requested before it went on was answered, too: then it knows all of them.
    pub(crate) answered: bool,
    /// The indexes whose sizes were reported.
    pub(crate) sizes: BTreeSet<usize>,
    /// Whether TOP is refused in this session.
    pub(crate) refuses_top: bool,
}

impl Shown {
    /// Returns the same with only the sizes that were reported.
    pub(crate) fn as_told(&self) -> Self {
        let told = |(place, line): (usize, &Line)| {
            let octets = line.octets.filter(|_| self.sizes.contains(&place));
            Line { octets, ..line.clone() }
        };
        Self { lines: self.lines.iter().enumerate().map(told).collect(), ..self.clone() }
    }
}

/// A message that a client has removed.
#[derive(Debug, Clone)]
pub(crate) struct Removal {
    pub(crate) id: String,
    /// When, in true seconds.
    pub(crate) at: u64,
    /// Whether it was marked by DELE, not only retrieved.
    pub(crate) marked: bool,
}

/// A maildrop that lasts as long as the world.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub(crate) manner: Manner,
    pub(crate) messages: Vec<Message>,
    /// How many RETRs were answered in full.
    pub(crate) retrieved: usize,
    /// How many DELEs were received.
    pub(crate) deleted: usize,
    /// How many QUITs were received.
    pub(crate) quits: usize,
    /// What was removed.
    pub(crate) removed: Vec<Removal>,
    /// How many bytes were sent.
    pub(crate) sent: usize,
    /// The connection is cut after this many more bytes sent.
    pub(crate) cut_after: Option<usize>,
    /// Whether the next QUIT is lost.
    pub(crate) loses_quit: bool,
    /// The faults of the next session.
    pub(crate) next_session: Mishaps,
    /// Which listings omit these messages.
    pub(crate) lacking: (Option<Lacking>, BTreeSet<String>),
    /// LIST reports the sizes of another moment.
    pub(crate) lag: Option<Lag>,
    /// What RETR returns in place of these messages.
    pub(crate) notes: BTreeMap<String, Note>,
    /// The notes that were sent, and the messages that they replaced.
    pub(crate) sent_notes: Vec<(String, Vec<u8>)>,
    /// The messages that were sent in another size than listed, and how often each was.
    pub(crate) misfits: BTreeMap<String, usize>,
    /// How many messages were marked although not they are stored, but something with the same header and, before, the
    /// same size: the listing shows no more.
    pub(crate) beyond_evidence: usize,
    /// What each session has listed.
    pub(crate) sessions: Vec<Shown>,
    /// Violations of the promises.
    pub(crate) broken_promises: Vec<String>,
    /// The destination, if the account forwards.
    pub(crate) destination: Option<Destination>,
}

impl Post {
    pub(crate) fn new(manner: Manner) -> Self {
        Self {
            manner,
            messages: Vec::new(),
            retrieved: 0,
            deleted: 0,
            quits: 0,
            removed: Vec::new(),
            sent: 0,
            cut_after: None,
            loses_quit: false,
            next_session: Mishaps::default(),
            lacking: (None, BTreeSet::new()),
            lag: None,
            notes: BTreeMap::new(),
            sent_notes: Vec::new(),
            misfits: BTreeMap::new(),
            beyond_evidence: 0,
            sessions: Vec::new(),
            broken_promises: Vec::new(),
            destination: None,
        }
    }
}

/// All maildrops, by account.
pub(crate) type Posts = Arc<Mutex<BTreeMap<String, Post>>>;

/// Locks the maildrops, even if another thread has panicked.
pub(crate) fn open(posts: &Posts) -> MutexGuard<'_, BTreeMap<String, Post>> {
    posts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A [`Dial`] for one process; hosts are named like accounts.
pub(crate) struct SimDialer {
    pub(crate) posts: Posts,
    pub(crate) machine: Shared,
    pub(crate) clock: SimClock,
    pub(crate) process: u32,
    /// The sessions.
    pub(crate) sessions: Mutex<Vec<JoinHandle<()>>>,
}

impl SimDialer {
    /// Waits for the end of all sessions.
    pub(crate) async fn end_of_sessions(&self) {
        let sessions = std::mem::take(&mut *self.sessions.lock().unwrap());
        for session in sessions {
            session.await.unwrap();
        }
    }
}

impl fmt::Debug for SimDialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimDialer")
    }
}

impl Dial for SimDialer {
    fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        avoid: &'a [SocketAddr],
    ) -> Dialling<'a, Result<Connection, NetError>> {
        // There is only one address.
        if !avoid.is_empty() || self.sessions.lock().unwrap().len() >= MOST_SESSIONS {
            let host = endpoint.host.clone();
            return Box::pin(async move { Err(NetError::NoAddress { host }) });
        }
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let peer = SocketAddr::from(([127, 0, 0, 1], endpoint.port));
        let connection = Connection::in_clear(ours, peer);
        if endpoint.port != 110 {
            let client = (Arc::clone(&self.machine), self.process);
            let run = destination::serve(theirs, Arc::clone(&self.posts), endpoint.host.clone(), endpoint.port, client);
            self.sessions.lock().unwrap().push(tokio::spawn(run));
            return Box::pin(async move { Ok(connection) });
        }
        let session = Session {
            stream: theirs,
            machine: Arc::clone(&self.machine),
            process: self.process,
            dialogue: Dialogue::new(&self.posts, &self.machine, &self.clock, &endpoint.host),
        };
        self.sessions.lock().unwrap().push(tokio::spawn(session.run()));
        Box::pin(async move { Ok(connection) })
    }

    fn start_tls<'a>(
        &'a self,
        _endpoint: &'a Endpoint,
        connection: Connection,
    ) -> Dialling<'a, Result<Connection, NetError>> {
        Box::pin(async move { Ok(connection) })
    }

    fn speaks_tls<'a>(&'a self, _peer: SocketAddr, _endpoint: &'a Endpoint) -> Dialling<'a, bool> {
        Box::pin(async { false })
    }
}

/// A connection.
struct Session {
    stream: DuplexStream,
    machine: Shared,
    /// The client's process: the connection ends with it.
    process: u32,
    dialogue: Dialogue,
}

impl Session {
    async fn run(mut self) {
        let mut next = Next::Answer(b"+OK ready\r\n".to_vec());
        let mut input = Vec::new();
        loop {
            let (answer, last) = match next {
                Next::Answer(answer) => (answer, false),
                Next::LastAnswer(answer) => (answer, true),
                Next::Cut => return,
            };
            // Time stands still while anybody has something to do. So what the client does about the last answer, on
            // its disk or elsewhere, is done before this one is sent: every run takes the same course.
            tokio::time::sleep(Duration::from_millis(1)).await;
            let (part, cut) = self.dialogue.allowed(&answer);
            if self.stream.write_all(part).await.is_err() || cut || last {
                return;
            }
            let mut line_ends = false;
            while !line_ends {
                match self.stream.read_buf(&mut input).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => line_ends = input.contains(&b'\n'),
                }
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
            let gone = {
                let machine = look(&self.machine);
                machine.process.dead || machine.process.id != self.process
            };
            if gone {
                return;
            }
            next = self.dialogue.on_input(&mut input);
        }
    }
}
