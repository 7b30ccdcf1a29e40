//! An honest POP3 server (RFC 1939, 2449, 2595, 5034, 6856) for a list of messages, with faults on demand.
//!
//! DELE takes effect only at QUIT; like a real one, the maildrop outlives its sessions.

mod sasl;
mod session;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;

use super::{Faults, Server, Wire};
pub(crate) use sasl::ScramFault;
use session::Conversation;
pub(crate) use session::stuffed;

/// The user name of the maildrop.
pub(crate) const USER: &str = "jo.q-7f3a";
/// The password of the maildrop: long and odd enough not to occur anywhere by chance.
pub(crate) const PASSWORD: &str = "s3cr3t-Zq9 kW!x";

/// A message on the server.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// Its unique-id.
    pub(crate) uid: String,
    /// Its content.
    pub(crate) body: Body,
    /// The size to report instead of the true one.
    pub(crate) reported_size: Option<u64>,
    /// The whole answer to RETR instead of the message (`-ERR ...`); `<close>` closes the connection.
    pub(crate) refusal: Option<String>,
    /// Whether a session that retrieved it has ended by QUIT.
    pub(crate) popped: bool,
}

/// The bytes of a message as they are stored on the server.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// These, with CRLF line ends unless a test wants it otherwise.
    Bytes(Arc<[u8]>),
    /// A small header and this many lines of 78 octets, generated while they are sent.
    Lines(u64),
}

/// The header of a message that is generated while it is sent.
pub(crate) const LINES_HEADER: &str = "Message-ID: <large@example.org>\r\nSubject: large\r\n\r\n";
/// One of its lines.
pub(crate) const LINE: &str = "This line is repeated until the message has the size that the test asks for.\r\n";

impl Message {
    /// Makes a message with this unique-id and these bytes.
    pub(crate) fn new(uid: &str, bytes: &[u8]) -> Self {
        let body = Body::Bytes(Arc::from(bytes));
        Self { uid: uid.to_owned(), body, reported_size: None, refusal: None, popped: false }
    }

    /// Makes a message of about this many octets that is never held in memory as a whole.
    pub(crate) fn large(uid: &str, octets: u64) -> Self {
        Self { body: Body::Lines(octets / LINE.len() as u64), ..Self::new(uid, b"") }
    }

    /// Returns the true size.
    pub(crate) fn size(&self) -> u64 {
        match &self.body {
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::Lines(count) => LINES_HEADER.len() as u64 + count * LINE.len() as u64,
        }
    }
}

