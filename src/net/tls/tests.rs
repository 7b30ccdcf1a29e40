//! Handshakes with local servers of every kind.

mod certificates;
mod handshakes;
mod options;
mod platform;
mod server;
mod trusted_file;

use std::net::SocketAddr;
use std::path::Path;

use tokio::io::AsyncReadExt;

use crate::net::{Connection, Dialer, NetError, NetLimits};
use server::endpoint;

fn dialer() -> Dialer {
    Dialer::new(NetLimits::default())
}

/// Begins TLS with a server at this address, called by the name `host`.
async fn call(host: &str, address: SocketAddr, ca_file: Option<&Path>) -> Result<Connection, NetError> {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let connection = Connection::in_clear(stream, address);
    dialer().start_tls(&endpoint(host, address, ca_file), connection).await
}

/// Reads the first line that the server sends.
async fn greeting(connection: &mut Connection) -> String {
    let mut line = [0; 11];
    connection.stream.read_exact(&mut line).await.unwrap();
    String::from_utf8(line.to_vec()).unwrap()
}
