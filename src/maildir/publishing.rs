//! Step 3 of the path of a message: from `tmp/` into `new/`.

use std::io;

use super::Maildir;
use crate::disk::{DirSync, Disk};
use crate::state::entries::EntryId;
use crate::state::store::Recorded;

/// A message that is safe: its bytes, its name in `new/` and our record of it would survive a power cut, as far as the
/// file system can do that at all. Made only by [`publish`].
#[derive(Debug, PartialEq, Eq)]
pub struct Delivered {
    entry: EntryId,
    /// Whether the name in `new/` was synced; not where the file system has no such operation.
    synced: DirSync,
}

impl Delivered {
    /// Which one.
    #[must_use]
    pub fn entry(&self) -> EntryId {
        self.entry
    }

    /// Whether it may be deleted on the server: not where nothing can be made durable.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.synced == DirSync::Synced
    }
}

/// Moves files into `new/` and makes that durable. Blocks.
///
/// # Errors
/// Those of the disk. Nothing is `Delivered` then, and everything is taken up by the recovery of the next poll: the
/// records of the intents are durable.
pub fn publish(disk: &dyn Disk, maildir: &Maildir, batch: Vec<Recorded>) -> io::Result<(Vec<Delivered>, DirSync)> {
    let (tmp, new) = (maildir.tmp(), maildir.new_dir());
    for recorded in &batch {
        disk.rename(&tmp.join(recorded.tmp_name().as_str()), &new.join(recorded.published_name()))?;
    }
    let synced = disk.sync_dir(&new)?;
    Ok((batch.into_iter().map(|recorded| Delivered { entry: recorded.entry(), synced }).collect(), synced))
}
