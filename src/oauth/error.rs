//! Why there is no token.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::account::AccountName;
use crate::credential::CredentialError;
use crate::https::HttpError;
use crate::state::error::StateError;
use crate::text;
use crate::threads::NotDone;

/// Why there is no token.
#[derive(Debug)]
pub enum OAuthError {
    /// The user has not signed in yet.
    NotSignedIn {
        /// The account.
        account: AccountName,
    },
    /// The grant has ended, and only a person can renew it. It is not retried.
    SignInAgain {
        /// The account.
        account: AccountName,
        /// Why, as a clause.
        why: String,
    },
    /// The authorization server could not be reached or did not answer.
    Http(HttpError),
    /// The authorization server refused with an error code of an RFC.
    Refused {
        /// The code, such as `invalid_client` (RFC 6749, section 5.2).
        code: String,
        /// The server's description, escaped and shortened.
        description: Option<String>,
    },
    /// The server's response is invalid.
    Unintelligible {
        /// What it should have been.
        what: &'static str,
        /// Why it is not.
        why: String,
    },
    /// The server granted less than was requested.
    Scope {
        /// What is missing.
        missing: String,
    },
    /// The server gave no refresh token, so the sign-in would end within the hour.
    NoRefreshToken,
    /// There is no client identifier.
    NoClient {
        /// How to get one from this provider, as a clause, if known.
        registration: Option<&'static str>,
    },
    /// This way to sign in is not available.
    NoSuchWay(MissingWay),
    /// The redirect does not answer our request.
    Callback {
        /// Why not.
        why: String,
    },
    /// What was pasted is not the URL to which the browser was redirected.
    NotTheAddress,
    /// The user did not complete the sign-in in time.
    TooLate,
    /// The client secret could not be obtained.
    Secret(CredentialError),
    /// The state directory cannot be used.
    State(StateError),
    /// A file operation on the token failed.
    File {
        /// The operation, as a verb.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Another process is refreshing the token and does not finish.
    Busy {
        /// The other process, as it describes itself.
        holder: String,
    },
    /// The system has no thread for it, or there is a bug in mailferry.
    NotDone(NotDone),
}

/// A way to sign in that is not available to an account.
#[derive(Debug)]
pub enum MissingWay {
    /// With a browser: no authorization endpoint is known.
    Browser,
    /// With a browser: the redirection URI is not a URL.
    Redirect,
    /// With a code on another device.
    Device {
        /// The provider, and why it has none, as a clause. None if unknown.
        known: Option<(&'static str, &'static str)>,
    },
}

impl OAuthError {
    /// Returns the error for a refusal with this code and description.
    pub(super) fn refused(code: &str, description: Option<&str>) -> Self {
        Self::Refused { code: shown(code), description: description.map(shown).filter(|words| !words.is_empty()) }
    }
}

/// Escapes and shortens text from a server.
pub(super) fn shown(words: &str) -> String {
    const LONGEST: usize = 300;
    text::cut_words(words, LONGEST)
}

impl fmt::Display for OAuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSignedIn { .. } => f.write_str("nobody has signed in to this account yet"),
            Self::SignInAgain { why, .. } => write!(f, "the sign-in of this account has ended: {why}"),
            Self::Http(e) => write!(f, "could not get a token: {e}"),
            Self::Refused { code, description } => {
                write!(f, "the authorization server refused: {code}")?;
                match description {
                    Some(description) => write!(f, " ({description})"),
                    None => Ok(()),
                }
            }
            Self::Unintelligible { what, why } => write!(f, "what the authorization server sent is not {what}: {why}"),
            Self::Scope { missing } => write!(
                f,
                "the authorization server granted less than was asked for: {missing} is missing, so nothing was kept"
            ),
            Self::NoRefreshToken => f.write_str(
                "the authorization server gave no refresh token, so the sign-in would end within the hour, and nothing was \
                 kept",
            ),
            Self::NoClient { .. } => f.write_str("this account has no client identifier"),
            Self::NoSuchWay(way) => way.fmt(f),
            Self::Callback { why } => write!(f, "the sign-in was not completed: {why}"),
            Self::NotTheAddress => f.write_str(
                "the sign-in was not completed: that is not the address to which the browser was sent",
            ),
            Self::TooLate => f.write_str("nobody completed the sign-in in time"),
            Self::Secret(e) => write!(f, "the client's secret: {e}"),
            Self::State(e) => e.fmt(f),
            Self::File { doing, path, source } => {
                write!(f, "cannot {doing} {}: {source}", text::value(&path.to_string_lossy()))
            }
            Self::Busy { holder } => {
                write!(f, "the token is being refreshed by {}, which has not finished", text::value(holder))
            }
            Self::NotDone(e) => e.fmt(f),
        }
    }
}

impl fmt::Display for MissingWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Browser => f.write_str("there is no address for signing in to this account with a browser"),
            Self::Redirect => f.write_str("the address that the browser comes back to is not a URL"),
            Self::Device { known: Some((provider, why)) } => {
                write!(f, "there is no sign-in by device code at {provider}: {why}")
            }
            Self::Device { known: None } => f.write_str("there is no address for device codes for this account"),
        }
    }
}

impl std::error::Error for OAuthError {}

impl From<HttpError> for OAuthError {
    fn from(e: HttpError) -> Self {
        Self::Http(e)
    }
}

impl From<NotDone> for OAuthError {
    fn from(e: NotDone) -> Self {
        Self::NotDone(e)
    }
}

impl From<StateError> for OAuthError {
    fn from(e: StateError) -> Self {
        Self::State(e)
    }
}

impl From<CredentialError> for OAuthError {
    fn from(e: CredentialError) -> Self {
        Self::Secret(e)
    }
}
