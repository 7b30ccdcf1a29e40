//! The order in which messages are tried. PURE.
//!
//! The oldest message comes first as long as that works, so after an outage everything arrives in order. Once several
//! tries in a row have failed with the oldest one, every other pass begins with the message that was tried least
//! recently. So no message, and no number of them, holds up those after it for ever; and a destination that was only
//! down still gets all mail in order, except for one message at most. A message that fails while others arrive goes
//! behind them.

use std::collections::{BTreeMap, VecDeque};

use super::journal::Ledger;
use super::spool::Spooled;
use crate::state::record::{FailedTries, ForwardRecord};

/// After this many failed tries the oldest message is no longer always the first.
const FRUITLESS_TRIES: u32 = 3;

/// How much a failed try counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// It was refused, or the connection broke.
    Once,
    /// It goes on for long and may never end: if the message comes first again, another pass is lost.
    Hangs,
}

impl Weight {
    fn strikes(self) -> u32 {
        match self {
            Self::Once => 1,
            Self::Hangs => FRUITLESS_TRIES,
        }
    }
}

/// A message's position: first those that are not behind others, then those tried least recently, then the oldest.
type Position = (bool, u64, (i64, u64, u64));

/// The order of a pass, and its failed tries.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// The number of this pass.
    turn: u64,
    /// Failed tries recorded by earlier passes, by file name.
    before: BTreeMap<String, FailedTries>,
    /// The failed tries of this pass, by file name.
    now: BTreeMap<String, Weight>,
    /// Whether the message tried least recently comes first, instead of the oldest.
    rotates: bool,
    /// Whether the oldest one comes next as soon as a message has arrived.
    returns: bool,
}

impl Turns {
    /// Computes the order of the messages to forward.
    pub(super) fn new<'a>(to_do: impl Iterator<Item = &'a Spooled>, ledger: &Ledger) -> Self {
        let failed_tries = |name: &str| ledger.get(name).and_then(|progress| progress.failed_tries);
        let (mut head, mut newest, mut failed, mut last) = (None, 0, 0, 0);
        let mut before = BTreeMap::new();
        for message in to_do {
            let known = failed_tries(&message.name);
            before.extend(known.map(|known| (message.name.clone(), known)));
            last = last.max(known.map_or(0, |known| known.turn));
            if known.is_some_and(|known| known.behind) {
                continue;
            }
            newest = newest.max(known.map_or(0, |known| known.turn));
            failed += u32::from(known.is_some());
            let position = (message.order(), known);
            head = Some(head.map_or(position, |head: (_, _)| if position.0 < head.0 { position } else { head }));
        }
        // The last pass began with the oldest one and got nowhere: now it is another one's turn.
        let rotates = head
            .and_then(|(_, known)| known)
            .is_some_and(|known: FailedTries| known.strikes >= FRUITLESS_TRIES && known.turn == newest);
        // A single failed message has had its tries. Of several, most are not at fault.
        let returns = rotates && failed > 1;
        Self { turn: last.saturating_add(1), before, now: BTreeMap::new(), rotates, returns }
    }

    fn position(&self, message: &Spooled) -> Position {
        let known = self.before.get(&message.name).copied().unwrap_or_default();
        let tried = if self.rotates || known.behind { known.turn } else { 0 };
        (known.behind, tried, message.order())
    }

    /// Puts messages in the order in which they are to be tried.
    pub(super) fn sort(&self, queue: &mut VecDeque<Spooled>) {
        queue.make_contiguous().sort_by_key(|message| self.position(message));
    }

    /// Whether one message is to be tried alone, because its outcome decides the order of the others.
    pub(super) fn is_probing(&self) -> bool {
        self.returns
    }

    /// Whether so many tries with a message have failed that it is another one's turn: others arrived meanwhile, or the
    /// last pass tried it.
    pub(super) fn is_fruitless(&self, name: &str) -> bool {
        let known = self.before.get(name).copied().unwrap_or_default();
        known.behind || known.strikes >= FRUITLESS_TRIES && known.turn.saturating_add(1) == self.turn
    }

    /// Notes that a message has arrived. Returns whether that changes the order of the others.
    pub(super) fn arrived(&mut self, name: &str) -> bool {
        self.now.remove(name);
        let changes = std::mem::take(&mut self.returns);
        self.rotates &= !changes;
        changes
    }

    /// Notes a try that failed, or that may never end.
    pub(super) fn note(&mut self, name: &str, weight: Weight) {
        let known = self.now.entry(name.to_owned()).or_insert(weight);
        if weight == Weight::Hangs {
            *known = weight;
        }
    }

    /// Forgets the failed tries of a message that is not tried again.
    pub(super) fn forget(&mut self, name: &str) {
        self.now.remove(name);
    }

    /// Returns how many tries with a message have failed in a row.
    pub(super) fn strikes(&self, name: &str) -> u32 {
        let before = self.before.get(name).map_or(0, |known| known.strikes);
        before.saturating_add(self.now.get(name).map_or(0, |weight| weight.strikes()))
    }

    /// Returns the record that the next pass needs of a message, if this pass ended now.
    pub(super) fn record(&self, name: &str, others_arrived: bool) -> Option<ForwardRecord> {
        let weight = self.now.get(name)?;
        let before = self.before.get(name).copied().unwrap_or_default();
        let strikes = before.strikes.saturating_add(weight.strikes());
        // The first failure may be an accident.
        let behind = before.behind || others_arrived && before.strikes > 0 && strikes >= FRUITLESS_TRIES;
        let tries = FailedTries { turn: self.turn, strikes, behind };
        Some(ForwardRecord::TryFailed { name: name.to_owned(), tries })
    }

    /// Returns these records for all messages.
    pub(super) fn records(&self, others_arrived: bool) -> Vec<ForwardRecord> {
        self.now.keys().filter_map(|name| self.record(name, others_arrived)).collect()
    }
}

#[cfg(test)]
#[path = "turns_tests.rs"]
mod tests;
