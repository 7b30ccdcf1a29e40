//! A connection that is not read before the request is being sent: the greeting of a server of another protocol, or an
//! unsolicited response of an overloaded one, is then read as the answer, whichever arrives first.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection that is read only after something was written to it.
pub(super) struct AfterTheRequest<S> {
    stream: S,
    /// Whether something was written.
    spoken: bool,
    /// The waiting reader, until something is written.
    reader: Option<Waker>,
}

impl<S> AfterTheRequest<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, spoken: false, reader: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for AfterTheRequest<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.spoken {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for AfterTheRequest<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        // A failure counts as well: what the server sent before it closed the connection says why.
        if written.is_ready() {
            self.spoken = true;
            self.reader.take().into_iter().for_each(Waker::wake);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
