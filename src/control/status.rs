//! What a daemon says of itself: the document behind `mailferry status`, as it travels over the control socket.
//!
//! `mailferry status --json` prints it as it is. Its version grows when a field changes its meaning or goes; new fields
//! may come at any time. Times are seconds since 1970, durations seconds, sizes octets.

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
    /// [`VERSION`].
    pub version: u32,
    /// The program's version.
    pub program: String,
    /// The daemon's process.
    pub pid: u32,
    /// When it began.
    pub started: i64,
    /// The time of this document.
    pub now: i64,
    /// The configuration.
    pub config: String,
    /// The state directory.
    pub state_dir: String,
    /// What is wrong with the configuration as it stands in the file now; the one before it is in force. None: nothing.
    pub config_problem: Option<String>,
    /// How many polls run.
    pub polling: usize,
    /// How many accounts wait for a place.
    pub queued: usize,
    /// The accounts, by name.
    pub accounts: Vec<AccountStatus>,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountStatus {
    /// Its name.
    pub account: String,
    /// Its server.
    pub host: String,
    /// Its Maildir.
    pub maildir: String,
    /// In a word.
    pub state: State,
    /// The last poll's end. None: not since the daemon began.
    pub last_poll: Option<i64>,
    /// The last successful poll.
    pub last_success: Option<i64>,
    /// When the last message came.
    pub last_new_mail: Option<i64>,
    /// The next poll. None: it runs now.
    pub next_poll: Option<i64>,
    /// Why then, in words.
    pub next_poll_why: String,
    /// It is polled often until then, because somebody waits for mail. None: it is not.
    #[serde(default)]
    pub often_until: Option<i64>,
    /// What the poll that runs has delivered so far. None: none runs.
    #[serde(default)]
    pub this_poll: Option<Came>,
    /// What came today.
    pub today: Came,
    /// What ever came.
    pub total: Came,
    /// How many messages the server lists.
    pub on_server: Option<u64>,
    /// How many of those are larger than `max_message_size`.
    pub too_large: u64,
    /// Messages that made trouble.
    pub quarantine: Vec<Quarantine>,
    /// What keeps it from its work. None: nothing.
    pub trouble: Option<Trouble>,
    /// Another mailferry holds it, and not for long yet. None: none does, or it is a trouble by now.
    #[serde(default)]
    pub held: Option<Hold>,
    /// The polls since the daemon began.
    #[serde(default)]
    pub polls: PollCounts,
    /// How long the last poll took, in milliseconds. None: none yet.
    #[serde(default)]
    pub last_poll_milliseconds: Option<u64>,
    /// How many octets it delivered, as they are stored. None: none yet.
    #[serde(default)]
    pub last_poll_octets: Option<u64>,
    /// How many round trips its sessions took, those of connecting and of TLS not counted. None: none yet.
    #[serde(default)]
    pub last_poll_round_trips: Option<u32>,
    /// When the server's certificate expires. None: not known.
    #[serde(default)]
    pub certificate_expires: Option<i64>,
    /// The hours of the last seven days in which something came or failed, the oldest first.
    #[serde(default)]
    pub hours: Vec<Hour>,
    /// The last polls that brought mail or failed, the oldest first.
    #[serde(default)]
    pub recent: Vec<PastPoll>,
    /// Since when it has been waiting for a disk that hangs. None: it does not.
    #[serde(default)]
    pub hung_since: Option<i64>,
    /// The token that it logged in with last. None: it logs in with a password.
    #[serde(default)]
    pub token: Option<Token>,
    /// Where its mail goes on to. None: it stays in the Maildir.
    #[serde(default)]
    pub forward: Option<Forwarding>,
}

impl AccountStatus {
    /// Whether a person should look at it: its polls fail or hang, or its mail does not go on.
    #[must_use]
    pub fn is_in_trouble(&self) -> bool {
        self.is_poll_in_trouble() || self.not_forwarded().is_some()
    }

