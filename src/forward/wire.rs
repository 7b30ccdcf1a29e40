//! A conversation in lines with a server that mail goes to, and octets in between. Whatever it sends costs bounded memory
//! and time.

use std::fmt;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

use crate::net::Stream;

/// The longest line that is taken, in octets.
const LONGEST_LINE: usize = 64 << 10;

/// So much is read at a time, in octets.
const PIECE: usize = 16 << 10;

/// Beyond the silence that is borne, what comes or goes takes a second for so many octets at the most.
pub(super) const SLOWEST: u64 = 512;

/// Why a conversation ended.
#[derive(Debug)]
pub enum WireError {
    /// The server closed the connection.
    Closed,
    /// Nothing came, or nothing could be sent, for so long.
    Silence(Duration),
    /// What came, or was taken, was next to nothing.
    TooSlow,
    /// A line went on and on.
    LongLine,
    /// What came before the answer went on and on.
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

/// How long something may take that comes or goes in pieces.
struct Pace {
    begun: Instant,
    /// So long the other side may be silent.
    timeout: Duration,
    /// So many octets have come or gone.
    octets: u64,
}

impl Pace {
    fn begin(timeout: Duration) -> Self {
        Self { begun: Instant::now(), timeout, octets: 0 }
    }

    /// How long the next piece is waited for.
    fn left(&self) -> Duration {
        let allowed = self.timeout.saturating_add(Duration::from_secs(self.octets / SLOWEST));
        allowed.saturating_sub(self.begun.elapsed()).min(self.timeout)
    }

    /// What it is that there was nothing more.
    fn over(&self) -> WireError {
        if self.octets == 0 { WireError::Silence(self.timeout) } else { WireError::TooSlow }
    }

    fn took(&mut self, count: usize) {
        self.octets = self.octets.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
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
        let (mut looked, mut pace) = (0, Pace::begin(timeout));
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
            self.read(&mut pace).await?;
        }
    }

    /// Whether more has come than was handed out, without waiting for it.
    pub(super) async fn has_more(&mut self) -> bool {
        if self.taken == self.buffer.len() {
            // What has come to this machine is seen by the runtime when it looks.
            tokio::task::yield_now().await;
            // An end of the connection shows at whatever is done next.
            let _ = self.read(&mut Pace::begin(Duration::ZERO)).await;
        }
        self.taken < self.buffer.len()
    }

    /// Hands over the next `count` octets, in pieces.
    pub(super) async fn octets(&mut self, mut count: u64, mut sink: impl FnMut(&[u8])) -> Result<(), WireError> {
        let mut pace = Pace::begin(self.timeout);
        while count > 0 {
            if self.taken == self.buffer.len() {
                self.read(&mut pace).await?;
            }
            let rest = self.buffer.get(self.taken..).unwrap_or_default();
            let piece = usize::try_from(count).unwrap_or(usize::MAX).min(rest.len());
            sink(rest.get(..piece).unwrap_or_default());
            self.taken += piece;
            count = count.saturating_sub(u64::try_from(piece).unwrap_or(u64::MAX));
        }
        Ok(())
    }

    async fn read(&mut self, pace: &mut Pace) -> Result<(), WireError> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let length = self.buffer.len();
        self.buffer.resize(length + PIECE, 0);
        let space = self.buffer.get_mut(length..).unwrap_or_default();
        let read = timeout(pace.left(), self.stream.read(space)).await;
        let count = match &read {
            Ok(Ok(count)) => *count,
            _ => 0,
        };
        self.buffer.truncate(length + count);
        pace.took(count);
        match read {
            Err(_) => Err(pace.over()),
            Ok(Err(e)) => Err(WireError::Io(e)),
            Ok(Ok(0)) => Err(WireError::Closed),
            Ok(Ok(_)) => Ok(()),
        }
    }

    /// Sends octets; they have left when this returns, as far as the other side takes them.
    pub(super) async fn send(&mut self, octets: &[u8]) -> Result<(), WireError> {
        let (mut rest, mut pace) = (octets, Pace::begin(self.timeout));
        while !rest.is_empty() {
            match timeout(pace.left(), self.stream.write(rest)).await {
                Err(_) => return Err(pace.over()),
                Ok(Err(e)) => return Err(WireError::Io(e)),
                Ok(Ok(0)) => return Err(WireError::Closed),
                Ok(Ok(count)) => {
                    pace.took(count);
                    rest = rest.get(count..).unwrap_or_default();
                }
            }
        }
        match timeout(self.timeout, self.stream.flush()).await {
            Err(_) => Err(pace.over()),
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

    /// A server that sends or takes an octet now and then is as bad as a silent one.
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
