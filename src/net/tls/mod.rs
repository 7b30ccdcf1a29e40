//! TLS: this folder is the only place that names rustls, webpki and x509-cert.

mod expiry;
mod problem;
mod trust;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::client::ClientConnection;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::account::{Endpoint, TlsMode};

use super::dial::bare_host;
use super::{CaFileProblem, Connection, NetError};
use trust::Trust;

/// What all TLS connections of the process share.
#[derive(Debug)]
pub(super) struct Tls {
    /// The cryptography. It is passed everywhere by hand: the process has no default one.
    provider: Arc<CryptoProvider>,
    /// What was made of each file of authorities; of the platform's under `None`. A slot is locked while its
    /// certificates are read, so that many accounts read them once and a slow disk holds up only those who need it.
    slots: Mutex<HashMap<Option<PathBuf>, Arc<Slot>>>,
    /// How long reading certificates may take, and how long a handshake.
    limit: Duration,
}

/// The place of one set of trusted certificates.
type Slot = tokio::sync::Mutex<Option<Trust>>;

/// What a handshake needs, checked before the network is asked.
pub(super) struct Prepared {
    /// The name that the certificate must be for.
    name: ServerName<'static>,
    /// Whom to trust, and the sessions that can be resumed.
    config: Arc<ClientConfig>,
}

impl Tls {
    /// Reads nothing yet. `limit` is for reading certificates, and for each handshake.
    pub(super) fn new(limit: Duration) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Self { provider, slots: Mutex::default(), limit }
    }

    /// Checks the endpoint's name and reads the certificates that it trusts, if they changed since the last time.
    pub(super) async fn prepare(&self, endpoint: &Endpoint) -> Result<Prepared, NetError> {
        let name = server_name(&endpoint.host)?;
        let limit = self.limit;
        let config = timeout(limit, self.config(endpoint.tls_ca_file.clone())).await.unwrap_or_else(|_elapsed| {
            Err(match &endpoint.tls_ca_file {
                Some(path) => NetError::CaFile { path: path.clone(), why: CaFileProblem::TooSlow(limit) },
                None => NetError::NoTrustStore { why: "reading them took too long".to_owned() },
            })
        })?;
        Ok(Prepared { name, config })
    }

    /// Does the handshake on a connection that has been silent so far, or has just agreed to STLS.
    pub(super) async fn handshake(
        &self,
        endpoint: &Endpoint,
        prepared: Prepared,
        connection: Connection,
        began: TlsMode,
    ) -> Result<Connection, NetError> {
        let Connection { stream, peer, loopback, .. } = connection;
        let connector = TlsConnector::from(prepared.config);
        match timeout(self.limit, connector.connect(prepared.name, stream)).await {
            Ok(Ok(stream)) => {
                let certificate_expires = expiry::of_peer(stream.get_ref().1);
                Ok(Connection { stream: Box::new(stream), peer, protected: true, loopback, certificate_expires })
            }
            Ok(Err(error)) => Err(problem::explain(endpoint, began, error)),
            Err(_elapsed) => Err(NetError::TlsTimeout {
                host: endpoint.host.clone(),
                port: endpoint.port,
                tls: began,
                limit: self.limit,
            }),
        }
    }

    /// Sends a ClientHello and looks at the first five bytes of the answer: whether they head a TLS record that a
    /// server may begin with (RFC 8446, section 5.1). What follows is neither read nor believed.
    pub(super) async fn answers_hello(
        &self,
        endpoint: &Endpoint,
        peer: SocketAddr,
        tcp: &mut TcpStream,
    ) -> Option<bool> {
        let name = server_name(&endpoint.host).unwrap_or_else(|_| ServerName::from(peer.ip()));
        let config = trust::trusting_nobody(&self.provider).ok()?;
        let mut client = ClientConnection::new(Arc::new(config), name).ok()?;
        let mut hello = Vec::new();
        client.write_tls(&mut hello).ok()?;
        tcp.write_all(&hello).await.ok()?;
        let mut header = [0; 5];
        tcp.read_exact(&mut header).await.ok()?;
        Some(heads_a_tls_record(header))
    }

    /// The configuration for one set of trusted certificates.
    async fn config(&self, ca_file: Option<PathBuf>) -> Result<Arc<ClientConfig>, NetError> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(ca_file.clone()).or_default())
        };
        let mut slot = slot.lock_owned().await;
        let provider = Arc::clone(&self.provider);
        // The task keeps the lock: when the caller gives up waiting, a second reader does not begin beside it.
        let refreshed = tokio::task::spawn_blocking(move || {
            let trust = match slot.take() {
                Some(trust) if trust.is_current(ca_file.as_deref()) => trust,
                _ => Trust::load(ca_file, &provider)?,
            };
            let config = trust.config();
            *slot = Some(trust);
            Ok(config)
        });
        refreshed.await.unwrap_or_else(|panicked| Err(NetError::NoTrustStore { why: panicked.to_string() }))
    }
}

/// Whether these bytes head a TLS record with a handshake message or an alert in it.
fn heads_a_tls_record(header: [u8; 5]) -> bool {
    const ALERT: u8 = 21;
    const HANDSHAKE: u8 = 22;
    const LONGEST: u16 = (1 << 14) + 256;
    let [content_type, major, minor, high, low] = header;
    let length = u16::from_be_bytes([high, low]);
    matches!(content_type, ALERT | HANDSHAKE) && major == 3 && minor <= 4 && (1..=LONGEST).contains(&length)
}

/// The host as the name to look for in a certificate. An address's zone means nothing outside this machine.
fn server_name(host: &str) -> Result<ServerName<'static>, NetError> {
    let bare = bare_host(host);
    let name = match bare.split_once('%') {
        Some((address, _zone)) if address.contains(':') => address,
        _ => bare,
    };
    ServerName::try_from(name.to_owned()).map_err(|_| NetError::InvalidName { host: host.to_owned() })
}

/// The rustls error inside an I/O error, if it holds one.
fn inner_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

#[cfg(test)]
mod tests;
