//! Connections that are reported as events.

use std::net::SocketAddr;

use super::emitter::Emitter;
use super::events::PollEvent;
use crate::account::Endpoint;
use crate::net::{Connection, Dial, Dialling, NetError};

/// Makes connections through another dialer and reports each one.
#[derive(Debug)]
pub(super) struct Dialing<'p> {
    pub(super) dialer: &'p dyn Dial,
    pub(super) events: &'p Emitter,
}

impl Dialing<'_> {
    fn tell(&self, connection: &mut Connection) {
        connection.round_trips = self.events.round_trips().clone();
        self.events.tell(&PollEvent::Connected { peer: connection.peer, tls: connection.tls.as_deref() });
    }
}

impl Dial for Dialing<'_> {
    fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        avoid: &'a [SocketAddr],
    ) -> Dialling<'a, Result<Connection, NetError>> {
        Box::pin(async move {
            let mut connection = self.dialer.connect(endpoint, avoid).await?;
            self.tell(&mut connection);
            Ok(connection)
        })
    }

    fn start_tls<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        connection: Connection,
    ) -> Dialling<'a, Result<Connection, NetError>> {
        Box::pin(async move {
            let mut connection = self.dialer.start_tls(endpoint, connection).await?;
            self.tell(&mut connection);
            Ok(connection)
        })
    }

    fn speaks_tls<'a>(&'a self, peer: SocketAddr, endpoint: &'a Endpoint) -> Dialling<'a, bool> {
        self.dialer.speaks_tls(peer, endpoint)
    }

    fn read_trust_anew(&self) {
        self.dialer.read_trust_anew();
    }
}
