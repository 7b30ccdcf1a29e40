//! Messages that are left on the server: how long one that made trouble is set aside, and what a rule says of others.

use super::Store;
use crate::state::entries::{ListedAs, Quarantine, QuarantineReason};
use crate::state::error::StateError;
use crate::state::journal::Durability;
use crate::state::record::Record;

/// After so many times in a row a message is set aside.
const FIRST_QUARANTINE: u32 = 3;

/// How long a message is set aside after making trouble so often, in seconds: not at all twice, since most trouble
/// passes; then from an hour on, doubling, up to a week.
fn set_aside_for(count: u32) -> u64 {
    const HOUR: u64 = 3600;
    const WEEK: u64 = 7 * 24 * HOUR;
    match count.checked_sub(FIRST_QUARANTINE) {
        None => 0,
        Some(doublings) => HOUR.saturating_mul(1 << doublings.min(10)).min(WEEK),
    }
}

impl Store {
    /// These messages made trouble. How long each is set aside grows with how often it did.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn record_quarantine(&mut self, messages: Vec<ListedAs>, kind: QuarantineReason) -> Result<(), StateError> {
        if messages.is_empty() {
            return Ok(());
        }
        let now = self.mark.trusted;
        let record = |listed_as: ListedAs| {
            let before = self.state.quarantine(&listed_as.unique_id, listed_as.reported_size);
            let count = before.map_or(0, |quarantine| quarantine.count).saturating_add(1);
            let until = now.saturating_add(set_aside_for(count));
            Record::Quarantine { listed_as, quarantine: Quarantine { kind, count, until } }
        };
        let records = messages.into_iter().map(record).collect();
        self.append(records, Durability::Later)
    }

    /// These messages could not be delivered, and not by any fault of theirs: others come first next time, but none of these is
    /// ever left alone for that.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn record_others_first(&mut self, messages: Vec<ListedAs>) -> Result<(), StateError> {
        let until = self.mark.trusted;
        let is_new = |one: &ListedAs| self.state.quarantine(&one.unique_id, one.reported_size).is_none();
        let last = Quarantine { kind: QuarantineReason::Refused, count: 1, until };
        let record = |listed_as| Record::Quarantine { listed_as, quarantine: last };
        let records: Vec<Record> = messages.into_iter().filter(is_new).map(record).collect();
        if records.is_empty() { Ok(()) } else { self.append(records, Durability::Later) }
    }

    /// Whichever of these messages made trouble does not any more: it is not on the server, or had its turn.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn record_quarantine_over(&mut self, messages: Vec<ListedAs>) -> Result<(), StateError> {
        let records = self.troubles_over(messages.into_iter());
        if records.is_empty() { Ok(()) } else { self.append(records, Durability::Later) }
    }

    /// Rules with this digest leave these messages on the server, and not those any more.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn record_skipped(
        &mut self,
        skipped: Vec<ListedAs>,
        rules: u32,
        over: Vec<ListedAs>,
    ) -> Result<(), StateError> {
        let over = over.into_iter().map(Record::NotSkipped);
        let skipped = skipped.into_iter().map(|listed_as| Record::Skipped { listed_as, rules });
        let records: Vec<Record> = over.chain(skipped).collect();
        if records.is_empty() { Ok(()) } else { self.append(records, Durability::Later) }
    }

    pub(super) fn troubles_over(&self, messages: impl Iterator<Item = ListedAs>) -> Vec<Record> {
        let made_trouble = |one: &ListedAs| self.state.quarantine(&one.unique_id, one.reported_size).is_some();
        messages.filter(made_trouble).map(Record::TroubleOver).collect()
    }
}
