//! The spool: a Maildir in the state directory, whose messages wait to be forwarded.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::journal::{Ledger, journal_file, look};
use crate::account::{AccountName, SpoolBounds};
use crate::disk::{Dir, Disk};
use crate::maildir::Maildir;
use crate::maildir::names::{instance_of, without_flags};
use crate::state::error::StateError;
use crate::state::store::Store;

/// How full a spool is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpoolUse {
    /// The number of messages.
    pub messages: u64,
    /// Their size in octets.
    pub octets: u64,
}

/// A message of a spool.
#[derive(Debug, Clone)]
pub(super) struct Spooled {
    /// The name of its file at delivery, by which it is known.
    pub(super) name: String,
    /// The directory of its file.
    pub(super) dir: Dir,
    /// The current name of its file: a mail reader may have added flags.
    pub(super) file: OsString,
}

impl Spooled {
    /// Returns when it was delivered, in seconds since 1970, from its name.
    pub(super) fn delivered(&self) -> i64 {
        self.name.split('.').next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0)
    }

    /// Returns its size in bytes, from its name.
    pub(super) fn size(&self) -> u64 {
        size_in(&self.name)
    }

    /// Returns a sort key: the first delivered comes first.
    pub(super) fn order(&self) -> (i64, u64, u64) {
        let middle = self.name.split('.').nth(1).unwrap_or_default();
        let number = |letter: char| {
            let digits = middle.split_once(letter).map(|(_, rest)| rest).unwrap_or_default();
            let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
            digits.get(..end).and_then(|digits| digits.parse().ok()).unwrap_or(0)
        };
        (self.delivered(), number('M'), number('Q'))
    }
}

/// Returns the size, in bytes, of a file that was delivered under this name.
fn size_in(name: &str) -> u64 {
    name.rsplit_once(",S=").and_then(|(_, size)| size.parse().ok()).unwrap_or(0)
}

/// Messages in the spool of an account that no longer forwards. Until somebody decides, they stay there and on the
/// server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranded {
    /// The spool.
    pub spool: PathBuf,
    /// How many messages there are.
    pub messages: u64,
    /// Their size in octets.
    pub octets: u64,
    /// When the oldest was delivered into the spool, in seconds since 1970.
    pub oldest: i64,
}

impl Stranded {
    /// Reads it from the account's state. None if no message waits.
    #[must_use]
    pub fn of(store: &Store) -> Option<Self> {
        let mut waiting = store.state().spooled();
        let (first, intent) = waiting.next()?;
        let begun =
            Self { spool: store.spool(), messages: 1, octets: size_in(&intent.file_name), oldest: first.delivered_at };
        Some(waiting.fold(begun, |sum, (_, intent)| Self {
            messages: sum.messages.saturating_add(1),
            octets: sum.octets.saturating_add(size_in(&intent.file_name)),
            ..sum
        }))
    }
}

/// Opens the spool of an account. None if there is none yet.
pub(super) fn open(disk: &dyn Disk, path: &Path) -> Result<Option<Maildir>, StateError> {
    match Maildir::open(disk, path) {
        Ok(maildir) => Ok(Some(maildir)),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(StateError::io("look at the spool", path, e)),
    }
}

/// Lists the messages of a spool that mailferry delivered, in the order of delivery. Blocks.
pub(super) fn messages(disk: &dyn Disk, spool: &Maildir) -> Result<Vec<Spooled>, StateError> {
    let mut by_name: BTreeMap<String, Spooled> = BTreeMap::new();
    for dir in [spool.new_dir(), spool.cur()] {
        for file in disk.list_in(dir).map_err(|e| StateError::io("read", dir.path(), e))? {
            let Ok(name) = String::from_utf8(without_flags(file.as_bytes()).to_vec()) else { continue };
            if instance_of(name.as_bytes()).is_some() {
                let spooled = Spooled { name: name.clone(), dir: dir.clone(), file };
                by_name.entry(name).or_insert(spooled);
            }
        }
    }
    let mut messages: Vec<Spooled> = by_name.into_values().collect();
    messages.sort_by_key(Spooled::order);
    Ok(messages)
}

