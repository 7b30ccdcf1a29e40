//! Whose turn it is. PURE.
//!
//! The oldest message comes first, as long as that works: so after an outage everything arrives in its order. Where tries
//! have come to nothing at the oldest one several times in a row, every other pass begins with what was tried least
//! recently: so no message, and no number of them, holds up those behind it for ever, and a destination that is only down
//! has all mail in its order all the same, or all but one message. What comes to nothing while others arrive goes behind
//! them.

use std::collections::{BTreeMap, VecDeque};

use super::journal::Ledger;
use super::spool::Spooled;
use crate::state::record::{ForwardRecord, Trouble};

/// After so many tries that came to nothing the oldest one is not the first any more.
const FRUITLESS_TRIES: u32 = 3;

/// How much a try counts that came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// It was refused, or the connection broke.
    Once,
    /// It has gone on for long, and may never come to an end: another pass is lost if it is the first again.
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

/// Where a message stands: what is behind others, then what was tried later, then the younger one comes later.
type Place = (bool, u64, (i64, u64, u64));

/// The order of a pass, and what comes to nothing in it.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// The number of this pass.
    turn: u64,
    /// What earlier passes say.
    before: BTreeMap<String, Trouble>,
    /// What came to nothing in this one.
    now: BTreeMap<String, Weight>,
    /// What was tried least recently comes first, in place of the oldest.
    rotates: bool,
    /// As soon as something arrives the oldest one is the next.
    returns: bool,
}

impl Turns {
    /// The order for what is to be done.
    pub(super) fn new<'a>(to_do: impl Iterator<Item = &'a Spooled>, ledger: &Ledger) -> Self {
        let trouble = |name: &str| ledger.get(name).and_then(|progress| progress.trouble);
        let (mut head, mut newest, mut troubled, mut last) = (None, 0, 0, 0);
        let mut before = BTreeMap::new();
        for message in to_do {
            let known = trouble(&message.name);
            before.extend(known.map(|known| (message.name.clone(), known)));
            last = last.max(known.map_or(0, |known| known.turn));
            if known.is_some_and(|known| known.behind) {
                continue;
            }
            newest = newest.max(known.map_or(0, |known| known.turn));
            troubled += u32::from(known.is_some());
            let place = (message.order(), known);
            head = Some(head.map_or(place, |head: (_, _)| if place.0 < head.0 { place } else { head }));
        }
        // The pass before began with the oldest one, and got nowhere: it is another one's turn.
        let rotates = head
            .and_then(|(_, known)| known)
            .is_some_and(|known: Trouble| known.strikes >= FRUITLESS_TRIES && known.turn == newest);
        // One alone has had its tries. Of several most are not at fault.
        let returns = rotates && troubled > 1;
        Self { turn: last.saturating_add(1), before, now: BTreeMap::new(), rotates, returns }
    }

    fn place(&self, message: &Spooled) -> Place {
        let known = self.before.get(&message.name).copied().unwrap_or_default();
        let tried = if self.rotates || known.behind { known.turn } else { 0 };
        (known.behind, tried, message.order())
    }

    /// Puts messages in the order in which they are to be tried.
    pub(super) fn sort(&self, queue: &mut VecDeque<Spooled>) {
        queue.make_contiguous().sort_by_key(|message| self.place(message));
    }

    /// Whether one message is to be tried alone, because the order of the others depends on what becomes of it.
    pub(super) fn is_probing(&self) -> bool {
        self.returns
    }

    /// Whether so many tries with a message have come to nothing that it is another one's turn: others arrived meanwhile, or
    /// the pass before this one has tried it.
    pub(super) fn is_fruitless(&self, name: &str) -> bool {
        let known = self.before.get(name).copied().unwrap_or_default();
        known.behind || known.strikes >= FRUITLESS_TRIES && known.turn.saturating_add(1) == self.turn
    }

    /// A message has arrived. True if the order of the others is another one now.
    pub(super) fn arrived(&mut self, name: &str) -> bool {
        self.now.remove(name);
        let changes = std::mem::take(&mut self.returns);
        self.rotates &= !changes;
        changes
    }

    /// A try has come to nothing, or may never come to an end.
    pub(super) fn note(&mut self, name: &str, weight: Weight) {
        let known = self.now.entry(name.to_owned()).or_insert(weight);
        if weight == Weight::Hangs {
            *known = weight;
        }
    }

    /// How many tries with a message have come to nothing in a row.
    pub(super) fn strikes(&self, name: &str) -> u32 {
        let before = self.before.get(name).map_or(0, |known| known.strikes);
        before.saturating_add(self.now.get(name).map_or(0, |weight| weight.strikes()))
    }

    /// What is to be known of one by the next pass, if this one ended now.
    pub(super) fn record(&self, name: &str, others_arrived: bool) -> Option<ForwardRecord> {
        let weight = self.now.get(name)?;
        let before = self.before.get(name).copied().unwrap_or_default();
        let strikes = before.strikes.saturating_add(weight.strikes());
        // The first time may be an accident.
        let behind = before.behind || others_arrived && before.strikes > 0 && strikes >= FRUITLESS_TRIES;
        let trouble = Trouble { turn: self.turn, strikes, behind };
        Some(ForwardRecord::Troubled { name: name.to_owned(), trouble })
    }

    /// The same of all.
    pub(super) fn records(&self, others_arrived: bool) -> Vec<ForwardRecord> {
        self.now.keys().filter_map(|name| self.record(name, others_arrived)).collect()
    }
}

#[cfg(test)]
#[path = "turns_tests.rs"]
mod tests;
