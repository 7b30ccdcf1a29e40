//! The daemon's status: the document behind `mailferry status`, as sent over the control socket.
//!
//! `mailferry status --json` prints it unchanged. Its version is increased when a field changes its meaning or is
//! removed; new fields may be added at any time. Times are in seconds since 1970, durations in seconds, sizes in
//! octets.

use serde::{Deserialize, Serialize};

use crate::account_history::{Hour, PastPoll};
pub use crate::forward::SetAside;
use crate::schedule::Cause;
use crate::state::entries::QuarantineReason;

/// The version of the document.
pub const VERSION: u32 = 2;

/// A daemon and its accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The version of the document's format: [`VERSION`].
    pub version: u32,
    /// The version of the running program.
    pub program: String,
    /// The daemon's process ID.
    pub pid: u32,
    /// When it started.
    pub started: i64,
    /// When this document was made.
    pub now: i64,
    /// The path of the configuration.
    pub config: String,
    /// The path of the state directory.
    pub state_dir: String,
    /// What is wrong with the configuration file now; the previous configuration is in force. None: nothing.
    pub config_problem: Option<String>,
    /// Spools in which mail waits although their accounts are not configured any more.
    #[serde(default)]
    pub unclaimed_spools: Vec<UnclaimedSpool>,
    /// How many polls are running.
    pub polling: usize,
    /// How many accounts wait for a place.
    pub queued: usize,
    /// The accounts, ordered by name.
    pub accounts: Vec<AccountStatus>,
}

/// A spool whose account is not configured any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnclaimedSpool {
    /// The name of the account.
    pub account: String,
    /// How many messages wait.
    pub messages: u64,
    /// Where they are, and what to do about it.
    pub text: String,
}

/// An account, what it is doing and how its polls went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountStatus {
    /// The name of the account.
    pub account: String,
    /// The server, as configured.
    pub host: String,
    /// The path of its Maildir.
    pub maildir: String,
    /// What it is doing, in a word.
    pub state: State,
    /// When the last poll ended. None: not since the daemon started.
    pub last_poll: Option<i64>,
    /// When the last successful poll ended.
    pub last_success: Option<i64>,
    /// When the last message was retrieved.
    pub last_new_mail: Option<i64>,
    /// When it is polled next. None: now.
    pub next_poll: Option<i64>,
    /// Why at that time, in words.
    pub next_poll_why: String,
    /// Until when it is polled often, because the user waits for mail. None: it is not.
    #[serde(default)]
    pub often_until: Option<i64>,
    /// What the running poll has delivered so far. None: none is running.
    #[serde(default)]
    pub this_poll: Option<Came>,
    /// What was delivered today.
    pub today: Came,
    /// What was ever delivered.
    pub total: Came,
    /// How many messages the server lists.
    pub on_server: Option<u64>,
    /// How many of those are larger than `max_message_size`.
    pub too_large: u64,
    /// Messages that caused problems.
    pub quarantine: Vec<Quarantine>,
    /// What keeps it from working. None: nothing.
    #[serde(rename = "trouble")]
    pub failure: Option<Failure>,
    /// Another mailferry that holds it, so far only briefly. None: there is none, or this counts as a failure by now.
    #[serde(default)]
    pub held: Option<Hold>,
    /// The polls since the daemon started.
    #[serde(default)]
    pub polls: PollCounts,
    /// How long the last poll took, in milliseconds. None: none yet.
    #[serde(default)]
    pub last_poll_milliseconds: Option<u64>,
    /// How many octets it delivered, as stored. None: there was none yet.
    #[serde(default)]
    pub last_poll_octets: Option<u64>,
    /// How many round trips its sessions took, not counting those of TCP and TLS. None: there was none yet.
    #[serde(default)]
    pub last_poll_round_trips: Option<u32>,
    /// When the server's certificate expires. None: unknown.
    #[serde(default)]
    pub certificate_expires: Option<i64>,
    /// The hours of the last seven days in which mail was delivered or a poll failed, oldest first.
    #[serde(default)]
    pub hours: Vec<Hour>,
    /// The last polls that retrieved mail or failed, oldest first.
    #[serde(default)]
    pub recent: Vec<PastPoll>,
    /// Since when it has been waiting for a disk that hangs. None: it does not.
    #[serde(default)]
    pub hung_since: Option<i64>,
    /// The token of its last login. None: it uses a password.
    #[serde(default)]
    pub token: Option<Token>,
    /// Where its mail is forwarded. None: it stays in the Maildir.
    #[serde(default)]
    pub forward: Option<Forwarding>,
}

impl AccountStatus {
    /// Whether the user should look at it: its polls fail or hang, or its mail is not forwarded.
    #[must_use]
    pub fn is_in_trouble(&self) -> bool {
        self.is_poll_in_trouble() || self.not_forwarded().is_some()
    }

    /// Whether its polls fail or hang.
    #[must_use]
    pub fn is_poll_in_trouble(&self) -> bool {
        self.failure.is_some() || self.hung_since.is_some()
    }