/// Lists the messages in the spool of an account, in the order of delivery. None if there is no spool. Blocks.
pub(super) fn messages_of(
    disk: &dyn Disk,
    state_dir: &Path,
    account: &AccountName,
) -> Result<Option<Vec<Spooled>>, StateError> {
    let spool = open(disk, &state_dir.join(format!("{account}.spool")))?;
    spool.map(|spool| messages(disk, &spool)).transpose()
}

/// Counts those of these messages that have not been forwarded.
pub(super) fn waiting(messages: &[Spooled], ledger: &Ledger) -> SpoolUse {
    let waiting = messages.iter().filter(|message| !ledger.has_arrived(&message.name));
    waiting.fold(SpoolUse::default(), |sum, message| SpoolUse {
        messages: sum.messages.saturating_add(1),
        octets: sum.octets.saturating_add(message.size()),
    })
}

/// Returns how full the spool of an account is, without forwarded messages. Messages that are set aside have an
/// allowance of their own, the default size of a spool: they stay until somebody does something, and new mail must not
/// wait for that. Blocks.
///
/// # Errors
/// Those of the disk, and a damaged journal.
pub fn spool_use(disk: &dyn Disk, state_dir: &Path, account: &AccountName) -> Result<SpoolUse, StateError> {
    let Some(messages) = messages_of(disk, state_dir, account)? else { return Ok(SpoolUse::default()) };
    let ledger = look(disk, &journal_file(state_dir, account))?.unwrap_or_default();
    Ok(counted(messages, ledger.ledger()))
}

/// Counts what is in the spool of an account, for display: the messages that wait, and those that are set aside.
/// Blocks.
///
/// # Errors
/// Those of the disk, and a damaged journal.
pub fn spool_contents(
    disk: &dyn Disk,
    state_dir: &Path,
    account: &AccountName,
) -> Result<(SpoolUse, SpoolUse), StateError> {
    let Some(spool) = open(disk, &state_dir.join(format!("{account}.spool")))? else { return Ok(Default::default()) };
    let durable = look(disk, &journal_file(state_dir, account))?.unwrap_or_default();
    let ledger = durable.ledger();
    let (aside, others): (Vec<Spooled>, Vec<Spooled>) =
        messages(disk, &spool)?.into_iter().partition(|message| ledger.is_set_aside(&message.name));
    Ok((waiting(&others, ledger), waiting(&aside, ledger)))
}

/// Counts what fills the spool: the messages that wait, and those set aside beyond their own allowance.
fn counted(messages: Vec<Spooled>, ledger: &Ledger) -> SpoolUse {
    let (aside, others): (Vec<Spooled>, Vec<Spooled>) =
        messages.into_iter().partition(|message| ledger.is_set_aside(&message.name));
    let (aside, others, room) = (waiting(&aside, ledger), waiting(&others, ledger), SpoolBounds::default());
    SpoolUse {
        messages: others.messages.saturating_add(aside.messages.saturating_sub(room.messages)),
        octets: others.octets.saturating_add(aside.octets.saturating_sub(room.octets)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::FileId;

    #[test]
    fn messages_are_in_the_order_of_their_delivery() {
        let dir = Dir::new(Path::new("/x"), FileId { device: 1, inode: 1 }, None);
        let spooled = |name: &str| Spooled { name: name.to_owned(), dir: dir.clone(), file: name.into() };
        let name = |seconds, micros, count| {
            spooled(&format!("{seconds}.M{micros}P9Q{count}_mf-00000000000000aa-00000001.h,S=7"))
        };
        let mut all = [name(10, 5, 1), name(9, 90, 3), name(10, 5, 0), name(9, 100, 2)];
        all.sort_by_key(Spooled::order);
        let orders: Vec<_> = all.iter().map(Spooled::order).collect();
        assert_eq!(orders, [(9, 90, 3), (9, 100, 2), (10, 5, 0), (10, 5, 1)]);
        assert_eq!((all[0].delivered(), all[0].size()), (9, 7));
        assert_eq!((spooled("odd").delivered(), spooled("odd").size()), (0, 0));
    }
}
