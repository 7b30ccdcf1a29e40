//! Which UIDs of the mailbox belong to our messages. All connections of a pass share this: a server that takes a
//! message for another one names the other one's UID, whichever connection it came over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::forward::letter::Letter;
use crate::message::Digest;

/// What the connections of a pass know of each other's messages.
#[derive(Debug, Clone, Default)]
pub(in crate::forward::imap) struct Claims(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// UIDs under which messages of ours are known to have arrived, each with the UIDVALIDITY that it belongs to.
    uids: BTreeSet<(u32, u32)>,
    /// Whether several connections append. Then the connection that sent a message may not have read its UID yet when
    /// another connection is told the same UID.
    is_shared: bool,
    /// How many messages with each Message-ID were begun, by its digest.
    message_ids: BTreeMap<Digest, u32>,
    /// How many messages of each size on the wire were begun, by the size in octets.
    sizes: BTreeMap<u64, u32>,
}

impl Claims {
    /// Notes that several connections append from now on.
    pub(in crate::forward::imap) fn share(&self) {
        self.known().is_shared = true;
    }

    /// Adds a UID; false if it was known.
    pub(super) fn add(&self, validity: u32, uid: u32) -> bool {
        self.known().uids.insert((validity, uid))
    }

    /// Adds UIDs from the journal.
    pub(super) fn extend(&self, validity: u32, uids: impl IntoIterator<Item = u32>) {
        self.known().uids.extend(uids.into_iter().map(|uid| (validity, uid)));
    }

    /// Whether a UID belongs to one of our messages.
    pub(super) fn has(&self, validity: u32, uid: u32) -> bool {
        self.known().uids.contains(&(validity, uid))
    }

    /// Notes that a message is about to be sent.
    pub(super) fn begin(&self, letter: &Letter) {
        let mut known = self.known();
        if let Some(id) = letter.message_id {
            *known.message_ids.entry(id).or_default() += 1;
        }
        *known.sizes.entry(letter.size).or_default() += 1;
    }

    /// Whether the server may take a message for one from another connection, because of its Message-ID: then the UID
    /// that it names is believed only if the bytes match.
    pub(super) fn has_rival(&self, letter: &Letter) -> bool {
        let known = self.known();
        let begun = letter.message_id.and_then(|id| known.message_ids.get(&id));
        known.is_shared && begun.is_some_and(|count| *count > 1)
    }

    /// Whether that is possible where a matching size would be believed.
    pub(super) fn has_rival_of_its_size(&self, letter: &Letter) -> bool {
        let known = self.known();
        known.is_shared && known.sizes.get(&letter.size).is_some_and(|count| *count > 1)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
