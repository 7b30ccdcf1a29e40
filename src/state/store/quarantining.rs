//! Messages that are left on the server: how long one that failed is quarantined, and what a rule says of others.

use super::Store;
use crate::state::entries::{ListedAs, Quarantine, QuarantineReason};
use crate::state::error::StateError;
use crate::state::journal::Durability;
use crate::state::record::Record;

/// After so many times in a row a message is quarantined.
const FIRST_QUARANTINE: u32 = 3;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// How long a message is quarantined after it failed so often, in seconds: not at all twice, since most trouble
/// passes; then from so long on, doubling, up to a week.
fn quarantined_for(count: u32, first: u64) -> u64 {
    match count.checked_sub(FIRST_QUARANTINE) {
        None => 0,
        Some(doublings) => first.saturating_mul(1 << doublings.min(10)).min(7 * DAY),
    }
}

/// What is known of a message that a server's limit for the day keeps back once more; None if that counted today. Each day
/// has a limit of its own, and a message that comes on none of several is larger than any of them.
fn over_limit(before: Option<Quarantine>, now: u64) -> Option<Quarantine> {
    /// Polls of one day are not at the same hour.
    const APART: u64 = 20 * HOUR;
    let counted_today = |before: Quarantine| {
        before.kind == QuarantineReason::OverLimit
            && before.count < FIRST_QUARANTINE
            && now < before.until.saturating_add(APART)
    };
    if before.is_some_and(counted_today) {
        return None;
    }
    let count = before.map_or(0, |before| before.count).saturating_add(1);
    let until = now.saturating_add(quarantined_for(count, DAY));
    Some(Quarantine { kind: QuarantineReason::OverLimit, count, until })
}

impl Store {
    /// These messages failed. How long each is quarantined grows with how often it did.
    ///
    /// # Errors
    /// Disk errors.
    pub fn record_quarantine(&mut self, messages: Vec<ListedAs>, kind: QuarantineReason) -> Result<(), StateError> {
        let records = self.once_more(messages.into_iter(), kind);
        if records.is_empty() { Ok(()) } else { self.append(records, Durability::Later) }
    }

    /// The records of that. That a message came in another size counts by itself: it came.
    pub(super) fn once_more(&self, messages: impl Iterator<Item = ListedAs>, kind: QuarantineReason) -> Vec<Record> {
        let came = |kind: QuarantineReason| kind == QuarantineReason::OtherSize;
        let record = |listed_as: ListedAs| {
            let before = self.state.quarantine(&listed_as.unique_id, listed_as.reported_size);
            let before = before.filter(|before| came(before.kind) == came(kind));
            let count = before.map_or(0, |before| before.count).saturating_add(1);
            let until = self.mark.trusted.saturating_add(quarantined_for(count, HOUR));
            Record::Quarantine { listed_as, quarantine: Quarantine { kind, count, until } }
        };
        messages.map(record).collect()
    }

    /// When this message was asked for the server gave no more for the day. On the third such day it is quarantined for a day,
    /// then for two, up to a week.
    ///
    /// # Errors
    /// Disk errors.
    pub fn record_over_limit(&mut self, listed_as: ListedAs) -> Result<(), StateError> {
        let before = self.state.quarantine(&listed_as.unique_id, listed_as.reported_size);
        match over_limit(before, self.mark.trusted) {
            Some(quarantine) => self.append(vec![Record::Quarantine { listed_as, quarantine }], Durability::Later),
            None => Ok(()),
        }
    }

    /// These messages could not be delivered, and not by any fault of theirs: others come first next time, but none of these is
    /// ever left alone for that.
    ///
    /// # Errors
    /// Disk errors.
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
    /// Disk errors.
    pub fn record_quarantine_over(&mut self, messages: Vec<ListedAs>) -> Result<(), StateError> {
        let records = self.troubles_over(messages.into_iter());
        if records.is_empty() { Ok(()) } else { self.append(records, Durability::Later) }
    }

    /// Rules with this digest leave these messages on the server, and not those any more.
    ///
    /// # Errors
    /// Disk errors.
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
