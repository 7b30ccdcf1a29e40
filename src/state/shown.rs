//! Tracks which deliveries are not yet shown to be the messages that they were taken for: since they came, nothing has
//! shown that the answers of their session were in step. PURE.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ids::EntryId;

/// How many of the first messages that a session asked for are shown to be what they were taken for. Set by the code
/// that reads the answers, read by the state.
#[derive(Debug, Clone, Default)]
pub struct Shown(Arc<AtomicU64>);

impl Shown {
    /// Notes that the first `messages` messages were.
    pub fn show(&self, messages: u64) {
        self.0.fetch_max(messages, Ordering::Relaxed);
    }

    /// Returns how many were.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The deliveries not yet shown.
#[derive(Debug, Default)]
pub(super) struct Unshown {
    /// The first such delivery of an earlier session, not yet recorded as doubtful.
    earlier: Option<EntryId>,
    /// How much the current session has shown.
    shown: Shown,
    /// The deliveries of the current session, each with its position among the messages asked for, counted from 1.
    waiting: VecDeque<(u64, EntryId)>,
}

impl Unshown {
    /// Begins a session; `earlier` is the first delivery that an earlier session left unshown.
    pub(super) fn begin(&mut self, shown: Shown, earlier: Option<EntryId>) {
        *self = Self { earlier, shown, waiting: VecDeque::new() };
    }

    /// Notes that the message at this position is delivered with this entry.
    pub(super) fn delivers(&mut self, place: u64, id: EntryId) {
        self.waiting.push_back((place, id));
    }

    /// Returns the first delivery not yet shown.
    pub(super) fn first(&mut self) -> Option<EntryId> {
        let shown = self.shown.messages();
        while self.waiting.front().is_some_and(|(place, _)| *place <= shown) {
            self.waiting.pop_front();
        }
        self.earlier.or(self.waiting.front().map(|(_, id)| *id))
    }

    /// Forgets them, once they are recorded as doubtful.
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
        // The second message was refused, and the fourth was known already.
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
