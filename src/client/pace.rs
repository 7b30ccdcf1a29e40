//! A server that says one byte a second is never silent, and must not hold an account for ever all the same.
//!
//! Only time spent waiting for the server counts, so that a slow disk is not taken for a slow server; and only within
//! one answer, so that a server that thinks long before each is not taken for one that drips.

use std::time::Duration;

/// Judges the throughput of one answer, window by window. PURE.
#[derive(Debug)]
pub(super) struct Pace {
    /// The time to judge over.
    window: Duration,
    /// The least number of octets in it.
    least: u64,
    /// How long the server was waited for in this window.
    waited: Duration,
    /// What came in this window, in octets.
    octets: u64,
}

impl Pace {
    pub(super) fn new(window: Duration, least: u64) -> Self {
        Self { window, least, waited: Duration::ZERO, octets: 0 }
    }

    /// So many octets came after so long a wait. The error is the number of octets in a window that had too few.
    pub(super) fn waited(&mut self, time: Duration, octets: usize) -> Result<(), u64> {
        self.waited = self.waited.saturating_add(time);
        self.octets = self.octets.saturating_add(u64::try_from(octets).unwrap_or(u64::MAX));
        if self.waited < self.window {
            return Ok(());
        }
        let octets = self.octets;
        self.answered();
        if octets < self.least { Err(octets) } else { Ok(()) }
    }

    /// An answer is complete, or another part of it begins: a new window.
    pub(super) fn answered(&mut self) {
        self.waited = Duration::ZERO;
        self.octets = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn run(octets_a_second: usize, seconds: usize) -> Result<(), u64> {
        let mut pace = Pace::new(120 * SECOND, 12_000);
        (0..seconds).try_for_each(|_| pace.waited(SECOND, octets_a_second))
    }

    #[test]
    fn a_drip_ends_and_a_slow_line_does_not() {
        assert_eq!(run(1, 119), Ok(()));
        assert_eq!(run(1, 120), Err(120));
        assert_eq!(run(100, 1_000_000), Ok(()));
    }

    #[test]
    fn long_thinking_before_each_answer_is_allowed() {
        let mut pace = Pace::new(120 * SECOND, 12_000);
        for _ in 0..100 {
            assert_eq!(pace.waited(50 * SECOND, 1000), Ok(()));
            pace.answered();
        }
    }
}
