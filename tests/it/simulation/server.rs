//! POP3 servers in memory. They keep count of what was asked of them, and check at each QUIT that the client kept its
//! side of the promise.

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

/// Room for what is under way in one direction.
const PIPE: usize = 1 << 14;

/// One process is let in so often: no story needs more, and without a limit some would have no end.
pub(crate) const MOST_SESSIONS: usize = 300;

/// A message on a server.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// Its name in the world, different from all others; no client sees it.
    pub(crate) id: String,
    /// Its unique-id, on a server where those last.
    pub(crate) unique_id: String,
    /// Its bytes, with CRLF line ends.
    pub(crate) bytes: Arc<[u8]>,
    /// What stood under its unique-id before, if something did: its own beginning, or another message.
    pub(crate) before: Option<Arc<[u8]>>,
    /// What its bytes are to become, if it is not whole yet.
    pub(crate) after: Option<Arc<[u8]>>,
}

impl Message {
    /// One that is as it is from the beginning.
    pub(crate) fn new(id: &str, unique_id: &str, bytes: impl Into<Arc<[u8]>>) -> Self {
        let (before, after) = (None, None);
        Self { id: id.to_owned(), unique_id: unique_id.to_owned(), bytes: bytes.into(), before, after }
    }

    /// It is another one from now on.
    pub(crate) fn becomes(&mut self, bytes: Arc<[u8]>) {
        self.before = Some(std::mem::replace(&mut self.bytes, bytes));
        self.after = None;
    }
}

/// How a server makes its unique-ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UniqueIds {
    /// A message has the same one as long as it is there.
    Lasting,
    /// 1, 2, 3, by position: they shift when a message goes.
    Counting,
    /// Each session makes new ones.
    PerSession,
}

/// What a server can do and how it behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) pipelining: bool,
    pub(crate) uidl: bool,
    pub(crate) top: bool,
    /// TOP is announced, and refused each time.
    pub(crate) refuses_top: bool,
    /// Where there is UIDL.
    pub(crate) unique_ids: UniqueIds,
    /// A dot at the beginning of a line is doubled, as it must be.
    pub(crate) stuffs_dots: bool,
    /// Whatever was retrieved is removed at QUIT (`EXPIRE 0`).
    pub(crate) takes_retrieved: bool,
    /// It only estimates the sizes of its messages.
    pub(crate) estimates: bool,
}

/// What goes wrong in one session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mishaps {
    /// Every TOP is refused.
    pub(crate) refuses_top: bool,
    /// Every DELE is refused.
    pub(crate) refuses_dele: bool,
    /// RETR is refused for these messages.
    pub(crate) refuses_retr: BTreeSet<String>,
    /// QUIT is obeyed, and its answer never arrives.
    pub(crate) loses_goodbye: bool,
}

/// Which listings leave messages out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lacking {
    /// All of them: as if the messages were not there.
    Everywhere,
    /// UIDL alone.
    Uidl,
    /// LIST alone.
    List,
}

/// What a session has shown of one message.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) id: String,
    /// None if UIDL leaves it out, or there is no UIDL.
    pub(crate) unique_id: Option<String>,
    /// Its size in octets. None if LIST leaves it out, or in [`Shown::as_told`] if it was not asked for.
    pub(crate) octets: Option<usize>,
    /// LIST leaves it out.
    pub(crate) lacks_size: bool,
    /// Its size is that of another moment.
    pub(crate) is_stale: bool,
}

/// What a session has listed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown {
    pub(crate) lines: Vec<Line>,
    /// UIDL was answered, or LIST.
    pub(crate) listed: bool,
    /// So was all that the client asked for before it went on: it knows of all of them.
    pub(crate) answered: bool,
    /// The sizes at these places were told.
    pub(crate) sizes: BTreeSet<usize>,
    /// In this session TOP is refused.
    pub(crate) refuses_top: bool,
}

impl Shown {
    /// The same with the sizes that were told alone.
    pub(crate) fn as_told(&self) -> Self {
        let told = |(place, line): (usize, &Line)| {
            let octets = line.octets.filter(|_| self.sizes.contains(&place));
            Line { octets, ..line.clone() }
        };
        Self { lines: self.lines.iter().enumerate().map(told).collect(), ..self.clone() }
    }
}

/// A message that a client had removed.
#[derive(Debug, Clone)]
pub(crate) struct Removal {
    pub(crate) id: String,
    /// When, in real seconds.
    pub(crate) at: u64,
    /// By DELE, not only because it was retrieved.
    pub(crate) marked: bool,
}

/// One maildrop, as long as the world lasts.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub(crate) manner: Manner,
    pub(crate) messages: Vec<Message>,
    /// How many RETR were answered in full.
    pub(crate) retrieved: usize,
    /// How many DELE came.
    pub(crate) deleted: usize,
    /// How many QUIT came.
    pub(crate) quits: usize,
    /// What was removed.
    pub(crate) removed: Vec<Removal>,
    /// How many bytes were sent.
    pub(crate) sent: usize,
    /// The connection is cut when so many more were sent.
    pub(crate) cut_after: Option<usize>,
    /// The next QUIT never arrives.
    pub(crate) loses_quit: bool,
    /// What goes wrong in the next session.
    pub(crate) next_session: Mishaps,
    /// Which listings leave these messages out.
    pub(crate) lacking: (Option<Lacking>, BTreeSet<String>),
    /// LIST tells the sizes of another moment.
    pub(crate) lag: Option<Lag>,
    /// What RETR gives in place of these messages.
    pub(crate) notes: BTreeMap<String, Note>,
    /// The notes that were sent, and in place of which message.
    pub(crate) sent_notes: Vec<(String, Vec<u8>)>,
    /// The messages that came in another size than they were listed with, and how often each did.
    pub(crate) misfits: BTreeMap<String, usize>,
    /// How many were marked though not the message itself is stored, but what has its header and had its size: what is listed
    /// shows no more.
    pub(crate) beyond_evidence: usize,
    /// What each session has listed.
    pub(crate) sessions: Vec<Shown>,
    /// What must not have happened.
    pub(crate) broken_promises: Vec<String>,
    /// Where its mail goes on to, if the account forwards.
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

/// The maildrops, whatever another thread did.
pub(crate) fn open(posts: &Posts) -> MutexGuard<'_, BTreeMap<String, Post>> {
    posts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// [`Dial`] for one process: a host is an account's name.
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
    /// The client's process: when it dies, the connection goes with it.
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
            // Time stands still as long as anybody has something to do. So whatever the client does about the last
            // answer, on its disk or elsewhere, is done before this one comes: every run takes the same course.
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
            next = self.dialogue.hear(&mut input);
        }
    }
}
