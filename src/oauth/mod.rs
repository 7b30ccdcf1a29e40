//! OAuth 2.0 (RFC 6749) for mailboxes that take access tokens in place of passwords.
//!
//! [`sign_in`] gets tokens once, with a person who says yes in a browser; [`refresh`] gets a new access token at each poll
//! that needs one; [`store`] keeps them, so that a refresh token which the server has replaced is on the disk before
//! anything is done with what came beside it. [`metadata`] and [`registration`] are for servers that tell about
//! themselves, [`crate::account::preset`] has those that are known. Whatever is asked goes through
//! [`crate::https`], over the connections of [`crate::net`].

pub mod callback;
pub mod device;
pub mod error;
pub mod metadata;
pub mod refresh;
pub mod registration;
pub mod sign_in;
pub mod store;
pub mod token_request;
pub mod tokens;

mod identity;
mod loopback;
mod sender;

pub use error::OAuthError;
