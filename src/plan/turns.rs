//! When a message may be handled: messages that failed before must not starve the others. PURE.

use std::collections::HashSet;

use super::{Pass, PlanInput, Policy};
use crate::plan::maildrop::Listed;
use crate::state::entries::{ListedAs, Quarantine, QuarantineReason, UidState};

/// How many messages at which a session broke are looked for in the listing.
const MOST_BROKEN: usize = 10;

/// When a message may be handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// In this session.
    Now,
    /// In another session of this poll.
    OtherSession,
    /// Not in this poll.
    Quarantined,
    /// Not again in this poll: it was tried already.
    Tried,
}

impl PlanInput<'_> {
    pub(super) fn turn(&self, listed: &Listed, policy: &Policy) -> Turn {
        let quarantine = self.quarantine(listed);
        let isolation = self.isolated.get(&listed.number).map(|isolation| isolation.turn);
        // A quarantine shared by several messages of one unique-id and size may be about any of them: in this poll each
        // gets its turn.
        if let Some(turn) = isolation.filter(|_| quarantine.is_some() && self.is_one_of_several(listed)) {
            return turn;
        }
        let was_tried = quarantine.is_some() && ListedAs::of(listed).is_some_and(|one| self.tried.contains(&one));
        let breaks = quarantine.is_some_and(|quarantine| quarantine.kind == QuarantineReason::BrokeSession);
        match isolation {
            _ if was_tried => Turn::Tried,
            Some(Turn::Tried) => Turn::Tried,
            _ if quarantine.is_some_and(|quarantine| quarantine.until > self.now) => Turn::Quarantined,
            Some(turn) => turn,
            None if breaks || policy.pass == Pass::Isolated => Turn::OtherSession,
            None => Turn::Now,
        }
    }

    /// The same for a message that is new. It may be listed like one that went beyond its limit under other unique-ids.
    pub(super) fn turn_of_new(&self, listed: &Listed, policy: &Policy) -> Turn {
        let is_like = |messages: &HashSet<_>| messages.contains(&(listed.number, listed.reported_size));
        match self.turn(listed, policy) {
            Turn::Now | Turn::OtherSession
                if self.beyond_limits.is_some_and(is_like) && self.quarantine(listed).is_none() =>
            {
                Turn::Quarantined
            }
            turn => turn,
        }
    }

    /// Whether a session of another poll broke at a message whose unique-id is not listed now, while another one is
    /// listed with its size.
    pub(super) fn broke_under_another_name(&self) -> bool {
        let is_there = |one: &ListedAs| {
            let is_so = |listed: &Listed| listed.unique_id.as_ref() == Some(&one.unique_id);
            self.maildrop.messages.iter().any(is_so)
        };
        let has_size = |one: &ListedAs| {
            let is_so = |listed: &Listed| listed.unique_id.is_some() && listed.reported_size == one.reported_size;
            self.maildrop.messages.iter().any(is_so)
        };
        let broke = self.state.quarantines().filter(|(_, one)| one.kind == QuarantineReason::BrokeSession);
        broke.take(MOST_BROKEN).any(|(one, _)| !is_there(one) && has_size(one))
    }

    /// Whether other messages share the unique-id and size of this one, which failed.
    fn is_one_of_several(&self, listed: &Listed) -> bool {
        let several = self.several.get_or_init(|| {
            let mut once = HashSet::new();
            let quarantined = self.maildrop.messages.iter().filter(|listed| self.quarantine(listed).is_some());
            quarantined.filter_map(ListedAs::of).filter(|one| !once.insert(one.clone())).collect()
        });
        ListedAs::of(listed).is_some_and(|one| several.contains(&one))
    }

    /// Returns the quarantine of this message.
    pub(super) fn quarantine(&self, listed: &Listed) -> Option<Quarantine> {
        quarantine(self.state, listed)
    }
}

/// Returns the quarantine of a message. If it is listed without a size, or with 0, that of any message
/// with its unique-id counts.
fn quarantine(state: &UidState, listed: &Listed) -> Option<Quarantine> {
    state.quarantine(listed.unique_id.as_ref()?, listed.reported_size.filter(|size| !size.is_zero()))
}

/// Returns how often a message failed in a row.
pub(super) fn tries(state: &UidState, listed: &Listed) -> u32 {
    match quarantine(state, listed) {
        // It keeps its place: otherwise the limit would always hold back the first ones, and none would ever get its
        // turn.
        Some(quarantine) if quarantine.kind == QuarantineReason::OverLimit => 0,
        Some(quarantine) => quarantine.count,
        None => 0,
    }
}
