//! What the state has to be shown before it records something that permits a deletion. The proofs are made by other
//! rooms, which depend on this one.

use std::ffi::OsStr;

use crate::disk::Dir;
use crate::ids::EntryId;

/// Proves that the delivery of an entry is finished: its file has its name in `new/`, durably as far as the file system
/// allows, or was seen to have had one. Implemented only by the proofs of `delivery`.
pub trait IsPublished {
    /// The entry.
    fn entry(&self) -> EntryId;

    /// Its names in `tmp/`, one for each of its Maildirs, with the directory. They are removed once this is durably
    /// recorded.
    fn in_tmp(&self) -> impl Iterator<Item = (&Dir, &OsStr)>;
}
