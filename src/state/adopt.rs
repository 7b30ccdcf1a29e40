//! Records messages that are known without having been delivered by us: those that another program fetched, and those
//! that a person wants not to be fetched, or to be fetched again. Also backs up a state before a person changes it.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use super::entries::{Entry, Fingerprint, Origin};
use super::error::StateError;
use super::journal::Durability;
use super::proofs::IsFirstSeen;
use super::record::Record;
use super::store::Store;
use crate::disk::{DirSync, Disk};
use crate::ids::EntryId;
use crate::message::Digest;
use crate::pop3::UniqueId;

/// A message to be recorded as known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The server's unique-id for it.
    pub unique_id: UniqueId,
    /// How we came to know it.
    pub known_by: KnownBy,
    /// What distinguishes it from others, as far as known.
    pub fingerprint: Fingerprint,
    /// When it was fetched, in seconds since 1970, for people. None: now.
    pub fetched_at: Option<i64>,
}

/// How we came to know a message that we have not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownBy {
    /// Another program's state says that it was fetched.
    Import,
    /// The same, and the user vouches for those deliveries.
    TrustedImport,
    /// The user said that it must not be fetched.
    User,
}

impl From<KnownBy> for Origin {
    fn from(known_by: KnownBy) -> Self {
        match known_by {
            KnownBy::Import => Self::Imported,
            KnownBy::TrustedImport => Self::Trusted,
            KnownBy::User => Self::Adopted,
        }
    }
}

impl Known {
    /// A message of which only the unique-id is known.
    #[must_use]
    pub fn by_name(unique_id: UniqueId, known_by: KnownBy, fetched_at: Option<i64>) -> Self {
        Self {
            unique_id,
            known_by,
            fingerprint: Fingerprint { reported_size: None, header: None, whole: None },
            fetched_at,
        }
    }
}

impl Store {
    /// Records messages as known; those already known stay as they are. Another program's record has each unique-id
    /// once; what the user said was read from a listing, which may have several messages under one. Durable when this
    /// returns. Blocks.
    ///
    /// Returns how many were new.
    ///
    /// # Errors
    /// Disk errors; [`StateError::Moved`].
    pub(crate) fn record_known(&mut self, messages: Vec<Known>) -> Result<usize, StateError> {
        let mut taken = HashSet::new();
        let (wall, trusted) = (self.mark().reading.wall, self.mark().trusted);
        let mut records = Vec::new();
        let is_new = |known: &Known| {
            let is_another = known.known_by == KnownBy::User || taken.insert(known.unique_id.clone());
            is_another && self.state().ids_of(&known.unique_id).is_empty()
        };
        for (known, id) in messages.into_iter().filter(is_new).zip(self.state().next_id().and_those_behind()) {
            records.push(Record::Entry(Entry {
                id,
                unique_id: Some(known.unique_id),
                origin: known.known_by.into(),
                fingerprint: known.fingerprint,
                delivered_at: known.fetched_at.unwrap_or(wall),
                // Nothing shows how old it is, so its age counts from now.
                delivered_trusted: trusted,
                intent: None,
                removed: false,
                doubt: false,
                absent_since: None,
            }));
        }
        let count = records.len();
        self.ensure_file()?;
        if count > 0 {
            self.append(records, Durability::Now)?;
        }
        Ok(count)
    }

    /// Records that these messages of the spool need not be forwarded any more, and that no policy may delete them on
    /// the server: they count as adopted from now on.
    ///
    /// # Errors
    /// Disk errors.
    pub(crate) fn record_kept(&mut self, kept: &[EntryId]) -> Result<(), StateError> {
        let mut records = Vec::new();
        for (id, new) in kept.iter().zip(self.state().next_id().and_those_behind()) {
            let Some(entry) = self.state().entry(*id) else { continue };
            records.push(Record::Forgotten(vec![*id]));
            records.push(Record::Entry(Entry { id: new, origin: Origin::Adopted, intent: None, ..entry.clone() }));
        }
        if records.is_empty() { Ok(()) } else { self.append(records, Durability::Now) }
    }

    /// Records headers that were seen for the first time.
    ///
    /// # Errors
    /// Disk errors.
    pub(crate) fn record_first_seen<P: IsFirstSeen>(&mut self, seen: &[P]) -> Result<(), StateError> {
        self.record_headers(seen.iter().map(|one| (one.entry(), one.header())).collect())
    }

    pub(super) fn record_headers(&mut self, headers: Vec<(EntryId, Digest)>) -> Result<(), StateError> {
        if headers.is_empty() {
            return Ok(());
        }
        let record = |(id, header)| Record::Fingerprinted { id, header };
        self.append(headers.into_iter().map(record).collect(), Durability::Later)
    }

    /// Marks the remembered headers of these entries as weak, so that no header shows their messages any more. This only
    /// takes evidence away, and needs none.
    ///
    /// # Errors
    /// Disk errors.
    pub(crate) fn weaken_headers(&mut self, ids: &[EntryId]) -> Result<(), StateError> {
        let weakened = |id: &EntryId| Some((*id, self.state().entry(*id)?.fingerprint.header?.weakened()));
        let headers = ids.iter().filter_map(weakened).collect();
        self.record_headers(headers)
    }

    /// Copies the state durably into a file beside it, before a person changes it. None if there is no state yet.
    /// Blocks.
    ///
    /// # Errors
    /// Disk errors.
    pub fn back_up(&self) -> Result<Option<PathBuf>, StateError> {
        /// No state is larger.
        const MOST: u64 = 2 << 30;
        let bytes = match self.disk.read(self.path(), MOST) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(StateError::io("read", self.path(), e)),
        };
        let copy = self.free_name();
        write_whole(&*self.disk, &copy, &bytes).map_err(|e| StateError::io("write", &copy, e))?;
        Ok(Some(copy))
    }

    /// Returns an unused name for a copy.
    fn free_name(&self) -> PathBuf {
        let name = self.path().file_name().unwrap_or_default().to_string_lossy();
        let wall = self.mark().reading.wall;
        let names = (0_u32..)
            .map(|n| if n == 0 { format!("{name}.before-{wall}") } else { format!("{name}.before-{wall}-{n}") });
        let mut paths = names.map(|name| self.path().with_file_name(name));
        let is_free = |path: &PathBuf| matches!(self.disk.status(path), Err(e) if e.kind() == io::ErrorKind::NotFound);
        paths.by_ref().take(1000).find(is_free).unwrap_or_else(|| self.path().with_extension("uids.before"))
    }
}

fn write_whole(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<DirSync> {
    let mut file = disk.create(path)?;
    file.write_all(bytes)?;
    file.sync()?;
    disk.sync_dir(path.parent().unwrap_or(Path::new("/")))
}

#[cfg(test)]
#[path = "adopt_tests.rs"]
mod tests;
