//! OAuth 2.0 (RFC 6749) for mailboxes that take access tokens in place of passwords.
//!
//! [`sign_in`] gets tokens once, with a person who says yes in a browser; [`refresh`] gets a new access token at each poll
//! that needs one; [`store`] keeps them, so that a refresh token which the server has replaced is on the disk before
//! anything is done with what came beside it. [`metadata`] and [`registration`] are for servers that tell about
//! themselves, [`preset`] is for those that are known. Whatever is asked goes through
//! [`crate::https`], over the connections of [`crate::net`].

pub mod callback;
pub mod device;
pub mod error;
pub mod metadata;
pub mod preset;
pub mod refresh;
pub mod registration;
pub mod sign_in;
pub mod store;
pub mod token_request;
pub mod tokens;

mod identity;
mod loopback;
mod sender;

use std::path::PathBuf;

use crate::https::server_url::ServerUrl;
pub use error::OAuthError;
use preset::Preset;

use crate::credential::CredentialSource;

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
