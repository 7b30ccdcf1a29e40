//! How far ahead messages are requested. PURE: octets and times go in.
//!
//! The window is large enough to keep the link busy, and no larger than what the link brings in a few seconds: after a
//! stop is requested, messages in flight have to come in within a bound.
//!
//! Nothing is known about a link before octets arrive. The first flight is large all the same: it costs no memory, and
//! on a distant link a small one would cost a round trip each time it is doubled. On a slow link it takes longer than a
//! stop waits; the session is then closed without QUIT, as after any other premature end. The clock starts with the
//! first octets, since the time before was a round trip and says nothing about throughput; then [`ENOUGH`] octets
//! narrow or widen the window, to at most [`TRUST`] times what has arrived.

use std::time::Duration;

/// What may be in flight before anything is measured, in octets: what a line of 4 Mbit/s brings in 8 s.
const FIRST: u64 = 4 << 20;

/// The smallest window, in octets: no line is slow enough to need less.
const LEAST: u64 = 256 << 10;

/// The largest window, in octets: more would keep no link busier.
const MOST: u64 = 64 << 20;

/// How much of the link's throughput may be in flight, as time.
const AHEAD: Duration = Duration::from_secs(4);

/// The shortest time over which throughput is measured, once it is known.
const MEASURED: Duration = Duration::from_millis(250);

/// How many octets suffice for the first measurements: more than a few packets that were all in flight at once.
const ENOUGH: u64 = 64 << 10;

/// At most this many times what has arrived may be in flight, however fast it came: the first octets may have waited in
/// a nearby buffer.
const TRUST: u64 = 16;

/// The octets of messages in flight, and how many may be.
#[derive(Debug)]
pub(super) struct Window {
    /// The reported octets in flight.
    under_way: u64,
    /// How many octets may be in flight.
    allowed: u64,
    /// It was full at the last look.
    was_full: bool,
    /// Octets that have arrived since `since`.
    arrived: u64,
    /// Octets that have arrived in all.
    total: u64,
    /// When the measurement began, counted from the beginning of the session; `None` until something arrives.
    since: Option<Duration>,
}

impl Window {
    pub(super) fn new() -> Self {
        Self { under_way: 0, allowed: FIRST, was_full: false, arrived: 0, total: 0, since: None }
    }

    /// Whether another message may be requested. Once the window was full, an eighth has to arrive first: requesting
    /// one message for each completed one costs a packet each.
    pub(super) fn is_open(&mut self) -> bool {
        let most = if self.was_full { self.allowed - self.allowed / 8 } else { self.allowed };
        self.was_full = self.under_way >= most;
        !self.was_full
    }

    /// Adds a requested message with its reported octets.
    pub(super) fn asked(&mut self, reported: u64) {
        self.under_way = self.under_way.saturating_add(reported);
    }

    /// Removes a message that is complete or was refused.
    pub(super) fn completed(&mut self, reported: u64) {
        self.under_way = self.under_way.saturating_sub(reported);
    }

    /// Counts octets that arrived at `now`, which counts from the beginning of the session.
    pub(super) fn arrived(&mut self, octets: usize, now: Duration) {
        let octets = u64::try_from(octets).unwrap_or(u64::MAX);
        self.total = self.total.saturating_add(octets);
        let Some(since) = self.since else {
            self.since = Some(now);
            return;
        };
        self.arrived = self.arrived.saturating_add(octets);
        let over = now.saturating_sub(since);
        let trusted = self.total.saturating_mul(TRUST);
        let is_first = trusted < MOST && self.arrived >= ENOUGH;
        if over < MEASURED && !is_first {
            return;
        }
        let ahead = u128::from(self.arrived) * AHEAD.as_micros() / over.as_micros().max(1);
        let most = trusted.clamp(FIRST, MOST);
        self.allowed = u64::try_from(ahead).unwrap_or(MOST).clamp(LEAST, most);
        (self.arrived, self.since) = (0, Some(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Returns what may be in flight on a line that brings this many octets a second.
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

    /// Returns what may be in flight on a line after `octets` arrived at `a_second` octets a second, 4 KiB at a time, a
    /// round trip of 200 ms after the beginning.
    fn allowed_after(octets: usize, a_second: usize) -> u64 {
        let mut window = Window::new();
        for piece in 0..=octets / 4096 {
            let micros = 200_000 + 4096 * piece as u64 * 1_000_000 / a_second as u64;
            window.arrived(4096, Duration::from_micros(micros));
        }
        window.allowed
    }

    #[test]
    fn a_fast_link_is_known_by_its_first_octets_and_a_slow_one_is_not_taken_for_one() {
        let mebibyte = 1 << 20;
        assert!(allowed_after(mebibyte / 8, 100_000_000) >= FIRST);
        assert!(allowed_after(mebibyte / 2, 100_000_000) >= 7 * mebibyte as u64);
        assert!(allowed_after(8 * mebibyte, 100_000_000) >= MOST - MOST / 16);
        // What arrives at once may have waited nearby: the window trusts it only so far.
        assert!(allowed_after(mebibyte / 8, 10_000_000_000) <= FIRST);
        for slow in [10_000, 50_000, 200_000] {
            let allowed = allowed_after(mebibyte / 2, slow);
            assert!(allowed <= LEAST.max(slow as u64 * 4 + 10_000), "{allowed} at {slow}");
        }
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
        let mut window = Window::new();
        window.asked(FIRST);
        assert!(!window.is_open());
        window.completed(FIRST / 8);
        assert!(!window.is_open(), "not for each that is complete");
        window.completed(1);
        assert!(window.is_open());
    }
}
