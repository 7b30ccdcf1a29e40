//! How long a destination is left alone.

use std::time::Duration;

/// How long a destination is left alone that took no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// It may work soon.
    Soon,
    /// It is full, and says so for hours.
    Full,
    /// Somebody has to do something.
    Person,
}

impl Pause {
    /// How long, after so many failures in a row, one or more.
    #[must_use]
    pub fn time(self, failures: u32) -> Duration {
        let (first, longest) = match self {
            Self::Soon => (30, 30 * 60),
            Self::Full => (60 * 60, 60 * 60),
            Self::Person => (10 * 60, 6 * 60 * 60),
        };
        let doubled = 1_u64.checked_shl(failures.saturating_sub(1).min(20)).unwrap_or(u64::MAX);
        Duration::from_secs(doubled.saturating_mul(first).min(longest))
    }
}

#[cfg(test)]
mod tests {
    use super::Pause;

    #[test]
    fn pauses_grow_and_end() {
        let seconds = |pause: Pause, failures| pause.time(failures).as_secs();
        assert_eq!([1, 2, 3, 7, 40].map(|n| seconds(Pause::Soon, n)), [30, 60, 120, 1800, 1800]);
        assert_eq!([1, 2, 40].map(|n| seconds(Pause::Person, n)), [600, 1200, 21600]);
        assert_eq!([1, 9].map(|n| seconds(Pause::Full, n)), [3600, 3600]);
    }
}
