//! Servers that require a client certificate when there is none, or not the right one. With TLS 1.2 the handshake
//! fails; with TLS 1.3 it is complete before the server objects, so the refusal arrives with the first read.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, Error, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task_local;

use super::inner_error;
use crate::account::Endpoint;
use crate::net::{HandshakeProblem, NetError};

task_local! {
    /// Whether the server asked in the handshake of this task. All connections share the resolver, because rustls
    /// resumes no session under another one.
    static ASKED: Arc<AtomicBool>;
}

/// Answers with the certificate, or that there is none, and records that one was requested.
#[derive(Debug)]
pub(super) struct OurCertificate(pub(super) Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for OurCertificate {
    fn resolve(&self, _root_hint_subjects: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        // Fails if the handshake's caller does not want to know.
        let _ = ASKED.try_with(|asked| asked.store(true, Ordering::Relaxed));
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

/// Does a handshake, and returns whether the server requested a certificate.
pub(super) async fn noting_the_question<T>(handshake: impl Future<Output = T>) -> (T, bool) {
    let asked = Arc::new(AtomicBool::new(false));
    let done = ASKED.scope(Arc::clone(&asked), handshake).await;
    (done, asked.load(Ordering::Relaxed))
}

/// Whether an alert may be a refusal because no certificate was shown. RFC 8446 has an alert of its own for that; older
/// servers and libraries use many.
pub(super) fn is_refusal(error: &Error) -> bool {
    matches!(
        error,
        Error::AlertReceived(
            AlertDescription::CertificateRequired
                | AlertDescription::NoCertificate
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied
                | AlertDescription::HandshakeFailure
                | AlertDescription::DecryptError
        )
    )
}

/// Returns what a refusal is about.
pub(super) fn problem(shown: bool) -> HandshakeProblem {
    if shown { HandshakeProblem::ClientCertificateRefused } else { HandshakeProblem::ClientCertificateWanted }
}

/// A connection whose server requested a certificate. If it begins with a refusal, or ends at once, that is reported as
/// such.
pub(super) struct Asking<S> {
    inner: S,
    /// What to report, until something arrives.
    refusal: Option<(String, u16)>,
    /// Whether there is a client certificate to show.
    shown: bool,
}

impl<S> Asking<S> {
    pub(super) fn new(inner: S, endpoint: &Endpoint) -> Self {
        let shown = endpoint.tls_options.client_certificate.is_some();
        Self { inner, refusal: Some((endpoint.host.clone(), endpoint.port)), shown }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Asking<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = room.filled().len();
        let read = match Pin::new(&mut self.inner).poll_read(cx, room) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(read) => read,
        };
        let refused = match &read {
            // A server that was shown one and then closes the connection silently may have another reason.
            Ok(()) => !self.shown && room.filled().len() == before,
            Err(e) => match inner_error(e) {
                Some(refusal) => is_refusal(refusal),
                None => !self.shown,
            },
        };
        Poll::Ready(match self.refusal.take() {
            Some((host, port)) if refused => {
                let problem = problem(self.shown);
                Err(io::Error::other(NetError::Handshake { host, port, problem, answered: true }))
            }
            _ => read,
        })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Asking<S> {
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
