//! Settings for TLS beyond the usual ones.

use std::path::PathBuf;

/// Settings for TLS beyond verifying the server's certificate against its host name and the usual authorities.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TlsOptions {
    /// The name to send (SNI) and to verify, if it is not the host name.
    pub server_name: Option<String>,
    /// What vouches for the server.
    pub trust: TlsTrust,
    /// The public keys that the server may have: one of these, unless empty.
    pub pins: Vec<PublicKeyPin>,
    /// The client certificate.
    pub client_certificate: Option<ClientCertificate>,
}

/// What vouches for a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TlsTrust {
    /// Only the authorities in `tls_ca_file`; without that, those of the platform.
    #[default]
    Authorities,
    /// The authorities of the platform and those in `tls_ca_file`.
    PlatformAndFile,
    /// No authority: the server has a pinned key, whatever its certificate says.
    Pin,
}

/// The SHA-256 digest of a certificate's SubjectPublicKeyInfo (RFC 7469, section 2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKeyPin(pub [u8; 32]);

/// A client certificate with its private key, both PEM files.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientCertificate {
    /// The certificate, followed by those that lead to its authority.
    pub certificate: PathBuf,
    /// The private key, unencrypted; it may be in the same file.
    pub key: PathBuf,
}
