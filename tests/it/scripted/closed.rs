//! A port where nobody listens.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// A port of this machine that refuses connections for as long as this is held. It is taken, so that no other test is
/// given it meanwhile, and nothing has listened at it that a process just being started could still have a copy of.
pub(crate) struct ClosedPort {
    /// What is refused there.
    pub(crate) address: SocketAddr,
    /// What holds it, bound and not listening.
    _socket: TcpSocket,
}

impl ClosedPort {
    /// Takes one that is free.
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        Self { address: socket.local_addr().unwrap(), _socket: socket }
    }
}
