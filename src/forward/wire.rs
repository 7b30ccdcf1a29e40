//! A line-based conversation with a destination server, with octets in between. Whatever the server sends, it costs
//! bounded memory and time.

use std::fmt;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

use crate::net::Stream;

/// The longest line that is taken, in octets.
const LONGEST_LINE: usize = 64 << 10;

/// How much is read at a time, in octets.
const PIECE: usize = 16 << 10;

/// The slowest transfer that is accepted once the timeout has passed, in octets per second.
pub(super) const SLOWEST: u64 = 512;

/// Why a conversation ended.
#[derive(Debug)]
pub enum WireError {
    /// The server closed the connection.
    Closed,
    /// Nothing was received, or nothing could be sent, for this long.
    Silence(Duration),
    /// Almost nothing was received or sent.
    TooSlow,
    /// A line was too long.
    LongLine,
    /// Too much came before the answer.
    Flood,
    /// The connection broke.
    Io(io::Error),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the server closed the connection"),
            Self::Silence(time) => write!(f, "the server stayed silent for {} s", time.as_secs()),
            Self::TooSlow => f.write_str("the server was next to silent"),
            Self::LongLine => f.write_str("the server sent a line without an end"),
            Self::Flood => f.write_str("the server sent far more than it was asked for"),
            Self::Io(e) => write!(f, "the connection broke: {}", crate::text::system(e)),
        }
    }
}

/// Limits the time of a transfer that proceeds in pieces.
struct StallDetector {
    begun: Instant,
    /// How long the other side may be silent.
    timeout: Duration,
    /// How many octets have been transferred.
    octets: u64,
}

impl StallDetector {
    fn begin(timeout: Duration) -> Self {
        Self { begun: Instant::now(), timeout, octets: 0 }
    }

    /// Returns how long to wait for the next piece.
    fn left(&self) -> Duration {
        let allowed = self.timeout.saturating_add(Duration::from_secs(self.octets / SLOWEST));
        allowed.saturating_sub(self.begun.elapsed()).min(self.timeout)
    }

    /// Returns the error for a transfer that took too long.
    fn over(&self) -> WireError {
        if self.octets == 0 { WireError::Silence(self.timeout) } else { WireError::TooSlow }
    }

    fn took(&mut self, count: usize) {
        self.octets = self.octets.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
    }
}

/// A connection with a read buffer.
pub(super) struct Wire {
    stream: Stream,
    /// What was read. The octets before `taken` have been handed out.
    buffer: Vec<u8>,
    taken: usize,
    /// How long the other side may be silent.
    timeout: Duration,
}

impl Wire {
    pub(super) fn new(stream: Stream, timeout: Duration) -> Self {
        Self { stream, buffer: Vec::new(), taken: 0, timeout }
    }

    /// Returns the connection itself. None if the buffer is not empty: octets that came in clear before TLS cannot be
    /// trusted.
    pub(super) fn into_stream(self) -> Option<Stream> {
        (self.taken == self.buffer.len()).then_some(self.stream)
    }

    /// Reads the next line, without its end.
    pub(super) async fn line(&mut self) -> Result<Vec<u8>, WireError> {
        self.line_within(self.timeout).await
    }

