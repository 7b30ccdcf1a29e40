//! Messages that are left on the server: how long a failed one is quarantined, and which ones rules skip.

use std::time::Duration;

use super::Store;
use crate::clock::trusted_time::TrustedTime;
use crate::ids::RulesDigest;
use crate::state::entries::{ListedAs, Quarantine, QuarantineReason};
use crate::state::error::StateError;
use crate::state::journal::Durability;
use crate::state::quarantines::{FIRST_QUARANTINE, quarantined_for};
use crate::state::record::Record;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Returns the quarantine of a message that the server's daily limit held back once more; None if that has already
/// counted today. Each day has its own limit, so a message that fails on several days is larger than the limit.
fn over_limit(before: Option<Quarantine>, now: TrustedTime) -> Option<Quarantine> {
    /// The polls of two days may be less than 24 hours apart.
    const APART: Duration = Duration::from_secs(20 * 3600);
    let counted_today = |before: Quarantine| {
        before.kind == QuarantineReason::OverLimit && before.count < FIRST_QUARANTINE && now < before.until.after(APART)
    };
    if before.is_some_and(counted_today) {
        return None;
    }
    let count = before.map_or(0, |before| before.count).saturating_add(1);
    let until = now.after(quarantined_for(count, DAY));
    Some(Quarantine { kind: QuarantineReason::OverLimit, count, until })
}

impl Store {
    /// Records that these messages failed. The more often a message has failed, the longer its quarantine.
    ///
    /// # Errors
    /// Disk errors.
    pub fn record_quarantine(&mut self, messages: Vec<ListedAs>, kind: QuarantineReason) -> Result<(), StateError> {
        let records = self.once_more(messages.into_iter(), kind);
        if records.is_empty() { Ok(()) } else { self.append(records, Durability::Later) }
    }

    /// Makes those records. Coming in another size is counted separately: the message did come.
    pub(super) fn once_more(&self, messages: impl Iterator<Item = ListedAs>, kind: QuarantineReason) -> Vec<Record> {
        let came = |kind: QuarantineReason| kind == QuarantineReason::OtherSize;
        let record = |listed_as: ListedAs| {
            let before = self.state.quarantine(&listed_as.unique_id, listed_as.reported_size);
            let before = before.filter(|before| came(before.kind) == came(kind));
            let count = before.map_or(0, |before| before.count).saturating_add(1);
            let until = self.mark.trusted.after(quarantined_for(count, HOUR));
            Record::Quarantine { listed_as, quarantine: Quarantine { kind, count, until } }
        };
        messages.map(record).collect()
    }

    /// Records that the server's daily limit was reached at this message. On the third such day it is quarantined for a
    /// day, then for two, up to a week.
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

    /// Records that these messages could not be delivered through no fault of their own: others come first next time,
    /// but this never quarantines them.
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

    /// Ends the quarantine of these messages, if any: they are not on the server any more, or had their turn.
    ///
    /// # Errors
    /// Disk errors.
    pub fn record_quarantine_over(&mut self, messages: Vec<ListedAs>) -> Result<(), StateError> {
        let records = self.quarantines_over(messages.into_iter());
        if records.is_empty() { Ok(()) } else { self.append(records, Durability::Later) }
    }

    /// Records that rules with this digest leave `skipped` on the server, and that `over` are not left there any more.
    ///
    /// # Errors
    /// Disk errors.
    pub fn record_skipped(
        &mut self,
        skipped: Vec<ListedAs>,
        rules: RulesDigest,
        over: Vec<ListedAs>,
    ) -> Result<(), StateError> {
        let over = over.into_iter().map(Record::NotSkipped);
        let skipped = skipped.into_iter().map(|listed_as| Record::Skipped { listed_as, rules });
        let records: Vec<Record> = over.chain(skipped).collect();
        if records.is_empty() { Ok(()) } else { self.append(records, Durability::Later) }
    }

    pub(super) fn quarantines_over(&self, messages: impl Iterator<Item = ListedAs>) -> Vec<Record> {
        let is_quarantined = |one: &ListedAs| self.state.quarantine(&one.unique_id, one.reported_size).is_some();
        messages.filter(is_quarantined).map(Record::QuarantineOver).collect()
    }
}