    /// Whether nothing is known about it yet: it has not been polled since the daemon started, and was not in trouble
    /// before.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.last_poll.is_none() && !self.is_in_trouble() && !self.is_held()
    }

    /// Whether another mailferry holds it, which is no failure yet.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held.is_some() && !self.is_in_trouble()
    }

    /// Returns its forwarding, if mail does not get through: it is held up, or was rejected for good.
    #[must_use]
    pub fn not_forwarded(&self) -> Option<&Forwarding> {
        self.forward.as_ref().filter(|forward| forward.set_aside > 0 || forward.is_held_up())
    }
}

/// The forwarding of mail from the spool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarding {
    /// The destination, in words.
    pub to: String,
    /// Whether a pass is running.
    pub running: bool,
    /// When the messages in the spool were counted. None: not yet.
    #[serde(default)]
    pub counted: Option<i64>,
    /// How many messages wait, not counting those set aside.
    pub messages: u64,
    /// Their total size in octets.
    pub octets: u64,
    /// When the oldest of them was retrieved.
    pub oldest: Option<i64>,
    /// Why they wait. None: they are not held up.
    pub why: Option<String>,
    /// Since when they are held up.
    pub since: Option<i64>,
    /// When they are tried again. None: when something arrives, or now.
    pub next_try: Option<i64>,
    /// How many messages the destination has accepted since the daemon started.
    pub forwarded: u64,
    /// When it accepted the last one.
    pub last_forwarded: Option<i64>,
    /// How many are set aside.
    pub set_aside: u64,
    /// The first few of these.
    pub first_set_aside: Vec<SetAside>,
    /// Whether retrieval is suspended because the spool is full.
    #[serde(default)]
    pub spool_full: bool,
    /// Whether the account no longer forwards: what waits stays until the user decides.
    #[serde(default)]
    pub stranded: bool,
}

impl Forwarding {
    /// Whether something holds up what waits.
    #[must_use]
    pub fn is_held_up(&self) -> bool {
        self.messages > 0 && self.why.is_some()
    }
}

/// An OAuth 2.0 sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// When the user signed in.
    pub signed_in: i64,
    /// When the access token was received.
    pub renewed: i64,
    /// When the access token expires, as far as the server said.
    pub access_ends: Option<i64>,
    /// When the sign-in expires, as far as known.
    pub sign_in_ends: Option<i64>,
    /// Whether only a new sign-in extends that; otherwise every renewal does.
    pub end_is_fixed: bool,
}

/// What an account is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It has not been polled yet.
    New,
    /// It waits for its time, without problems.
    Idle,
    /// It is being polled.
    Polling,
    /// It is due, and waits for a place.
    Queued,
    /// Its poll has been waiting for a disk for so long that its place was given to others.
    Hung,
    /// Another mailferry holds it, so far only briefly.
    Held,
    /// The last poll failed.
    #[serde(rename = "trouble")]
    Failing,
}

/// Another mailferry that holds an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Since when polls have found it held.
    pub since: i64,
    /// Who holds it, as far as known.
    pub text: String,
}

/// How many polls there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollCounts {
    /// How many succeeded.
    pub succeeded: u64,
    /// How many failed.
    pub failed: u64,
}

/// A number of messages and their size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Came {
    /// How many messages.
    pub messages: u64,
    /// Their total size in octets, as stored.
    pub octets: u64,
}

/// A message in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// Its unique-id, with control characters escaped.
    pub unique_id: String,
    /// Why it is in quarantine.
    pub kind: QuarantineReason,
    /// How often in a row it failed.
    pub times: u32,
    /// Until when it is skipped.
    pub until: i64,
}

/// What keeps an account from working.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The cause, as listed in `docs/operations.md`.
    pub cause: Cause,
    /// How many polls in a row have failed.
    pub times: u32,
    /// When the first of them failed.
    pub since: i64,
    /// What happened and what to do about it.
    pub text: String,
}

#[cfg(test)]
pub(crate) mod examples {
    use super::*;

    /// A status with these accounts.
    pub(crate) fn status(accounts: Vec<AccountStatus>) -> Status {
        Status {
            version: VERSION,
            program: "1".into(),
            pid: 7,
            started: 0,
            now: 90_000,
            config: String::new(),
            state_dir: String::new(),
            config_problem: None,
            unclaimed_spools: Vec::new(),
            polling: 1,
            queued: 2,
            accounts,
        }
    }

    /// An account without problems.
    pub(crate) fn account(name: &str) -> AccountStatus {
        AccountStatus {
            account: name.into(),
            host: "pop.example.org".into(),
            maildir: format!("/home/jo/Mail/{name}"),
            state: State::Idle,
            last_poll: Some(940),
            last_success: Some(940),
            often_until: None,
            last_new_mail: None,
            next_poll: Some(1240),
            next_poll_why: "in 4 min, as configured".into(),
            today: Came { messages: 1, octets: 2048 },
            total: Came { messages: 20, octets: 4 << 20 },
            on_server: Some(7),
            too_large: 0,
            hung_since: None,
            held: None,
            this_poll: None,
            token: None,
            forward: None,
            quarantine: Vec::new(),
            failure: None,
            polls: PollCounts::default(),
            last_poll_milliseconds: None,
            last_poll_octets: None,
            last_poll_round_trips: None,
            certificate_expires: None,
            hours: Vec::new(),
            recent: Vec::new(),
        }
    }
}
