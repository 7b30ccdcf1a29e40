//! What a pass of a forwarder did.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::ForwardError;
use super::journal::Ledger;
use super::spool::{self, Spooled};
use crate::account::AccountName;
use crate::state::delivered::Delivery;
use crate::text::Size;

/// So many of the messages that are set aside are named.
const NAMED: usize = 20;

/// So many of them in a sentence.
const IN_A_SENTENCE: usize = 3;

/// What a pass did, whether or not it came to its end.
#[derive(Debug)]
pub struct ForwardReport {
    /// The account.
    pub account: AccountName,
    /// The destination, in words.
    pub to: String,
    /// How many messages arrived there.
    pub forwarded: u64,
    /// Their size in octets, as they are stored.
    pub octets: u64,
    /// What is left.
    pub waiting: Waiting,
    /// The spool could be looked at, and that is what is left; else nobody knows.
    pub is_counted: bool,
    /// How many of those were set aside in this pass.
    pub newly_set_aside: usize,
    /// The first few of those.
    pub first_newly_set_aside: Vec<SetAside>,
    /// Why the first of those came not through that are tried again later.
    pub put_off: Option<ForwardError>,
    /// What ended it was said of one message alone: nothing shows that it holds for another one.
    pub is_of_one: bool,
    /// How long it took.
    pub duration: Duration,
    /// How it ended.
    pub end: Result<(), ForwardError>,
}

/// What is in a spool and was not forwarded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How many messages, without those that are set aside.
    pub messages: u64,
    /// Their octets.
    pub octets: u64,
    /// When the oldest of them was delivered into the spool, in seconds since 1970.
    pub oldest: Option<i64>,
    /// How many the destination refused for good.
    pub set_aside: u64,
    /// The first few of those.
    pub first_set_aside: Vec<SetAside>,
}

/// A message that is not tried any more by itself. It stays in the spool, and on the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// The name of its file in the spool.
    pub name: String,
    /// The POP3 server's name for it, escaped; None if it is not known.
    #[serde(default)]
    pub unique_id: Option<String>,
    /// Its size in octets, as it is stored.
    #[serde(default)]
    pub octets: u64,
    /// When, in seconds since 1970.
    pub since: i64,
    /// Why, in words.
    pub reason: String,
}

impl fmt::Display for SetAside {
    /// Which message it is, and why it is set aside.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, size) = (&self.name, Size(self.octets));
        match &self.unique_id {
            Some(unique_id) => write!(f, "unique-id {unique_id} ({size}, file {name})")?,
            None => write!(f, "file {name} ({size})")?,
        }
        write!(f, ": {}", self.reason)
    }
}

/// What was found at a destination that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probed {
    /// It would take a message.
    Takes,
    /// The mailbox cannot be opened; forwarding tries to make it.
    NoMailboxYet {
        /// What the server says, unless it says just that.
        response: Option<String>,
        /// What stands between two levels at the server, where the name has another sign that often does.
        separator: Option<char>,
    },
    /// The server has no mailboxes of such a name: every message would be refused.
    NoSuchName {
        /// What it says, unless it says only that it is not there.
        response: Option<String>,
        /// What stands between two levels at the server, where the name has another sign that often does.
        separator: Option<char>,
    },
    /// The command is there. It was not run.
    IsThere(PathBuf),
}

impl Waiting {
    /// How many messages are in the spool, those that are set aside among them.
    #[must_use]
    pub fn in_all(&self) -> u64 {
        self.messages.saturating_add(self.set_aside)
    }

    /// One more is set aside.
    pub(super) fn add_set_aside(&mut self, aside: SetAside) {
        self.set_aside = self.set_aside.saturating_add(1);
        if self.first_set_aside.len() < NAMED {
            self.first_set_aside.push(aside);
        }
    }

    /// Of the messages of a spool; `deliveries` name those that are set aside.
    pub(super) fn of<'a>(
        messages: impl Iterator<Item = &'a Spooled>,
        ledger: &Ledger,
        deliveries: &BTreeMap<String, Delivery>,
    ) -> Self {
        let (aside, waiting): (Vec<Spooled>, Vec<Spooled>) = messages
            .filter(|message| !ledger.has_arrived(&message.name))
            .cloned()
            .partition(|message| ledger.is_set_aside(&message.name));
        let sum = spool::waiting(&waiting, ledger);
        let named = aside.iter().take(NAMED).filter_map(|message| {
            let (since, reason) = ledger.get(&message.name)?.set_aside.clone()?;
            Some(SetAside::new(message, deliveries, since, reason))
        });
        Self {
            messages: sum.messages,
            octets: sum.octets,
            oldest: waiting.iter().map(Spooled::delivered).min(),
            set_aside: u64::try_from(aside.len()).unwrap_or(u64::MAX),
            first_set_aside: named.collect(),
        }
    }
}

impl SetAside {
    pub(super) fn new(message: &Spooled, deliveries: &BTreeMap<String, Delivery>, since: i64, reason: String) -> Self {
        let unique_id = deliveries.get(&message.name).and_then(|delivery| delivery.unique_id.clone());
        Self { name: message.name.clone(), unique_id, octets: message.size(), since, reason }
    }

    /// The first of several, each with its own reason, and how many more there are: the end of a sentence.
    #[must_use]
    pub fn listed(first: &[Self], all: u64) -> String {
        let mut named: Vec<String> = first.iter().take(IN_A_SENTENCE).map(ToString::to_string).collect();
        let more = all.saturating_sub(u64::try_from(named.len()).unwrap_or(u64::MAX));
        if more > 0 {
            named.push(format!("and {more} more"));
        }
        named.join("; ")
    }
}

impl ForwardReport {
    pub(crate) fn new(account: AccountName, to: String) -> Self {
        let (waiting, duration, end) = (Waiting::default(), Duration::ZERO, Ok(()));
        let (put_off, is_of_one, is_counted) = (None, false, true);
        Self {
            account,
            to,
            forwarded: 0,
            octets: 0,
            waiting,
            is_counted,
            newly_set_aside: 0,
            first_newly_set_aside: Vec::new(),
            put_off,
            is_of_one,
            duration,
            end,
        }
    }

    /// Why messages wait, if not because they were not begun: what ended the pass, or put the first of them off.
    #[must_use]
    pub fn why_waiting(&self) -> Option<&ForwardError> {
        self.end.as_ref().err().or(self.put_off.as_ref())
    }

    /// Whether there is anything to tell.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.end.is_ok() && self.forwarded == 0 && self.waiting == Waiting::default()
    }
}
