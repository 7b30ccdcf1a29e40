//! A story: accounts, and a sequence of acts.

use std::fmt;
use std::num::NonZeroU32;

use mailferry::account::{Account, RemovalPolicy};

use super::super::fault::FaultKind;
use super::super::power::Survival;
use super::super::script::{Script, account};
use super::super::server::{Lacking, Manner};
use super::super::sizes::{Lag, Note};
use super::letter::{Letter, leaves_bulk};

/// A story. It is played the same way each time.
#[derive(Debug, Clone)]
pub(crate) struct Story {
    pub(crate) accounts: Vec<Character>,
    pub(crate) acts: Vec<Act>,
}

/// An account and its server.
#[derive(Debug, Clone)]
pub(crate) struct Character {
    pub(crate) name: String,
    pub(crate) maildir: String,
    pub(crate) removal: RemovalPolicy,
    pub(crate) manner: Manner,
    /// The maximum number of messages retrieved in one session.
    pub(crate) most: Option<NonZeroU32>,
    /// Messages larger than this, in octets, stay on the server.
    pub(crate) largest: Option<u64>,
    /// Whether the user has said that the server estimates sizes.
    pub(crate) estimates: bool,
    /// Whether a rule leaves some of the mail on the server.
    pub(crate) skips: bool,
}

/// Something that happens. Accounts are given by index, messages by numbers modulo their count, so that a story still
/// makes sense without some of its acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// A message arrives.
    Mail(usize, Letter),
    /// The rest of an incomplete message arrives.
    Grows(usize, usize),
    /// mailferry polls the account, perhaps with a fault.
    Poll(usize, Option<Mishap>),
    /// Hours pass. What was written and not synced reaches the disk, or does not.
    Hours(u64, Flushed),
    /// The wall clock is wrong by this many days.
    WrongClock(i64),
    /// The machine reboots in order.
    Reboot,
    /// The power is cut.
    PowerCut(Survival, u64),
    /// A mail reader handles every nth file in `new/`.
    Reads(usize, Reading, usize),
    /// A mail reader removes old files from `tmp/`.
    CleansTmp(usize),
    /// Somebody else removes a message from the server.
    Removes(usize, usize),
    /// They put it back, perhaps under another unique-id.
    PutsBack(usize, usize, Renamed),
    /// The server gives every message another unique-id.
    Renumbers(usize),
    /// From now on, listings omit every nth message.
    Hides(usize, Lacking, usize),
    /// Listings are complete again.
    Shows(usize),
    /// The next session has this fault.
    Next(usize, ServerFault),
    /// From now on, LIST reports the sizes of another moment, or of this one.
    Lags(usize, Option<Lag>),
    /// From now on, something else is sent in place of every nth message that is there.
    Notes(usize, usize, Note),
    /// The messages themselves are sent again.
    Releases(usize),
}

/// Whether what was not synced becomes durable with time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flushed {
    Yes,
    No,
}

/// Whether a message comes back under another unique-id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renamed {
    Yes,
    No,
}

/// What happens during a poll; when is given as a share, in 1/65,536, of what the poll would do otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// An operation of the disk meets this fault.
    Disk(FaultKind, u16, u64),
    /// The connection is cut.
    Cut(u16),
}

/// The faults of a session on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerFault {
    /// Every TOP is refused.
    RefusesTop,
    /// Every DELE is refused.
    RefusesDele,
    /// RETR of this message is refused.
    RefusesRetr(usize),
    /// QUIT is lost.
    LosesQuit,
    /// QUIT is obeyed, but its answer is lost.
    LosesGoodbye,
}

/// What a mail reader does to a file in `new/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Moves it into `cur/`.
    Opens,
    /// Moves it to another place.
    Files,
    /// Deletes it.
    Deletes,
}

impl Story {
    /// Returns the accounts in the form of the world.
    pub(crate) fn script(&self) -> Script {
        let accounts = self.accounts.iter().map(|character| (character.account(), character.manner)).collect();
        Script { name: "a story", accounts, acts: Vec::new() }
    }
}

impl Character {
    fn account(&self) -> Account {
        let mut account = account(&self.name, &self.maildir, self.removal);
        account.max_messages_per_session = self.most;
        account.max_message_size = self.largest;
        account.sizes_are_estimates = self.estimates;
        if self.skips {
            account.routing = leaves_bulk();
        }
        account
    }
}

impl fmt::Display for Character {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, maildir, removal, manner, most, largest, estimates, skips } = self;
        write!(
            f,
            "account {name}: {maildir}, {removal:?}, most {most:?}, largest {largest:?}, estimates {estimates}, skips {skips}\n  "
        )?;
        write!(f, "{manner:?}")
    }
}

impl Act {
    fn place(&mut self) -> Option<&mut usize> {
        match self {
            Self::Mail(account, _)
            | Self::Grows(account, _)
            | Self::Poll(account, _)
            | Self::Reads(account, ..)
            | Self::CleansTmp(account)
            | Self::Removes(account, _)
            | Self::PutsBack(account, ..)
            | Self::Renumbers(account)
            | Self::Hides(account, ..)
            | Self::Shows(account)
            | Self::Lags(account, _)
            | Self::Notes(account, ..)
            | Self::Releases(account)
            | Self::Next(account, _) => Some(account),
            Self::Hours(..) | Self::WrongClock(_) | Self::Reboot | Self::PowerCut(..) => None,
        }
    }

    /// Returns the account that it is about.
    pub(crate) fn account(mut self) -> Option<usize> {
        self.place().copied()
    }

    /// Returns the act for a story without the account `left_out`, which it must not be about.
    pub(crate) fn without_account(mut self, left_out: usize) -> Self {
        if let Some(account) = self.place().filter(|account| **account > left_out) {
            *account -= 1;
        }
        self
    }
}
