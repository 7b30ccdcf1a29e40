//! How far ahead messages are asked for. PURE: octets and times go in.
//!
//! Enough that the link is never idle for want of a command, and no more than it brings in a few seconds: when the end is
//! asked for, what is under way has to come in within a bound.

use std::time::Duration;

/// What may be under way before anything was measured, in octets: what a good line brings in one round trip.
const FIRST: u64 = 1 << 20;

/// No line is so slow that less would do, in octets.
const LEAST: u64 = 256 << 10;

/// More would keep no link busier, in octets.
const MOST: u64 = 64 << 20;

/// What the link brings in so long may be under way.
const AHEAD: Duration = Duration::from_secs(4);

/// The throughput is measured over at least so long.
const MEASURED: Duration = Duration::from_millis(250);

/// The messages that were asked for and have not come in, by their reported sizes.
#[derive(Debug)]
pub(super) struct Window {
    /// Their octets, as reported.
    under_way: u64,
    /// How many octets may be under way.
    allowed: u64,
    /// Octets that came in since `since`.
    arrived: u64,
    /// Since the beginning of the session.
    since: Duration,
}

impl Window {
    pub(super) fn new() -> Self {
        Self { under_way: 0, allowed: FIRST, arrived: 0, since: Duration::ZERO }
    }

    /// Whether another message may be asked for.
    pub(super) fn is_open(&self) -> bool {
        self.under_way < self.allowed
    }

    /// A message of so many octets, as reported, was asked for.
    pub(super) fn asked(&mut self, reported: u64) {
        self.under_way = self.under_way.saturating_add(reported);
    }

    /// It is complete, or refused.
    pub(super) fn completed(&mut self, reported: u64) {
        self.under_way = self.under_way.saturating_sub(reported);
    }

    /// So many octets have come in; `now` counts from the beginning of the session.
    pub(super) fn arrived(&mut self, octets: usize, now: Duration) {
        self.arrived = self.arrived.saturating_add(u64::try_from(octets).unwrap_or(u64::MAX));
        let over = now.saturating_sub(self.since);
        if over < MEASURED {
            return;
        }
        let ahead = u128::from(self.arrived) * AHEAD.as_millis() / over.as_millis().max(1);
        self.allowed = u64::try_from(ahead).unwrap_or(MOST).clamp(LEAST, MOST);
        (self.arrived, self.since) = (0, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// What may be under way on a line that brings so many octets a second.
    fn allowed(octets_a_second: usize) -> u64 {
        let mut window = Window::new();
        (1..=100).for_each(|tenth| window.arrived(octets_a_second / 10, tenth * SECOND / 10));
        window.allowed
    }

    #[test]
    fn what_is_under_way_comes_in_within_seconds_on_any_line() {
        assert_eq!(allowed(1_000), LEAST);
        assert_eq!(allowed(1_000_000), 4_000_000);
        assert_eq!(allowed(1_000_000_000), MOST);
    }

    #[test]
    fn a_window_is_open_until_enough_is_under_way() {
        let mut window = Window::new();
        window.asked(FIRST - 1);
        assert!(window.is_open());
        window.asked(u64::MAX);
        assert!(!window.is_open());
        window.completed(u64::MAX);
        assert!(window.is_open(), "sizes are hints, and may be lies");
    }
}
