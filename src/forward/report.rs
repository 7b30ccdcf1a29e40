//! What a pass of a forwarder did.

use std::path::PathBuf;
use std::time::Duration;

use super::error::ForwardError;
use super::journal::Ledger;
use super::spool::{self, Spooled};
use crate::account::AccountName;

/// So many of the messages that are set aside are named.
const NAMED: usize = 20;

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
    /// How many of those were set aside in this pass.
    pub newly_set_aside: usize,
    /// Why the first of those came not through that are tried again later.
    pub put_off: Option<ForwardError>,
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

/// A message that the destination refused for good. It stays in the spool, and on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// The name of its file in the spool.
    pub name: String,
    /// When, in seconds since 1970.
    pub since: i64,
    /// Why, in words.
    pub reason: String,
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
    /// The command is there. It was not run.
    IsThere(PathBuf),
}

impl Waiting {
    /// How many messages are in the spool, those that are set aside among them.
    #[must_use]
    pub fn in_all(&self) -> u64 {
        self.messages.saturating_add(self.set_aside)
    }

    pub(super) fn of(messages: &[Spooled], ledger: &Ledger) -> Self {
        let (aside, waiting): (Vec<Spooled>, Vec<Spooled>) = messages
            .iter()
            .filter(|message| !ledger.has_arrived(&message.name))
            .cloned()
            .partition(|message| ledger.is_set_aside(&message.name));
        let sum = spool::waiting(&waiting, ledger);
        let named = aside.iter().take(NAMED).filter_map(|message| {
            let (since, reason) = ledger.get(&message.name)?.set_aside.clone()?;
            Some(SetAside { name: message.name.clone(), since, reason })
        });
        Self {
            messages: sum.messages,
            octets: sum.octets,
            oldest: waiting.first().map(Spooled::delivered),
            set_aside: u64::try_from(aside.len()).unwrap_or(u64::MAX),
            first_set_aside: named.collect(),
        }
    }
}

impl ForwardReport {
    pub(super) fn new(account: AccountName, to: String) -> Self {
        let (waiting, duration, end) = (Waiting::default(), Duration::ZERO, Ok(()));
        Self { account, to, forwarded: 0, octets: 0, waiting, newly_set_aside: 0, put_off: None, duration, end }
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
