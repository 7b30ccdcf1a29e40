//! Makes connections: from a host name to a byte stream that is protected as the account requires.
//!
//! `dial` finds and reaches the server with the `lookups` of names, `proxy` does so through a proxy, and `tls` protects the connection and is the
//! only place that names rustls. The credentials of a proxy pass through here; those of the mail account never do.

mod dial;
mod error;
mod host;
mod lookups;
mod proxy;
mod round_trips;
mod tls;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::account::{Endpoint, KeyExchange, TlsMode};
use crate::sasl::ChannelBinding;

pub use error::{
    CaFileProblem, CertificateProblem, ClientCertificateProblem, HandshakeProblem, NetError, ProxyProblem,
};
pub use round_trips::RoundTrips;

/// What a session reads from and writes to.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// The byte stream of a connection, whatever carries it.
pub type Stream = Box<dyn Transport>;

/// A connection to a server.
pub struct Connection {
    /// What is read from the server and written to it, through TLS if that was begun.
    pub stream: Stream,
    /// The address that answered.
    pub peer: SocketAddr,
    /// Whether TLS is established and the server's certificate was verified.
    pub protected: bool,
    /// Whether it never leaves this machine.
    pub loopback: bool,
    /// When the server's certificate expires, in seconds since 1970. None without TLS, or if its dates cannot be read.
    pub certificate_expires: Option<i64>,
    /// When the client certificate expires, in seconds since 1970, if there is one.
    pub client_certificate_expires: Option<i64>,
    /// Whether TLS succeeded only without the large key share of [`KeyExchange::Auto`].
    pub classical: bool,
    /// The channel binding for logins, so that nobody in between can relay them (RFC 5056). None without TLS.
    pub binding: Option<ChannelBinding>,
    /// What the two sides agreed on, for display. None without TLS.
    pub tls: Option<Box<TlsFacts>>,
    /// Counts the round trips of its session.
    pub round_trips: RoundTrips,
}

/// What the two sides of a TLS connection agreed on, and what the certificate says. For display: nothing is decided by
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFacts {
    /// The version, such as `TLS 1.3`.
    pub version: String,
    /// The key exchange, such as `X25519MLKEM768`.
    pub key_exchange: Option<String>,
    /// The cipher suite, such as `TLS_AES_256_GCM_SHA384` (RFC 8446, appendix B.4).
    pub cipher_suite: Option<String>,
    /// The subject of the certificate (RFC 5280, section 4.1.2.6), with control characters escaped.
    pub subject: Option<String>,
    /// The SHA-256 of the server's public key, as a pin is written.
    pub pin: Option<String>,
    /// The issuer of the server's certificate (RFC 5280, section 4.1.2.4), with control characters escaped.
    pub issuer: Option<String>,
    /// When its validity begins, in seconds since 1970.
    pub not_before: Option<i64>,
    /// When its validity ends, in seconds since 1970.
    pub not_after: Option<i64>,
    /// Whether the session was resumed: then the certificate is the one shown when it began.
    pub resumed: bool,
    /// How long the handshake took.
    pub took: Duration,
}

impl fmt::Display for TlsFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.version)?;
        if let Some(group) = &self.key_exchange {
            write!(f, " with {group}")?;
        }
        if let Some(suite) = &self.cipher_suite {
            write!(f, ", {suite}")?;
        }
        let resumed = if self.resumed { ", resumed from an earlier session" } else { "" };
        write!(f, " in {:.3} s{resumed}; the certificate", self.took.as_secs_f64())?;
        if let Some(subject) = &self.subject {
            write!(f, " of {subject}")?;
        }
        if let Some(issuer) = &self.issuer {
            write!(f, ", issued by {issuer}")?;
        }
        let day = |seconds: i64| jiff::Timestamp::from_second(seconds).map(|time| time.strftime("%F").to_string());
        match self.not_after.map(day) {
            Some(Ok(day)) => write!(f, ", valid until {day}")?,
            _ => f.write_str(", with no end that could be read")?,
        }
        self.pin.as_ref().map_or(Ok(()), |pin| write!(f, "; its key is {pin}"))
    }
}

/// How many addresses of a host are tried that accept connections but do not work.
pub(crate) const MOST_ADDRESSES: usize = 8;

