//! Time that can be relied on. PURE.
//!
//! "Delete 14 days after delivery" must not be decided by a clock that was wrong. So ages are counted on an axis of our
//! own, in *trusted seconds*, which advances only by time that has surely passed. Within one boot that is the time by
//! the boot clock, or by the wall clock if that is less and the wall clock did not go back. From one boot to another it
//! is the time by the wall clock, or nothing if that is implausible.

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
    /// Trusted seconds since the state was created.
    pub trusted: u64,
}

/// The longest time between two boots, in seconds, for which the wall clock is believed (35 days). A machine is rarely
/// switched off for longer, and then messages only age more slowly. A clock that starts in 1970 is not rare.
const PLAUSIBLE_BETWEEN_BOOTS: u64 = 35 * 86_400;

/// A mark is renewed after this many trusted seconds, so that a later jump of the clock can falsify little.
const MARK_INTERVAL: u64 = 86_400;

impl ClockMark {
    /// Makes the mark at which trusted time begins.
    #[must_use]
    pub fn first(reading: ClockReading) -> Self {
        Self { reading, trusted: 0 }
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
        Self { reading: now, trusted: self.trusted.saturating_add(passed) }
    }

    /// Whether `next`, made by [`ClockMark::advance`], is worth writing although nothing else is written.
    #[must_use]
    pub(crate) fn is_stale(&self, next: &Self) -> bool {
        next.reading.boot != self.reading.boot || next.trusted.saturating_sub(self.trusted) >= MARK_INTERVAL
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
        ClockMark::first(from).advance(to).trusted / DAY
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
    fn a_mark_is_renewed_daily_and_at_each_boot() {
        let mark = ClockMark::first(reading(100, 1, 1));
        assert!(!mark.is_stale(&mark.advance(reading(400, 1, 1))));
        assert!(mark.is_stale(&mark.advance(reading(101, 1, 2))));
        assert!(mark.is_stale(&mark.advance(reading(100, 2, 0))));
    }
}
