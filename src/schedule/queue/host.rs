//! A server: which accounts wait there for what, and what it has to offer. PURE.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::line::{Line, OfLines};
use super::slowness::Course;
use crate::account::AccountName;

/// When an account became or becomes due, and a number that orders accounts due at the same time: first come, first
/// served.
pub(super) type Turn = (Duration, u64);

/// A server, with all of its accounts that are due, being polled, or known not to be slow.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// How many of its accounts are not slow there.
    pub(super) quick: usize,
    /// How many accounts hold a place there.
    pub(super) running: usize,
    /// How many of those are slow.
    slow: usize,
    /// How many of the slow ones were told to end.
    slow_leaving: usize,
    /// How many are prepared and wait for a place.
    pub(super) prepared: usize,
    /// How many are preparing for it in the room for prompt ones.
    pub(super) preparing: usize,
    lines: OfLines<BTreeMap<Turn, AccountName>>,
}

impl Host {
    /// Returns the turn of the first account in a line, if the server lets it begin.
    ///
    /// Slow accounts leave one of several places to the others, if there are any. As many accounts as hold places may be
    /// prepared in addition, so that no place is idle and no secret is fetched long before it is needed.
    pub(super) fn offer(&self, line: Line, places: NonZeroUsize) -> Option<Turn> {
        let (places, near) = (places.get(), self.running + self.prepared);
        let may_begin = match line {
            Line::Places => self.running < places,
            Line::Slow => self.running < places && (self.quick == 0 || self.slow < most_slow(places)),
            Line::Prompt => near + self.preparing < places.saturating_mul(2),
            Line::Late => near < places.saturating_mul(2),
        };
        self.front(line).filter(|_| may_begin).map(|(turn, _)| *turn)
    }

    /// Returns since when an account has waited there for a place held by a running poll, if one does; `slow` says
    /// whether that poll is slow.
    pub(super) fn lacks_place_of(&self, slow: bool, places: NonZeroUsize) -> Option<Duration> {
        let lacks = |line| self.front(line).filter(|_| self.offer(line, places).is_none()).map(|((due, _), _)| *due);
        let slow_one = lacks(Line::Slow).filter(|_| slow || self.running >= places.get());
        lacks(Line::Places).into_iter().chain(slow_one).min()
    }

    /// Returns since when an account that is not slow has waited there because slow ones hold the place that they are to
    /// leave to it, if one does, and no slow poll is about to end.
    pub(super) fn is_owed_a_place_since(&self, places: NonZeroUsize) -> Option<Duration> {
        let is_owed = self.slow.saturating_sub(self.slow_leaving) > most_slow(places.get());
        self.front(Line::Places).filter(|_| is_owed && self.running >= places.get()).map(|((due, _), _)| *due)
    }

    /// Counts a poll that holds a place there.
    pub(super) fn enter(&mut self, course: Course) {
        self.running += 1;
        self.slow += usize::from(course.counts_as_slow());
        self.slow_leaving += usize::from(course.counts_as_slow() && course.leaves);
    }

    /// Subtracts a poll that held a place there.
    pub(super) fn give_back(&mut self, course: Course) {
        self.running -= 1;
        self.slow -= usize::from(course.counts_as_slow());
        self.slow_leaving -= usize::from(course.counts_as_slow() && course.leaves);
    }

    /// Whether the counts of its polls fit each other.
    #[cfg(test)]
    pub(super) fn is_consistent(&self) -> bool {
        self.slow_leaving <= self.slow && self.slow <= self.running
    }

    /// Returns the account that has waited longest in a line.
    pub(super) fn front(&self, line: Line) -> Option<(&Turn, &AccountName)> {
        self.lines.of(line).first_key_value()
    }

    /// Returns how many accounts wait in each line.
    pub(super) fn in_line(&self) -> OfLines<usize> {
        OfLines::each(|line| self.lines.of(line).len())
    }

    /// Returns the account with this turn in a line.
    #[cfg(test)]
    pub(super) fn stands(&self, line: Line, turn: Turn) -> Option<&AccountName> {
        self.lines.of(line).get(&turn)
    }

    /// Adds an account to a line.
    pub(super) fn stand(&mut self, line: Line, turn: Turn, account: AccountName) {
        self.lines.of_mut(line).insert(turn, account);
    }

    /// Removes an account from a line.
    pub(super) fn leave(&mut self, line: Line, turn: Turn) {
        self.lines.of_mut(line).remove(&turn);
    }

    /// Whether no account is there.
    pub(super) fn is_empty(&self) -> bool {
        self.quick + self.running + self.prepared + self.preparing == 0
            && self.lines.all().iter().all(|line| line.is_empty())
    }
}

/// Returns how many of a server's places slow accounts may hold, if it has others.
fn most_slow(places: usize) -> usize {
    (places - 1).max(1)
}
