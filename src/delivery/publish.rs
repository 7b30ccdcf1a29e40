//! Step 3 of the path of a message: from `tmp/` into `new/`, by a second name.
//!
//! The name in `tmp/` goes only after the journal says, durably, that this was done. Until then the file itself shows
//! whether it was delivered, wherever a mail reader has moved it: a file in `tmp/` with a second name was, one without
//! was not.

use std::ffi::OsStr;
use std::io;

use super::Entered;
use super::record::Recorded;
use crate::disk::{Dir, DirSync, Disk, has_no_links};
use crate::ids::EntryId;
use crate::maildir::names::TmpName;
use crate::maildir::{Maildir, os};
use crate::state::store::IsPublished;

/// A message that is in the Maildir: its bytes, its name in `new/` and our record of it would survive a power cut, if the
/// file system can do that at all. Made only by [`publish`].
#[derive(Debug)]
pub struct Delivered<T> {
    message: Entered<T>,
    /// The Maildir's `tmp/`, where its first name is.
    tmp: Dir,
    /// False where the file system cannot sync a directory: then it is in `new/`, and a power cut may take it away.
    durable: bool,
    /// It is in a spool, and has to be forwarded before it counts as delivered.
    spooled: bool,
}

impl<T> Delivered<T> {
    /// Which one.
    #[must_use]
    pub fn entry(&self) -> EntryId {
        self.message.entry
    }

    /// The name of its file in `new/`.
    #[must_use]
    pub fn file_name(&self) -> &str {
        &self.message.published_name
    }

    /// How many bytes it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.message.size
    }

    /// What it carries.
    #[must_use]
    pub fn payload(&self) -> &T {
        &self.message.payload
    }

    /// Whether it waits in a spool: then it may be deleted on the server only once it is forwarded.
    #[must_use]
    pub fn is_spooled(&self) -> bool {
        self.spooled
    }

    /// The same in a spool.
    pub(super) fn in_spool(self) -> Self {
        Self { spooled: true, ..self }
    }

    /// Whether it would survive a power cut, so that it may be deleted on the server.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.durable
    }
}

impl<T> IsPublished for Delivered<T> {
    fn entry(&self) -> EntryId {
        self.message.entry
    }

    fn in_tmp(&self) -> (&Dir, &OsStr) {
        (&self.tmp, os(self.message.tmp_name.as_str()))
    }
}

/// What came of a batch.
#[derive(Debug)]
pub struct Published<T> {
    /// Those that are in the Maildir.
    pub delivered: Vec<Delivered<T>>,
    /// Those whose file in `tmp/` was gone: somebody else took it, and nothing tells where to. They were not delivered, and
    /// their intents are to be forgotten.
    pub vanished: Vec<EntryId>,
    /// Whether the file system can make a name durable.
    pub synced: DirSync,
}

/// Gives the files their names in `new/` and makes that durable. Blocks.
///
/// # Errors
/// Those of the disk. Nothing is `Delivered` then, and everything is taken up by the recovery of the next poll: the
/// records of the intents are durable.
pub fn publish<T>(disk: &dyn Disk, maildir: &Maildir, batch: Vec<Recorded<T>>) -> io::Result<Published<T>> {
    let (mut named, mut vanished) = (Vec::with_capacity(batch.len()), Vec::new());
    for recorded in batch {
        match give_name(disk, maildir, recorded.tmp_name(), recorded.published_name()) {
            Ok(()) => named.push(recorded),
            Err(e) if e.kind() == io::ErrorKind::NotFound => vanished.push(recorded.entry()),
            Err(e) => return Err(e),
        }
    }
    let synced = disk.sync_open_dir(maildir.new_dir())?;
    let durable = synced == DirSync::Synced;
    let delivered = named.into_iter().map(|recorded| {
        let (message, tmp) = (recorded.into_entered(), maildir.tmp().clone());
        Delivered { message, tmp, durable, spooled: false }
    });
    Ok(Published { delivered: delivered.collect(), vanished, synced })
}

/// Gives a file in `tmp/` its name in `new/`: a second one, or its only one where the file system has no links.
///
/// # Errors
/// Those of the disk; `NotFound` if the file is not in `tmp/`, `AlreadyExists` if another file has the name.
pub(crate) fn give_name(disk: &dyn Disk, maildir: &Maildir, tmp_name: &TmpName, name: &str) -> io::Result<()> {
    let (tmp, new) = (maildir.tmp(), maildir.new_dir());
    let (tmp_name, name) = (os(tmp_name.as_str()), os(name));
    match disk.link(tmp, tmp_name, new, name) {
        // Another process of ours, on a copy of this state, may have been quicker. It is the same file all the same.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let (ours, there) = (disk.status_in(tmp, tmp_name)?, disk.status_in(new, name)?);
            if ours.id == there.id { Ok(()) } else { Err(e) }
        }
        Err(e) if has_no_links(&e) => disk.rename_in(tmp, tmp_name, new, name),
        linked => linked,
    }
}
