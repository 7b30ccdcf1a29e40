//! How large a message may become, whatever the server claims. PURE.
//!
//! A listed size is only a hint: servers count line ends as one octet or two, convert a message on request, or report 0
//! when they do not know. None of this doubles a message. So a message that goes far beyond its listed size, or beyond
//! what the account allows, is not read to its end: it would fill the disk.

use crate::client::error::TooLongFor;
use crate::maildir::staging::SpaceSeen;
use crate::message::StoredSize;
use crate::pop3::ReportedSize;

/// How many octets beyond twice its listed size a message may always have.
const SLACK: u64 = 4 << 20;

/// The most octets that a message may have as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ceiling {
    /// The limit.
    pub(super) most: StoredSize,
    /// What sets the limit.
    pub(super) because: TooLongFor,
    /// Its listed size; 0 if it is listed without one.
    listed: ReportedSize,
}

impl Ceiling {
    /// Returns the ceiling for a message from its listed size, the account's limit and the free space beyond the
    /// reserve, both in octets.
    ///
    /// Beyond its listed size a message gets at most half of the free space; the other half is for everybody else on
    /// that disk. A message listed without a size, or with 0, is limited only by the free space and the account.
    pub(super) fn of(listed: Option<ReportedSize>, allowed: Option<u64>, free_space: u64) -> Self {
        let listed = listed.unwrap_or_default();
        let ceiling = |most, because| Self { most: StoredSize::new(most), because, listed };
        let half = |from: u64| from.saturating_add(free_space.saturating_sub(from) / 2);
        let by_room = ceiling(half(listed.get()), TooLongFor::FreeSpace);
        let twice = |size: ReportedSize| size.get().saturating_mul(2).saturating_add(SLACK);
        let by_listing = (!listed.is_zero()).then(|| ceiling(twice(listed), TooLongFor::Listing));
        let by_account = allowed.map(|most| ceiling(most, TooLongFor::Account));
        [by_account, by_listing].into_iter().flatten().fold(by_room, |a, b| if b.most < a.most { b } else { a })
    }

    /// Returns the ceiling of a message that takes too much of the free space at this size.
    pub(super) fn by_free_space(self, size: StoredSize) -> Self {
        Self { most: size, because: TooLongFor::FreeSpace, ..self }
    }

    /// Whether this is more than the message is listed with: nothing is larger as stored than on the wire.
    pub(super) fn is_beyond_listing(&self, size: StoredSize) -> bool {
        size.get() > self.listed.get()
    }

    /// Whether a message of this size so far is beyond its listed size, and less than half of the free space that it
    /// could have left to others is still free. Several messages without end share a disk so, and each of them alone
    /// would stay below its limit.
    pub(super) fn leaves_too_little(&self, size: StoredSize, seen: SpaceSeen) -> bool {
        self.is_beyond_listing(size) && seen.last < seen.first.saturating_sub(self.listed.get()) / 2
    }
}

/// Returns how many octets of a message listed with this size are of use to a poll that others wait for: some more than
/// that, as servers count in several ways. All of them if it is listed without a size.
pub(super) fn of_use(listed: Option<ReportedSize>) -> u64 {
    const MORE: u64 = 64 << 10;
    match listed.unwrap_or_default().get() {
        0 => u64::MAX,
        size => size.saturating_add(size / 2).saturating_add(MORE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const PLENTY: u64 = 1 << 40;

    fn ceiling(listed: Option<u64>, allowed: Option<u64>, free_space: u64) -> (u64, TooLongFor) {
        let Ceiling { most, because, .. } = Ceiling::of(listed.map(ReportedSize::new), allowed, free_space);
        (most.get(), because)
    }

    #[test]
    fn what_the_account_allows_holds_for_what_comes() {
        assert_eq!(ceiling(Some(100), Some(MIB), PLENTY), (MIB, TooLongFor::Account));
        assert_eq!(ceiling(None, Some(MIB), PLENTY), (MIB, TooLongFor::Account));
    }

    #[test]
    fn a_listed_size_may_be_off_but_not_by_any_amount() {
        assert_eq!(ceiling(Some(100), None, PLENTY), (200 + 4 * MIB, TooLongFor::Listing));
        assert_eq!(ceiling(Some(100), Some(50 * MIB), PLENTY), (200 + 4 * MIB, TooLongFor::Listing));
        assert_eq!(ceiling(Some(50 * MIB), None, PLENTY), (104 * MIB, TooLongFor::Listing));
        assert_eq!(ceiling(Some(u64::MAX), None, PLENTY).0, u64::MAX);
    }

    #[test]
    fn what_comes_far_beyond_the_listed_size_is_of_no_use() {
        let listed = |size| of_use(Some(ReportedSize::new(size)));
        assert_eq!(listed(100), 150 + (64 << 10));
        assert_eq!(listed(60 * MIB), 90 * MIB + (64 << 10), "BASE64 that was counted before it was encoded");
        assert_eq!([of_use(None), listed(0), listed(u64::MAX)], [u64::MAX; 3]);
    }

    #[test]
    fn half_of_the_free_space_is_left_to_others() {
        assert_eq!(ceiling(None, None, 100 * MIB), (50 * MIB, TooLongFor::FreeSpace));
        assert_eq!(ceiling(Some(0), None, 100 * MIB), (50 * MIB, TooLongFor::FreeSpace));
        assert_eq!(
            ceiling(Some(60 * MIB), None, 100 * MIB),
            (80 * MIB, TooLongFor::FreeSpace),
            "what it is listed as fits"
        );
        assert_eq!(ceiling(Some(100), None, MIB), (100 + (MIB - 100) / 2, TooLongFor::FreeSpace));
        assert_eq!(ceiling(Some(100), None, 0), (100, TooLongFor::FreeSpace));
    }

    #[test]
    fn what_others_write_meanwhile_counts_only_beyond_the_listed_size() {
        let seen = |first, last| SpaceSeen { first: first * MIB, last: last * MIB };
        let size = StoredSize::new;
        let unlisted = Ceiling::of(None, None, 100 * MIB);
        assert!(!unlisted.leaves_too_little(size(MIB), seen(100, 50)));
        assert!(unlisted.leaves_too_little(size(MIB), seen(100, 49)));
        let listed = Ceiling::of(Some(ReportedSize::new(60 * MIB)), None, 100 * MIB);
        assert!(!listed.leaves_too_little(size(60 * MIB), seen(100, 0)), "as large as it was listed");
        assert!(!listed.leaves_too_little(size(60 * MIB + 1), seen(100, 20)));
        assert!(listed.leaves_too_little(size(60 * MIB + 1), seen(100, 19)));
    }
}
