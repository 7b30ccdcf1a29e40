//! Where messages go: the Maildir as the state knows it, made and made known where that is right.

use std::io;
use std::path::{Path, PathBuf};

use super::DeliveryError;
use super::recovery::{OtherMaildir, known_maildir};
use crate::account::{Account, MaildirMode};
use crate::disk::{DirSync, Disk};
use crate::ids::MaildirId;
use crate::ids::MaildirNumber;
use crate::maildir::Maildir;
use crate::state::entries::KnownMaildir;
use crate::state::error::StateError;
use crate::state::store::Store;

/// Where messages are delivered to.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    /// The Maildir.
    pub(crate) maildir: Maildir,
    /// Its path as the configuration has it.
    pub(crate) configured: PathBuf,
    /// Its number in the state.
    pub(crate) number: MaildirNumber,
    /// How many files may be open at the same time.
    pub(crate) most_files: usize,
    /// It is the account's spool: what is delivered there has to be forwarded.
    pub(crate) is_spool: bool,
}

impl Destination {
    /// Makes sure that there is a Maildir and a state for what is to be delivered. The Maildir is made if the state has never
    /// delivered there, or if the user said that one in its place is right; else it may have gone since the poll began, and
    /// would be made below the place of a disk. Blocks.
    pub(crate) fn prepare(
        disk: &dyn Disk,
        store: &mut Store,
        configured: &Path,
        mode: MaildirMode,
        other: OtherMaildir,
        most_files: usize,
    ) -> Result<Self, DeliveryError> {
        let failed = |doing| move |source| DeliveryError::Maildir { doing, path: configured.to_owned(), source };
        let known = match other {
            OtherMaildir::Accept => None,
            OtherMaildir::Refuse => known_maildir(disk, store, configured)?,
        };
        let maildir = match known {
            Some(maildir) => maildir,
            None => Maildir::create(disk, configured, mode).map_err(failed("make the Maildir"))?,
        };
        let id = maildir.lasting_id(disk).map_err(failed("look at the Maildir"))?;
        let number = make_known(disk, store, configured, &maildir, id)?;
        let is_spool = configured == store.spool();
        store.ensure_file()?;
        Ok(Self { maildir, configured: configured.to_owned(), number, most_files, is_spool })
    }
}

/// Remembers a Maildir that is going to be delivered to; written with the next intents. It is durable itself when this
/// returns. Blocks.
///
/// # Errors
/// Those of the disk, and of a state that does not fit itself.
pub fn make_known(
    disk: &dyn Disk,
    store: &mut Store,
    configured: &Path,
    maildir: &Maildir,
    id: MaildirId,
) -> Result<MaildirNumber, StateError> {
    let known = KnownMaildir { configured: configured.to_owned(), resolved: maildir.path().to_owned(), id };
    if let Some((number, same)) = store.state().maildir_configured_as(configured)
        && *same == known
    {
        return Ok(number);
    }
    maildir.sync(disk).map_err(|e| StateError::io("sync", maildir.path(), e))?;
    store.record_maildir(known)
}

/// What the user decided holds from now on, whether or not anything is fetched: the state that is begun, and the Maildir
/// that is there. One that is accepted and not there is made: else the next poll would ask again. Blocks.
///
/// # Errors
/// Those of the disk.
pub(crate) fn keep_decision(
    disk: &dyn Disk,
    store: &mut Store,
    account: &Account,
    other: OtherMaildir,
) -> Result<(), StateError> {
    let maildir = match Maildir::open(disk, &account.maildir) {
        Err(_) if other == OtherMaildir::Accept && !store.state().is_empty() => {
            let make = |e| StateError::io("make the Maildir", &account.maildir, e);
            Some(Maildir::create(disk, &account.maildir, account.maildir_mode).map_err(make)?)
        }
        opened => opened.ok(),
    };
    if let Some(maildir) = maildir {
        let look = |e| StateError::io("look at the Maildir", maildir.path(), e);
        let id = maildir.lasting_id(disk).map_err(look)?;
        make_known(disk, store, &account.maildir, &maildir, id)?;
    }
    store.ensure_file()?;
    store.write_pending()?;
    store.settle()
}

/// What was delivered in earlier sessions is about to be deleted on the server: one more sync of its names and of the
/// state's, which costs nothing where they are durable, and tells where that cannot be. Blocks.
///
/// # Errors
/// Those of the disk.
pub(crate) fn sync_directories(disk: &dyn Disk, store: &Store) -> Result<DirSync, DeliveryError> {
    let mut synced = store.sync_directory()?;
    for (_, known) in store.state().maildirs() {
        let new = known.resolved.join("new");
        match disk.sync_dir(&new) {
            Ok(DirSync::Synced) => {}
            Ok(DirSync::Unsupported) => synced = DirSync::Unsupported,
            // One that is not delivered to any more may be gone; the one that is was looked at when the poll began.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(DeliveryError::Maildir { doing: "sync", path: new, source }),
        }
    }
    Ok(synced)
}

#[cfg(test)]
#[path = "destination_tests.rs"]
mod tests;
