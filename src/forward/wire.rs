//! A conversation in lines with a server that mail goes to, and octets in between. Whatever it sends costs bounded memory
//! and time.

use std::fmt;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::net::Stream;

/// The longest line that is taken, in octets.
const LONGEST_LINE: usize = 64 << 10;

/// So much is read at a time, in octets.
const PIECE: usize = 16 << 10;

/// Why a conversation ended.
#[derive(Debug)]
pub enum WireError {
    /// The server closed the connection.
    Closed,
    /// Nothing came, or nothing could be sent, for so long.
    Silence(Duration),
    /// A line went on and on.
    LongLine,
    /// The connection broke.
    Io(io::Error),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the server closed the connection"),
            Self::Silence(time) => write!(f, "the server stayed silent for {} s", time.as_secs()),
            Self::LongLine => f.write_str("the server sent a line without an end"),
            Self::Io(e) => write!(f, "the connection broke: {e}"),
        }
    }
}

/// A connection, and what was read ahead of it.
pub(super) struct Wire {
    stream: Stream,
    /// What was read; what stands before `taken` was handed out.
    buffer: Vec<u8>,
    taken: usize,
    /// So long the other side may be silent.
    timeout: Duration,
}

impl Wire {
    pub(super) fn new(stream: Stream, timeout: Duration) -> Self {
        Self { stream, buffer: Vec::new(), taken: 0, timeout }
    }

    /// The connection itself. None if more was read of it than was handed out: what came in clear before TLS is nobody's
    /// word.
    pub(super) fn into_stream(self) -> Option<Stream> {
        (self.taken == self.buffer.len()).then_some(self.stream)
    }

    /// The next line, without its end.
    pub(super) async fn line(&mut self) -> Result<Vec<u8>, WireError> {
        self.line_within(self.timeout).await
    }

    /// The same, where an answer may take longer: as long as this.
    pub(super) async fn line_within(&mut self, timeout: Duration) -> Result<Vec<u8>, WireError> {
        let mut looked = 0;
        loop {
            let rest = self.buffer.get(self.taken..).unwrap_or_default();
            if let Some(end) = memchr::memchr(b'\n', rest.get(looked..).unwrap_or_default()) {
                let line = rest.get(..looked + end).unwrap_or_default();
                let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
                self.taken += looked + end + 1;
                return Ok(line);
            }
            looked = rest.len();
            if looked > LONGEST_LINE {
                return Err(WireError::LongLine);
            }
            self.read(timeout).await?;
        }
    }

    /// Hands over the next `count` octets, in pieces.
    pub(super) async fn octets(&mut self, mut count: u64, mut sink: impl FnMut(&[u8])) -> Result<(), WireError> {
        while count > 0 {
            if self.taken == self.buffer.len() {
                self.read(self.timeout).await?;
            }
            let rest = self.buffer.get(self.taken..).unwrap_or_default();
            let piece = usize::try_from(count).unwrap_or(usize::MAX).min(rest.len());
            sink(rest.get(..piece).unwrap_or_default());
            self.taken += piece;
            count = count.saturating_sub(u64::try_from(piece).unwrap_or(u64::MAX));
        }
        Ok(())
    }

    async fn read(&mut self, timeout: Duration) -> Result<(), WireError> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let length = self.buffer.len();
        self.buffer.resize(length + PIECE, 0);
        let space = self.buffer.get_mut(length..).unwrap_or_default();
        let read = tokio::time::timeout(timeout, self.stream.read(space)).await;
        let count = match &read {
            Ok(Ok(count)) => *count,
            _ => 0,
        };
        self.buffer.truncate(length + count);
        match read {
            Err(_) => Err(WireError::Silence(timeout)),
            Ok(Err(e)) => Err(WireError::Io(e)),
            Ok(Ok(0)) => Err(WireError::Closed),
            Ok(Ok(_)) => Ok(()),
        }
    }

    /// Sends octets; they have left when this returns, as far as the other side takes them.
    pub(super) async fn send(&mut self, octets: &[u8]) -> Result<(), WireError> {
        let mut rest = octets;
        while !rest.is_empty() {
            match tokio::time::timeout(self.timeout, self.stream.write(rest)).await {
                Err(_) => return Err(WireError::Silence(self.timeout)),
                Ok(Err(e)) => return Err(WireError::Io(e)),
                Ok(Ok(0)) => return Err(WireError::Closed),
                Ok(Ok(count)) => rest = rest.get(count..).unwrap_or_default(),
            }
        }
        match tokio::time::timeout(self.timeout, self.stream.flush()).await {
            Err(_) => Err(WireError::Silence(self.timeout)),
            Ok(flushed) => flushed.map_err(WireError::Io),
        }
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("ahead", &(self.buffer.len() - self.taken)).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn wire(text: &'static [u8]) -> Wire {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        theirs.write_all(text).await.unwrap();
        drop(theirs);
        Wire::new(Box::new(ours), Duration::from_secs(5))
    }

    #[tokio::test]
    async fn lines_and_octets_take_turns() {
        let mut wire = wire(b"one {3}\r\na\r\nb two\nlast").await;
        assert_eq!(wire.line().await.unwrap(), b"one {3}");
        let mut octets = Vec::new();
        wire.octets(3, |piece| octets.extend_from_slice(piece)).await.unwrap();
        assert_eq!(octets, b"a\r\n");
        assert_eq!(wire.line().await.unwrap(), b"b two");
        assert!(matches!(wire.line().await, Err(WireError::Closed)), "a line without its end is none");
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_given_up() {
        let long: &'static [u8] = Box::leak(vec![b'x'; 200_000].into_boxed_slice());
        assert!(matches!(wire(long).await.line().await, Err(WireError::LongLine)));
    }
}
