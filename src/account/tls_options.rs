//! What TLS does beside what is usual.

use std::path::PathBuf;

/// What TLS does beside verifying the server's certificate by its host name and the usual authorities.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TlsOptions {
    /// The name to ask for and to verify, where it is not the host's.
    pub server_name: Option<String>,
    /// Who vouches for the server.
    pub trust: TlsTrust,
    /// The keys that the server may have: one of these, if there are any.
    pub pins: Vec<PublicKeyPin>,
    /// The certificate of this side.
    pub client_certificate: Option<ClientCertificate>,
}

/// Who vouches for a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TlsTrust {
    /// The authorities in `tls_ca_file` alone; without that, those of the platform.
    #[default]
    Authorities,
    /// The authorities of the platform, and those in `tls_ca_file`.
    PlatformAndFile,
    /// Nobody: the server has a pinned key, whatever its certificate says.
    Pin,
}

/// The SHA-256 digest of a certificate's SubjectPublicKeyInfo (RFC 7469, section 2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKeyPin(pub [u8; 32]);

/// A certificate of this side with its private key, both PEM files.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientCertificate {
    /// The certificate, and behind it those that lead to its authority.
    pub certificate: PathBuf,
    /// The private key, not encrypted; it may be the same file.
    pub key: PathBuf,
}
