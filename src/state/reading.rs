//! A `.uids` file, read into what it says.

use std::io;
use std::path::Path;

use super::entries::{Inconsistent, UidState};
use super::error::StateError;
use super::journal::{self, BadJournal, Contents};
use super::record::Record;
use crate::disk::Disk;

/// No `.uids` file is larger, in bytes: ten million messages.
const MAX_FILE: u64 = 2 << 30;

/// What was read from a file.
pub(super) struct Loaded {
    /// What it says.
    pub(super) state: UidState,
    /// How far the file goes.
    pub(super) contents: Contents,
    /// How many deliveries stand there as begun and as finished.
    pub(super) settled: usize,
}

/// The octets of the usual line about a message.
const LINE: usize = 128;

/// Reads a file, if there is one.
pub(super) fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Loaded>, StateError> {
    let bytes = match disk.read(path, MAX_FILE) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StateError::io("read", path, e)),
    };
    let (mut state, mut settled): (Option<UidState>, usize) = (None, 0);
    let contents = journal::parse(&bytes, |record| match (&mut state, record) {
        (None, Record::Header(identity)) => {
            state.insert(UidState::new(identity)).reserve(bytes.len() / LINE);
            Ok(())
        }
        (None, _) => Err(Unreadable::Journal(BadJournal::NotOurs)),
        (Some(state), record) => {
            if let Record::Published(ids) = &record {
                settled = settled.saturating_add(ids.len());
            }
            state.apply(record).map_err(Unreadable::Inconsistent)
        }
    });
    let unreadable = |e| match e {
        Unreadable::Journal(bad) => StateError::journal(path, bad),
        Unreadable::Inconsistent(e) => StateError::inconsistent(path, e),
    };
    let contents = contents.map_err(unreadable)?;
    let state = state.ok_or_else(|| StateError::journal(path, BadJournal::NotOurs))?;
    Ok(Some(Loaded { state, contents, settled }))
}

/// Why a file cannot be read.
enum Unreadable {
    Journal(BadJournal),
    Inconsistent(Inconsistent),
}

impl From<BadJournal> for Unreadable {
    fn from(bad: BadJournal) -> Self {
        Self::Journal(bad)
    }
}
