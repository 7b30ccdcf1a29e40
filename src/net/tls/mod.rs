//! TLS: this directory is the only place that names rustls, webpki and x509-cert.

mod binding;
mod client_certificate;
mod expiry;
mod facts;
mod identity;
mod key_length;
mod listened;
mod pins;
mod problem;
mod reading;
mod sessions;
mod trust;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::client::ClientConnection;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::account::{Endpoint, KeyExchange, TlsMode};
use crate::threads::{NotDone, blocking};

use super::host::bare_host;
use super::{CaFileProblem, CertificateProblem, ClientCertificateProblem, Connection, NetError, Stream};
use client_certificate::{Asking, noting_the_question};
use listened::{Beginning, Listened};
use reading::Reading;
use trust::{Trust, TrustKey};

/// The state that all TLS connections of the process share.
#[derive(Debug)]
pub(super) struct Tls {
    /// The cryptography. It is passed explicitly: the process has no default provider.
    provider: Arc<CryptoProvider>,
    /// What was loaded for each way to trust and to be trusted. A slot is locked while its certificates are read, so
    /// that many accounts read them only once and a slow disk delays only those that need them.
    slots: Mutex<HashMap<TrustKey, Arc<Slot>>>,
    /// How long reading certificates may take, and how long a handshake.
    limit: Duration,
    /// Whether the platform's certificates must be read again even if they look unchanged.
    stale: AtomicBool,
    /// Whether a server was refused for lack of a trusted authority since they were read.
    refused: AtomicBool,
}

/// After such a refusal the platform's certificates are read again if they are older than this: an authority may have
/// been installed meanwhile.
const READ_AGAIN: Duration = Duration::from_secs(60);

/// Holds one set of trusted certificates.
#[derive(Debug, Default)]
struct Slot {
    trust: Arc<tokio::sync::Mutex<Option<Trust>>>,
    /// Which file is being read for it.
    reading: Reading,
}

/// What a handshake needs, checked before the network is used.
pub(super) struct Prepared {
    /// The name that the certificate must be for.
    name: ServerName<'static>,
    /// What to trust, and the sessions that can be resumed.
    config: Arc<ClientConfig>,
    /// When the client certificate expires, in seconds since 1970.
    client_certificate_expires: Option<i64>,
}

