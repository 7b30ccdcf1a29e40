//! The words with which servers refuse, and how they are found.

/// Words about credentials, or about an account that is closed to us.
pub(super) const CREDENTIALS: &[&str] = &[
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
    "login rejected",
    "incorrect logins",
    "invalid logins",
    "unsuccessful login",
    "unsuccessful logins",
    "wrong logins",
    "failed authentication",
    "failed authentications",
    "failed auth",
    "bad authentication",
    "auth failed",
    "auth failure",
    // Only in the plural: an error of the server itself is a "failure".
    "failures",
    "locked out",
    "brute force",
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
    "incorrect attempts",
    "wrong attempts",
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

/// Words after "password" that refer to the server's machinery.
pub(super) const MACHINERY: &[&str] =
    &["database", "db", "file", "server", "backend", "service", "daemon", "lookup", "lookups", "store", "cache"];

/// Words about an account that was closed, unless a maildrop is mentioned: then that is what is locked.
pub(super) const CLOSED_ACCOUNT: (&[&str], &[&str]) = (
    &["account", "user", "login", "ip", "address", "access"],
    &["locked", "blocked", "banned", "closed", "expired", "frozen", "denied"],
);

/// Words for what a lock is usually on.
pub(super) const MAILDROP: &[&str] = &["maildrop", "mailbox", "maildir", "mail drop", "mailfile", "inbox", "spool"];

/// Words with which servers without response codes say that the login came too soon after the last one.
pub(super) const TOO_SOON: &[&str] = &[
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

/// Words of a download limit. That a single message exceeds something is not one.
pub(super) const DOWNLOAD_LIMIT: &[&str] = &[
    "download exceed",
    "download exceeds",
    "download exceeded",
    "exceed download",
    "exceeded download",
    "download limit",
    "download quota",
    "daily limit",
    "daily quota",
    "bandwidth limit",
    "bandwidth limits",
    "traffic limit",
    "traffic quota",
];

/// Words about a lock, or about a login that failed inside the server: they take precedence over words that only look
/// like credentials.
pub(super) const BUSY: &[&str] = &[
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

/// Words with which servers without response codes describe a temporary problem. Servers with response codes are
/// believed.
pub(super) const PASSING: &[&str] = &[
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
    "quota",
    "mailbox full",
    "mailbox is full",
    "disk full",
    "no space left",
    "cannot open",
    "can't open",
    "could not open",
    "couldn't open",
    "unable to open",
    "failed to open",
];

/// Words that plainly say that a command, or what it refers to, does not exist.
pub(super) const NOT_THERE: &[&str] = &[
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

/// Words of a server that does not know what was asked.
pub(super) const NOT_KNOWN: &[&str] = &[
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

/// Words of a server that does not accept something, or not in this form.
pub(super) const NOT_TAKEN: &[&str] = &[
    "not allowed",
    "not permitted",
    "not available",
    "unavailable",
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

/// What it does not accept.
pub(super) const ASKED_FOR: &[&str] = &[
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

/// Words about the user: with one of these, "unknown" and "invalid" are about who logs in, not about how.
pub(super) const WHO: &[&str] =
    &["user", "username", "userid", "name", "account", "mailbox", "login", "logon", "credentials"];

/// The words of an answer in lower case, separated and surrounded by single blanks.
pub(super) struct Words(String);

impl Words {
    pub(super) fn of(text: &str) -> Self {
        let mut words = String::with_capacity(text.len() + 2);
        words.push(' ');
        // The parts of a URL are not the server's words.
        for part in text.split_whitespace().filter(|part| !part.contains("://") && !part.starts_with("www.")) {
            let letters = |c: char| !(c.is_alphanumeric() || c == '\'');
            for word in part.split(letters).filter(|word| !word.is_empty()) {
                words.push_str(&word.to_lowercase());
                words.push(' ');
            }
        }
        Self(words)
    }

    /// Whether any of these words or phrases occurs.
    pub(super) fn any(&self, any: &[&str]) -> bool {
        any.iter().any(|words| self.have(words))
    }

    pub(super) fn have(&self, words: &str) -> bool {
        self.0.match_indices(words).any(|(at, _)| {
            let before = self.0.get(..at).is_some_and(|text| text.ends_with(' '));
            before && self.0.get(at + words.len()..).is_some_and(|text| text.starts_with(' '))
        })
    }

    /// Whether a password is mentioned, and not some machinery for passwords.
    pub(super) fn name_a_secret(&self) -> bool {
        let words: Vec<&str> = self.0.split_whitespace().collect();
        let next = |at: usize| words.get(at + 1).is_some_and(|word| MACHINERY.contains(word));
        words.iter().enumerate().any(|(at, word)| *word == "password" && !next(at))
            || self.any(&["passwords", "credential", "credentials", "passwd", "passphrase"])
    }

    pub(super) fn speak_of_credentials(&self) -> bool {
        let (who, what) = CLOSED_ACCOUNT;
        self.name_a_secret() || self.any(CREDENTIALS) || (self.any(who) && self.any(what) && !self.any(MAILDROP))
    }

    /// Whether the maildrop is in use, or the server itself has a problem.
    pub(super) fn say_to_wait(&self) -> bool {
        self.any(BUSY)
    }
}
