//! How long a destination is left alone after a failed pass.

use std::time::Duration;

/// The kind of a failure, which decides how long the destination is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// It may work soon.
    Soon,
    /// It is full, which may last for hours.
    Full,
    /// A person has to do something.
    Person,
}

impl Pause {
    /// Returns how long, after this many failures in a row, at least one.
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
