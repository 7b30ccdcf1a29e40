//! POP3 servers that do exactly what a test tells them to, on a free port of 127.0.0.1, in their own threads.
//!
//! [`maildrop`] is an honest server with faults on demand; [`dialogue`] plays a list of steps and knows no POP3 at all.
//! Both record every byte that they receive. Nothing that a client does makes them panic.

pub(crate) mod between;
pub(crate) mod closed;
pub(crate) mod dialogue;
pub(crate) mod endless;
pub(crate) mod imap;
pub(crate) mod listening;
pub(crate) mod lmtp;
pub(crate) mod maildrop;
pub(crate) mod middle_box;
mod wire;

use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(crate) use wire::{Faults, Wire};

/// The record of a connection.
#[derive(Debug, Default, Clone)]
pub(crate) struct Session {
    /// Every byte received over TCP: what an eavesdropper sees.
    pub(crate) raw: Vec<u8>,
    /// Every line received, without its CRLF; decrypted if TLS is used.
    pub(crate) lines: Vec<String>,
    /// How many bytes were sent, counted inside TLS.
    pub(crate) sent: u64,
    /// How many lines had arrived before the line ahead of them was answered.
    pub(crate) pipelined: usize,
    /// How often everything had been answered and the server waited for the client: the round trips.
    pub(crate) flights: usize,
    /// What a dialogue expected and did not get.
    pub(crate) mismatch: Option<String>,
    /// Whether it ended with QUIT.
    pub(crate) quit: bool,
    /// Whether the server has finished with it.
    pub(crate) ended: bool,
}

/// What the threads of a server share.
#[derive(Default)]
pub(crate) struct Shared {
    /// The connections, in the order in which they were accepted.
    sessions: Mutex<Vec<Session>>,
    /// Notified at each change of `sessions` and `stalled`.
    bell: Condvar,
    /// How many connections are stalled now.
    stalled: Mutex<usize>,
    /// Set when stalled connections may continue.
    released: AtomicBool,
    /// Set when the server is dropped.
    stop: AtomicBool,
    /// The open connections, so that a drop can end them.
    open: Mutex<Vec<TcpStream>>,
}

impl Shared {
    /// Locks the value, even if another thread has panicked.
    fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Changes the record of a connection.
    fn note(&self, session: usize, change: impl FnOnce(&mut Session)) {
        if let Some(entry) = Self::lock(&self.sessions).get_mut(session) {
            change(entry);
        }
        self.bell.notify_all();
    }
}

/// Plays the server's part in one connection.
pub(crate) type Part = dyn Fn(&mut Wire) + Send + Sync;

/// A listening server. Dropping it ends its threads.
pub(crate) struct Server {
    /// The address on which it listens.
    pub(crate) address: SocketAddr,
    /// What it shares with its threads.
    shared: Arc<Shared>,
    /// The thread that accepts.
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens, and plays `part` on each connection.
    pub(crate) fn start(part: Arc<Part>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || accept(&listener, &theirs, &part));
        Self { address, shared, acceptor: Some(acceptor) }
    }

    /// Returns a copy of the records so far.
    pub(crate) fn sessions(&self) -> Vec<Session> {
        Shared::lock(&self.shared.sessions).clone()
    }

    /// Returns every byte received on all connections.
    pub(crate) fn raw(&self) -> Vec<u8> {
        self.sessions().into_iter().flat_map(|session| session.raw).collect()
    }

    /// How many such commands were received on all connections.
    pub(crate) fn count(&self, command: &str) -> usize {
        let begins = |line: &&String| line.split(' ').next().is_some_and(|word| word.eq_ignore_ascii_case(command));
        self.sessions().iter().map(|session| session.lines.iter().filter(begins).count()).sum()
    }

    /// Waits until all connections have ended, so that the records are complete.
    pub(crate) fn wait_until_idle(&self) {
        let sessions = Shared::lock(&self.shared.sessions);
        let busy = |sessions: &mut Vec<Session>| sessions.iter().any(|session| !session.ended);
        let (_sessions, limit) = self.shared.bell.wait_timeout_while(sessions, Duration::from_secs(20), busy).unwrap();
        assert!(!limit.timed_out(), "a connection to the scripted server is still open");
    }

    /// Waits until this many connections are stalled.
    pub(crate) fn wait_until_stalled(&self, connections: usize) {
        let stalled = Shared::lock(&self.shared.stalled);
        let limit = Duration::from_secs(20);
        let (stalled, late) = self.shared.bell.wait_timeout_while(stalled, limit, |now| *now < connections).unwrap();
        assert!(!late.timed_out(), "{} of {connections} connections reached the point to stall at", *stalled);
    }

    /// Waits until `wanted` holds for the records.
    pub(crate) fn wait_until(&self, what: &str, wanted: impl Fn(&[Session]) -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        let mut sessions = Shared::lock(&self.shared.sessions);
        while !wanted(&sessions) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the scripted server waited in vain for {what}");
            sessions = self.shared.bell.wait_timeout(sessions, left).unwrap().0;
        }
    }

    /// Lets stalled connections continue, now and in future.
    pub(crate) fn release(&self) {
        self.shared.released.store(true, Ordering::SeqCst);
    }

    /// Whether a connection is stalled.
    pub(crate) fn is_stalled(&self) -> bool {
        *Shared::lock(&self.shared.stalled) > 0
    }

    /// Lets the connections that are stalled now continue; later ones stall again.
    pub(crate) fn release_stalled(&self) {
        self.shared.released.store(true, Ordering::SeqCst);
        let stalled = Shared::lock(&self.shared.stalled);
        let limit = Duration::from_secs(20);
        let (stalled, late) = self.shared.bell.wait_timeout_while(stalled, limit, |now| *now > 0).unwrap();
        assert!(!late.timed_out(), "{} connections still stand still", *stalled);
        self.shared.released.store(false, Ordering::SeqCst);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for stream in Shared::lock(&self.shared.open).drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
        drop(TcpStream::connect(self.address)); // wakes accept()
        if let Some(thread) = self.acceptor.take() {
            drop(thread.join());
        }
    }
}

/// Accepts until the server is dropped, then waits for the threads of the connections.
fn accept(listener: &TcpListener, shared: &Arc<Shared>, part: &Arc<Part>) {
    let mut threads = Vec::new();
    while let Ok((stream, _)) = listener.accept() {
        if shared.stop.load(Ordering::SeqCst) {
            break;
        }
        // A thread that has ended keeps its stack until its handle is dropped or joined.
        threads.retain(|thread: &JoinHandle<()>| !thread.is_finished());
        let number = {
            let mut sessions = Shared::lock(&shared.sessions);
            sessions.push(Session::default());
            sessions.len() - 1
        };
        if let Ok(copy) = stream.try_clone() {
            Shared::lock(&shared.open).push(copy);
        }
        let (shared, part) = (Arc::clone(shared), Arc::clone(part));
        threads.push(std::thread::spawn(move || {
            let mut wire = Wire::new(stream, Arc::clone(&shared), number);
            part(&mut wire);
            wire.finish();
            shared.note(number, |session| session.ended = true);
        }));
    }
    for thread in threads {
        drop(thread.join());
    }
}
