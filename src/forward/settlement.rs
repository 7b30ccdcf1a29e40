//! Copies what was forwarded into the account's state. Only then may a message be deleted on the server and its file be
//! removed.

use std::collections::HashSet;
use std::io;

use super::journal::{DurableLedger, Forwarded, look};
use super::spool::{self, Spooled};
use crate::delivery::recovery::OtherMaildirPolicy;
use crate::disk::{DirSync, Disk};
use crate::maildir::Maildir;
use crate::state::entries::{EntryId, Intent};
use crate::state::error::StateError;
use crate::state::store::Store;

/// What a settlement did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settled {
    /// How many messages were forwarded since the last settlement.
    pub forwarded: usize,
    /// How many messages were taken out of the spool by somebody else. They are fetched again if the server still has
    /// them.
    pub lost: usize,
    /// How many files were removed.
    pub removed: usize,
}

/// Copies into the state what the forwarder's journal says. The steps, each durable before the next: the journal, the
/// records in the state, the removal of the files. Only after that does the forwarder forget a message. If the user
/// accepts that a spool is gone, the messages in it are fetched again. Blocks.
///
/// # Errors
/// Those of the disk, and a damaged journal. Nothing is lost then: the next settlement continues.
pub fn settle(disk: &dyn Disk, store: &mut Store, other: OtherMaildirPolicy) -> Result<Settled, StateError> {
    let is_any_spooled = store.state().spooled().next().is_some();
    let path = store.spool();
    let maildir = spool::open(disk, &path)?;
    if maildir.is_none() && is_any_spooled && other == OtherMaildirPolicy::Refuse {
        return Err(StateError::MaildirMissing { path });
    }
    let ledger = look(disk, &store.path().with_extension("forward"))?.unwrap_or_default();
    let messages = match &maildir {
        Some(maildir) => spool::messages(disk, maildir)?,
        None => Vec::new(),
    };
    if !is_any_spooled && messages.is_empty() {
        return Ok(Settled::default());
    }
    let there: HashSet<&str> = messages.iter().map(|message| message.name.as_str()).collect();
    let forwarded: Vec<Forwarded> = store.state().spooled().filter_map(|(entry, _)| ledger.forwarded(entry)).collect();
    let is_lost = |intent: &Intent| !ledger.has_arrived(&intent.file_name) && !there.contains(&*intent.file_name);
    let lost: Vec<EntryId> =
        store.state().spooled().filter(|(_, intent)| is_lost(intent)).map(|(entry, _)| entry.id).collect();
    let was_there = |intent: &Intent| ledger.was_there(&intent.file_name);
    let kept: Vec<EntryId> =
        store.state().spooled().filter(|(_, intent)| was_there(intent)).map(|(entry, _)| entry.id).collect();
    let mut settled = Settled { forwarded: forwarded.len() + kept.len(), lost: lost.len(), removed: 0 };
    store.record_forwarded(&forwarded)?;
    store.record_kept(&kept)?;
    store.record_forgotten(lost)?;
    store.settle()?;
    if let Some(maildir) = &maildir {
        settled.removed = remove(disk, store, maildir, &messages, &ledger)?;
    }
    Ok(settled)
}

/// Removes the files of forwarded messages, durably. Returns how many there were.
fn remove(
    disk: &dyn Disk,
    store: &Store,
    maildir: &Maildir,
    messages: &[Spooled],
    ledger: &DurableLedger,
) -> Result<usize, StateError> {
    let under_way: HashSet<&str> = store.state().intents().map(|(_, intent)| intent.file_name.as_str()).collect();
    let mut removed = 0;
    for message in messages.iter().filter(|message| ledger.has_arrived(&message.name)) {
        if under_way.contains(message.name.as_str()) {
            continue;
        }
        match disk.remove_in(&message.dir, &message.file) {
            Ok(()) => removed += 1,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(StateError::io("remove", &message.dir.path().join(&message.file), e)),
        }
    }
    if removed > 0 {
        for dir in [maildir.new_dir(), maildir.cur()] {
            let _: DirSync = disk.sync_open_dir(dir).map_err(|e| StateError::io("sync", dir.path(), e))?;
        }
    }
    Ok(removed)
}

#[cfg(test)]
#[path = "settlement_tests.rs"]
mod tests;