/// A connection being made. Boxed, so that its maker can be chosen at run time.
pub type Dialling<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Makes connections: [`Dialer`] over the network, a test over memory.
pub trait Dial: Send + Sync + fmt::Debug {
    /// Connects to one of the endpoint's addresses, except those to avoid, and begins TLS if its mode is implicit.
    fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        avoid: &'a [SocketAddr],
    ) -> Dialling<'a, Result<Connection, NetError>>;

    /// Begins TLS on a connection whose server has just agreed to STLS.
    fn start_tls<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        connection: Connection,
    ) -> Dialling<'a, Result<Connection, NetError>>;

    /// Whether this port begins with TLS, as far as a second connection can tell.
    fn speaks_tls<'a>(&'a self, peer: SocketAddr, endpoint: &'a Endpoint) -> Dialling<'a, bool>;

    /// Makes the next connection read the trusted certificates again.
    fn read_trust_anew(&self) {}
}

impl Dial for Dialer {
    fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        avoid: &'a [SocketAddr],
    ) -> Dialling<'a, Result<Connection, NetError>> {
        Box::pin(self.connect(endpoint, avoid))
    }

    fn start_tls<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        connection: Connection,
    ) -> Dialling<'a, Result<Connection, NetError>> {
        Box::pin(self.start_tls(endpoint, connection))
    }

    fn speaks_tls<'a>(&'a self, peer: SocketAddr, endpoint: &'a Endpoint) -> Dialling<'a, bool> {
        Box::pin(self.speaks_tls(peer, endpoint))
    }

    fn read_trust_anew(&self) {
        self.tls.read_anew();
    }
}

/// How long each step of connecting may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetLimits {
    /// Resolving the name and reaching an address, for all addresses together.
    pub connect: Duration,
    /// Reading the trusted certificates; the TLS handshake may then take as long again.
    pub tls_handshake: Duration,
}

impl Default for NetLimits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(30), tls_handshake: Duration::from_secs(30) }
    }
}

/// Makes connections. Built once per process and shared by all accounts, so that TLS sessions are resumed between polls
/// and trusted certificates are read only once.
#[derive(Debug)]
pub struct Dialer {
    /// How long each step may take.
    limits: NetLimits,
    /// The trusted certificates, and the sessions that can be resumed.
    tls: tls::Tls,
    /// The lookups of names.
    lookups: lookups::Lookups,
}

impl Dialer {
    /// Creates a dialer that has not read or connected anything yet.
    #[must_use]
    pub fn new(limits: NetLimits) -> Self {
        Self {
            limits,
            tls: tls::Tls::new(limits.tls_handshake),
            lookups: lookups::Lookups::new(lookups::Limits::default()),
        }
    }

    /// Opens a TCP connection, and begins TLS if the endpoint's mode is implicit (RFC 8314, section 3.1). An address
    /// that accepts connections but fails at TLS does not keep the others from being tried.
    ///
    /// # Errors
    /// [`NetError`] says which step failed, at the first address that got that far. Errors in the TLS configuration
    /// show here even for a STARTTLS endpoint, before any byte is sent.
    pub async fn connect(&self, endpoint: &Endpoint, avoid: &[SocketAddr]) -> Result<Connection, NetError> {
        let mut avoid = avoid.to_vec();
        let mut first: Option<NetError> = None;
        loop {
            // The trusted certificates are read while the packets travel.
            let reached = tokio::try_join!(
                biased;
                self.prepare(endpoint),
                dial::connect(endpoint, &avoid, self.limits.connect, &self.lookups)
            );
            let (prepared, (peer, stream)) = match reached {
                Ok(reached) => reached,
                Err(e) => return Err(first.unwrap_or(e)),
            };
            let loopback = stays_here(endpoint, peer);
            let connection = Connection { loopback, ..Connection::in_clear(stream, peer) };
            let Some(prepared) = prepared.filter(|_| endpoint.tls == TlsMode::Implicit) else { return Ok(connection) };
            match self.begin_tls(endpoint, prepared, connection).await {
                Err(e) if e.is_of_one_address() && avoid.len() < MOST_ADDRESSES => {
                    tracing::debug!("{peer}: {e}");
                    avoid.push(peer);
                    first.get_or_insert(e);
                }
                Err(e) => return Err(first.unwrap_or(e)),
                protected => return protected,
            }
        }
    }

