//! A middlebox between a client and a server that passes everything on, and meddles with the start of TLS.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// More than fits into one Ethernet packet, in bytes.
const ONE_PACKET: usize = 1400;

/// The alert "unrecognised name", as a warning (RFC 6066, section 3).
pub(crate) const UNKNOWN_NAME: &[u8] = b"\x15\x03\x03\x00\x02\x01\x70";

/// What a middlebox does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meddling {
    /// Nothing.
    Passes,
    /// Resets a connection whose first TLS message does not fit into one packet.
    Resets,
    /// Closes such a connection.
    Closes,
    /// Answers such a message with the alert with this description (RFC 8446, section 6).
    Alerts(u8),
    /// Does not answer such a message.
    Swallows,
    /// Sends a warning before what the server sends.
    Warns,
    /// Sends that warning, and closes.
    WarnsAndCloses,
    /// Closes each connection at once.
    ClosesAll,
    /// Accepts, and sends nothing.
    Silent,
    /// Accepts, and sends a refusal as its greeting.
    Refuses,
}

/// A running middlebox; ends when dropped.
pub(crate) struct MiddleBox {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The number of connections so far.
    connections: Arc<AtomicUsize>,
    /// How many of them it meddled with.
    meddled: Arc<AtomicUsize>,
    /// Set when it is dropped.
    stop: Arc<AtomicBool>,
    /// The thread that accepts.
    acceptor: Option<JoinHandle<()>>,
}

impl MiddleBox {
    /// Starts a middlebox in front of a server, on a free port of 127.0.0.1.
    pub(crate) fn before(server: SocketAddr, meddling: Meddling) -> Self {
        Self::at((Ipv4Addr::LOCALHOST, 0).into(), server, meddling)
    }

    /// Starts a middlebox at this address.
    pub(crate) fn at(address: SocketAddr, server: SocketAddr, meddling: Meddling) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, meddled) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let stop = Arc::new(AtomicBool::new(false));
        let shared = (Arc::clone(&connections), Arc::clone(&meddled), Arc::clone(&stop));
        let acceptor = std::thread::spawn(move || {
            let (connections, meddled, stop) = shared;
            let mut threads = Vec::new();
            while let Ok((client, _)) = listener.accept() {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                connections.fetch_add(1, Ordering::SeqCst);
                let (meddled, stop) = (Arc::clone(&meddled), Arc::clone(&stop));
                threads.push(std::thread::spawn(move || stand_between(&client, server, meddling, &meddled, &stop)));
            }
            threads.into_iter().for_each(|thread| drop(thread.join()));
        });
        Self { address, connections, meddled, stop, acceptor: Some(acceptor) }
    }

    /// The number of connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How many connections it meddled with.
    pub(crate) fn meddled(&self) -> usize {
        self.meddled.load(Ordering::SeqCst)
    }
}

impl Drop for MiddleBox {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address)); // wakes accept()
        if let Some(thread) = self.acceptor.take() {
            drop(thread.join());
        }
    }
}

/// Handles one connection.
fn stand_between(
    client: &TcpStream,
    server: SocketAddr,
    meddling: Meddling,
    meddled: &AtomicUsize,
    stop: &AtomicBool,
) -> Option<()> {
    if meddling == Meddling::ClosesAll {
        return Some(());
    }
    if meddling == Meddling::Silent {
        return wait(client, stop);
    }
    if meddling == Meddling::Refuses {
        let _ = (&*client).write_all(b"-ERR [SYS/TEMP] too busy\r\n");
        return Some(());
    }
    let server = TcpStream::connect(server).ok()?;
    let back = (server.try_clone().ok()?, client.try_clone().ok()?);
    if meddling == Meddling::Warns {
        (&back.1).write_all(UNKNOWN_NAME).ok()?;
    }
    let backwards = std::thread::spawn(move || pass(&back.0, &back.1));
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = (&*client).read(&mut buffer).ok().filter(|count| *count > 0)?;
        let mut came = count;
        if let [0x16, 3, _, high, low, ..] = buffer[..count] {
            // A handshake message is read completely before it is judged.
            let whole = 5 + usize::from(u16::from_be_bytes([high, low]));
            while came < whole.min(buffer.len()) {
                came += (&*client).read(&mut buffer[came..]).ok().filter(|count| *count > 0)?;
            }
            if meddling == Meddling::WarnsAndCloses || (whole > ONE_PACKET && meddles_with_large(meddling)) {
                meddled.fetch_add(1, Ordering::SeqCst);
                break;
            }
        }
        if (&server).write_all(&buffer[..came]).is_err() {
            break;
        }
    }
    match meddling {
        Meddling::Resets => drop(rustix::net::sockopt::set_socket_linger(client, Some(Duration::ZERO))),
        Meddling::Alerts(description) => drop((&*client).write_all(&[0x15, 3, 3, 0, 2, 2, description])),
        Meddling::WarnsAndCloses => drop((&*client).write_all(UNKNOWN_NAME)),
        Meddling::Swallows => drop(wait(client, stop)),
        _ => {}
    }
    drop(server.shutdown(Shutdown::Both));
    if meddling != Meddling::Resets {
        drop(client.shutdown(Shutdown::Both));
        drop(backwards.join());
    }
    Some(())
}

fn meddles_with_large(meddling: Meddling) -> bool {
    matches!(meddling, Meddling::Resets | Meddling::Closes | Meddling::Alerts(_) | Meddling::Swallows)
}

/// Waits until the client disconnects or the middlebox is dropped.
fn wait(client: &TcpStream, stop: &AtomicBool) -> Option<()> {
    client.set_read_timeout(Some(Duration::from_millis(20))).ok()?;
    let mut buffer = [0; 1024];
    while !stop.load(Ordering::SeqCst) {
        match (&*client).read(&mut buffer) {
            Ok(0) => break,
            Ok(_) => {}
            Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    Some(())
}

/// Passes everything on until the end.
fn pass(mut from: &TcpStream, mut to: &TcpStream) {
    drop(std::io::copy(&mut from, &mut to));
    drop(to.shutdown(Shutdown::Write));
}
