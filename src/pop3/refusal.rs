//! What a server means when it refuses: a login, or the maildrop behind a good one.
//!
//! A response code decides (RFC 2449, section 8; RFC 3206). Without one the words do, compared as whole words, so that
//! "blocked" is no lock. Whoever speaks of credentials means them, whatever else is named: a wrong password that is
//! offered again every few minutes gets an account locked.

use super::response::{Response, ResponseCode, Status};

/// Why a server refused, as far as the answer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The user name or the password is wrong, or the account may not use POP3. So is what says nothing else.
    Credentials,
    /// It will not pass, and a person has to act (RFC 3206, section 4): POP3 is switched off, the account is closed.
    Permanent,
    /// It will probably pass: the maildrop is locked, the server is busy, the last login was too short a while ago.
    Temporary,
}

/// Words that speak of credentials, or of an account that is closed to us.
const CREDENTIALS: &[&str] = &[
    "credential",
    "credentials",
    "passwords",
    "passwd",
    "passcode",
    "passphrase",
    "authorization code",
    "authorisation code",
    "authentication failed",
    "authentication failure",
    "authentication failures",
    "authentication unsuccessful",
    "authentication error",
    "authentication required",
    "authentication rejected",
    "authentication denied",
    "not authenticated",
    "authorization failed",
    "authorization failure",
    "authorisation failed",
    "not authorized",
    "not authorised",
    "unauthorized",
    "access denied",
    "permission denied",
    "login incorrect",
    "login invalid",
    "login denied",
    "incorrect login",
    "invalid login",
    "bad login",
    "wrong login",
    "login failures",
    "logon failures",
    "failed login",
    "failed logins",
    "failed logon",
    "failed logons",
    "failed attempt",
    "failed attempts",
    "failed login attempts",
    "bad logins",
    "bad attempts",
    "invalid attempts",
    "unsuccessful attempts",
    "unknown user",
    "invalid user",
    "invalid username",
    "bad user",
    "bad username",
    "wrong user",
    "wrong username",
    "no such user",
    "no such account",
    "no such mailbox",
    "unknown account",
    "user unknown",
    "user not found",
    "account not found",
    "mailbox not found",
    "account abnormal",
    "account is abnormal",
    "enable",
    "enabled",
    "disabled",
    "deactivated",
    "suspended",
    "switched off",
    "turned off",
    "access is locked",
    "access locked",
    "access is blocked",
    "access blocked",
];

/// Words behind "password" with which a part of the server's machinery is meant.
const MACHINERY: &[&str] =
    &["database", "db", "file", "server", "backend", "service", "daemon", "lookup", "lookups", "store", "cache"];

/// Words of an account that somebody has closed, unless a maildrop is named: then that is what is locked.
const CLOSED_ACCOUNT: (&[&str], &[&str]) = (
    &["account", "user", "login", "ip", "address", "access"],
    &["locked", "blocked", "banned", "closed", "expired", "frozen", "denied"],
);

/// What a lock is usually on.
const MAILDROP: &[&str] = &["maildrop", "mailbox", "maildir", "mail drop", "mailfile", "inbox", "spool"];

/// Words with which servers that have no response codes say that the last login was too short a while ago.
const TOO_SOON: &[&str] = &[
    "too frequent",
    "too frequently",
    "too often",
    "login delay",
    "frequency limit",
    "frequency limited",
    "login limit",
    "allowed only every",
    "minimum time between",
];

/// Words of a lock, or of a login that failed inside the server: they go before what only looks like credentials.
const BUSY: &[&str] = &[
    "temporary authentication failure",
    "temporary authentication error",
    "temporary login failure",
    "another session",
    "another process",
    "another connection",
    "another client",
    "other session",
    "in use",
    "already locked",
    "already logged in",
    "already connected",
    "already open",
    "already active",
    "lock busy",
    "too many connections",
    "too many sessions",
    "too many concurrent",
    "too many simultaneous",
];

/// Words with which servers that have no response codes say that it will pass. Servers that do have them are believed.
const PASSING: &[&str] = &[
    "lock",
    "locks",
    "locked",
    "locking",
    "busy",
    "temporary",
    "temporarily",
    "try again",
    "try later",
    "again later",
    "later",
    "too many",
    "unavailable",
    "not available",
    "server error",
    "internal error",
    "system error",
    "internal failure",
    "backend error",
    "backend failure",
    "database error",
    "can't connect",
    "cannot connect",
    "server problem",
    "system problem",
    "opened by",
    "overloaded",
    "maintenance",
    "shutting down",
    "timeout",
    "timed out",
    "exceed",
    "exceeds",
    "exceeded",
    "limit",
    "cannot open",
    "can't open",
    "could not open",
    "couldn't open",
    "unable to open",
    "failed to open",
];

