//! Logging in: which way is taken, and what is said on it.
//!
//! Pure: no socket, file, clock or log. [`choice`] decides, [`exchange`] speaks; each mechanism has a file of its own.

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
pub use choice::{Link, LoginMethod, NoLoginMethod, Offer, ways_to_log_in};
pub use error::SaslError;
pub use exchange::{Credentials, Exchange};
pub use plain::plain_response;

/// Data by which both ends of a TLS connection recognise it (RFC 5056).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelBinding {
    /// What it is made of.
    pub kind: ChannelBindingKind,
    /// The octets.
    pub data: Vec<u8>,
}

/// What the data of a channel binding is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelBindingKind {
    /// Keying material of this very connection (RFC 9266).
    TlsExporter,
    /// The digest of the server's certificate (RFC 5929, section 4).
    TlsServerEndPoint,
}

impl ChannelBindingKind {
    /// The registered name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TlsExporter => "tls-exporter",
            Self::TlsServerEndPoint => "tls-server-end-point",
        }
    }
}

/// Small hexadecimal digits.
fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
