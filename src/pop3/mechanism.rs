//! The SASL mechanisms supported for AUTH.

use std::fmt;

/// A SASL mechanism (RFC 4422) for AUTH (RFC 5034).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// User name and password in one message (RFC 4616).
    Plain,
    /// User name and password, each on request (draft-murchison-sasl-login).
    Login,
    /// A keyed digest of what the server sends (RFC 2195).
    CramMd5,
    /// SCRAM with SHA-1: a salted proof, with one by the server in return (RFC 5802).
    ScramSha1,
    /// The same, bound to the TLS connection (RFC 5802, section 6).
    ScramSha1Plus,
    /// SCRAM with SHA-256 (RFC 7677).
    ScramSha256,
    /// The same, bound to the TLS connection.
    ScramSha256Plus,
    /// Our identity comes from the TLS client certificate (RFC 4422, appendix A).
    External,
    /// An OAuth 2.0 access token, in the form of Google and Microsoft.
    XOAuth2,
    /// An OAuth 2.0 access token (RFC 7628).
    OAuthBearer,
}

impl Mechanism {
    /// Returns the registered name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::CramMd5 => "CRAM-MD5",
            Self::ScramSha1 => "SCRAM-SHA-1",
            Self::ScramSha1Plus => "SCRAM-SHA-1-PLUS",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Self::External => "EXTERNAL",
            Self::XOAuth2 => "XOAUTH2",
            Self::OAuthBearer => "OAUTHBEARER",
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
