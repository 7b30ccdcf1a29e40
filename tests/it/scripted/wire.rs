//! A connection of a scripted server: lines in, bytes out, and the ordered faults.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustls::{ProtocolVersion, ServerConfig, ServerConnection, StreamOwned};
use sha2::{Digest, Sha256};

use super::{Session, Shared};

/// The maximum time that a test waits for a client.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// How often a waiting connection checks whether the server is being dropped or released.
const LOOK: Duration = Duration::from_millis(10);

/// The faults of a connection, counted in bytes sent inside TLS.
#[derive(Debug, Default, Clone)]
pub(crate) struct Faults {
    /// The connection is closed after this many bytes.
    pub(crate) cut_after: Option<u64>,
    /// The cut is a reset instead of an orderly close.
    pub(crate) reset: bool,
    /// The server stalls after this many bytes, until it is released.
    pub(crate) stall_after: Option<u64>,
    /// Bytes are sent in pieces of this size.
    pub(crate) chunk: Option<usize>,
}

/// Records what is transferred below TLS.
struct Tap {
    /// The connection.
    tcp: TcpStream,
    /// Where to record it.
    shared: Arc<Shared>,
    /// Which connection this is.
    session: usize,
}

/// The stream, before or inside TLS.
enum Layer {
    /// No TLS (yet).
    Clear(Tap),
    /// Inside TLS.
    Tls(Box<StreamOwned<ServerConnection, Tap>>),
    /// Closed.
    Closed,
}

/// One connection.
pub(crate) struct Wire {
    /// The layer that bytes go through.
    layer: Layer,
    /// The connection itself, to close it.
    tcp: TcpStream,
    /// What was received and has not been read yet.
    unread: Vec<u8>,
    /// How many bytes were sent.
    sent: u64,
    /// Whether our side is closed.
    closed: bool,
    /// The ordered faults.
    pub(crate) faults: Faults,
    /// What is shared with the server.
    shared: Arc<Shared>,
    /// Which connection this is.
    session: usize,
}

impl Wire {
    /// Takes over a connection.
    pub(super) fn new(stream: TcpStream, shared: Arc<Shared>, session: usize) -> Self {
        drop(stream.set_nodelay(true));
        drop(stream.set_read_timeout(Some(LOOK)));
        drop(stream.set_write_timeout(Some(TIME_LIMIT)));
        let tcp = stream.try_clone().expect("a connection can be cloned");
        let tap = Tap { tcp: stream, shared: Arc::clone(&shared), session };
        Self {
            layer: Layer::Clear(tap),
            tcp,
            unread: Vec::new(),
            sent: 0,
            closed: false,
            faults: Faults::default(),
            shared,
            session,
        }
    }

    /// Changes the record of this connection.
    pub(crate) fn note(&self, change: impl FnOnce(&mut Session)) {
        self.shared.note(self.session, change);
    }

    /// Returns the next line without its end; nothing at the end of the connection.
    pub(crate) fn line(&mut self) -> Option<String> {
        if let Some(line) = self.take_line() {
            return Some(line);
        }
        self.note(|entry| entry.flights += 1);
        let started = Instant::now();
        while !self.closed && started.elapsed() < TIME_LIMIT {
            self.fill()?;
            if let Some(line) = self.take_line() {
                return Some(line);
            }
        }
        None
    }

    /// How many lines have arrived and were not read yet.
    pub(crate) fn lines_ahead(&self) -> usize {
        self.unread.iter().filter(|&&byte| byte == b'\n').count()
    }

    /// Returns the next line that is already here, and records it.
    fn take_line(&mut self) -> Option<String> {
        let end = self.unread.iter().position(|&byte| byte == b'\n')?;
        let mut line: Vec<u8> = self.unread.drain(..=end).collect();
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        let early = usize::from(!self.unread.is_empty());
        let copy = line.clone();
        self.shared.note(self.session, |entry| {
            entry.lines.push(copy);
            entry.pipelined += early;
        });
        Some(line)
    }

