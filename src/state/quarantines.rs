//! The quarantines of messages with the same unique-id. PURE.
//!
//! A server may list any number of messages under one unique-id, and refuse each of them: the cost per message does not
//! depend on how many there are. Nearly always there is one, and a hundred thousand unique-ids may have one each: that
//! one takes no allocation.

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
    sized: Sized,
    /// That of a message listed without a size. It applies to any size, and replaces all others.
    sizeless: Option<(ListedAs, Quarantine)>,
}

/// Quarantines of messages listed with a size, by that size.
#[derive(Debug, Clone, Default)]
enum Sized {
    /// There is none.
    #[default]
    None,
    /// There is one.
    One(ReportedSize, (ListedAs, Quarantine)),
    /// There are, or were, several.
    Several(BTreeMap<ReportedSize, (ListedAs, Quarantine)>),
}

impl Sized {
    fn get(&self, size: ReportedSize) -> Option<&(ListedAs, Quarantine)> {
        match self {
            Self::One(one, quarantine) if *one == size => Some(quarantine),
            Self::None | Self::One(..) => None,
            Self::Several(several) => several.get(&size),
        }
    }

    fn insert(&mut self, size: ReportedSize, quarantine: (ListedAs, Quarantine)) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(size, quarantine),
            Self::One(one, _) if one == size => Self::One(size, quarantine),
            Self::One(one, first) => Self::Several([(one, first), (size, quarantine)].into()),
            Self::Several(mut several) => {
                several.insert(size, quarantine);
                Self::Several(several)
            }
        };
    }

    fn remove(&mut self, size: ReportedSize) {
        match self {
            Self::One(one, _) if *one == size => *self = Self::None,
            Self::None | Self::One(..) => {}
            Self::Several(several) => _ = several.remove(&size),
        }
    }

    fn iter(&self) -> impl Iterator<Item = &(ListedAs, Quarantine)> {
        let (one, several) = match self {
            Self::None => (None, None),
            Self::One(_, quarantine) => (Some(quarantine), None),
            Self::Several(several) => (None, Some(several.values())),
        };
        one.into_iter().chain(several.into_iter().flatten())
    }
}

impl Quarantines {
    /// Returns the quarantine of the message listed with this size. An unknown size matches any.
    pub(super) fn get(&self, reported_size: Option<ReportedSize>) -> Option<Quarantine> {
        let made = match reported_size {
            Some(size) => self.sized.get(size).or(self.sizeless.as_ref()),
            None => self.iter().next(),
        };
        made.map(|(_, quarantine)| *quarantine)
    }

    /// Sets the quarantine of a message.
    pub(super) fn set(&mut self, listed_as: ListedAs, quarantine: Quarantine) {
        let size = listed_as.reported_size;
        self.end(size);
        match size {
            Some(size) => self.sized.insert(size, (listed_as, quarantine)),
            None => self.sizeless = Some((listed_as, quarantine)),
        }
    }

    /// Ends the quarantine of the message listed with this size.
    pub(super) fn end(&mut self, reported_size: Option<ReportedSize>) {
        self.sizeless = None;
        match reported_size {
            Some(size) => self.sized.remove(size),
            None => self.sized = Sized::None,
        }
    }

    /// Iterates over all of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(ListedAs, Quarantine)> {
        self.sized.iter().chain(&self.sizeless)
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::trusted_time::TrustedTime;
    use crate::pop3::UniqueId;
    use crate::state::entry::QuarantineReason;

    #[test]
    fn one_takes_no_allocation_and_any_number_is_found_by_its_size() {
        assert!(size_of::<Quarantines>() <= 192, "{}", size_of::<Quarantines>());
        let listed_as =
            |size| ListedAs { unique_id: UniqueId::new(b"a").unwrap(), reported_size: Some(ReportedSize::new(size)) };
        let of = |count| Quarantine { kind: QuarantineReason::Refused, count, until: TrustedTime::FIRST };
        let mut quarantines = Quarantines::default();
        quarantines.set(listed_as(7), of(1));
        quarantines.set(listed_as(7), of(2));
        assert!(matches!(quarantines.sized, Sized::One(..)));
        for size in 0..1000 {
            quarantines.set(listed_as(size), of(3));
        }
        assert_eq!(quarantines.iter().count(), 1000);
        assert_eq!(quarantines.get(Some(ReportedSize::new(999))).map(|one| one.count), Some(3));
        assert_eq!(quarantines.get(Some(ReportedSize::new(1000))).map(|one| one.count), None);
        (0..1000).for_each(|size| quarantines.end(Some(ReportedSize::new(size))));
        assert!(quarantines.is_empty());
    }

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
