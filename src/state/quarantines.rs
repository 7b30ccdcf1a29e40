//! The quarantines of messages with the same unique-id. PURE.
//!
//! A server may list any number of messages under one unique-id, and refuse each of them: the cost per message does not
//! depend on how many there are.

use std::collections::BTreeMap;
use std::time::Duration;

use super::entry::{ListedAs, Quarantine};
use crate::pop3::ReportedSize;

/// A message is quarantined after this many failures in a row.
pub(super) const FIRST_QUARANTINE: u32 = 3;

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long a message is quarantined after `count` failures: not at all after the first two, since most failures pass;
/// then for `first`, doubled each time, up to a week.
pub(super) fn quarantined_for(count: u32, first: Duration) -> Duration {
    match count.checked_sub(FIRST_QUARANTINE) {
        None => Duration::ZERO,
        Some(doublings) => first.saturating_mul(1 << doublings.min(10)).min(WEEK),
    }
}

/// The quarantines, by size as listed.
#[derive(Debug, Clone, Default)]
pub(super) struct Quarantines {
    /// Those of messages listed with a size.
    sized: BTreeMap<ReportedSize, (ListedAs, Quarantine)>,
    /// That of a message listed without a size. It applies to any size, and replaces all others.
    sizeless: Option<(ListedAs, Quarantine)>,
}

impl Quarantines {
    /// Returns the quarantine of the message listed with this size. An unknown size matches any.
    pub(super) fn get(&self, reported_size: Option<ReportedSize>) -> Option<Quarantine> {
        let made = match reported_size {
            Some(size) => self.sized.get(&size).or(self.sizeless.as_ref()),
            None => self.iter().next(),
        };
        made.map(|(_, quarantine)| *quarantine)
    }

    /// Sets the quarantine of a message.
    pub(super) fn set(&mut self, listed_as: ListedAs, quarantine: Quarantine) {
        let size = listed_as.reported_size;
        self.end(size);
        match size {
            Some(size) => _ = self.sized.insert(size, (listed_as, quarantine)),
            None => self.sizeless = Some((listed_as, quarantine)),
        }
    }

    /// Ends the quarantine of the message listed with this size.
    pub(super) fn end(&mut self, reported_size: Option<ReportedSize>) {
        self.sizeless = None;
        match reported_size {
            Some(size) => _ = self.sized.remove(&size),
            None => self.sized.clear(),
        }
    }

    /// Iterates over all of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(ListedAs, Quarantine)> {
        self.sized.values().chain(&self.sizeless)
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.sized.is_empty() && self.sizeless.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::trusted_time::TrustedTime;
    use crate::pop3::UniqueId;
    use crate::state::entry::QuarantineReason;

    #[test]
    fn an_unknown_size_speaks_of_any() {
        let mut quarantines = Quarantines::default();
        let set = |quarantines: &mut Quarantines, size: Option<u64>, count| {
            let reported_size = size.map(ReportedSize::new);
            let listed_as = ListedAs { unique_id: UniqueId::new(b"a").unwrap(), reported_size };
            quarantines
                .set(listed_as, Quarantine { kind: QuarantineReason::Refused, count, until: TrustedTime::FIRST });
        };
        let count = |quarantines: &Quarantines, size: Option<u64>| {
            quarantines.get(size.map(ReportedSize::new)).map(|quarantine| quarantine.count)
        };
        set(&mut quarantines, Some(1), 1);
        set(&mut quarantines, Some(2), 2);
        assert_eq!([Some(1), Some(2), Some(3)].map(|size| count(&quarantines, size)), [Some(1), Some(2), None]);
        assert!(count(&quarantines, None).is_some());
        set(&mut quarantines, None, 3);
        assert_eq!(
            (count(&quarantines, Some(1)), count(&quarantines, None), quarantines.iter().count()),
            (Some(3), Some(3), 1)
        );
        set(&mut quarantines, Some(1), 4);
        assert_eq!((count(&quarantines, Some(1)), count(&quarantines, Some(2))), (Some(4), None));
        quarantines.end(None);
        assert!(quarantines.is_empty());
    }
}
