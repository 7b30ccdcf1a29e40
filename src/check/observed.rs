//! A dialer that notes what it does, and the first line that the server sends. So a check connects like a poll, whose
//! code does not know about it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::account::Endpoint;
use crate::net::{Connection, Dial, Dialer, Dialling, NetError, TlsFacts};

/// How much of a greeting is kept, in bytes (RFC 2449, section 4: a line has at most 512).
const GREETING: usize = 512;

/// What has been seen of a connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// The address that answered last.
    pub(super) peer: Option<SocketAddr>,
    /// How long it took to reach that address, without TLS.
    pub(super) reached_in: Duration,
    /// Whether the connection stays on this machine.
    pub(super) loopback: bool,
    /// What the two sides agreed on for TLS.
    pub(super) tls: Option<TlsFacts>,
    /// When the client certificate expires, in seconds since 1970, if one was shown.
    pub(super) client_certificate_expires: Option<i64>,
    /// Whether TLS succeeded only without the large key share.
    pub(super) classical: bool,
    /// The beginning of what the server sent.
    greeting: Vec<u8>,
    /// Whether the first line is complete.
    greeted: bool,
}

impl Seen {
    /// Returns the first line that the server sent, if it is complete.
    pub(super) fn greeting(&self) -> Option<&[u8]> {
        self.greeted.then_some(self.greeting.trim_ascii_end())
    }
}

/// What has been seen, shared with the streams.
type Notes = Arc<Mutex<Seen>>;

/// Dials, and notes the result.
#[derive(Debug)]
pub(super) struct Observed {
    dialer: Arc<Dialer>,
    notes: Notes,
}

impl Observed {
    pub(super) fn new(dialer: Arc<Dialer>) -> Self {
        Self { dialer, notes: Notes::default() }
    }

    /// Returns what has been seen so far.
    pub(super) fn seen(&self) -> Seen {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Dial for Observed {
    fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        avoid: &'a [SocketAddr],
    ) -> Dialling<'a, Result<Connection, NetError>> {
        Box::pin(async move {
            let begun = Instant::now();
            let connection = self.dialer.connect(endpoint, avoid).await?;
            let tls = connection.tls.as_deref().cloned();
            let in_tls = tls.as_ref().map_or(Duration::ZERO, |facts| facts.took);
            *self.notes.lock().unwrap_or_else(PoisonError::into_inner) = Seen {
                peer: Some(connection.peer),
                reached_in: begun.elapsed().saturating_sub(in_tls),
                loopback: connection.loopback,
                tls,
                client_certificate_expires: connection.client_certificate_expires,
                classical: connection.classical,
                ..Seen::default()
            };
            let stream = Box::new(Listening { inner: connection.stream, notes: Arc::clone(&self.notes), done: false });
            Ok(Connection { stream, ..connection })
        })
    }

    fn start_tls<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        connection: Connection,
    ) -> Dialling<'a, Result<Connection, NetError>> {
        Box::pin(async move {
            let connection = self.dialer.start_tls(endpoint, connection).await?;
            let mut seen = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
            seen.tls = connection.tls.as_deref().cloned();
            seen.client_certificate_expires = connection.client_certificate_expires;
            drop(seen);
            Ok(connection)
        })
    }

    fn speaks_tls<'a>(&'a self, peer: SocketAddr, endpoint: &'a Endpoint) -> Dialling<'a, bool> {
        Box::pin(self.dialer.speaks_tls(peer, endpoint))
    }
}

/// A stream whose first line is noted.
struct Listening {
    inner: crate::net::Stream,
    notes: Notes,
    done: bool,
}

impl AsyncRead for Listening {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = room.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, room);
        if !self.done {
            let came = room.filled().get(before..).unwrap_or_default();
            let end = came.iter().position(|byte| *byte == b'\n');
            let mut seen = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
            let left = GREETING.saturating_sub(seen.greeting.len());
            let line = came.get(..end.unwrap_or(came.len())).unwrap_or_default();
            seen.greeting.extend(line.iter().take(left));
            seen.greeted |= end.is_some();
            let done = seen.greeted;
            drop(seen);
            self.done = done;
        }
        read
    }
}

impl AsyncWrite for Listening {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
