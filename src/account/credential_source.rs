//! Where an account's password or token comes from, as configured. [`crate::credential`] and [`crate::oauth`] obtain
//! it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::preset::Preset;
use super::server_url::ServerUrl;
use crate::secret::Secret;

/// Where a password comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialSource {
    /// The configuration contains it.
    Inline(Secret),
    /// The standard output of a command, run without a shell.
    Command(Vec<OsString>),
    /// The contents of a file.
    File(PathBuf),
    /// A systemd credential of this name, below `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// The standard output of a command that prints an OAuth 2.0 access token, run without a shell.
    TokenCommand(Vec<OsString>),
    /// An OAuth 2.0 sign-in: see [`crate::oauth::refresh`].
    OAuth(Arc<OAuthSettings>),
}

impl CredentialSource {
    /// Returns the file with the secret, if it has one of its own.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Inline(_) | Self::Command(_) | Self::Credential(_) | Self::TokenCommand(_) | Self::OAuth(_) => None,
        }
    }

    /// Whether obtaining it may take long: a command, a token server or the disk of a file may hang. A secret in the
    /// configuration is at hand, and systemd keeps its credentials in memory.
    #[must_use]
    pub fn may_take_long(&self) -> bool {
        match self {
            Self::Inline(_) | Self::Credential(_) => false,
            Self::Command(_) | Self::File(_) | Self::TokenCommand(_) | Self::OAuth(_) => true,
        }
    }

    /// Whether it provides access tokens, not passwords.
    #[must_use]
    pub fn is_token(&self) -> bool {
        matches!(self, Self::TokenCommand(_) | Self::OAuth(_))
    }
}

/// How an account obtains its tokens: what its `oauth2` table says, which overrides the preset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthSettings {
    /// The preset for the authorization server.
    pub preset: Option<&'static Preset>,
    /// The server's issuer identifier (RFC 8414, section 2): its metadata is looked up there.
    pub issuer: Option<ServerUrl>,
    /// The authorization endpoint, where the user consents (RFC 6749, section 3.1).
    pub authorization_endpoint: Option<ServerUrl>,
    /// The token endpoint (RFC 6749, section 3.2).
    pub token_endpoint: Option<ServerUrl>,
    /// The device authorization endpoint (RFC 8628, section 3.1).
    pub device_authorization_endpoint: Option<ServerUrl>,
    /// The client registration endpoint (RFC 7591, section 3).
    pub registration_endpoint: Option<ServerUrl>,
    /// The client identifier. `None`: mailferry registers itself.
    pub client_id: Option<String>,
    /// Where the client secret comes from, if there is one.
    pub client_secret: Option<CredentialSource>,
    /// The scope requested; words separated by blanks (RFC 6749, section 3.3).
    pub scope: Option<String>,
    /// The redirection URI (RFC 6749, section 3.1.2), as registered.
    pub redirect: String,
    /// The service for which the token is meant (RFC 8707).
    pub resource: Option<String>,
    /// PEM file of the certificate authorities to trust for these servers, instead of the system's.
    pub tls_ca_file: Option<PathBuf>,
}
