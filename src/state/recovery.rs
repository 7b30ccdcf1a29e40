//! What is done, at the start of each poll and before the server is asked, about deliveries that a crash interrupted.
//!
//! An intent says: the file was durable in `tmp/` before this was written. So either it is still there, and the delivery
//! is finished now, without the server; or it is gone, and then only the rename can have taken it away.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::entries::{Entry, Intent, KnownMaildir, MaildirNumber};
use super::error::StateError;
use super::store::Store;
use crate::disk::{DirSync, Disk};
use crate::maildir::names::{TmpName, instance_of, without_flags};
use crate::maildir::{Inodes, Maildir};

/// A mail reader may clear files out of `tmp/` after 36 hours (maildir(5)): beyond that age, in seconds, a file that is
/// nowhere proves nothing.
const TMP_CLEARED_AFTER: u64 = 36 * 3600;

/// What recovery did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Deliveries that were finished.
    pub finished: usize,
    /// Deliveries that were found to be finished.
    pub found: usize,
    /// Messages whose file is nowhere: they are retrieved again if the server still has them.
    pub again: usize,
    /// Files in `tmp/` that belonged to nothing and were removed.
    pub remains: usize,
    /// A directory could not be synced because its file system cannot do that.
    pub unsyncable: bool,
}

impl Recovered {
    /// Whether there is anything to tell.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default() || (self.finished + self.found + self.again + self.remains == 0)
    }
}

/// Whether a Maildir that is not the one we knew may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherMaildir {
    /// Stop: a disk may not be mounted.
    Refuse,
    /// The user said that it is right.
    Accept,
}

/// Checks the Maildirs that this state has delivered to, and finishes what was begun. Blocks.
///
/// `configured` is the account's Maildir.
///
/// # Errors
/// [`StateError`]: nothing was concluded, and nothing may be fetched.
pub fn recover(store: &mut Store, configured: &Path, other: OtherMaildir) -> Result<Recovered, StateError> {
    let disk = std::sync::Arc::clone(store.disk());
    let mut known = store.maildirs_with_intents();
    if let Some((number, maildir)) = store.state().maildir_configured_as(configured) {
        known.insert(number, maildir.clone());
    }
    let mut maildirs = BTreeMap::new();
    for (number, maildir) in known {
        match verify(&*disk, &maildir) {
            Ok(good) => {
                maildirs.insert(number, good);
            }
            Err(StateError::MaildirMissing { .. } | StateError::MaildirReplaced { .. })
                if other == OtherMaildir::Accept => {}
            Err(e) => return Err(e),
        }
    }
    finish(store, &*disk, &maildirs)
}

/// The Maildir that the account delivers to, if the state knows it: looked at again, since a disk may go at any time. Blocks.
///
/// # Errors
/// [`StateError`]: it has gone, or another one is in its place.
pub fn known_maildir(store: &Store, configured: &Path) -> Result<Option<Maildir>, StateError> {
    let known = store.state().maildir_configured_as(configured);
    known.map(|(_, known)| verify(&**store.disk(), known)).transpose()
}

/// The Maildir, if it is the one that was delivered to.
fn verify(disk: &dyn Disk, known: &KnownMaildir) -> Result<Maildir, StateError> {
    let missing = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            StateError::MaildirMissing { path: known.configured.clone() }
        }
        _ => StateError::io("look at the Maildir", &known.configured, e),
    };
    let maildir = Maildir::open(disk, &known.resolved).map_err(missing)?;
    let inodes = maildir.inodes(disk).map_err(missing)?;
    let same = inodes == Inodes { tmp: known.tmp_inode, new: known.new_inode };
    let points_there = disk.resolve(&known.configured).map_err(missing)? == known.resolved;
    if same && points_there { Ok(maildir) } else { Err(StateError::MaildirReplaced { path: known.configured.clone() }) }
}

