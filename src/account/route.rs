//! How a server is reached.

use std::fmt;
use std::net::IpAddr;

use crate::secret::Secret;

/// How a server is reached, as far as this is not left to the system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    /// Which IP versions are used.
    pub ip: IpVersion,
    /// The local address that connections come from.
    pub source_address: Option<IpAddr>,
    /// The proxy that connects for us.
    pub proxy: Option<Proxy>,
    /// A connection that ends early is reset, even if the process ends: data not yet sent is dropped.
    pub resets: bool,
}

impl Route {
    /// Whether an address can be reached by this route.
    #[must_use]
    pub fn leads_to(&self, address: IpAddr) -> bool {
        let version = match self.ip {
            IpVersion::Any => true,
            IpVersion::V4 => address.is_ipv4(),
            IpVersion::V6 => address.is_ipv6(),
        };
        version && self.source_address.is_none_or(|source| source.is_ipv4() == address.is_ipv4())
    }
}

/// Which versions of IP are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IpVersion {
    /// Both, the faster one first (RFC 8305).
    #[default]
    Any,
    /// Only IPv4.
    V4,
    /// Only IPv6.
    V6,
}

/// A proxy. It resolves the server's name itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Its protocol.
    pub kind: ProxyKind,
    /// A host name or an address, without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// The credentials for it. Name and password have 1 to 255 octets of UTF-8 each.
    pub credentials: Option<ProxyCredentials>,
}

/// The protocol of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyKind {
    /// SOCKS version 5 (RFC 1928, RFC 1929).
    Socks5,
    /// The HTTP method CONNECT (RFC 9110, section 9.3.6).
    HttpConnect,
}

/// A name and a password for a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyCredentials {
    /// The name.
    pub username: String,
    /// The password.
    pub password: Secret,
}

impl fmt::Display for Proxy {
    /// Writes it without credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ProxyKind::Socks5 => "socks5",
            ProxyKind::HttpConnect => "http",
        };
        match self.host.contains(':') {
            true => write!(f, "{kind}://[{}]:{}", self.host, self.port),
            false => write!(f, "{kind}://{}:{}", self.host, self.port),
        }
    }
}
