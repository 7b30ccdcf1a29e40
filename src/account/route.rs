//! How a server is reached.

use std::fmt;
use std::net::IpAddr;

use crate::secret::Secret;

/// How a server is reached, where it is not left to the system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    /// The version of IP.
    pub ip: IpVersion,
    /// The address of this machine that connections come from.
    pub source_address: Option<IpAddr>,
    /// Who connects in our place.
    pub proxy: Option<Proxy>,
    /// A connection that ends early is reset, also with its process: what has not left then never does.
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
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
}

/// A proxy. It resolves the server's name itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// What it speaks.
    pub kind: ProxyKind,
    /// A host name or an address, without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// Who we are to it. Name and password are 1 to 255 octets of UTF-8 each.
    pub credentials: Option<ProxyCredentials>,
}

/// What a proxy speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyKind {
    /// SOCKS version 5 (RFC 1928, RFC 1929).
    Socks5,
    /// HTTP's method CONNECT (RFC 9110, section 9.3.6).
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
    /// Without credentials.
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