    /// Reads what is available; `None` at the end of the connection.
    fn fill(&mut self) -> Option<()> {
        let mut buffer = [0; 16 * 1024];
        match self.read_some(&mut buffer) {
            Ok(0) => None,
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                Some(())
            }
            Err(error) if is_time_out(&error) && !self.shared.stop.load(Ordering::SeqCst) => Some(()),
            Err(_) => None,
        }
    }

    /// Reads once through the layer.
    fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.layer {
            Layer::Clear(tap) => tap.read(buffer),
            Layer::Tls(stream) => stream.read(buffer),
            Layer::Closed => Ok(0),
        }
    }

    /// Sends bytes, with the ordered faults. `None` when the connection is over.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Option<()> {
        if self.closed {
            return None;
        }
        let mut rest = bytes;
        loop {
            if self.faults.stall_after.is_some_and(|at| at <= self.sent) {
                self.stall()?;
            }
            if self.faults.cut_after.is_some_and(|at| at <= self.sent) {
                if self.faults.reset {
                    self.reset();
                } else {
                    self.close();
                }
                // A cut right after the last byte has not withheld anything; the next line or send ends the connection.
                return rest.is_empty().then_some(());
            }
            if rest.is_empty() {
                return Some(());
            }
            let (piece, later) = rest.split_at(self.piece(rest.len()));
            self.write_all(piece)?;
            rest = later;
        }
    }

    /// How many of `length` bytes are written at once.
    fn piece(&self, length: usize) -> usize {
        let faults = [self.faults.cut_after, self.faults.stall_after];
        let until_fault = faults.into_iter().flatten().map(|at| usize::try_from(at.saturating_sub(self.sent)).unwrap());
        let chunk = self.faults.chunk.unwrap_or(usize::MAX);
        until_fault.fold(length.min(chunk), Ord::min)
    }

    /// Writes through the layer.
    fn write_all(&mut self, bytes: &[u8]) -> Option<()> {
        let result = match &mut self.layer {
            Layer::Clear(tap) => tap.write_all(bytes),
            Layer::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
            Layer::Closed => return None,
        };
        result.ok()?;
        self.sent += bytes.len() as u64;
        let sent = self.sent;
        self.shared.note(self.session, |entry| entry.sent = sent);
        Some(())
    }

    /// Stalls until released; keeps reading, so that what the client sends meanwhile is recorded.
    pub(crate) fn stall(&mut self) -> Option<()> {
        self.faults.stall_after = None;
        *Shared::lock(&self.shared.stalled) += 1;
        self.shared.bell.notify_all();
        let started = Instant::now();
        let mut alive = Some(());
        while alive.is_some() && !self.shared.released.load(Ordering::SeqCst) && started.elapsed() < TIME_LIMIT {
            alive = self.fill();
        }
        *Shared::lock(&self.shared.stalled) -= 1;
        self.shared.bell.notify_all();
        if alive.is_none() {
            while self.take_line().is_some() {} // what arrived meanwhile
            self.close();
        }
        alive
    }

    /// Starts TLS as a server; `None` if the handshake fails. What was received before it in clear is discarded.
    pub(crate) fn start_tls(&mut self, config: &Arc<ServerConfig>) -> Option<()> {
        let Layer::Clear(mut tap) = std::mem::replace(&mut self.layer, Layer::Closed) else { return None };
        self.unread.clear();
        let mut connection = ServerConnection::new(Arc::clone(config)).ok()?;
        let started = Instant::now();
        while connection.is_handshaking() {
            match connection.complete_io(&mut tap) {
                Ok(_) => {}
                Err(error) if is_time_out(&error) && !self.shared.stop.load(Ordering::SeqCst) => {}
                Err(_) => return None,
            }
            if started.elapsed() > TIME_LIMIT {
                return None;
            }
        }
        self.layer = Layer::Tls(Box::new(StreamOwned::new(connection, tap)));
        Some(())
    }

    /// Returns the port that the client connected to.
    pub(crate) fn port(&self) -> u16 {
        self.tcp.local_addr().map(|address| address.port()).unwrap_or_default()
    }

    /// Returns the channel binding of this end and its type: in TLS 1.3 tls-exporter (RFC 9266), before that
    /// tls-server-end-point (RFC 5929), for a certificate that is signed with SHA-256.
    pub(crate) fn binding(&self, certificate: Option<&[u8]>) -> Option<(&'static str, Vec<u8>)> {
        let Layer::Tls(stream) = &self.layer else { return None };
        if stream.conn.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
            return certificate.map(|octets| ("tls-server-end-point", Sha256::digest(octets).to_vec()));
        }
        let exported = stream.conn.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b""));
        exported.ok().map(|octets| ("tls-exporter", octets.to_vec()))
    }

    /// Closes our side; what the client still sends is recorded by `finish`.
    pub(crate) fn close(&mut self) {
        if let Layer::Tls(stream) = &mut self.layer {
            stream.conn.send_close_notify();
            drop(stream.flush());
        }
        drop(self.tcp.shutdown(Shutdown::Write));
        self.closed = true;
    }

    /// Resets the connection at once.
    pub(crate) fn reset(&mut self) {
        let _ = rustix::net::sockopt::set_socket_linger(&self.tcp, Some(Duration::ZERO));
        self.closed = true;
        self.layer = Layer::Closed;
    }

    /// Ends the connection, and records what still arrives until the client has closed its side.
    pub(super) fn finish(mut self) {
        if !self.closed {
            self.close();
        }
        let started = Instant::now();
        while started.elapsed() < TIME_LIMIT && self.fill().is_some() {
            while self.take_line().is_some() {}
        }
        let mut open = Shared::lock(&self.shared.open);
        let ours = self.tcp.local_addr().ok().zip(self.tcp.peer_addr().ok());
        open.retain(|stream| stream.local_addr().ok().zip(stream.peer_addr().ok()) != ours);
    }
}

impl Read for Tap {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.tcp.read(buffer)?;
        self.shared.note(self.session, |entry| entry.raw.extend_from_slice(&buffer[..count]));
        Ok(count)
    }
}

impl Write for Tap {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.tcp.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

/// Whether a read ended only because nothing arrived.
fn is_time_out(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
