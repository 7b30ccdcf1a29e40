//! Where a server is and how the connection to it is protected.

use std::path::PathBuf;

use super::{Route, TlsOptions};

/// Where a server is and how the connection to it is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A host name or an address, without brackets. Never empty, no control characters.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// When TLS begins.
    pub tls: TlsMode,
    /// PEM file of certificate authorities to trust; [`TlsTrust`](super::TlsTrust) says whether instead of the platform's or in
    /// addition.
    pub tls_ca_file: Option<PathBuf>,
    /// The kind of key exchange in TLS.
    pub key_exchange: KeyExchange,
    /// The user permits sending the password over a network in clear text. Loopback needs no permission.
    pub allow_cleartext_password: bool,
    /// How it is reached.
    pub route: Route,
    /// Further settings for TLS.
    pub tls_options: TlsOptions,
}

impl Endpoint {
    /// Returns what identifies the server: host and port. One name may be several servers on several ports.
    #[must_use]
    pub fn server(&self) -> String {
        server_of(&self.host, self.port)
    }
}

fn server_of(host: &str, port: u16) -> String {
    format!("{}:{port}", host.trim_end_matches('.').to_ascii_lowercase())
}

/// When TLS begins (RFC 8314 and RFC 2595).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// With the first byte (RFC 8314, section 3.1), usually on port 995.
    Implicit,
    /// By STLS, which is mandatory (RFC 2595, section 4), usually on port 110.
    StartTls,
    /// Never.
    None,
}

/// The kind of key exchange in TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyExchange {
    /// Post-quantum if the server supports it; classical if the larger handshake gets lost on the way.
    #[default]
    Auto,
    /// Elliptic curves only: the ClientHello fits into one packet.
    Classical,
    /// Post-quantum only.
    PostQuantum,
}

#[cfg(test)]
mod tests {
    use super::server_of;

    #[test]
    fn a_server_is_the_same_whatever_way_its_name_is_written() {
        assert_eq!(server_of("Slow.ORG.", 995), server_of("slow.org", 995));
        assert_ne!(server_of("slow.org", 110), server_of("slow.org", 995));
    }
}
