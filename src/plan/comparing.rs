//! Which messages that seem to be known are retrieved all the same, because only their bytes tell. PURE.

use super::evidence::{Proof, is_shown, proof};
use super::{PlanInput, Policy, Seen};
use crate::message::Digest;
use crate::plan::maildrop::Listed;
use crate::state::entries::{Entry, Fingerprint, Origin, QuarantineReason};

impl PlanInput<'_> {
    /// Whether a message that seems to be known has to be retrieved, because only its bytes tell whether it is known or
    /// may be deleted.
    pub(super) fn must_be_compared(&self, listed: &Listed, entry: &Entry, policy: &Policy, seen: &Seen) -> bool {
        if is_first_size(listed, entry) {
            return true;
        }
        let is_shown = is_shown(listed, entry, seen);
        let is_other = !is_shown && seen.get(&listed.number).is_some_and(|header| header.is_strong());
        let same_name = listed.unique_id == entry.unique_id;
        let says_little = !entry.fingerprint.header.is_some_and(Digest::is_strong);
        let never_seen = entry.fingerprint.header.is_none() || (says_little && entry.origin != Origin::Delivered);
        let is_doubtful = is_other
            || (policy.moved && !is_shown)
            || (entry.doubt && self.came_badly(listed))
            || self.stands_for_an_isolated_one(listed, entry);
        if !never_seen && same_name && is_doubtful {
            return true;
        }
        self.is_due(entry, policy)
            && match proof(listed, entry, policy) {
                Proof::Header => !is_shown,
                Proof::Bytes => !policy.is_too_large(listed),
                Proof::None => false,
            }
    }

    /// Whether a message to be compared may be one that was delivered under its unique-id: no rule keeps it from being
    /// compared, and deleted.
    pub(super) fn is_ours(&self, listed: &Listed, seen: &Seen) -> bool {
        let header = seen.get(&listed.number).filter(|header| header.is_strong());
        let may_be = |entry: &Entry| match header.zip(entry.fingerprint.header.filter(|header| header.is_strong())) {
            Some((seen, remembered)) => *seen == remembered,
            None => {
                let size = entry.fingerprint.reported_size;
                !entry.was_gone() && (size.is_none() || size == listed.reported_size)
            }
        };
        let mut entries = listed.unique_id.iter().flat_map(|unique_id| self.state.with_unique_id(unique_id));
        entries.any(|entry| entry.origin == Origin::Delivered && may_be(entry))
    }

    /// Whether a session broke at this message, or it came in another size than listed.
    fn came_badly(&self, listed: &Listed) -> bool {
        let is_bad = |kind| matches!(kind, QuarantineReason::BrokeSession | QuarantineReason::OtherSize);
        self.quarantine(listed).is_some_and(|quarantine| is_bad(quarantine.kind))
    }

    /// Whether a session broke at this message under another unique-id, so that it only seems to be known by chance.
    fn stands_for_an_isolated_one(&self, listed: &Listed, entry: &Entry) -> bool {
        let is_renamed = self.isolated.get(&listed.number).is_some_and(|isolation| isolation.is_renamed);
        is_renamed && !self.compared.contains(&entry.id)
    }
}

/// Whether a message is listed with a size although none is remembered, but its bytes are: it came in another size than
/// listed, or the server reported none, and it may have grown.
fn is_first_size(listed: &Listed, entry: &Entry) -> bool {
    let Fingerprint { reported_size, whole, .. } = entry.fingerprint;
    listed.reported_size.is_some() && reported_size.is_none() && whole.is_some()
}