    async fn prepare(&self, endpoint: &Endpoint) -> Result<Option<tls::Prepared>, NetError> {
        match endpoint.tls {
            TlsMode::Implicit | TlsMode::StartTls => self.tls.prepare(endpoint).await.map(Some),
            TlsMode::None => Ok(None),
        }
    }

    /// Begins TLS from the first byte. If a ClientHello gets no answer, it is sent again without what makes it too
    /// large for one packet.
    async fn begin_tls(
        &self,
        endpoint: &Endpoint,
        prepared: tls::Prepared,
        connection: Connection,
    ) -> Result<Connection, NetError> {
        let peer = connection.peer;
        let error = match self.tls.handshake(endpoint, prepared, connection, TlsMode::Implicit).await {
            Err(e) if e.is_unanswered_hello() && endpoint.key_exchange == KeyExchange::Auto => e,
            done => return done,
        };
        tracing::debug!("{error}: trying once more without the post-quantum key share");
        let smaller = Endpoint { key_exchange: KeyExchange::Classical, ..endpoint.clone() };
        let Ok(Some(stream)) = timeout(self.limits.connect, dial::again(endpoint, peer)).await else {
            return Err(error);
        };
        let prepared = self.tls.prepare(&smaller).await?;
        let loopback = stays_here(endpoint, peer);
        let connection = Connection { classical: true, loopback, ..Connection::in_clear(stream, peer) };
        match self.tls.handshake(&smaller, prepared, connection, TlsMode::Implicit).await {
            Err(again) if again.is_unanswered_hello() => Err(error),
            done => done,
        }
    }

    /// Begins TLS on a connection whose server has just agreed to STLS (RFC 2595, section 4).
    ///
    /// The caller must have read nothing beyond the server's answer: unencrypted bytes that came with it are not to be
    /// trusted and must end the session.
    ///
    /// # Errors
    /// [`NetError`] says why no trusted TLS connection could be established. The connection is then closed.
    pub async fn start_tls(&self, endpoint: &Endpoint, connection: Connection) -> Result<Connection, NetError> {
        let prepared = self.tls.prepare(endpoint).await?;
        self.tls.handshake(endpoint, prepared, connection, TlsMode::StartTls).await
    }

    /// Checks with a second connection whether this port begins with TLS: for servers that stay silent on a plaintext
    /// connection.
    ///
    /// Returns true only if a TLS record came back within 3 seconds. Nothing is verified and no secret is sent, so the
    /// result is only good for advice to the user.
    pub async fn speaks_tls(&self, peer: SocketAddr, endpoint: &Endpoint) -> bool {
        const LIMIT: Duration = Duration::from_secs(3);
        let ask = async {
            let mut stream = dial::again(endpoint, peer).await?;
            self.tls.answers_hello(endpoint, peer, &mut stream).await
        };
        matches!(timeout(LIMIT, ask).await, Ok(Some(true)))
    }
}

/// Whether what is sent stays on this machine. Through a local proxy, only what is for this machine does: that is
/// judged by the server's name, never by the proxy's address.
fn stays_here(endpoint: &Endpoint, peer: SocketAddr) -> bool {
    let host = host::bare_host(&endpoint.host);
    let named = match host.parse() {
        Ok(address) => is_loopback(address),
        Err(_) => host.strip_suffix('.').unwrap_or(host).eq_ignore_ascii_case("localhost"),
    };
    is_loopback(peer.ip()) && (endpoint.route.proxy.is_none() || named)
}

/// Whether an address is this machine itself, including `::ffff:127.0.0.1`.
fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

impl Connection {
    /// Makes an unprotected connection to `peer`.
    #[must_use]
    pub fn in_clear(stream: impl Transport + 'static, peer: SocketAddr) -> Self {
        Self {
            stream: Box::new(stream),
            peer,
            protected: false,
            loopback: is_loopback(peer.ip()),
            certificate_expires: None,
            client_certificate_expires: None,
            classical: false,
            binding: None,
            tls: None,
            round_trips: RoundTrips::default(),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("peer", &self.peer)
            .field("protected", &self.protected)
            .field("loopback", &self.loopback)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
