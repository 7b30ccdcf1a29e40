//! What a server means when it refuses a login, or access to the maildrop after a successful one.
//!
//! A response code decides (RFC 2449, section 8; RFC 3206). Without one the text does, compared by whole words, so that
//! "blocked" is not "lock". A text that mentions credentials is about them, whatever else it mentions: a wrong password
//! that is offered again every few minutes gets an account locked.

use super::response::{Response, ResponseCode, Status};
use words::{ASKED_FOR, DOWNLOAD_LIMIT, NOT_KNOWN, NOT_TAKEN, NOT_THERE, PASSING, TOO_SOON, WHO, Words};

mod words;

/// Why a server refused, as far as its answer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The user name or the password is wrong, or the account may not use POP3. Also assumed if the answer shows
    /// nothing else.
    Credentials,
    /// It is permanent, and someone has to act (RFC 3206, section 4): POP3 is disabled, the account is closed.
    Permanent,
    /// It is probably temporary: the maildrop is locked, the server is busy, the login came too soon after the last
    /// one.
    Temporary,
}

/// Judges the answer to PASS, APOP or AUTH.
#[must_use]
pub fn judge_refusal(response: &Response) -> Refusal {
    judge_code(response).unwrap_or_else(|| {
        let words = Words::of(&response.text);
        if words.say_to_wait() && !words.name_a_secret() {
            Refusal::Temporary
        } else if words.speak_of_credentials() {
            Refusal::Credentials
        } else if words.any(PASSING) || words.any(TOO_SOON) {
            Refusal::Temporary
        } else {
            Refusal::Credentials
        }
    })
}

/// Judges a refusal before the login or after a successful one, which says nothing about the credentials. None if it is
/// neither clearly temporary nor permanent: the server may not know the command, or have nothing to list.
#[must_use]
pub fn judge_access(response: &Response) -> Option<Refusal> {
    match judge_code(response) {
        Some(Refusal::Credentials) => None,
        None => {
            let words = Words::of(&response.text);
            // The server itself is denied access, since the login succeeded.
            let shut = words.have("permission denied");
            let passes = words.say_to_wait() || words.any(PASSING) || words.any(TOO_SOON) || shut;
            let unknown = words.any(NOT_THERE) || words.any(NOT_KNOWN) || words.have("command");
            (passes && !unknown).then_some(Refusal::Temporary)
        }
        coded => coded,
    }
}

/// Whether a refusal says by its code that the maildrop is not accessible, now or at all.
#[must_use]
pub fn has_access_code(response: &Response) -> bool {
    judge_code(response).is_some_and(|refusal| refusal != Refusal::Credentials)
}

fn judge_code(response: &Response) -> Option<Refusal> {
    match &response.code {
        Some(ResponseCode::Auth) => Some(Refusal::Credentials),
        Some(ResponseCode::SysPerm) => Some(Refusal::Permanent),
        Some(ResponseCode::InUse | ResponseCode::LoginDelay | ResponseCode::SysTemp) => Some(Refusal::Temporary),
        Some(ResponseCode::Utf8 | ResponseCode::Other(_)) | None => None,
    }
}

/// Whether a refusal says that the login came too soon after the last one (RFC 2449, section 8.1.1).
#[must_use]
pub fn is_too_soon(response: &Response) -> bool {
    match &response.code {
        Some(ResponseCode::LoginDelay) => true,
        None | Some(ResponseCode::Other(_)) => {
            let words = Words::of(&response.text);
            words.any(TOO_SOON) && !words.name_a_secret() && !words.speak_of_credentials()
        }
        Some(_) => false,
    }
}

/// Whether a refused RETR says that no further message is delivered for now, whichever it is.
#[must_use]
pub fn is_download_limit(response: &Response) -> bool {
    Words::of(&response.text).any(DOWNLOAD_LIMIT)
}

/// Whether a server refused the login method rather than the credential: it does not know the command, the mechanism,
/// or this form of it, so no credential was checked.
#[must_use]
pub fn is_unknown_method(response: &Response) -> bool {
    if judge_code(response) == Some(Refusal::Temporary) {
        return false;
    }
    let words = Words::of(&response.text);
    let of_credentials = response.code == Some(ResponseCode::Auth);
    let not_known = !of_credentials && words.any(NOT_KNOWN);
    let not_taken = (words.any(NOT_TAKEN) || words.any(NOT_KNOWN)) && words.any(ASKED_FOR);
    !words.name_a_secret() && (words.any(NOT_THERE) || ((not_known || not_taken) && !words.any(WHO)))
}

/// Returns the refusal in an unsolicited line, if it is one: what a server says before it closes the connection.
#[must_use]
pub fn goodbye(excerpt: &str) -> Option<Response> {
    let response = Response::parse(excerpt.as_bytes()).ok()?;
    (response.status == Status::Err && excerpt.starts_with('-')).then_some(response)
}

#[cfg(test)]
mod tests;
