//! Records the first bytes from the server: whether a failed handshake was answered at all.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many bytes are kept: a record with an alert (RFC 8446, sections 5.1 and 6).
const KEPT: usize = 7;

/// The first bytes that arrived, shared with those who ask for them: seven bytes, and above them how many there are.
#[derive(Debug, Clone, Default)]
pub(super) struct Beginning(Arc<AtomicU64>);

impl Beginning {
    /// Whether the peer has sent anything yet.
    pub(super) fn is_heard(&self) -> bool {
        self.kept().0 > 0
    }

    /// Whether an alert arrived instead of an answer, so that there was no ServerHello.
    pub(super) fn is_alert(&self) -> bool {
        const ALERT: u8 = 21;
        matches!(self.kept(), (1.., [ALERT, ..]))
    }

    /// Whether the server began with a warning that it does not know that name (RFC 6066, section 3).
    pub(super) fn warns_of_name(&self) -> bool {
        const UNRECOGNISED_NAME: u8 = 112;
        matches!(self.kept(), (KEPT, [21, 3, _, 0, 2, 1, UNRECOGNISED_NAME]))
    }

    /// Whether the first thing the server sent was close_notify (RFC 8446, section 6.1).
    pub(super) fn says_goodbye(&self) -> bool {
        const CLOSE_NOTIFY: u8 = 0;
        matches!(self.kept(), (KEPT, [21, 3, _, 0, 2, _, CLOSE_NOTIFY]))
    }

    /// Returns how many bytes there are, and the bytes.
    fn kept(&self) -> (usize, [u8; KEPT]) {
        let [count, bytes @ ..] = self.0.load(Ordering::Relaxed).to_be_bytes();
        (usize::from(count), bytes)
    }

    fn add(&self, came: &[u8]) -> bool {
        let (count, mut bytes) = self.kept();
        let room = bytes.get_mut(count..).unwrap_or_default();
        let more = room.len().min(came.len());
        room.iter_mut().zip(came).for_each(|(place, byte)| *place = *byte);
        let [a, b, c, d, e, f, g] = bytes;
        let count = u8::try_from(count + more).unwrap_or(u8::MAX);
        self.0.store(u64::from_be_bytes([count, a, b, c, d, e, f, g]), Ordering::Relaxed);
        usize::from(count) >= KEPT
    }
}

/// A stream whose first bytes are recorded.
pub(super) struct Listened<S> {
    inner: S,
    beginning: Beginning,
    /// Whether as much has arrived as is kept.
    full: bool,
}

impl<S> Listened<S> {
    pub(super) fn new(inner: S, beginning: Beginning) -> Self {
        Self { inner, beginning, full: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Listened<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = room.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, room);
        if !self.full {
            self.full = self.beginning.add(room.filled().get(before..).unwrap_or_default());
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Listened<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beginning(pieces: &[&[u8]]) -> Beginning {
        let beginning = Beginning::default();
        pieces.iter().for_each(|piece| _ = beginning.add(piece));
        beginning
    }

    #[test]
    fn a_warning_is_known_however_it_is_cut() {
        let whole: &[u8] = b"\x15\x03\x03\x00\x02\x01\x70\x16\x03";
        for cut in 0..whole.len() {
            let (first, second) = whole.split_at(cut);
            let cut = beginning(&[first, second]);
            assert!(cut.is_heard() && cut.is_alert() && cut.warns_of_name());
        }
        for other in [&b"\x15\x03\x03\x00\x02\x02\x70"[..], b"\x15\x03\x03\x00\x02\x01", b"+OK POP3"] {
            assert!(!beginning(&[other]).warns_of_name(), "{other:?}");
        }
    }

    #[test]
    fn silence_and_an_answer_are_told_apart() {
        let (silent, answered) = (beginning(&[b""]), beginning(&[b"\x16\x03\x03"]));
        assert!(!silent.is_heard() && !silent.is_alert());
        assert!(answered.is_heard() && !answered.is_alert());
    }
}
