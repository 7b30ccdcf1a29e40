//! Logging in: which method is chosen, and which messages it sends.
//!
//! Pure: no socket, file, clock or log. [`choice`] chooses the method, [`exchange`] runs it; each mechanism has a file
//! of its own.

mod apop;
mod bearer;
pub mod choice;
mod cram_md5;
mod error;
pub mod exchange;
mod iterations;
mod plain;
pub mod scram;

pub use apop::apop_digest;
pub(crate) use bearer::{oauthbearer, xoauth2};
pub use choice::{Exposure, LoginMethod, NoLoginMethod, Offer, ways_to_log_in};
pub use error::SaslError;
pub use exchange::{Credentials, Exchange};
pub use plain::plain_response;

/// Data that identifies a TLS connection to both ends (RFC 5056).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelBinding {
    /// What it is derived from.
    pub kind: ChannelBindingKind,
    /// The octets.
    pub data: Vec<u8>,
}

/// What channel binding data is derived from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelBindingKind {
    /// Keying material of this connection (RFC 9266).
    TlsExporter,
    /// The digest of the server's certificate (RFC 5929, section 4).
    TlsServerEndPoint,
}

impl ChannelBindingKind {
    /// Returns the registered name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TlsExporter => "tls-exporter",
            Self::TlsServerEndPoint => "tls-server-end-point",
        }
    }
}

/// Formats octets in lower-case hexadecimal.
fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
