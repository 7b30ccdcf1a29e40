//! Why there is no token, and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::account::AccountName;
use crate::credential::{CredentialError, printable};
use crate::exit::ExitStatus;
use crate::https::{HttpError, HttpProblem};
use crate::state::error::StateError;
use crate::threads::NotDone;

/// Why there is no token. Every message ends with the next step.
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
        /// How one gets it, as a clause.
        how: String,
    },
    /// There is no such way to sign in here.
    NoSuchWay {
        /// Why not, with the other ways.
        why: String,
    },
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

impl OAuthError {
    /// The exit status that tells a script about it.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Http(HttpError { problem: HttpProblem::Net(e), .. }) => e.exit_status(),
            Self::Http(e) if e.is_temporary() => ExitStatus::Temporary,
            Self::Busy { .. } | Self::NotDone(_) => ExitStatus::Temporary,
            Self::Secret(e) if e.is_temporary() => ExitStatus::Temporary,
            Self::Http(_) | Self::Unintelligible { .. } => ExitStatus::Protocol,
            Self::NoClient { .. } | Self::NoSuchWay { .. } | Self::Secret(_) => ExitStatus::Config,
            Self::State(e) => e.exit_status(),
            Self::File { .. } => ExitStatus::Local,
            Self::NotSignedIn { .. }
            | Self::SignInAgain { .. }
            | Self::Refused { .. }
            | Self::Scope { .. }
            | Self::NoRefreshToken
            | Self::Callback { .. }
            | Self::TooLate => ExitStatus::Auth,
        }
    }

    /// Whether it may well pass without anybody doing anything.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self.exit_status(), ExitStatus::Temporary)
    }

    /// A refusal by its code and the server's words.
    pub(super) fn refused(code: &str, description: Option<&str>) -> Self {
        Self::Refused { code: shown(code), description: description.map(shown).filter(|words| !words.is_empty()) }
    }
}

/// A server's words, escaped and shortened.
pub(super) fn shown(words: &str) -> String {
    const LONGEST: usize = 300;
    let mut text = printable(&words.chars().take(LONGEST).collect::<String>());
    if words.chars().nth(LONGEST).is_some() {
        text.push('…');
    }
    text
}

fn sign_in(account: &AccountName) -> String {
    crate::command_line::this_program(&format!("login {account}"))
}

impl fmt::Display for OAuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSignedIn { account } => {
                write!(f, "nobody has signed in to this account yet; do it by: {}", sign_in(account))
            }
            Self::SignInAgain { account, why } => {
                write!(f, "the sign-in of this account has ended: {why}. Sign in again by: {}", sign_in(account))
            }
            Self::Http(e) => {
                write!(f, "no token could be had: {e}")?;
                f.write_str(if e.is_temporary() { ". It is tried again" } else { "; check the addresses in `oauth2`" })
            }
            Self::Refused { code, description } => {
                write!(f, "the authorization server refused: {code}")?;
                if let Some(description) = description {
                    write!(f, " ({description})")?;
                }
                write!(f, "; {}", advice(code))
            }
            Self::Unintelligible { what, why } => {
                write!(f, "what the authorization server sent is not {what}: {why}; check the addresses in `oauth2`")
            }
            Self::Scope { missing } => write!(
                f,
                "the authorization server granted less than was asked for: {missing} is missing, so nothing was kept; sign in \
                 again and leave every box ticked, and see that the client is allowed to ask for it"
            ),
            Self::NoRefreshToken => f.write_str(
                "the authorization server gave no refresh token, so the sign-in would end within the hour, and nothing was \
                 kept; let `scope` hold what asks for one (offline_access at many servers)",
            ),
            Self::NoClient { how } => write!(f, "there is no `client_id` for this account; {how}"),
            Self::NoSuchWay { why } => f.write_str(why),
            Self::Callback { why } => write!(f, "the sign-in was not completed: {why}; begin again"),
            Self::TooLate => f.write_str("nobody said yes in time; begin again"),
            Self::Secret(e) => write!(f, "the client's secret: {e}"),
            Self::State(e) => e.fmt(f),
            Self::File { doing, path, source } => {
                let path = printable(&path.to_string_lossy());
                write!(f, "cannot {doing} {path}: {source}; see that there is room and that it can be written")
            }
            Self::Busy { holder } => {
                write!(f, "the token is being refreshed by {} and that does not end; try again later", printable(holder))
            }
            Self::NotDone(e) => write!(f, "{e}; try again"),
        }
    }
}

/// What to do about a code (RFC 6749, sections 4.1.2.1 and 5.2; RFC 8628, section 3.5).
fn advice(code: &str) -> &'static str {
    match code {
        "access_denied" => "whoever was asked said no, or an administrator must allow the client first",
        "invalid_client" | "unauthorized_client" => {
            "check `client_id` and `client_secret`, and that the client is registered for this way to sign in"
        }
        "invalid_scope" => "check `scope`, and that the client is allowed to ask for it",
        "redirect_uri_mismatch" => "register the address in `redirect` with the client",
        "invalid_redirect_uri" | "invalid_client_metadata" => {
            "set `client_id` and `redirect` to those of a registered client"
        }
        "expired_token" => "the code has expired; begin again",
        _ => "begin again, and if it stays so, check what the client is registered for",
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
