//! Accepts connections, and limits their number, duration and size.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::timeout;
use tracing::debug;

use super::request::{Hosts, answer};
use super::snapshot::Snapshots;
use crate::control::visitors::{Noted, Visit, Visitors};

/// The most connections. A further one replaces the one that is waited for longest.
const MOST: usize = 64;

/// How long the header of a request may take.
const HEADER: Duration = Duration::from_secs(5);

/// How long a connection may last; a browser then opens another one.
const CONNECTION: Duration = Duration::from_secs(60);

/// The largest header of a request, in bytes.
const LARGEST_HEADER: usize = 8 << 10;

/// A socket that listens for clients of the page.
#[derive(Debug)]
pub(super) enum Socket {
    /// On an address of the network.
    Tcp(TcpListener, Hosts),
    /// At a path of the file system.
    Unix(UnixListener),
}

/// Accepts connections for ever.
pub(super) async fn accept(socket: Socket, snapshots: Arc<Snapshots>) {
    let visitors = Visitors::new(MOST);
    loop {
        let accepted = match &socket {
            Socket::Tcp(listener, hosts) => listener.accept().await.map(|(stream, _)| Connection::Tcp(stream, *hosts)),
            Socket::Unix(listener) => listener.accept().await.map(|(stream, _)| Connection::Unix(stream)),
        };
        let connection = match accepted {
            Ok(connection) => connection,
            Err(e) => {
                debug!("the status page: {e}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        visitors.make_room().await;
        let snapshots = Arc::clone(&snapshots);
        visitors.receive(|visit| match connection {
            Connection::Tcp(stream, hosts) => tokio::spawn(serve(stream, hosts, snapshots, visit)).abort_handle(),
            Connection::Unix(stream) => tokio::spawn(serve(stream, Hosts::Any, snapshots, visit)).abort_handle(),
        });
    }
}

/// A connection that was accepted.
enum Connection {
    Tcp(TcpStream, Hosts),
    Unix(UnixStream),
}

/// Answers the requests of one connection.
async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    hosts: Hosts,
    snapshots: Arc<Snapshots>,
    visit: Arc<Visit>,
) {
    let stream = Noted::new(stream, Arc::clone(&visit));
    let service = service_fn(|request| {
        let (snapshots, visit) = (Arc::clone(&snapshots), Arc::clone(&visit));
        async move {
            visit.is_served();
            let answer = answer(request, hosts, &snapshots).await;
            visit.is_awaited();
            Ok::<_, Infallible>(answer)
        }
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