impl Tls {
    /// Reads nothing yet. `limit` is for reading certificates, and for each handshake.
    pub(super) fn new(limit: Duration) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Self {
            provider,
            slots: Mutex::default(),
            limit,
            stale: AtomicBool::new(false),
            refused: AtomicBool::new(false),
        }
    }

    /// Checks the endpoint's name and reads the certificates that it trusts, if they changed since the last time.
    pub(super) async fn prepare(&self, endpoint: &Endpoint) -> Result<Prepared, NetError> {
        let name = server_name(endpoint.tls_options.server_name.as_deref().unwrap_or(&endpoint.host))?;
        let limit = self.limit;
        let config = self.config(TrustKey::of(endpoint), endpoint.key_exchange);
        let config = timeout(limit, config).await.unwrap_or_else(|_elapsed| Err(self.too_slow(endpoint)));
        let (config, client_certificate_expires) = config?;
        Ok(Prepared { name, config, client_certificate_expires })
    }

    /// Returns the error about the file that took too long to read.
    fn too_slow(&self, endpoint: &Endpoint) -> NetError {
        let (limit, key) = (self.limit, TrustKey::of(endpoint));
        let shown = endpoint.tls_options.client_certificate.as_ref();
        match (self.slot(&key).reading.file(), &endpoint.tls_ca_file) {
            (Some(path), _) if shown.is_some_and(|shown| [&shown.certificate, &shown.key].contains(&&path)) => {
                NetError::ClientCertificate { path, why: ClientCertificateProblem::TooSlow(limit) }
            }
            (Some(path), _) => NetError::CaFile { path, why: CaFileProblem::TooSlow(limit) },
            (None, Some(path)) if !key.uses_platform() => {
                NetError::CaFile { path: path.clone(), why: CaFileProblem::TooSlow(limit) }
            }
            (None, _) => NetError::NoTrustStore { why: "reading them took too long".to_owned() },
        }
    }

    /// The platform's certificates are read again for the next connection.
    pub(super) fn read_anew(&self) {
        self.stale.store(true, Ordering::Relaxed);
    }

    /// Does the handshake on a connection that has been silent so far, or has just agreed to STLS.
    pub(super) async fn handshake(
        &self,
        endpoint: &Endpoint,
        prepared: Prepared,
        connection: Connection,
        began: TlsMode,
    ) -> Result<Connection, NetError> {
        let Connection { stream, peer, loopback, classical, round_trips, .. } = connection;
        let client_certificate_expires = prepared.client_certificate_expires;
        let connector = TlsConnector::from(prepared.config);
        let heard = Beginning::default();
        let begun = Instant::now();
        let handshake = connector.connect(prepared.name, Listened::new(stream, heard.clone()));
        let error = match timeout(self.limit, noting_the_question(handshake)).await {
            Ok((Ok(stream), asked)) => {
                let certificate_expires = expiry::of_peer(stream.get_ref().1);
                let binding = binding::of_connection(stream.get_ref().1);
                let tls = Box::new(facts::of(stream.get_ref().1, begun.elapsed()));
                tracing::debug!("{peer}: {tls}");
                let stream: Stream = match asked {
                    true => Box::new(Asking::new(stream, endpoint)),
                    false => Box::new(stream),
                };
                return Ok(Connection {
                    stream,
                    peer,
                    protected: true,
                    loopback,
                    certificate_expires,
                    client_certificate_expires,
                    classical,
                    binding,
                    tls: Some(tls),
                    round_trips,
                });
            }
            Ok((Err(error), asked)) => problem::explain(endpoint, began, error, &heard, asked),
            Err(_elapsed) => NetError::TlsTimeout {
                host: endpoint.host.clone(),
                port: endpoint.port,
                tls: began,
                limit: self.limit,
                heard: heard.is_heard(),
            },
        };
        self.after(&error, endpoint);
        Err(error)
    }

    /// What a failed handshake means for the next one.
    fn after(&self, error: &NetError, endpoint: &Endpoint) {
        use CertificateProblem::{Other, SelfSigned, UnknownIssuer};
        let not_trusted = matches!(error, NetError::Certificate { problem: UnknownIssuer | SelfSigned | Other(_), .. });
        if not_trusted && TrustKey::of(endpoint).uses_platform() {
            self.refused.store(true, Ordering::Relaxed);
        }
    }

    /// Sends a ClientHello and looks at the first five bytes of the answer: whether they head a TLS record that a
    /// server may begin with (RFC 8446, section 5.1). What follows is neither read nor believed.
    pub(super) async fn answers_hello(
        &self,
        endpoint: &Endpoint,
        peer: SocketAddr,
        stream: &mut Stream,
    ) -> Option<bool> {
        let called = endpoint.tls_options.server_name.as_deref().unwrap_or(&endpoint.host);
        let name = server_name(called).unwrap_or_else(|_| ServerName::from(peer.ip()));
        let config = trust::trusting_nobody(&self.provider).ok()?;
        let mut client = ClientConnection::new(Arc::new(config), name).ok()?;
        let mut hello = Vec::new();
        client.write_tls(&mut hello).ok()?;
        stream.write_all(&hello).await.ok()?;
        stream.flush().await.ok()?;
        let mut header = [0; 5];
        stream.read_exact(&mut header).await.ok()?;
        Some(heads_a_tls_record(header))
    }

    fn slot(&self, key: &TrustKey) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(key.clone()).or_default())
    }

    /// The configuration for one set of trusted certificates.
    async fn config(
        &self,
        key: TrustKey,
        key_exchange: KeyExchange,
    ) -> Result<(Arc<ClientConfig>, Option<i64>), NetError> {
        let place = self.slot(&key);
        let mut slot = Arc::clone(&place.trust).lock_owned().await;
        let provider = Arc::clone(&self.provider);
        // Only the platform's may look the same and be others: links lead to files that are replaced.
        let (stale, refused) = match key.uses_platform() {
            false => (false, false),
            true => (self.stale.swap(false, Ordering::Relaxed), self.refused.load(Ordering::Relaxed)),
        };
        // The task keeps the lock: when the caller gives up waiting, a second reader does not begin beside it.
        let refreshed = blocking(move || {
            let doubted = |trust: &Trust| stale || (refused && trust.age() >= READ_AGAIN);
            let (trust, read) = match slot.take() {
                Some(trust) if !doubted(&trust) && trust.is_current(&place.reading) => (trust, false),
                _ => (Trust::load(&key, &provider, &place.reading)?, true),
            };
            let config = (trust.config(key_exchange), trust.client_certificate_expires());
            *slot = Some(trust);
            Ok((config, read))
        });
        let (config, read) = match refreshed.await {
            Ok(refreshed) => refreshed?,
            Err(NotDone::NoThread) => return Err(NetError::System { source: NotDone::NoThread.into() }),
            Err(panicked) => return Err(NetError::NoTrustStore { why: panicked.to_string() }),
        };
        if read && refused {
            self.refused.store(false, Ordering::Relaxed);
        }
        Ok(config)
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
