//! Whether messages may be retrieved before the sizes are known. PURE.
//!
//! Sizes are evidence: they distinguish messages under one unique-id, they let a header identify a message that is to
//! be deleted, and some policies depend on them. So normally LIST is sent first, which costs a round trip. It can wait
//! if none of this is in question: every listed message is either new or clearly the one remembered under its
//! unique-id, none is missing, and no older message is to be deleted. Then only the sizes of the new messages matter,
//! and each is requested along with its message.

use super::renumbering::Renumbered;
use super::{PlanInput, Policy};
use crate::plan::maildrop::Listed;
use crate::pop3::ReportedSize;
use crate::state::entries::Entry;

/// For more new messages than this, one LIST costs less than asking for each size.
const MOST: usize = 64;

/// What is known about messages whose sizes are requested along with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Their sizes taken together: the sum from STAT less the remembered sizes of the other messages. Not 0.
    pub octets: ReportedSize,
    /// The size assumed for each until its own is known.
    pub each: ReportedSize,
}

impl PlanInput<'_> {
    /// Returns what to expect of the new messages if LIST can wait, or `None` if all sizes have to be known first.
    #[must_use]
    pub fn sizes_may_wait(&self, policy: &Policy) -> Option<Expected> {
        let (maildrop, state) = (self.maildrop, self.state);
        let all = maildrop.sizes_put_off.filter(|_| maildrop.complete && maildrop.has_unique_ids)?;
        let by_size = policy.max_message_size.is_some() || self.skipping.is_some();
        let breaks = !self.isolated.is_empty() || state.quarantines().next().is_some();
        let in_doubt = policy.moved || policy.renumbered || breaks;
        if by_size || in_doubt || state.skipped().next().is_some() || state.without_unique_id().next().is_some() {
            return None;
        }
        let matching = self.without_headers();
        let is_certain = matching.to_look_at.is_empty() && matching.to_compare.is_empty();
        let is_named = matching.new.iter().all(|listed| listed.unique_id.is_some());
        let is_few = (1..=MOST).contains(&matching.new.len()) && is_named;
        let turn = |listed: &Listed| self.turn(listed, policy);
        let is_renumbered =
            Renumbered::of(Renumbered::least(policy), maildrop, state, policy, matching, turn).is_some();
        if !is_certain || !is_few || is_renumbered {
            return None;
        }
        let here = state.entries().filter(|entry| !entry.was_gone()).count();
        let known: Option<ReportedSize> = matching
            .known
            .iter()
            .map(|(listed, entry)| self.plain_size(listed, entry, policy))
            .try_fold(ReportedSize::default(), |sum, size| sum.checked_add(size?));
        let octets = known.filter(|_| here == matching.known.len()).and_then(|known| all.checked_sub(known))?;
        let new = u64::try_from(matching.new.len()).ok()?;
        let each = ReportedSize::new(octets.get().div_ceil(new));
        (!octets.is_zero()).then_some(Expected { octets, each })
    }

    /// Returns the remembered size of a message that is clearly this entry and stays on the server.
    fn plain_size(&self, listed: &Listed, entry: &Entry, policy: &Policy) -> Option<ReportedSize> {
        let is_alone = listed.unique_id.as_ref().is_some_and(|id| self.state.ids_of(id).len() == 1);
        let is_plain = listed.unique_id == entry.unique_id && is_alone && !entry.was_gone();
        entry.fingerprint.reported_size.filter(|_| is_plain && !self.is_due(entry, policy))
    }
}
