//! Time that can be relied on. PURE.
//!
//! "Delete 14 days after delivery" must not be decided by a clock that was wrong. So ages are counted on an axis of our
//! own, in *trusted seconds*, which advances only by time that has surely passed. Within one boot that is the time by
//! the boot clock, or by the wall clock if that is less and the wall clock did not go back. From one boot to another it
//! is the time by the wall clock, or nothing if that is implausible.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point on that axis: trusted seconds since the state was created. Seconds of another clock are no such time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrustedTime(u64);

impl TrustedTime {
    /// When the state was created.
    pub const FIRST: Self = Self(0);

    /// Makes the time that a record has, in trusted seconds.
    #[must_use]
    pub const fn of_record(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Returns it in trusted seconds, for a record.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0
    }

    /// Returns the trusted time that has passed since an earlier one; none if that is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }

    /// Returns the time at which this much more will have passed, in whole seconds.
    #[must_use]
    pub const fn after(self, passed: Duration) -> Self {
        Self(self.0.saturating_add(passed.as_secs()))
    }
}

/// A reading of the machine's clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReading {
    /// Seconds since 1970 by the wall clock, which may be wrong and may jump.
    pub wall: i64,
    /// A number that differs from boot to boot.
    pub boot: u32,
    /// Seconds since the boot, including suspended time.
    pub since_boot: u64,
}

/// A reading that was recorded, with the trusted time at that moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockMark {
    /// The reading of the clocks.
    pub reading: ClockReading,
    /// The trusted time.
    pub trusted: TrustedTime,
}

/// The longest time between two boots, in seconds, for which the wall clock is believed (35 days). A machine is rarely
/// switched off for longer, and then messages only age more slowly. A clock that starts in 1970 is not rare.
const PLAUSIBLE_BETWEEN_BOOTS: u64 = 35 * 86_400;

/// A mark is renewed after this much trusted time, so that a later jump of the clock can falsify little.
const MARK_INTERVAL: Duration = Duration::from_secs(86_400);

impl ClockMark {
    /// Makes the mark at which trusted time begins.
    #[must_use]
    pub fn first(reading: ClockReading) -> Self {
        Self { reading, trusted: TrustedTime::FIRST }
    }

    /// Returns the mark for a later reading.
    #[must_use]
    pub(crate) fn advance(&self, now: ClockReading) -> Self {
        let passed = if now.boot == self.reading.boot && now.since_boot >= self.reading.since_boot {
            let by_boot = now.since_boot - self.reading.since_boot;
            // A time namespace (time_namespaces(7)) may move the boot clock. Whichever clock says less is believed, unless
            // the wall clock went back.
            let by_wall = u64::try_from(now.wall.saturating_sub(self.reading.wall));
            by_wall.map_or(by_boot, |by_wall| by_boot.min(by_wall))
        } else {
            let by_wall = u64::try_from(now.wall.saturating_sub(self.reading.wall)).unwrap_or(0);
            if by_wall <= PLAUSIBLE_BETWEEN_BOOTS { by_wall } else { 0 }
        };
        Self { reading: now, trusted: self.trusted.after(Duration::from_secs(passed)) }
    }

    /// Whether `next`, made by [`ClockMark::advance`], is worth writing although nothing else is written.
    #[must_use]
    pub(crate) fn is_stale(&self, next: &Self) -> bool {
        next.reading.boot != self.reading.boot || next.trusted.since(self.trusted) >= MARK_INTERVAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn reading(wall_days: i64, boot: u32, since_boot_days: u64) -> ClockReading {
        ClockReading { wall: wall_days * 86_400, boot, since_boot: since_boot_days * DAY }
    }

    fn days_between(from: ClockReading, to: ClockReading) -> u64 {
        ClockMark::first(from).advance(to).trusted.since(TrustedTime::FIRST).as_secs() / DAY
    }

    #[test]
    fn within_a_boot_no_more_than_the_boot_clock_counts() {
        assert_eq!(days_between(reading(100, 1, 1), reading(103, 1, 4)), 3);
        assert_eq!(days_between(reading(100, 1, 1), reading(101, 1, 21)), 1, "a time namespace moved the boot clock");
        assert_eq!(days_between(reading(0, 1, 1), reading(20_000, 1, 1)), 0, "1970, then the network sets the clock");
        assert_eq!(days_between(reading(100, 1, 1), reading(50, 1, 3)), 2, "the wall clock went back");
    }

    #[test]
    fn between_boots_a_plausible_wall_clock_counts() {
        assert_eq!(days_between(reading(100, 1, 50), reading(114, 2, 0)), 14);
        assert_eq!(days_between(reading(100, 1, 50), reading(135, 2, 0)), 35);
    }

    #[test]
    fn between_boots_an_implausible_wall_clock_counts_nothing() {
        assert_eq!(days_between(reading(0, 1, 5), reading(20_000, 2, 0)), 0, "forward by decades");
        assert_eq!(days_between(reading(20_000, 1, 5), reading(0, 2, 3)), 0, "back to 1970");
    }

    #[test]
    fn time_neither_goes_back_nor_beyond_its_end() {
        let (early, late) = (TrustedTime::of_record(3), TrustedTime::of_record(10));
        assert_eq!((late.since(early).as_secs(), early.since(late).as_secs()), (7, 0));
        assert_eq!(early.after(Duration::from_millis(7999)), late);
        assert_eq!(late.after(Duration::MAX), TrustedTime::of_record(u64::MAX));
    }

    #[test]
    fn a_mark_is_renewed_daily_and_at_each_boot() {
        let mark = ClockMark::first(reading(100, 1, 1));
        assert!(!mark.is_stale(&mark.advance(reading(400, 1, 1))));
        assert!(mark.is_stale(&mark.advance(reading(101, 1, 2))));
        assert!(mark.is_stale(&mark.advance(reading(100, 2, 0))));
    }
}
