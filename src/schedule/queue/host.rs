//! A server: who waits there for what, and what it has to give. PURE.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::line::{Line, OfLines};
use crate::account::AccountName;

/// When an account became or becomes due, and a number that tells those of the same time apart: first come, first
/// served.
pub(super) type Turn = (Duration, u64);

/// A server.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// How many accounts it has that are not slow there.
    pub(super) quick: usize,
    /// How many have a place there.
    pub(super) running: usize,
    /// How many of those are slow.
    pub(super) slow: usize,
    /// How many are prepared and wait for a place.
    pub(super) prepared: usize,
    /// How many prepare for it in the room of those that take no time.
    pub(super) preparing: usize,
    lines: OfLines<BTreeMap<Turn, AccountName>>,
}

impl Host {
    /// The turn of the account in front of a line that may begin as far as the server is concerned, if one may.
    ///
    /// Those that are slow leave one of several places to the others, if there are others. As many as have places may be
    /// prepared beside them, so that no place is idle and no secret is had long before it is needed.
    pub(super) fn offer(&self, line: Line, places: NonZeroUsize) -> Option<Turn> {
        let (places, near) = (places.get(), self.running + self.prepared);
        let may_begin = match line {
            Line::Places => self.running < places,
            Line::Slow => self.running < places && (self.quick == 0 || self.slow < (places - 1).max(1)),
            Line::Prompt => near + self.preparing < places.saturating_mul(2),
            Line::Late => near < places.saturating_mul(2),
        };
        self.front(line).filter(|_| may_begin).map(|(turn, _)| *turn)
    }

    /// Whether somebody waits there for a place that one of those has which run; whether that is slow.
    pub(super) fn lacks_place_of(&self, slow: bool, places: NonZeroUsize) -> bool {
        let lacks = |line| self.front(line).is_some() && self.offer(line, places).is_none();
        lacks(Line::Places) || lacks(Line::Slow) && (slow || self.running >= places.get())
    }

    /// Who has waited longest in a line.
    pub(super) fn front(&self, line: Line) -> Option<(&Turn, &AccountName)> {
        self.lines.of(line).first_key_value()
    }

    /// How many wait in each line.
    pub(super) fn in_line(&self) -> OfLines<usize> {
        OfLines::each(|line| self.lines.of(line).len())
    }

    /// Who waits in a line with this turn.
    #[cfg(test)]
    pub(super) fn stands(&self, line: Line, turn: Turn) -> Option<&AccountName> {
        self.lines.of(line).get(&turn)
    }

    /// An account waits.
    pub(super) fn stand(&mut self, line: Line, turn: Turn, account: AccountName) {
        self.lines.of_mut(line).insert(turn, account);
    }

    /// An account waits no longer.
    pub(super) fn leave(&mut self, line: Line, turn: Turn) {
        self.lines.of_mut(line).remove(&turn);
    }

    /// Whether nobody is there.
    pub(super) fn is_empty(&self) -> bool {
        self.quick + self.running + self.prepared + self.preparing == 0
            && self.lines.all().iter().all(|line| line.is_empty())
    }
}
