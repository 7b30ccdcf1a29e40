//! A port on which nobody listens.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// A port of this machine that refuses connections as long as this is held. It is bound, so that no other test gets it
/// meanwhile, and never listened on, so that no process being started can have inherited a listener.
pub(crate) struct ClosedPort {
    /// The address that refuses connections.
    pub(crate) address: SocketAddr,
    /// The socket that holds it, bound and not listening.
    _socket: TcpSocket,
}

impl ClosedPort {
    /// Takes a free port.
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        Self { address: socket.local_addr().unwrap(), _socket: socket }
    }
}