/// How the server behaves from the next session on.
#[derive(Clone)]
pub(crate) struct Behaviour {
    /// The greeting.
    pub(crate) greeting: String,
    /// What CAPA lists besides PIPELINING, UIDL, TOP and STLS; if None, CAPA is unknown.
    pub(crate) capabilities: Option<Vec<String>>,
    /// Whether PIPELINING is announced.
    pub(crate) pipelining: bool,
    /// Closes the connection if more commands than this are sent ahead of an answer, although PIPELINING is announced.
    pub(crate) most_ahead: Option<usize>,
    /// Whether UIDL is known.
    pub(crate) uidl: bool,
    /// Whether TOP is known.
    pub(crate) top: bool,
    /// The answer to a correct login, if not `+OK`.
    pub(crate) login_answer: Option<String>,
    /// How many more logins are accepted; later ones are told that they come too soon.
    pub(crate) logins: Option<usize>,
    /// Instead, it closes the connection at these.
    pub(crate) closes_instead: bool,
    /// How many more logins find any messages.
    pub(crate) remembers: Option<usize>,
    /// Complete answers, with their CRLFs, to commands with these prefixes. They override everything else.
    pub(crate) answers: Vec<(String, String)>,
    /// Like `answers`, each given once; after one that ends in `<close>` the connection is closed.
    pub(crate) answers_once: Vec<(String, String)>,
    /// The answer to STAT after a message was retrieved.
    pub(crate) stat_after_retr: Option<String>,
    /// QUIT deletes whatever the session has retrieved, and CAPA says so: EXPIRE 0 (RFC 2449, section 6.7).
    pub(crate) expire_0: bool,
    /// Every session gives the messages new unique-ids.
    pub(crate) new_names: bool,
    /// The unique-ids are the numbers, so they shift when a message is deleted.
    pub(crate) counts: bool,
    /// Then the number less this, in so many digits at least.
    pub(crate) counted: (u32, usize),
    /// A message that is marked is not counted any more: those behind it move up at once.
    pub(crate) moves_up: bool,
    /// When all was retrieved, the first message goes and this one comes, in the same session, and the rest moves up.
    pub(crate) exchange: Option<Message>,
    /// A command with this prefix always makes it close the connection.
    pub(crate) closes_at: Option<String>,
    /// Only this many messages that were not retrieved yet are listed.
    pub(crate) window: Option<usize>,
    /// The faults of the next session only.
    pub(crate) next_faults: Option<Faults>,
    /// The size of the pieces in which it sends, in every session.
    pub(crate) chunk: Option<usize>,
    /// The TLS configuration; without it there is no TLS.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// The certificate of TLS, for logins that are bound to it.
    pub(crate) certificate: Option<Vec<u8>>,
    /// TLS starts with the first byte; otherwise STLS is offered.
    pub(crate) implicit_tls: bool,
    /// The fault of the server in SCRAM.
    pub(crate) scram_fault: ScramFault,
    /// Sent right after `+OK` to STLS, in clear.
    pub(crate) injected: Vec<u8>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            greeting: "+OK ready".to_owned(),
            capabilities: Some(vec!["USER".to_owned(), "SASL PLAIN".to_owned(), "RESP-CODES".to_owned()]),
            pipelining: true,
            most_ahead: None,
            uidl: true,
            top: true,
            login_answer: None,
            logins: None,
            closes_instead: false,
            remembers: None,
            answers: Vec::new(),
            answers_once: Vec::new(),
            stat_after_retr: None,
            expire_0: false,
            new_names: false,
            counts: false,
            counted: (0, 1),
            moves_up: false,
            exchange: None,
            closes_at: None,
            window: None,
            next_faults: None,
            chunk: None,
            tls: None,
            certificate: None,
            implicit_tls: false,
            scram_fault: ScramFault::None,
            injected: Vec::new(),
        }
    }
}

/// What the sessions share: the messages and the behaviour.
pub(crate) struct Contents {
    /// The messages, in the order of their numbers.
    pub(crate) messages: Vec<Message>,
    /// The behaviour.
    pub(crate) behaviour: Behaviour,
    /// How often each unique-id was retrieved in full.
    pub(crate) retrieved: HashMap<String, usize>,
}

/// A running server with a maildrop.
pub(crate) struct Maildrop {
    /// The listening server.
    pub(crate) server: Server,
    /// What it serves.
    contents: Arc<Mutex<Contents>>,
}

impl Maildrop {
    /// Serves these messages without any fault.
    pub(crate) fn new(messages: Vec<Message>) -> Self {
        Self::with(messages, |_| {})
    }

    /// Serves these messages, with the behaviour that `change` sets.
    pub(crate) fn with(messages: Vec<Message>, change: impl FnOnce(&mut Behaviour)) -> Self {
        let mut behaviour = Behaviour::default();
        change(&mut behaviour);
        let contents = Arc::new(Mutex::new(Contents { messages, behaviour, retrieved: HashMap::new() }));
        let theirs = Arc::clone(&contents);
        let server = Server::start(Arc::new(move |wire: &mut Wire| Conversation::begin(wire, &theirs)));
        Self { server, contents }
    }

    /// Reads or changes the maildrop; a session that is already open keeps what it saw.
    pub(crate) fn change<T>(&self, look: impl FnOnce(&mut Contents) -> T) -> T {
        look(&mut lock(&self.contents))
    }

    /// The unique-ids of the messages that are left.
    pub(crate) fn left(&self) -> Vec<String> {
        self.change(|contents| contents.messages.iter().map(|message| message.uid.clone()).collect())
    }

    /// How often the message with this unique-id was retrieved in full.
    pub(crate) fn retrieved(&self, uid: &str) -> usize {
        self.change(|contents| contents.retrieved.get(uid).copied().unwrap_or_default())
    }

    /// How many such commands were received in all sessions, once these have ended.
    pub(crate) fn count(&self, command: &str) -> usize {
        self.server.wait_until_idle();
        self.server.count(command)
    }
}

/// Locks the contents, even if another thread has panicked.
fn lock(contents: &Mutex<Contents>) -> std::sync::MutexGuard<'_, Contents> {
    contents.lock().unwrap_or_else(PoisonError::into_inner)
}
