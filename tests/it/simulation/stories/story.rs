//! What a story is: accounts, and one thing after the other.

use std::fmt;
use std::num::NonZeroU32;

use mailferry::account::{Account, RemovalPolicy};

use super::super::fault::FaultKind;
use super::super::power::Survival;
use super::super::script::{Script, account};
use super::super::server::{Lacking, Manner};
use super::super::sizes::{Lag, Note};
use super::letter::Letter;

/// A story. It goes the same way each time.
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
    /// No more messages are retrieved in one session.
    pub(crate) most: Option<NonZeroU32>,
    /// Larger messages, in octets, stay on the server.
    pub(crate) largest: Option<u64>,
    /// The user says that the server estimates sizes.
    pub(crate) estimates: bool,
}

/// Something that happens. Accounts are told by their places, messages by numbers that are taken modulo how many there
/// are: so a story makes sense without some of its acts, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// A message comes in.
    Mail(usize, Letter),
    /// The rest of a message comes in of which only the beginning was there.
    Grows(usize, usize),
    /// mailferry polls the account, and something goes wrong.
    Poll(usize, Option<Mishap>),
    /// Hours pass. What was written and not synced reaches the disk, or does not.
    Hours(u64, Flushed),
    /// The wall clock is wrong by this many days.
    WrongClock(i64),
    /// The machine boots, in order.
    Reboot,
    /// The power is cut.
    PowerCut(Survival, u64),
    /// A mail reader deals with every nth file in `new/`.
    Reads(usize, Reading, usize),
    /// A mail reader clears old files out of `tmp/`.
    CleansTmp(usize),
    /// Somebody else removes a message from the server.
    Removes(usize, usize),
    /// And puts it back, perhaps under another unique-id.
    PutsBack(usize, usize, Renamed),
    /// The server gives every message another unique-id.
    Renumbers(usize),
    /// From here on, listings leave out every nth message.
    Hides(usize, Lacking, usize),
    /// They are whole again.
    Shows(usize),
    /// The next session goes wrong so.
    Next(usize, Trouble),
    /// From here on, LIST tells the sizes of another moment, or of this one.
    Lags(usize, Option<Lag>),
    /// From here on, something else comes in place of every nth message that is there.
    Notes(usize, usize, Note),
    /// The messages themselves come again.
    Releases(usize),
}

/// Whether time makes durable what nobody synced.
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

/// What happens in the middle of a poll. Where: a share of 65,536 of what the poll would do otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// An operation of the disk meets this.
    Disk(FaultKind, u16, u64),
    /// The connection is cut.
    Cut(u16),
}

/// What goes wrong in a session at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Every TOP is refused.
    RefusesTop,
    /// Every DELE is refused.
    RefusesDele,
    /// RETR of this message is refused.
    RefusesRetr(usize),
    /// QUIT never arrives.
    LosesQuit,
    /// QUIT is obeyed, and its answer never arrives.
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
    /// The accounts as the world has them.
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
        account
    }
}

impl fmt::Display for Character {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, maildir, removal, manner, most, largest, estimates } = self;
        write!(
            f,
            "account {name}: {maildir}, {removal:?}, most {most:?}, largest {largest:?}, estimates {estimates}\n  "
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

    /// The account that it is about.
    pub(crate) fn account(mut self) -> Option<usize> {
        self.place().copied()
    }

    /// The same where an account is left out that it is not about.
    pub(crate) fn without_account(mut self, left_out: usize) -> Self {
        if let Some(account) = self.place().filter(|account| **account > left_out) {
            *account -= 1;
        }
        self
    }
}
