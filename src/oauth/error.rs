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
    /// Nobody has signed in yet.
    NotSignedIn {
        /// The account.
        account: AccountName,
    },
    /// What was granted has ended: only a person can grant it anew. It is not tried again.
    SignInAgain {
        /// The account.
        account: AccountName,
        /// Why, as a clause.
        why: String,
    },
    /// The authorization server was not reached, or did not answer.
    Http(HttpError),
    /// The authorization server refused, by one of the codes of its RFC.
    Refused {
        /// The code, such as `invalid_client` (RFC 6749, section 5.2).
        code: String,
        /// What it says besides, escaped and shortened.
        description: Option<String>,
    },
    /// What it answered makes no sense.
    Unintelligible {
        /// What it should have been.
        what: &'static str,
        /// Why it is not.
        why: String,
    },
    /// It granted less than was asked for.
    Scope {
        /// What is missing.
        missing: String,
    },
    /// It gave no refresh token, so that the sign-in would end within the hour.
    NoRefreshToken,
    /// There is no client identifier.
    NoClient {
        /// How one gets it from this provider, as a clause, if that is known.
        registration: Option<&'static str>,
    },
    /// There is no such way to sign in here.
    NoSuchWay(MissingWay),
    /// What came back from the browser is not the answer to what was asked.
    Callback {
        /// Why not.
        why: String,
    },
    /// Nobody said yes in time.
    TooLate,
    /// The secret of the client.
    Secret(CredentialError),
    /// The place of the token.
    State(StateError),
    /// The file of the token.
    File {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Another process is refreshing the token and does not come to an end.
    Busy {
        /// Who, in its own words.
        holder: String,
    },
    /// The system has no thread for it, or a fault of our own.
    NotDone(NotDone),
}

/// A way to sign in that an account does not have.
#[derive(Debug)]
pub enum MissingWay {
    /// With a browser: nothing says where that begins.
    Browser,
    /// With a browser: it could not come back.
    Redirect,
    /// With a code on another device.
    Device {
        /// The provider, and why it has none, as a clause. None if nothing is known.
        known: Option<(&'static str, &'static str)>,
    },
}

impl OAuthError {
    /// A refusal by its code and the server's words.
    pub(super) fn refused(code: &str, description: Option<&str>) -> Self {
        Self::Refused { code: shown(code), description: description.map(shown).filter(|words| !words.is_empty()) }
    }
}

/// A server's words, escaped and shortened.
pub(super) fn shown(words: &str) -> String {
    const LONGEST: usize = 300;
    let mut text = text::value(&words.chars().take(LONGEST).collect::<String>());
    if words.chars().nth(LONGEST).is_some() {
        text.push('…');
    }
    text
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
            Self::TooLate => f.write_str("nobody completed the sign-in in time"),
            Self::Secret(e) => write!(f, "the client's secret: {e}"),
            Self::State(e) => e.fmt(f),
            Self::File { doing, path, source } => {
                write!(f, "cannot {doing} {}: {source}", text::value(&path.to_string_lossy()))
            }
            Self::Busy { holder } => {
                write!(f, "the token is being refreshed by {}, which does not finish", text::value(holder))
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
