//! Which UIDs of the mailbox belong to our messages. All connections to a mailbox share this, whichever pass or account
//! they belong to: a server that takes a message for another one names the other one's UID.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::account::ImapDestination;
use crate::forward::letter::Letter;
use crate::message::Digest;
use crate::process_context::Shared;

/// What the connections to a mailbox know of each other's messages.
#[derive(Debug, Clone)]
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
}

impl Claims {
    /// Returns those for the mailbox of a destination, which other passes of this process may be using.
    pub(in crate::forward::imap) fn join(shared: &Shared, to: &ImapDestination) -> Self {
        let host = to.endpoint.host.to_ascii_lowercase();
        let mailbox = if to.mailbox.eq_ignore_ascii_case("INBOX") { "INBOX" } else { &to.mailbox };
        let (known, is_shared) = shared.join(&format!("{host} {} {} {mailbox}", to.endpoint.port, to.username));
        let claims = Self(known);
        if is_shared {
            claims.share();
        }
        claims
    }

    /// Notes that several connections append from now on.
    pub(in crate::forward::imap) fn share(&self) {
        self.known().is_shared = true;
    }

    /// Adds a UID; false if it was known.
    pub(super) fn add(&self, validity: u32, uid: u32) -> bool {
        self.known().uids.insert((validity, uid))
    }

    /// Takes a UID back that was added, because what is under it is in doubt.
    pub(super) fn remove(&self, validity: u32, uid: u32) {
        self.known().uids.remove(&(validity, uid));
    }

    /// Adds UIDs from the journal.
    pub(super) fn extend(&self, validity: u32, uids: impl IntoIterator<Item = u32>) {
        self.known().uids.extend(uids.into_iter().map(|uid| (validity, uid)));
    }

    /// Whether a UID belongs to one of our messages.
    pub(super) fn has(&self, validity: u32, uid: u32) -> bool {
        self.known().uids.contains(&(validity, uid))
    }

    /// Returns how many of the UIDs from `first` to `last` belong to our messages.
    pub(super) fn count(&self, validity: u32, first: u32, last: u32) -> usize {
        self.known().uids.range((validity, first)..=(validity, last)).count()
    }

    /// Notes that a message is about to be sent.
    pub(super) fn begin(&self, letter: &Letter) {
        if let Some(id) = letter.message_id {
            *self.known().message_ids.entry(id).or_default() += 1;
        }
    }

    /// Whether the server may take a message for one from another connection, because of its Message-ID: then the UID
    /// that it names is believed only if the bytes match.
    pub(super) fn has_rival(&self, letter: &Letter) -> bool {
        let known = self.known();
        let begun = letter.message_id.and_then(|id| known.message_ids.get(&id));
        known.is_shared && begun.is_some_and(|count| *count > 1)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
