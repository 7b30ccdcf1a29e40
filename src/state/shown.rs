//! Which deliveries nothing has shown yet to be what they were taken for: since they came, the answers of their session were
//! not seen to be in step. PURE.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ids::EntryId;

/// How many of the messages that a session asked for, the first ones, were shown to be what they were taken for. Whoever
/// hears the answers says it, and the state asks for it.
#[derive(Debug, Clone, Default)]
pub struct Shown(Arc<AtomicU64>);

impl Shown {
    /// The first so many were.
    pub fn show(&self, messages: u64) {
        self.0.fetch_max(messages, Ordering::Relaxed);
    }

    /// How many were.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Deliveries that were not.
#[derive(Debug, Default)]
pub(super) struct Unshown {
    /// The first one of an earlier session, whose doubt is not on record yet.
    earlier: Option<EntryId>,
    /// What the current session has shown.
    shown: Shown,
    /// What it has delivered, each with its place among the messages that were asked for, counted from 1.
    waiting: VecDeque<(u64, EntryId)>,
}

impl Unshown {
    /// A session begins; `earlier` is the first delivery that an earlier one left.
    pub(super) fn begin(&mut self, shown: Shown, earlier: Option<EntryId>) {
        *self = Self { earlier, shown, waiting: VecDeque::new() };
    }

    /// The message at this place is delivered with this entry.
    pub(super) fn delivers(&mut self, place: u64, id: EntryId) {
        self.waiting.push_back((place, id));
    }

    /// The first delivery of all that nothing has shown yet.
    pub(super) fn first(&mut self) -> Option<EntryId> {
        let shown = self.shown.messages();
        while self.waiting.front().is_some_and(|(place, _)| *place <= shown) {
            self.waiting.pop_front();
        }
        self.earlier.or(self.waiting.front().map(|(_, id)| *id))
    }

    /// Their doubt is on record.
    pub(super) fn clear(&mut self) {
        self.earlier = None;
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_behind_the_last_sign_is_not_shown() {
        let (mut unshown, shown) = (Unshown::default(), Shown::default());
        unshown.begin(shown.clone(), None);
        assert_eq!(unshown.first(), None);
        // The second message was refused, the fourth one known.
        for (place, id) in [(1, 7), (3, 8), (5, 9)] {
            unshown.delivers(place, EntryId::new(id));
        }
        for (messages, first) in [(0, Some(7)), (2, Some(8)), (4, Some(9)), (3, Some(9)), (5, None)] {
            shown.show(messages);
            assert_eq!(unshown.first(), first.map(EntryId::new), "{messages}");
        }
    }

    #[test]
    fn what_an_earlier_session_left_is_not_shown_by_a_later_one() {
        let (mut unshown, shown) = (Unshown::default(), Shown::default());
        unshown.begin(shown.clone(), Some(EntryId::new(3)));
        unshown.delivers(1, EntryId::new(9));
        shown.show(1);
        assert_eq!(unshown.first(), Some(EntryId::new(3)));
        unshown.clear();
        assert_eq!(unshown.first(), None);
    }
}
