//! What a pass of a forwarder did.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::ForwardError;
use super::journal::Ledger;
use super::spool::{self, Spooled, Stranded};
use crate::account::AccountName;
use crate::state::delivered::Delivery;
use crate::text::Size;

/// How many of the messages that are set aside are named.
const NAMED: usize = 20;

/// How many of them a sentence names.
const IN_A_SENTENCE: usize = 3;

/// What a pass did, whether or not it was completed.
#[derive(Debug)]
pub struct ForwardReport {
    /// The account.
    pub account: AccountName,
    /// The destination, in words.
    pub to: String,
    /// How many messages arrived there.
    pub forwarded: u64,
    /// Their size as stored, in octets.
    pub octets: u64,
    /// What is left in the spool.
    pub waiting: Waiting,
    /// Whether the spool could be read; if not, `waiting` says nothing.
    pub is_counted: bool,
    /// How many messages were set aside in this pass.
    pub newly_set_aside: usize,
    /// The first few messages that were set aside in this pass.
    pub first_newly_set_aside: Vec<SetAside>,
    /// Why the first message that is tried again later was put off.
    pub put_off: Option<ForwardError>,
    /// The message that [`Self::why_waiting`] is about, if it is about one.
    pub concerns: Option<MessageInSpool>,
    /// Whether the error that ended the pass may concern only the messages that were tried, so that one that comes is
    /// tried at once.
    pub is_of_one: bool,
    /// How long the pass took.
    pub duration: Duration,
    /// How it ended.
    pub end: Result<(), ForwardError>,
}

/// The messages of a spool that have not been forwarded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How many messages wait, without those that are set aside.
    pub messages: u64,
    /// Their size in octets.
    pub octets: u64,
    /// When the oldest of them was delivered into the spool, in seconds since 1970.
    pub oldest: Option<i64>,
    /// How many messages are set aside.
    pub set_aside: u64,
    /// The first few messages that are set aside.
    pub first_set_aside: Vec<SetAside>,
}

/// How the reason begins for a message whose file is not what was delivered.
pub(super) const DAMAGED: &str = "its file in the spool has";

/// A message that is no longer tried automatically. It stays in the spool and on the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// The name of its file in the spool.
    pub name: String,
    /// The unique-id, escaped. None if it is not known.
    #[serde(default)]
    pub unique_id: Option<String>,
    /// Its size as stored, in octets.
    #[serde(default)]
    pub octets: u64,
    /// When it was set aside, in seconds since 1970.
    pub since: i64,
    /// Why it was set aside, in words.
    pub reason: String,
}

impl fmt::Display for SetAside {
    /// Says which message it is and why it is set aside.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, unique_id, octets, reason, .. } = self;
        write!(f, "{}: {reason}", Named { name, unique_id: unique_id.as_deref(), octets: *octets })
    }
}

/// A message in the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageInSpool {
    /// The name of its file.
    pub name: String,
    /// The unique-id, escaped. None if it is not known.
    pub unique_id: Option<String>,
    /// Its size as stored, in octets.
    pub octets: u64,
}

impl MessageInSpool {
    pub(super) fn new(message: &Spooled, deliveries: &BTreeMap<String, Delivery>) -> Self {
        let unique_id = deliveries.get(&message.name).and_then(|delivery| delivery.unique_id.clone());
        Self { name: message.name.clone(), unique_id, octets: message.size() }
    }
}

impl fmt::Display for MessageInSpool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, unique_id, octets } = self;
        Named { name, unique_id: unique_id.as_deref(), octets: *octets }.fmt(f)
    }
}

/// Names a message of the spool: on the POP3 server, and on disk.
struct Named<'a> {
    name: &'a str,
    unique_id: Option<&'a str>,
    octets: u64,
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, size) = (self.name, Size(self.octets));
        match self.unique_id {
            Some(unique_id) => write!(f, "unique-id {unique_id} ({size}, file {name})"),
            None => write!(f, "file {name} ({size})"),
        }
    }
}

/// The finding of a probe at a destination that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probed {
    /// It would accept a message.
    Takes,
    /// The mailbox cannot be opened; forwarding will try to create it.
    NoMailboxYet {
        /// What the server says, unless that is only that the mailbox does not exist.
        response: Option<String>,
        /// The server's hierarchy separator, if the name has another character that is a common separator.
        separator: Option<char>,
    },
    /// The server can have no mailbox with this name: every message would be refused.
    NoSuchName {
        /// What the server says, unless that is only that the mailbox does not exist.
        response: Option<String>,
        /// The server's hierarchy separator, if the name has another character that is a common separator.
        separator: Option<char>,
    },
    /// The command exists. It was not run.
    IsThere(PathBuf),
}

impl Waiting {
    /// Returns how many messages are in the spool, including those that are set aside.
    #[must_use]
    pub fn in_all(&self) -> u64 {
        self.messages.saturating_add(self.set_aside)
    }

    /// Returns what it is if the account no longer forwards.
    #[must_use]
    pub fn stranded(&self, state_dir: &Path, account: &AccountName) -> Stranded {
        Stranded {
            spool: state_dir.join(account.spool()),
            messages: self.in_all(),
            octets: self.octets,
            oldest: self.oldest.unwrap_or_default(),
        }
    }

    /// Adds a message that is set aside.
    pub(super) fn add_set_aside(&mut self, aside: SetAside) {
        self.set_aside = self.set_aside.saturating_add(1);
        if self.first_set_aside.len() < NAMED {
            self.first_set_aside.push(aside);
        }
    }

    /// Counts the messages of a spool. `deliveries` has the unique-ids of those that are set aside.
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
        let MessageInSpool { name, unique_id, octets } = MessageInSpool::new(message, deliveries);
        Self { name, unique_id, octets, since, reason }
    }

    /// Whether its file is not what was delivered: then only the POP3 server has the message whole.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.reason.starts_with(DAMAGED)
    }

    /// Lists the first few of several, each with its own reason, and says how many more there are: the end of a
    /// sentence.
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

/// Returns `why` where the destination `to` has just been named.
#[must_use]
pub fn without_name<'a>(why: &'a str, to: &str) -> Cow<'a, str> {
    match why.strip_prefix(to).filter(|rest| rest.starts_with(' ')) {
        Some(rest) => format!("it{rest}").into(),
        None => why.into(),
    }
}

impl ForwardReport {
    pub(crate) fn new(account: AccountName, to: String) -> Self {
        let (waiting, duration, end) = (Waiting::default(), Duration::ZERO, Ok(()));
        let (put_off, concerns, is_of_one, is_counted) = (None, None, false, true);
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
            concerns,
            is_of_one,
            duration,
            end,
        }
    }

    /// Returns why messages still wait, other than for lack of time: the error that ended the pass, or the one that put
    /// the first message off.
    #[must_use]
    pub fn why_waiting(&self) -> Option<&ForwardError> {
        self.end.as_ref().err().or(self.put_off.as_ref())
    }

    /// Says why mail is not forwarded, and to where. An error of a command names the command, which is named once.
    #[must_use]
    pub fn told(&self, why: &str) -> String {
        format!("forwarding to {}: {}", self.to, without_name(why, &self.to))
    }

    /// Returns the account's name and how many messages arrived, for a daemon that has not seen it. None if none did.
    #[must_use]
    pub fn count_for_daemon(&self) -> Option<(String, u64)> {
        (self.forwarded > 0).then(|| (self.account.to_string(), self.forwarded))
    }

    /// Whether there is anything to tell.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.end.is_ok() && self.forwarded == 0 && self.waiting == Waiting::default()
    }
}
