//! Where an account's password or token comes from, as configured. [`crate::credential`] and [`crate::oauth`] get it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::preset::Preset;
use super::server_url::ServerUrl;
use crate::secret::Secret;

/// Where a password comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialSource {
    /// It stands in the configuration.
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
    /// The file that the secret stands in, if it has one of its own.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Inline(_) | Self::Command(_) | Self::Credential(_) | Self::TokenCommand(_) | Self::OAuth(_) => None,
        }
    }

    /// Whether it may be waited for: a command, a token server or the disk of a file may hang. What stands in the
    /// configuration is there, and systemd keeps its credentials in memory.
    #[must_use]
    pub fn may_take_long(&self) -> bool {
        match self {
            Self::Inline(_) | Self::Credential(_) => false,
            Self::Command(_) | Self::File(_) | Self::TokenCommand(_) | Self::OAuth(_) => true,
        }
    }

    /// Whether it gives access tokens, not passwords.
    #[must_use]
    pub fn is_token(&self) -> bool {
        matches!(self, Self::TokenCommand(_) | Self::OAuth(_))
    }
}

/// How an account gets its tokens: what its `oauth2` table says, over what the preset knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthSettings {
    /// What is known of the authorization server.
    pub preset: Option<&'static Preset>,
    /// The server's issuer identifier (RFC 8414, section 2): its metadata is looked up there.
    pub issuer: Option<ServerUrl>,
    /// Where the user says yes (RFC 6749, section 3.1).
    pub authorization_endpoint: Option<ServerUrl>,
    /// Where tokens come from (RFC 6749, section 3.2).
    pub token_endpoint: Option<ServerUrl>,
    /// Where device codes come from (RFC 8628, section 3.1).
    pub device_authorization_endpoint: Option<ServerUrl>,
    /// Where a client registers itself (RFC 7591, section 3).
    pub registration_endpoint: Option<ServerUrl>,
    /// The client identifier. None: it is registered.
    pub client_id: Option<String>,
    /// Where the client's secret comes from, if it has one.
    pub client_secret: Option<CredentialSource>,
    /// What is asked for; words with blanks between them (RFC 6749, section 3.3).
    pub scope: Option<String>,
    /// Where the browser is sent in the end (RFC 6749, section 3.1.2), as it is registered.
    pub redirect: String,
    /// For which service the token is (RFC 8707).
    pub resource: Option<String>,
    /// PEM file of the authorities to trust for these servers, in place of the system's.
    pub tls_ca_file: Option<PathBuf>,
}
