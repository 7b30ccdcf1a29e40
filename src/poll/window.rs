//! How far ahead messages are asked for. PURE: octets and times go in.
//!
//! Enough that the link is never idle for want of a command, and no more than it brings in a few seconds: when the end is
//! asked for, what is under way has to come in within a bound.
//!
//! Nothing is known of a link before octets come. The first flight is wide all the same: it costs no memory, and a narrow
//! one costs a link that is far a round trip for each time it is doubled. On a slow link it takes longer than an interrupt
//! waits; the session is then closed without QUIT, as after any other end before its time. The first octets say more: the
//! clock runs from them on, since what came before was a round trip and not the link, and [`ENOUGH`] of them narrow the
//! window or widen it, to [`TRUST`] times as much as what was seen at most.

use std::time::Duration;

/// What may be under way before anything was measured, in octets: what a line of 4 Mbit/s brings in 8 s.
const FIRST: u64 = 4 << 20;

/// No line is so slow that less would do, in octets.
const LEAST: u64 = 256 << 10;

/// More would keep no link busier, in octets.
const MOST: u64 = 64 << 20;

/// What the link brings in so long may be under way.
const AHEAD: Duration = Duration::from_secs(4);

/// The throughput is measured over at least so long, once it is known.
const MEASURED: Duration = Duration::from_millis(250);

/// So many octets are enough for the first measurements: more than a few packets that were all under way at once.
const ENOUGH: u64 = 64 << 10;

/// No more may be under way than this many times what has come, however fast that came: the first octets may have waited
/// in a buffer near us.
const TRUST: u64 = 16;

/// The messages that were asked for and have not come in, by their reported sizes.
#[derive(Debug)]
pub(super) struct Window {
    /// Their octets, as reported.
    under_way: u64,
    /// How many octets may be under way.
    allowed: u64,
    /// It was full when it was looked at last.
    was_full: bool,
    /// Octets that came in since `since`.
    arrived: u64,
    /// Octets that came in at all.
    total: u64,
    /// Since the beginning of the session; None until something came.
    since: Option<Duration>,
}

impl Window {
    pub(super) fn new() -> Self {
        Self { under_way: 0, allowed: FIRST, was_full: false, arrived: 0, total: 0, since: None }
    }

    /// Whether another message may be asked for. Once it was full, an eighth has to come in first: to ask for one message
    /// whenever another one is complete costs a packet for each.
    pub(super) fn is_open(&mut self) -> bool {
        let most = if self.was_full { self.allowed - self.allowed / 8 } else { self.allowed };
        self.was_full = self.under_way >= most;
        !self.was_full
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

    /// What may be under way on a line after so many octets came at so many a second, 4 KiB at a time, a round trip of
    /// 200 ms after the beginning.
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
        // What has come at once may have waited near us: so much is believed and no more.
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