    /// Whether its polls fail or hang.
    #[must_use]
    pub fn is_poll_in_trouble(&self) -> bool {
        self.trouble.is_some() || self.hung_since.is_some()
    }

    /// Whether nothing is known of it yet: it has not been polled since the daemon began, and was in no trouble before.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.last_poll.is_none() && !self.is_in_trouble() && !self.is_held()
    }

    /// Whether another mailferry holds it, which is no trouble yet.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held.is_some() && !self.is_in_trouble()
    }

    /// How its mail would go on, if it does not get there: something keeps it waiting, or was refused for good.
    #[must_use]
    pub fn not_forwarded(&self) -> Option<&Forwarding> {
        self.forward.as_ref().filter(|forward| forward.set_aside > 0 || forward.is_held_up())
    }
}

/// How mail goes on from the spool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarding {
    /// The destination, in words.
    pub to: String,
    /// Whether it is being tried now.
    pub running: bool,
    /// When it was looked what is in the spool. None: not yet.
    #[serde(default)]
    pub counted: Option<i64>,
    /// How many messages wait, without those that are set aside.
    pub messages: u64,
    /// Their octets.
    pub octets: u64,
    /// When the oldest of them came.
    pub oldest: Option<i64>,
    /// Why they wait. None: they do not have to.
    pub why: Option<String>,
    /// Since when.
    pub since: Option<i64>,
    /// When they are tried again. None: when something comes, or now.
    pub next_try: Option<i64>,
    /// How many have arrived since the daemon began.
    pub forwarded: u64,
    /// When the last one did.
    pub last_forwarded: Option<i64>,
    /// How many are set aside.
    pub set_aside: u64,
    /// The first few of those.
    pub first_set_aside: Vec<SetAside>,
    /// Whether no more is fetched for now, because the spool is full.
    #[serde(default)]
    pub spool_full: bool,
    /// Whether the account forwards nothing any more: what waits stays until somebody decides.
    #[serde(default)]
    pub stranded: bool,
}

impl Forwarding {
    /// Whether something keeps what waits from going on.
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
    /// When the access token came.
    pub renewed: i64,
    /// When it ends, as far as the server told.
    pub access_ends: Option<i64>,
    /// When the sign-in ends, as far as that is known.
    pub sign_in_ends: Option<i64>,
    /// Only a new sign-in puts that off; else every renewal does.
    pub end_is_fixed: bool,
}

/// What an account is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It has not been polled yet.
    New,
    /// It waits for its time, and all is well.
    Idle,
    /// It is being polled.
    Polling,
    /// It is due, and waits for a place.
    Queued,
    /// Its poll has been waiting for a disk for so long that its place was given to others.
    Hung,
    /// Another mailferry holds it, and not for long yet.
    Held,
    /// The last poll did not come to its end.
    Trouble,
}

/// Another mailferry that holds an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Since when polls have found it held.
    pub since: i64,
    /// Who it is.
    pub text: String,
}

/// How many polls there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollCounts {
    /// Those that came to their end.
    pub succeeded: u64,
    /// Those that did not.
    pub failed: u64,
}

/// Messages and their size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Came {
    /// How many.
    pub messages: u64,
    /// Their octets, as they are stored.
    pub octets: u64,
}

/// A message in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// Its unique-id, control characters escaped.
    pub unique_id: String,
    /// Why it is in quarantine.
    pub kind: QuarantineReason,
    /// How often in a row.
    pub times: u32,
    /// It is left alone until then.
    pub until: i64,
}

/// What keeps an account from its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What kind of trouble, as in the list of `docs/operations.md`.
    pub cause: Cause,
    /// How many polls in a row.
    pub times: u32,
    /// Since when.
    pub since: i64,
    /// What happened and what to do about it.
    pub text: String,
}

#[cfg(test)]
pub(crate) mod examples {
    use super::*;

    /// A status of these accounts.
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
            polling: 1,
            queued: 2,
            accounts,
        }
    }

    /// An account that is well.
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
            trouble: None,
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
