//! Connections: how many, how long, how much.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::debug;

use super::request::{Hosts, answer};
use super::snapshot::Snapshots;

/// How many connections there may be.
const MOST: usize = 64;

/// How long the header of a request may take.
const HEADER: Duration = Duration::from_secs(5);

/// How long a connection may last: a browser makes another one.
const CONNECTION: Duration = Duration::from_secs(60);

/// How large a header may be, in bytes.
const LARGEST_HEADER: usize = 8 << 10;

/// Where connections come from.
#[derive(Debug)]
pub(super) enum Socket {
    /// An address of the network.
    Tcp(TcpListener, Hosts),
    /// A path.
    Unix(UnixListener),
}

/// Accepts connections for ever.
pub(super) async fn accept(socket: Socket, snapshots: Arc<Snapshots>) {
    let places = Arc::new(Semaphore::new(MOST));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let snapshots = Arc::clone(&snapshots);
        let accepted = match &socket {
            Socket::Tcp(listener, hosts) => listener.accept().await.map(|(stream, _)| {
                let hosts = *hosts;
                tokio::spawn(async move { (serve(stream, hosts, snapshots).await, drop(place)).1 })
            }),
            Socket::Unix(listener) => listener.accept().await.map(|(stream, _)| {
                tokio::spawn(async move { (serve(stream, Hosts::Any, snapshots).await, drop(place)).1 })
            }),
        };
        if let Err(e) = accepted {
            debug!("the status page: {e}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Answers the requests of one connection.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, hosts: Hosts, snapshots: Arc<Snapshots>) {
    let service = service_fn(|request| {
        let snapshots = Arc::clone(&snapshots);
        async move { Ok::<_, Infallible>(answer(request, hosts, &snapshots).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER)
        .max_buf_size(LARGEST_HEADER)
        .serve_connection(TokioIo::new(stream), service);
    if let Ok(Err(e)) = timeout(CONNECTION, connection).await {
        debug!("the status page: {e}");
    }
}
