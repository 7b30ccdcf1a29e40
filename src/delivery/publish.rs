//! Step 3 of the path of a message: giving the file in `tmp/` a second name in `new/`.
//!
//! The name in `tmp/` is removed only once the journal durably records the delivery. Until then the file itself shows
//! whether it was delivered, wherever a mail reader has moved it: a file in `tmp/` with a second name was, one with a
//! single name was not. Where the second name could not be made, that is recorded, since others may make one later.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;

use super::Entered;
use super::not_linked::is_linked;
use super::record::Recorded;
use crate::disk::{Dir, DirSync, Disk, has_no_links};
use crate::ids::{EntryId, MaildirNumber};
use crate::maildir::names::TmpName;
use crate::maildir::{Maildir, os};
use crate::message::StoredSize;
use crate::state::error::StateError;
use crate::state::proofs::IsPublished;
use crate::state::store::Store;

/// A message that is in the Maildir: its bytes, its name in `new/` and our record of it survive a power cut, as far as
/// the file system allows. Made only by [`publish`].
#[derive(Debug)]
pub struct Delivered<T> {
    message: Entered<T>,
    /// The `tmp/` of each of its Maildirs, which holds its first name.
    tmps: Vec<Dir>,
    /// False where the file system cannot sync a directory: the message is in `new/`, but may be lost in a power cut.
    durable: bool,
}

impl<T> Delivered<T> {
    /// The entry of the message.
    #[must_use]
    pub fn entry(&self) -> EntryId {
        self.message.entry
    }

    /// The name of its file in `new/`.
    #[must_use]
    pub fn file_name(&self) -> &str {
        &self.message.published_name
    }

    /// The `tmp/` of each Maildir that it is in.
    #[must_use]
    pub fn tmp_dirs(&self) -> &[Dir] {
        &self.tmps
    }

    /// The size of its file.
    #[must_use]
    pub fn size(&self) -> StoredSize {
        self.message.size
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &T {
        &self.message.payload
    }

    /// Whether the message waits in a spool: it may be deleted on the server only once it is forwarded.
    #[must_use]
    pub fn is_spooled(&self) -> bool {
        self.message.spooled
    }

    /// Whether the message would survive a power cut, so that it may be deleted on the server.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.durable
    }
}

impl<T> IsPublished for Delivered<T> {
    fn entry(&self) -> EntryId {
        self.message.entry
    }

    fn in_tmp(&self) -> impl Iterator<Item = (&Dir, &OsStr)> {
        self.tmps.iter().map(|tmp| (tmp, os(self.message.tmp_name.as_str())))
    }
}

/// Step 4 of the path of a message: records that these are delivered. Once that is durable, [`Store::remove_finished`]
/// removes their names in `tmp/`.
///
/// # Errors
/// Disk errors. Nothing is lost then: recovery finds the deliveries again.
pub fn record_delivered<T>(store: &mut Store, delivered: &[Delivered<T>]) -> Result<(), StateError> {
    store.record_published(delivered)
}

/// The outcome of a batch.
#[derive(Debug)]
pub struct Published<T> {
    /// The messages that are in the Maildir.
    pub delivered: Vec<Delivered<T>>,
    /// The messages whose file in `tmp/` was gone: something else took it, and nothing shows where it went. They were
    /// not delivered, and their intents are to be forgotten.
    pub vanished: Vec<EntryId>,
    /// The messages that wait for Maildirs that failed, and those of their Maildirs into which they were not linked.
    pub not_linked: Vec<(EntryId, Vec<MaildirNumber>)>,
    /// Whether the file systems can make a name durable.
    pub synced: DirSync,
    /// The Maildirs that could not take all of their messages, and why. Those messages are not delivered.
    pub failed: Vec<(MaildirNumber, io::Error)>,
}

/// Gives the files of one Maildir their names in `new/` and makes these durable. Blocks.
///
/// # Errors
/// Disk errors. Then nothing is `Delivered`; the intents are durable, and the next poll's recovery finishes the
/// deliveries.
pub fn publish<T>(disk: &dyn Disk, maildir: &Maildir, batch: Vec<Recorded<T>>) -> io::Result<Published<T>> {
    let mut published = publish_into(disk, &|_| Some(maildir), &[], batch);
    match published.failed.pop() {
        Some((_, error)) => Err(error),
        None => Ok(published),
    }
}

