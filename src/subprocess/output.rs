//! The output of a command.

use std::collections::VecDeque;
use std::os::fd::AsFd;

use rustix::io::{ioctl_fionread, read};
use secrecy::zeroize::Zeroize;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::text;

/// How much of a command's output is kept, in bytes: its end, where the reason for a failure usually is.
const KEPT: usize = 2 * 1024;

/// How much is read at a time, in bytes.
const PIECE: usize = 4 * 1024;

/// Takes the output of a command.
pub(crate) trait Sink {
    /// Takes the next bytes.
    fn take(&mut self, bytes: &[u8]) -> Result<(), Full>;
}

/// The output was more than the sink takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// Reads to the end. Cancelling this loses nothing.
pub(super) async fn listen(from: &mut (impl AsyncRead + Unpin), sink: &mut impl Sink) -> Result<(), Full> {
    let mut buffer = [0; PIECE];
    loop {
        // An error ends it, too: there is nobody to report it to, and the status of the command is what counts.
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return Ok(()) };
        let taken = sink.take(buffer.get(..count).unwrap_or_default());
        buffer.zeroize();
        taken?;
    }
}

/// Reads only what is in the pipe now: another process may hold it open and write to it for as long as it likes.
pub(super) fn drain(pipe: impl AsFd, sink: &mut impl Sink) -> Result<(), Full> {
    let mut left = ioctl_fionread(&pipe).ok().and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    let mut buffer = [0; PIECE];
    while left > 0 {
        let piece = buffer.len().min(left);
        // The pipe does not block, so a read that finds nothing ends this.
        let Ok(count @ 1..) = read(&pipe, buffer.get_mut(..piece).unwrap_or_default()) else { return Ok(()) };
        let taken = sink.take(buffer.get(..count).unwrap_or_default());
        buffer.zeroize();
        taken?;
        left -= count.min(left);
    }
    Ok(())
}

/// The last bytes of a stream.
#[derive(Default)]
pub(crate) struct Tail(VecDeque<u8>);

impl Sink for Tail {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.0.extend(bytes);
        let surplus = self.0.len().saturating_sub(KEPT);
        self.0.drain(..surplus);
        Ok(())
    }
}

impl Tail {
    /// Returns what is kept, trimmed and escaped.
    pub(crate) fn text(&mut self) -> String {
        text::value(String::from_utf8_lossy(self.0.make_contiguous()).trim())
    }
}