/// Words that say plainly that a command, or what it names, is not there.
const NOT_THERE: &[&str] = &[
    "unknown command",
    "unrecognized command",
    "unrecognised command",
    "unsupported command",
    "unimplemented command",
    "invalid command",
    "illegal command",
    "bad command",
    "command unknown",
    "command unrecognized",
    "command not recognized",
    "command not recognised",
    "command not implemented",
    "command not supported",
    "unknown mechanism",
    "unsupported mechanism",
    "syntax error",
    "bad syntax",
    "protocol error",
];

/// Words of a server that does not know what it was asked for.
const NOT_KNOWN: &[&str] = &[
    "unknown",
    "unrecognized",
    "unrecognised",
    "not recognized",
    "not recognised",
    "not understood",
    "unsupported",
    "not supported",
    "not implemented",
    "unimplemented",
];

/// Words of a server that does not take it, or not in this form.
const NOT_TAKEN: &[&str] = &[
    "not allowed",
    "not permitted",
    "not available",
    "not enabled",
    "disabled",
    "disallowed",
    "invalid",
    "illegal",
    "bad",
    "wrong",
    "no such",
    "too many",
    "unexpected",
];

/// What it does not take.
const ASKED_FOR: &[&str] = &[
    "mechanism",
    "mechanisms",
    "command",
    "method",
    "auth type",
    "authentication type",
    "argument",
    "arguments",
    "parameter",
    "parameters",
    "syntax",
    "initial response",
    "sasl",
    "apop",
];

/// Words of the person: with one of these, "unknown" and "invalid" speak of who logs in, not of how.
const WHO: &[&str] = &["user", "username", "userid", "name", "account", "mailbox", "login", "logon", "credentials"];

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

/// Judges a refusal that came before the login, or behind a good one: there nothing is said of the credentials. None if
/// it says neither that it will pass nor that it will not: it may not know the command, or have nothing to list.
#[must_use]
pub fn judge_access(response: &Response) -> Option<Refusal> {
    match judge_code(response) {
        Some(Refusal::Credentials) => None,
        None => {
            let words = Words::of(&response.text);
            let passes = words.say_to_wait() || words.any(PASSING) || words.any(TOO_SOON);
            let unknown = words.any(NOT_THERE) || words.any(NOT_KNOWN) || words.have("command");
            (passes && !unknown).then_some(Refusal::Temporary)
        }
        coded => coded,
    }
}

/// Whether a refusal says by its code that the maildrop cannot be had, now or at all.
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

/// Whether a refusal says that the last login was too short a while ago (RFC 2449, section 8.1.1).
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

/// Whether a server refused the way to log in rather than who wanted to: it does not know the command, the mechanism, or
/// this form of it, so that no credential was looked at.
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

/// The refusal in something that a server said without being asked, if it is one: what it says before it hangs up.
#[must_use]
pub fn goodbye(excerpt: &str) -> Option<Response> {
    let response = Response::parse(excerpt.as_bytes()).ok()?;
    (response.status == Status::Err && excerpt.starts_with('-')).then_some(response)
}

/// The words of an answer, in lower case, parted and enclosed by single blanks.
struct Words(String);

impl Words {
    fn of(text: &str) -> Self {
        let mut words = String::with_capacity(text.len() + 2);
        words.push(' ');
        // What an address is made of are not the server's words.
        for part in text.split_whitespace().filter(|part| !part.contains("://") && !part.starts_with("www.")) {
            let letters = |c: char| !(c.is_alphanumeric() || c == '\'');
            for word in part.split(letters).filter(|word| !word.is_empty()) {
                words.push_str(&word.to_lowercase());
                words.push(' ');
            }
        }
        Self(words)
    }

    /// Whether any of these words, or rows of words, is there.
    fn any(&self, any: &[&str]) -> bool {
        any.iter().any(|words| self.have(words))
    }

    fn have(&self, words: &str) -> bool {
        self.0.match_indices(words).any(|(at, _)| {
            let before = self.0.get(..at).is_some_and(|text| text.ends_with(' '));
            before && self.0.get(at + words.len()..).is_some_and(|text| text.starts_with(' '))
        })
    }

    /// Whether a password is spoken of, not some machinery for passwords.
    fn name_a_secret(&self) -> bool {
        let words: Vec<&str> = self.0.split_whitespace().collect();
        let next = |at: usize| words.get(at + 1).is_some_and(|word| MACHINERY.contains(word));
        words.iter().enumerate().any(|(at, word)| *word == "password" && !next(at))
            || self.any(&["passwords", "credential", "credentials", "passwd", "passphrase"])
    }

    fn speak_of_credentials(&self) -> bool {
        let (who, what) = CLOSED_ACCOUNT;
        self.name_a_secret() || self.any(CREDENTIALS) || (self.any(who) && self.any(what) && !self.any(MAILDROP))
    }

    /// Whether somebody else is at the maildrop, or the server itself is in trouble.
    fn say_to_wait(&self) -> bool {
        self.any(BUSY)
    }
}

#[cfg(test)]
#[path = "refusal_tests.rs"]
mod tests;
