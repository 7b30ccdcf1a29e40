//! Which UIDs of the mailbox are those of messages of ours. All connections of a pass share them: a server that takes a
//! message for another one names the UID of that one, whichever connection it went over.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// UIDs under which messages of ours are known to have arrived, each with the UIDVALIDITY that it belongs to.
#[derive(Debug, Clone, Default)]
pub(in crate::forward::imap) struct Claims(Arc<Mutex<BTreeSet<(u32, u32)>>>);

impl Claims {
    /// One more; false if it was known.
    pub(super) fn add(&self, validity: u32, uid: u32) -> bool {
        self.known().insert((validity, uid))
    }

    /// More, from what was written down.
    pub(super) fn extend(&self, validity: u32, uids: impl IntoIterator<Item = u32>) {
        self.known().extend(uids.into_iter().map(|uid| (validity, uid)));
    }

    /// Whether one of ours has it.
    pub(super) fn has(&self, validity: u32, uid: u32) -> bool {
        self.known().contains(&(validity, uid))
    }

    fn known(&self) -> MutexGuard<'_, BTreeSet<(u32, u32)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
