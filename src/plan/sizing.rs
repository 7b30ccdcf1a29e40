//! Whether anything may be retrieved before the sizes are known. PURE.
//!
//! Sizes are evidence: they tell a message from another one under its unique-id, they let a header speak for a message that
//! is to be deleted, and they are what some policies go by. So all of them are asked for first, by LIST, which costs a round
//! trip, unless nothing of that is in question: every listed message is either new or plainly the one that is remembered
//! under its unique-id, none is missing, and nothing that was there before is to be deleted. Then only the sizes of what is
//! new matter, and each comes with its message.

use std::num::NonZeroU64;

use super::renumbering::Renumbered;
use super::{PlanInput, Policy};
use crate::plan::maildrop::Listed;
use crate::state::entries::Entry;

/// For more new messages LIST costs less than a question for each.
const MOST: usize = 64;

/// What is known of messages whose sizes come beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// What they come to together, in octets: what STAT told, less what is remembered of the others.
    pub octets: NonZeroU64,
    /// What each is taken for until its size has come, in octets.
    pub each: u64,
}

impl PlanInput<'_> {
    /// What may be expected of the new messages, if their sizes may come beside them. None: all sizes have to be known.
    #[must_use]
    pub fn sizes_may_wait(&self, policy: &Policy) -> Option<Expected> {
        let (maildrop, state) = (self.maildrop, self.state);
        let all = maildrop.sizes_put_off.filter(|_| maildrop.complete && maildrop.has_unique_ids)?;
        let by_size = policy.max_message_size.is_some() || self.skipping.is_some();
        let breaks = !self.suspects.is_empty() || state.quarantines().next().is_some();
        let in_doubt = policy.moved || policy.renumbered || breaks;
        if by_size || in_doubt || state.skipped().next().is_some() || state.without_unique_id().next().is_some() {
            return None;
        }
        let matching = self.without_headers();
        let is_certain = matching.to_look_at.is_empty() && matching.to_compare.is_empty();
        let is_named = matching.new.iter().all(|listed| listed.unique_id.is_some());
        let is_few = (1..=MOST).contains(&matching.new.len()) && is_named;
        let turn = |listed: &Listed| self.turn(listed, policy);
        let is_renumbered = Renumbered::of(maildrop, state, policy, matching, turn).is_some();
        if !is_certain || !is_few || is_renumbered {
            return None;
        }
        let here = state.entries().filter(|entry| !entry.was_gone()).count();
        let known: Option<u64> = matching
            .known
            .iter()
            .map(|(listed, entry)| self.plain_size(listed, entry, policy))
            .try_fold(0_u64, |sum, size| sum.checked_add(size?));
        let octets = known.filter(|_| here == matching.known.len()).and_then(|known| all.checked_sub(known))?;
        let octets = NonZeroU64::new(octets)?;
        let new = u64::try_from(matching.new.len()).ok()?;
        Some(Expected { octets, each: octets.get().div_ceil(new) })
    }

    /// The remembered size of a message that is plainly this one, and is to stay where it is.
    fn plain_size(&self, listed: &Listed, entry: &Entry, policy: &Policy) -> Option<u64> {
        let is_alone = listed.unique_id.as_ref().is_some_and(|id| self.state.ids_of(id).len() == 1);
        let is_plain = listed.unique_id == entry.unique_id && is_alone && !entry.was_gone();
        entry.fingerprint.reported_size.filter(|_| is_plain && !self.is_due(entry, policy))
    }
}
