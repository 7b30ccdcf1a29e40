//! What the state has to be shown before it records something that permits a deletion. The proofs are made by other
//! rooms, which depend on this one; which files may implement these traits, `tests/it/walls.rs` checks.

use std::ffi::OsStr;

use crate::disk::Dir;
use crate::ids::EntryId;
use crate::message::Digest;
use crate::pop3::{ReportedSize, UniqueId};

/// Proves that the delivery of an entry is finished: its file has its name in `new/`, durably as far as the file system
/// allows, or was seen to have had one. Implemented only by the proofs of `delivery`.
pub(crate) trait IsPublished {
    /// The entry.
    fn entry(&self) -> EntryId;

    /// Its names in `tmp/`, one for each of its Maildirs, with the directory. They are removed once this is durably
    /// recorded.
    fn in_tmp(&self) -> impl Iterator<Item = (&Dir, &OsStr)>;
}

/// Proves that a spooled message has arrived at its destination, durably recorded. Implemented only by the proof that
/// the forwarder's journal makes.
pub(crate) trait IsForwarded {
    /// The entry.
    fn entry(&self) -> EntryId;
}

/// Proves that the message of an entry is on the server: all of its bytes came again. Implemented only by the proof
/// that the comparison in `plan` makes.
pub(crate) trait IsVerified {
    /// The entry.
    fn entry(&self) -> EntryId;

    /// The digest of its header, if another one is remembered, or none.
    fn new_header(&self) -> Option<Digest>;
}

/// Proves that the header of an entry's message was seen on the server, where none of it was ever seen before.
/// Implemented only by the proof that the look in `plan` makes.
pub(crate) trait IsFirstSeen {
    /// The entry.
    fn entry(&self) -> EntryId;

    /// The digest of its header.
    fn header(&self) -> Digest;
}

/// Proves that the message of an entry is listed under another unique-id now. Implemented only by the proof that the
/// matching and the comparison in `plan` make.
pub(crate) trait IsRenamed {
    /// The entry.
    fn entry(&self) -> EntryId;

    /// Its unique-id now.
    fn unique_id(&self) -> &UniqueId;
}

/// Proves that the message of an entry is listed with another size now. Implemented only by the proof that `plan` makes.
pub(crate) trait IsResized {
    /// The entry.
    fn entry(&self) -> EntryId;

    /// Its size now.
    fn reported_size(&self) -> ReportedSize;
}

/// Proves that the message of an entry that was recorded as gone is listed. Implemented only by the proof that `plan`
/// makes.
pub(crate) trait IsListedAgain {
    /// The entry.
    fn entry(&self) -> EntryId;
}
