//! What to do about a failed OAuth 2.0 sign-in.

use super::{Step, TRY_LATER, credential, disk, network, state, system};
use crate::account::AccountName;
use crate::command_line::this_program;
use crate::https::{HttpError, HttpProblem};
use crate::net::NetError;
use crate::oauth::OAuthError;
use crate::oauth::error::MissingWay;
use crate::text;

const CHECK_ADDRESSES: &str = "Check the addresses in `oauth2`";

const CHECK_PORT: &str =
    "Check the host and the port in `issuer`, or in `token_endpoint` and the other addresses in `oauth2`";
/// The port of HTTP over TLS.
const HTTPS: u16 = 443;

const BEGIN_AGAIN: &str = "Run the command again";

/// What to do about a sign-in started by hand: nothing retries it.
pub(in crate::advice) fn step_by_hand(error: &OAuthError, account: &AccountName) -> Step {
    let passes = match error {
        OAuthError::Http(HttpError { problem, .. }) => match problem {
            HttpProblem::TimedOut(_) | HttpProblem::Broken(_) | HttpProblem::Status(_) => true,
            HttpProblem::Net(_) | HttpProblem::Address | HttpProblem::NotHttp { .. } | HttpProblem::TooLarge(_) => {
                false
            }
        },
        OAuthError::NotSignedIn { .. }
        | OAuthError::SignInAgain { .. }
        | OAuthError::Refused { .. }
        | OAuthError::Unintelligible { .. }
        | OAuthError::Scope { .. }
        | OAuthError::NoRefreshToken
        | OAuthError::NoClient { .. }
        | OAuthError::NoSuchWay(_)
        | OAuthError::Callback { .. }
        | OAuthError::NotTheAddress
        | OAuthError::TooLate
        | OAuthError::Secret(_)
        | OAuthError::State(_)
        | OAuthError::File { .. }
        | OAuthError::Busy { .. }
        | OAuthError::NotDone(_) => false,
    };
    if passes { Some(format!("Try again later: {}", login(account)).into()) } else { step(error, account) }
}

/// What to do about the sign-in of an account's destination, which is configured in this table.
pub(super) fn step_of_destination(error: &OAuthError, account: &AccountName, table: &str) -> Step {
    step_in(error, account, table, &this_program(&format!("login --forward {account}")))
}

/// What to do; None if nothing has to be done.
pub(in crate::advice) fn step(error: &OAuthError, account: &AccountName) -> Step {
    step_in(error, account, &format!("[accounts.{}]", text::key(account.as_str())), &login(account))
}

/// Does the same for `oauth2` in this table and this command to sign in.
fn step_in(error: &OAuthError, account: &AccountName, table: &str, login: &str) -> Step {
    let words = match error {
        OAuthError::Http(HttpError { problem, .. }) => return http(problem, table),
        OAuthError::Secret(e) => return credential::step(e),
        OAuthError::State(e) => return state::step(e, account),
        OAuthError::Unintelligible { .. } => CHECK_ADDRESSES,
        OAuthError::NotSignedIn { .. } => return Some(format!("Sign in: {login}").into()),
        OAuthError::SignInAgain { .. } => return Some(format!("Sign in again: {login}").into()),
        OAuthError::Refused { code, .. } => refused(code),
        OAuthError::Scope { .. } => {
            "Sign in again and leave every box ticked, and see that the client is allowed to ask for it"
        }
        OAuthError::NoRefreshToken => "Add to `scope` what asks for one (offline_access at many servers)",
        OAuthError::NoClient { registration: Some(how) } => return Some(sentence(how).into()),
        OAuthError::NoClient { registration: None } => {
            "Register one with the provider and set `client_id`, or give `issuer` or `registration_endpoint` where \
             clients may \
             register themselves"
        }
        OAuthError::NoSuchWay(MissingWay::Browser) => "Add `authorization_endpoint`, or use --device",
        OAuthError::NoSuchWay(MissingWay::Redirect) => "Correct `redirect`",
        OAuthError::NoSuchWay(MissingWay::Device { .. }) => {
            "Leave --device out, or use --paste where there is no browser"
        }
        OAuthError::NotTheAddress => "Copy all of it from the address bar",
        OAuthError::Callback { .. } | OAuthError::TooLate => BEGIN_AGAIN,
        OAuthError::File { source, .. } => {
            disk::instead_of_a_file(source).unwrap_or("Check that it can be written and that there is space")
        }
        OAuthError::Busy { .. } | OAuthError::NotDone(_) => TRY_LATER,
    };
    Some(words.into())
}

/// What to do about a request to a server that `oauth2` in this table names.
fn http(problem: &HttpProblem, table: &str) -> Step {
    let words = match problem {
        // What responds there is not an HTTPS server.
        HttpProblem::Net(NetError::NotTls { .. } | NetError::TlsTimeout { .. }) | HttpProblem::NotHttp { .. } => {
            CHECK_PORT
        }
        // The contacted host is not that of the account.
        HttpProblem::Net(NetError::Connect { attempts, .. }) => attempts
            .iter()
            .find_map(|(_, why)| system::step(why))
            .unwrap_or("Check the addresses in `oauth2`, this machine's network, and whether that server is up"),
        // It is the host of an endpoint, which no key may name.
        HttpProblem::Net(NetError::Resolve { .. } | NetError::NoAddress { .. }) => {
            return Some(
                format!("Check its spelling and this machine's network; the endpoints come from `oauth2` in {table}")
                    .into(),
            );
        }
        HttpProblem::Net(e) => return network::step_elsewhere(e, HTTPS, &format!("`oauth2` of {table}")),
        HttpProblem::TimedOut(_) | HttpProblem::Broken(_) | HttpProblem::Status(_) => "It is tried again",
        HttpProblem::Address | HttpProblem::TooLarge(_) => CHECK_ADDRESSES,
    };
    Some(words.into())
}

/// The command that signs in.
fn login(account: &AccountName) -> String {
    this_program(&format!("login {account}"))
}

/// Turns a clause into a sentence.
fn sentence(clause: &str) -> String {
    let mut chars = clause.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// What to do about an error code (RFC 6749, sections 4.1.2.1 and 5.2; RFC 8628, section 3.5).
fn refused(code: &str) -> &'static str {
    match code {
        "access_denied" => "The sign-in was declined, or an administrator must allow the client first",
        "invalid_client" | "unauthorized_client" => {
            "Check `client_id` and `client_secret`, and that the client is registered for this way to sign in"
        }
        "invalid_scope" => "Check `scope`, and that the client is allowed to ask for it",
        "redirect_uri_mismatch" => "Register the address in `redirect` with the client",
        "invalid_redirect_uri" | "invalid_client_metadata" => {
            "Set `client_id` and `redirect` to those of a registered client"
        }
        "expired_token" => "The code has expired: run the command again",
        _ => "Try again; if it persists, check what the client is registered for",
    }
}