    /// Reads the next line, with another timeout: some answers may take longer.
    pub(super) async fn line_within(&mut self, timeout: Duration) -> Result<Vec<u8>, WireError> {
        let (mut looked, mut stall) = (0, StallDetector::begin(timeout));
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
            self.read(&mut stall).await?;
        }
    }

    /// Whether more has arrived than was handed out. Does not wait.
    pub(super) async fn has_more(&mut self) -> bool {
        if self.taken == self.buffer.len() {
            // The runtime notices what has arrived only when it polls the system.
            tokio::task::yield_now().await;
            // The end of the connection shows up with the next operation.
            let _ = self.read(&mut StallDetector::begin(Duration::ZERO)).await;
        }
        self.taken < self.buffer.len()
    }

    /// Passes the next `count` octets to `sink`, in pieces.
    pub(super) async fn octets(&mut self, mut count: u64, mut sink: impl FnMut(&[u8])) -> Result<(), WireError> {
        let mut stall = StallDetector::begin(self.timeout);
        while count > 0 {
            if self.taken == self.buffer.len() {
                self.read(&mut stall).await?;
            }
            let rest = self.buffer.get(self.taken..).unwrap_or_default();
            let piece = usize::try_from(count).unwrap_or(usize::MAX).min(rest.len());
            sink(rest.get(..piece).unwrap_or_default());
            self.taken += piece;
            count = count.saturating_sub(u64::try_from(piece).unwrap_or(u64::MAX));
        }
        Ok(())
    }

    async fn read(&mut self, stall: &mut StallDetector) -> Result<(), WireError> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let length = self.buffer.len();
        self.buffer.resize(length + PIECE, 0);
        let space = self.buffer.get_mut(length..).unwrap_or_default();
        let read = timeout(stall.left(), self.stream.read(space)).await;
        let count = match &read {
            Ok(Ok(count)) => *count,
            _ => 0,
        };
        self.buffer.truncate(length + count);
        stall.took(count);
        match read {
            Err(_) => Err(stall.over()),
            // A connection closed without close_notify counts as closed, too.
            Ok(Err(e)) if e.kind() == io::ErrorKind::UnexpectedEof => Err(WireError::Closed),
            Ok(Err(e)) => Err(WireError::Io(e)),
            Ok(Ok(0)) => Err(WireError::Closed),
            Ok(Ok(_)) => Ok(()),
        }
    }

    /// Sends octets. All of them have been written and flushed when this returns.
    pub(super) async fn send(&mut self, octets: &[u8]) -> Result<(), WireError> {
        let (mut rest, mut stall) = (octets, StallDetector::begin(self.timeout));
        while !rest.is_empty() {
            match timeout(stall.left(), self.stream.write(rest)).await {
                Err(_) => return Err(stall.over()),
                Ok(Err(e)) => return Err(WireError::Io(e)),
                Ok(Ok(0)) => return Err(WireError::Closed),
                Ok(Ok(count)) => {
                    stall.took(count);
                    rest = rest.get(count..).unwrap_or_default();
                }
            }
        }
        match timeout(self.timeout, self.stream.flush()).await {
            Err(_) => Err(stall.over()),
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
    async fn what_has_come_unasked_is_seen_and_not_lost() {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        let mut wire = Wire::new(Box::new(ours), Duration::from_secs(5));
        assert!(!wire.has_more().await);
        theirs.write_all(b"one\r\ntwo\r\n").await.unwrap();
        assert!(wire.has_more().await);
        assert_eq!(wire.line().await.unwrap(), b"one");
        assert!(wire.has_more().await);
        assert_eq!(wire.line().await.unwrap(), b"two");
        assert!(!wire.has_more().await);
        drop(theirs);
        assert!(!wire.has_more().await);
        assert!(matches!(wire.line().await, Err(WireError::Closed)));
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_given_up() {
        let long: &'static [u8] = Box::leak(vec![b'x'; 200_000].into_boxed_slice());
        assert!(matches!(wire(long).await.line().await, Err(WireError::LongLine)));
    }

    /// A server that sends or accepts an octet now and then is as bad as a silent one.
    #[tokio::test(start_paused = true)]
    async fn drips_are_borne_no_longer_than_silence() {
        let (ours, mut theirs) = tokio::io::duplex(16);
        let drip = tokio::spawn(async move {
            for _ in 0..10_000 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if theirs.write_all(b"x").await.is_err() {
                    return;
                }
            }
        });
        let (mut wire, begun) = (Wire::new(Box::new(ours), Duration::from_secs(60)), Instant::now());
        assert!(matches!(wire.line().await, Err(WireError::TooSlow)));
        assert!(begun.elapsed() < Duration::from_secs(62), "{:?}", begun.elapsed());
        assert!(matches!(wire.octets(100_000, |_| {}).await, Err(WireError::TooSlow)));
        drop(wire);
        drip.await.unwrap();
        let (ours, mut theirs) = tokio::io::duplex(16);
        let sip = tokio::spawn(async move {
            while theirs.read_u8().await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let (mut wire, begun) = (Wire::new(Box::new(ours), Duration::from_secs(60)), Instant::now());
        assert!(matches!(wire.send(&[b'x'; 10_000]).await, Err(WireError::TooSlow)));
        assert!(begun.elapsed() < Duration::from_secs(62), "{:?}", begun.elapsed());
        drop(wire);
        sip.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_slow_and_goes_on_has_its_time() {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        let slow = tokio::spawn(async move {
            for _ in 0..300 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                theirs.write_all(&[b'x'; 1024]).await.unwrap();
            }
        });
        let mut wire = Wire::new(Box::new(ours), Duration::from_secs(60));
        wire.octets(300 * 1024, |_| {}).await.unwrap();
        slow.await.unwrap();
    }
}
