//! How a remembered message is listed now, where that differs from what is remembered. PURE.
//!
//! The state records this only from the values made here: from a listed message that was matched with an entry, or from
//! one that was retrieved again and has the entry's bytes.

use crate::ids::EntryId;
use crate::plan::maildrop::Listed;
use crate::pop3::{ReportedSize, UniqueId};
use crate::state::entries::{Entry, Origin};
use crate::state::proofs::{IsListedAgain, IsRenamed, IsResized};

/// The unique-id under which the message of an entry is listed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUniqueId {
    entry: EntryId,
    unique_id: UniqueId,
}

impl NewUniqueId {
    /// Takes the unique-id of the message that was recognised as this entry's. None if it is listed without one.
    pub(super) fn of(listed: &Listed, entry: &Entry) -> Option<Self> {
        listed.unique_id.clone().map(|unique_id| Self { entry: entry.id, unique_id })
    }

    /// Takes another spelling of the unique-id of an entry that is known by its unique-id alone. None if more of it is
    /// remembered, or it is spelt the same.
    pub(super) fn respelt(listed: &Listed, entry: &Entry) -> Option<Self> {
        let is_other = entry.fingerprint.is_unknown() && listed.unique_id != entry.unique_id;
        Self::of(listed, entry).filter(|_| is_other)
    }

    /// Returns the entry.
    pub(crate) fn entry(&self) -> EntryId {
        self.entry
    }
}

#[cfg(test)]
impl NewUniqueId {
    /// Returns the unique-id.
    pub(super) fn unique_id(&self) -> &UniqueId {
        &self.unique_id
    }
}

impl IsRenamed for NewUniqueId {
    fn entry(&self) -> EntryId {
        self.entry
    }

    fn unique_id(&self) -> &UniqueId {
        &self.unique_id
    }
}

/// The size with which the message of an entry is listed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewSize {
    entry: EntryId,
    reported_size: ReportedSize,
}

impl NewSize {
    /// Takes the size of the message that is listed for this entry. None if it is not another one, or if the message
    /// that was delivered may have had another one than is listed now: its bytes would tell, but an early version did
    /// not remember them.
    pub(super) fn listed(listed: &Listed, entry: &Entry) -> Option<Self> {
        let is_evidence = entry.origin == Origin::Delivered && entry.fingerprint.reported_size.is_none();
        Self::compared(listed, entry).filter(|_| !is_evidence)
    }

    /// Takes the size of the message that was retrieved again and has the bytes of this entry. None if it is not
    /// another one.
    pub(crate) fn compared(listed: &Listed, entry: &Entry) -> Option<Self> {
        let new = listed.reported_size.filter(|size| entry.fingerprint.reported_size != Some(*size));
        new.map(|reported_size| Self { entry: entry.id, reported_size })
    }
}

impl IsResized for NewSize {
    fn entry(&self) -> EntryId {
        self.entry
    }

    fn reported_size(&self) -> ReportedSize {
        self.reported_size
    }
}

/// An entry that was recorded as absent or removed, and whose message is on the server again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedAgain {
    entry: EntryId,
}

impl ListedAgain {
    /// Takes the entry that this message is listed for. None if it was not gone, or is listed under a new unique-id,
    /// which says the same.
    pub(super) fn listed(listed: &Listed, entry: &Entry) -> Option<Self> {
        Self::compared(entry).filter(|_| listed.unique_id == entry.unique_id)
    }

    /// Takes the entry of a message that was retrieved again and has its bytes. None if it was not gone.
    pub(crate) fn compared(entry: &Entry) -> Option<Self> {
        entry.was_gone().then_some(Self { entry: entry.id })
    }

    /// Returns the entry.
    pub(crate) fn entry(&self) -> EntryId {
        self.entry
    }
}

impl IsListedAgain for ListedAgain {
    fn entry(&self) -> EntryId {
        self.entry
    }
}
