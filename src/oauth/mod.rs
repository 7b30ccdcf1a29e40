//! OAuth 2.0 (RFC 6749) for mailboxes that take access tokens in place of passwords.
//!
//! [`sign_in`] obtains tokens once, with the consent of a person in a browser. [`refresh`] gets a new access token when
//! a poll needs one. [`store`] keeps the tokens: when the server replaces a refresh token, the new one is durable
//! before the access token that came with it is used. [`metadata`] and [`registration`] serve providers that publish
//! their endpoints or register clients; [`crate::account::preset`] has the known ones. All requests go through
//! [`crate::https`], over connections of [`crate::net`].

pub(crate) mod callback;
pub(crate) mod device;
pub mod error;
pub(crate) mod metadata;
pub(crate) mod refresh;
pub(crate) mod registration;
pub(crate) mod sign_in;
pub mod store;
pub(crate) mod token_request;
pub mod tokens;

mod identity;
mod loopback;
mod sender;

pub use error::OAuthError;
