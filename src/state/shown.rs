//! Tracks which deliveries are not yet shown to be the messages that they were taken for: since they came, nothing has
//! shown that the answers of their session were in step. PURE.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ids::{EntryId, RequestNumber};

/// How many of the first messages that a session asked for are shown to be what they were taken for. Set by the code
/// that reads the answers, read by the state.
#[derive(Debug, Clone, Default)]
pub struct Shown(Arc<AtomicU64>);

impl Shown {
    /// Notes that the messages up to this one were.
    pub fn show(&self, last: RequestNumber) {
        self.0.fetch_max(last.get(), Ordering::Relaxed);
    }

    /// Returns the last one that was.
    #[must_use]
    pub fn last(&self) -> RequestNumber {
        RequestNumber::new(self.0.load(Ordering::Relaxed))
    }
}

/// The deliveries not yet shown.
#[derive(Debug, Default)]
pub(super) struct Unshown {
    /// The first such delivery of an earlier session, not yet recorded as doubtful.
    earlier: Option<EntryId>,
    /// How much the current session has shown.
    shown: Shown,
    /// The deliveries of the current session.
    waiting: VecDeque<(RequestNumber, EntryId)>,
}

impl Unshown {
    /// Begins a session; `earlier` is the first delivery that an earlier session left unshown.
    pub(super) fn begin(&mut self, shown: Shown, earlier: Option<EntryId>) {
        *self = Self { earlier, shown, waiting: VecDeque::new() };
    }

    /// Notes that the message that was asked for with this number is delivered with this entry.
    pub(super) fn delivers(&mut self, request: RequestNumber, id: EntryId) {
        self.waiting.push_back((request, id));
    }

    /// Returns the first delivery not yet shown.
    pub(super) fn first(&mut self) -> Option<EntryId> {
        let shown = self.shown.last();
        while self.waiting.front().is_some_and(|(request, _)| *request <= shown) {
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
        for (request, id) in [(1, 7), (3, 8), (5, 9)] {
            unshown.delivers(RequestNumber::new(request), EntryId::new(id));
        }
        for (last, first) in [(0, Some(7)), (2, Some(8)), (4, Some(9)), (3, Some(9)), (5, None)] {
            shown.show(RequestNumber::new(last));
            assert_eq!(unshown.first(), first.map(EntryId::new), "{last}");
        }
    }

    #[test]
    fn what_an_earlier_session_left_is_not_shown_by_a_later_one() {
        let (mut unshown, shown) = (Unshown::default(), Shown::default());
        unshown.begin(shown.clone(), Some(EntryId::new(3)));
        let first = RequestNumber::NONE.next();
        unshown.delivers(first, EntryId::new(9));
        shown.show(first);
        assert_eq!(unshown.first(), Some(EntryId::new(3)));
        unshown.clear();
        assert_eq!(unshown.first(), None);
    }
}
