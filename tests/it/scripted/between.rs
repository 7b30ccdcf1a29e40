//! A man in the middle: agrees to STLS in the server's place, stalls in the middle of a handshake, or replays an
//! earlier session. What the client sends is recorded.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// What it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Passes everything on.
    Passes,
    /// Sends a greeting and agrees to STLS itself; the server behind it starts with TLS.
    AgreesToStls,
    /// Passes on this many bytes of the server, and no more.
    StandsStillAfter(usize),
    /// Does not contact the server: the client gets this, in the pieces in which it was recorded.
    PlaysAgain(Vec<Vec<u8>>),
}

/// What was sent so far.
#[derive(Default)]
struct Transcript {
    by_client: Mutex<Vec<u8>>,
    /// One piece for each time that the client had sent something.
    by_server: Mutex<Vec<Vec<u8>>>,
    stop: AtomicBool,
}

/// A running man in the middle; ends when dropped.
pub(crate) struct Between {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    said: Arc<Transcript>,
    acceptor: Option<JoinHandle<()>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Between {
    /// Starts one in front of a server.
    pub(crate) fn before(server: SocketAddr, manner: Manner) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let said = Arc::new(Transcript::default());
        let theirs = Arc::clone(&said);
        let acceptor = std::thread::spawn(move || {
            let mut threads = Vec::new();
            while let Ok((client, _)) = listener.accept() {
                if theirs.stop.load(Ordering::SeqCst) {
                    break;
                }
                let (said, manner) = (Arc::clone(&theirs), manner.clone());
                threads.push(std::thread::spawn(move || stand_between(&client, server, &manner, &said)));
            }
            threads.into_iter().for_each(|thread| drop(thread.join()));
        });
        Self { address, said, acceptor: Some(acceptor) }
    }

    /// Returns what the clients sent.
    pub(crate) fn heard(&self) -> Vec<u8> {
        lock(&self.said.by_client).clone()
    }

    /// Returns what the server sent, in pieces.
    pub(crate) fn recorded(&self) -> Vec<Vec<u8>> {
        lock(&self.said.by_server).clone()
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.said.stop.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address)); // wakes accept()
        if let Some(thread) = self.acceptor.take() {
            drop(thread.join());
        }
    }
}

/// Handles one connection.
fn stand_between(client: &TcpStream, server: SocketAddr, manner: &Manner, said: &Transcript) -> Option<()> {
    if let Manner::PlaysAgain(pieces) = manner {
        return play_again(client, pieces, said);
    }
    if *manner == Manner::AgreesToStls {
        let mut to_client = client;
        to_client.write_all(b"+OK ready\r\n").ok()?;
        while !read(client, said)?.ends_with(b"STLS\r\n") {
            to_client.write_all(b"+OK\r\nSTLS\r\n.\r\n").ok()?;
        }
        to_client.write_all(b"+OK begin\r\n").ok()?;
    }
    let server = TcpStream::connect(server).ok()?;
    let mut left = if let Manner::StandsStillAfter(count) = manner { *count } else { usize::MAX };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut to_client, mut buffer) = (client, [0; 16 * 1024]);
            while let Some(count) = (&server).read(&mut buffer).ok().filter(|count| *count > 0) {
                let passed = count.min(left);
                left -= passed;
                let piece = buffer[..passed].to_vec();
                lock(&said.by_server).push(piece.clone());
                if to_client.write_all(&piece).is_err() {
                    break;
                }
            }
            if left > 0 {
                drop(client.shutdown(Shutdown::Write));
            }
        });
        while let Some(heard) = read(client, said) {
            if (&server).write_all(&heard).is_err() {
                break;
            }
        }
        drop(server.shutdown(Shutdown::Both));
    });
    Some(())
}

/// Sends the next piece whenever the client has sent something; the first one unprompted, as a POP3 server does.
fn play_again(mut client: &TcpStream, pieces: &[Vec<u8>], said: &Transcript) -> Option<()> {
    let speaks_first = pieces.first().is_some_and(|piece| piece.starts_with(b"+OK"));
    for (number, piece) in pieces.iter().enumerate() {
        if number > 0 || !speaks_first {
            // The answer to one message may have been recorded in two pieces: then it does not wait for more.
            client.set_read_timeout(Some(Duration::from_millis(300))).ok()?;
            let mut buffer = [0; 16 * 1024];
            match client.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => lock(&said.by_client).extend_from_slice(&buffer[..count]),
                Err(_) => {}
            }
        }
        client.write_all(piece).ok()?;
    }
    client.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    while read(client, said).is_some() {}
    Some(())
}

/// Returns what the client sends next; nothing once it has disconnected.
fn read(mut client: &TcpStream, said: &Transcript) -> Option<Vec<u8>> {
    let mut buffer = [0; 16 * 1024];
    let count = client.read(&mut buffer).ok().filter(|count| *count > 0)?;
    lock(&said.by_client).extend_from_slice(&buffer[..count]);
    Some(buffer[..count].to_vec())
}