/// Does the same for several Maildirs. Messages for one that is `broken` or fails here are left to the next poll's
/// recovery. Blocks.
pub(crate) fn publish_into<'a, T>(
    disk: &dyn Disk,
    maildir: &dyn Fn(MaildirNumber) -> Option<&'a Maildir>,
    broken: &[MaildirNumber],
    batch: Vec<Recorded<T>>,
) -> Published<T> {
    let (mut named, mut vanished, mut failed) = (Vec::with_capacity(batch.len()), Vec::new(), Vec::new());
    let mut not_linked = Vec::new();
    for recorded in batch {
        if recorded.maildirs().any(|number| broken.contains(&number) || has(&failed, number)) {
            not_linked.push((recorded.entry(), recorded.maildirs().collect()));
            continue;
        }
        match give_names(disk, maildir, &recorded) {
            Ok(()) => named.push(recorded),
            Err((_, e)) if e.kind() == io::ErrorKind::NotFound => vanished.push(recorded.entry()),
            Err((number, e)) => {
                not_linked.push((recorded.entry(), lacking_name(disk, maildir, &recorded, number)));
                failed.push((number, e));
            }
        }
    }
    named.retain(|recorded| !recorded.maildirs().any(|number| has(&failed, number)));
    let used: BTreeSet<MaildirNumber> = named.iter().flat_map(Recorded::maildirs).collect();
    let mut unsyncable = Vec::new();
    for number in used {
        match known(maildir(number)).and_then(|maildir| disk.sync_open_dir(maildir.new_dir())) {
            Ok(DirSync::Synced) => {}
            Ok(DirSync::Unsupported) => unsyncable.push(number),
            Err(e) => failed.push((number, e)),
        }
    }
    let synced = if unsyncable.is_empty() { DirSync::Synced } else { DirSync::Unsupported };
    named.retain(|recorded| !recorded.maildirs().any(|number| has(&failed, number)));
    let delivered = named.into_iter().map(|recorded| {
        let durable = !recorded.maildirs().any(|number| unsyncable.contains(&number));
        let tmps = recorded.maildirs().filter_map(maildir).map(|maildir| maildir.tmp().clone()).collect();
        Delivered { message: recorded.into_entered(), tmps, durable }
    });
    Published { delivered: delivered.collect(), vanished, not_linked, synced, failed }
}

fn has(failed: &[(MaildirNumber, io::Error)], number: MaildirNumber) -> bool {
    failed.iter().any(|(failed, _)| *failed == number)
}

/// Gives a message its name in each of its Maildirs.
fn give_names<'a, T>(
    disk: &dyn Disk,
    maildir: &dyn Fn(MaildirNumber) -> Option<&'a Maildir>,
    recorded: &Recorded<T>,
) -> Result<(), (MaildirNumber, io::Error)> {
    recorded.maildirs().try_for_each(|number| {
        let given = known(maildir(number))
            .and_then(|maildir| give_name(disk, maildir, recorded.tmp_name(), recorded.published_name()));
        given.map_err(|e| (number, e))
    })
}

/// Returns the Maildirs in which a message has no name, if this one failed to give it.
fn lacking_name<'a, T>(
    disk: &dyn Disk,
    maildir: &dyn Fn(MaildirNumber) -> Option<&'a Maildir>,
    recorded: &Recorded<T>,
    failed: MaildirNumber,
) -> Vec<MaildirNumber> {
    let (tmp_name, name) = (recorded.tmp_name(), recorded.published_name());
    let rest = recorded.maildirs().skip_while(|number| *number != failed);
    rest.filter(|number| !maildir(*number).is_some_and(|maildir| is_linked(disk, maildir, tmp_name, name))).collect()
}

/// Without the Maildir nothing gets a name, and the message is not delivered.
fn known(maildir: Option<&Maildir>) -> io::Result<&Maildir> {
    maildir.ok_or_else(|| io::Error::other("its Maildir is none of those that the session delivers to"))
}

/// Gives a file in `tmp/` its name in `new/`: a second one, or its only one where the file system has no hard links.
///
/// # Errors
/// Disk errors; `NotFound` if the file is not in `tmp/`, `AlreadyExists` if another file has the name.
pub(crate) fn give_name(disk: &dyn Disk, maildir: &Maildir, tmp_name: &TmpName, name: &str) -> io::Result<()> {
    let (tmp, new) = (maildir.tmp(), maildir.new_dir());
    let (tmp_name, name) = (os(tmp_name.as_str()), os(name));
    match disk.link(tmp, tmp_name, new, name) {
        // Another process of ours, on a copy of this state, may have been faster. If it is the same file, that is fine.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let (ours, there) = (disk.status_in(tmp, tmp_name)?, disk.status_in(new, name)?);
            if ours.id == there.id { Ok(()) } else { Err(e) }
        }
        Err(e) if has_no_links(&e) => disk.rename_in(tmp, tmp_name, new, name),
        linked => linked,
    }
}