fn finish(
    store: &mut Store,
    disk: &dyn Disk,
    maildirs: &BTreeMap<MaildirNumber, Maildir>,
) -> Result<Recovered, StateError> {
    let mut recovered = Recovered::default();
    if store.state().intents().next().is_some() {
        // The file may be one whose last sync failed: then what was read is not what is on disk. Only a new file is.
        store.rewrite()?;
    }
    // Two numbers may lead to the same directory, so remains are told by the intents of all.
    let expected: HashSet<OsString> =
        store.state().intents().map(|(_, intent)| TmpName::of_published(&intent.file_name).as_str().into()).collect();
    let instance = store.state().identity().instance;
    let (mut published, mut lost) = (Vec::new(), Vec::new());
    for (number, maildir) in maildirs {
        let intents: Vec<(&Entry, &Intent)> = store.state().intents().filter(|(_, i)| i.maildir == *number).collect();
        let place = Place::read(disk, maildir, !intents.is_empty())?;
        for (entry, intent) in &intents {
            match place.settle(disk, &intent.file_name, store.age_at_most(entry) > TMP_CLEARED_AFTER)? {
                Settled::Finished => recovered.finished += 1,
                Settled::Found => recovered.found += 1,
                Settled::Nowhere => {
                    lost.push(entry.id);
                    continue;
                }
            }
            published.push(entry.id);
        }
        if !intents.is_empty() {
            let synced = disk.sync_dir(&maildir.new_dir());
            let synced = synced.map_err(|e| StateError::io("sync", &maildir.new_dir(), e))?;
            recovered.unsyncable |= synced == DirSync::Unsupported;
        }
        recovered.remains += place.remove_remains(disk, instance, &expected)?;
    }
    // With a Maildir that the user told us to take as it is, what was on the way to the old one is fetched again.
    lost.extend(store.state().intents().filter(|(_, i)| !maildirs.contains_key(&i.maildir)).map(|(e, _)| e.id));
    recovered.again = lost.len();
    store.record_published(published)?;
    store.record_forgotten(lost)?;
    Ok(recovered)
}

/// The names in one Maildir.
struct Place<'a> {
    maildir: &'a Maildir,
    tmp: HashSet<OsString>,
    /// Those in `new/` and `cur/`, without the flags of mail readers; empty if nobody asks.
    published: HashSet<Vec<u8>>,
}

enum Settled {
    Finished,
    Found,
    Nowhere,
}

impl<'a> Place<'a> {
    fn read(disk: &dyn Disk, maildir: &'a Maildir, with_published: bool) -> Result<Self, StateError> {
        let list = |dir: &Path| disk.list(dir).map_err(|e| StateError::io("read", dir, e));
        let tmp = list(&maildir.tmp())?.into_iter().collect();
        let mut published = HashSet::new();
        if with_published {
            for dir in [maildir.new_dir(), maildir.cur()] {
                published.extend(list(&dir)?.iter().map(|name| without_flags(name.as_bytes()).to_vec()));
            }
        }
        Ok(Self { maildir, tmp, published })
    }

    /// Finishes one delivery. `cleared` says that a mail reader may have cleared the file out of `tmp/` by now.
    fn settle(&self, disk: &dyn Disk, name: &str, cleared: bool) -> Result<Settled, StateError> {
        let tmp_name = TmpName::of_published(name);
        let tmp_path = self.maildir.tmp().join(tmp_name.as_str());
        let new_path = self.maildir.new_dir().join(name);
        let in_tmp = self.tmp.contains(OsStr::new(tmp_name.as_str()));
        let visible = self.published.contains(name.as_bytes());
        if in_tmp && visible {
            disk.remove(&tmp_path).map_err(|e| StateError::io("remove", &tmp_path, e))?;
            return Ok(Settled::Found);
        }
        if in_tmp {
            disk.rename(&tmp_path, &new_path).map_err(|e| StateError::io("deliver", &new_path, e))?;
            return Ok(Settled::Finished);
        }
        Ok(if !visible && cleared { Settled::Nowhere } else { Settled::Found })
    }

    /// Removes our own files from `tmp/` that no intent speaks of.
    fn remove_remains(
        &self,
        disk: &dyn Disk,
        instance: u64,
        expected: &HashSet<OsString>,
    ) -> Result<usize, StateError> {
        let ours = |name: &&OsString| instance_of(name.as_bytes()) == Some(instance) && !expected.contains(*name);
        let mut removed = 0;
        for name in self.tmp.iter().filter(ours) {
            let path = self.maildir.tmp().join(name);
            match disk.remove(&path) {
                Ok(()) => removed += 1,
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(StateError::io("remove", &path, e)),
            }
        }
        Ok(removed)
    }
}

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;
