//! Detects a server that is too slow: one that sends a byte a second is never silent, but must not hold an account or a
//! place forever. PURE: times and octets go in.
//!
//! Only time spent waiting for the server counts, so a slow disk is not mistaken for a slow server. There are three
//! rules:
//!
//! - Once an answer has begun, each time window must bring a minimum number of octets.
//! - A session may take as long as the octets it brought are worth ([`worth`]), plus a grace period for servers that
//!   think long before they answer.
//! - While other accounts wait for a place, the grace period is shorter, above all for answers that drip.

use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// How much time every session has, whatever it brings.
const GRACE: Duration = Duration::from_secs(600);

/// The same while others wait for a place.
const GRACE_WHILE_OTHERS_WAIT: Duration = Duration::from_secs(120);

/// How much of that may be spent in the middle of answers.
const GRACE_FOR_DRIPPING: Duration = Duration::from_secs(30);

/// The minimum throughput of a session, in octets a second: half of what the slowest modem delivers.
const LEAST: u64 = 512;

/// What a session must deliver while others wait for a place: up to so many octets, at so many octets a second.
const STEPS: [(u64, u64); 2] = [(1 << 20, LEAST), (8 << 20, 4 << 10)];

/// The rate after these steps, in octets a second.
const LAST_STEP: u64 = 16 << 10;

/// The limits on a slow answer, apart from silence.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// The time over which an answer is judged.
    pub(super) time: Duration,
    /// The fewest octets that may arrive in that time.
    pub(super) least: u64,
}

/// Too few octets in too long a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooSlow {
    /// How many octets arrived.
    pub(super) octets: u64,
    /// How long was waited for them.
    pub(super) time: Duration,
}

/// Judges the throughput of a session. PURE.
#[derive(Debug)]
pub(super) struct StallDetector {
    window: Window,
    /// How long was waited for the server in this window of the current answer.
    waited: Duration,
    /// How many octets arrived in this window.
    octets: u64,
    /// Whether part of this answer has arrived.
    begun: bool,
    /// How long was waited for the server in this session.
    all_waited: Duration,
    /// How much of that was in the middle of answers.
    dripped: Duration,
    /// How many octets arrived in this session.
    all_octets: u64,
}

impl StallDetector {
    pub(super) fn new(window: Window) -> Self {
        let (waited, all_waited, dripped) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
        Self { window, waited, octets: 0, begun: false, all_waited, dripped, all_octets: 0 }
    }

    /// Records that `octets` arrived after waiting for `time`.
    pub(super) fn waited(&mut self, time: Duration, octets: usize, others_wait: bool) -> Result<(), TooSlow> {
        let octets = u64::try_from(octets).unwrap_or(u64::MAX);
        self.all_waited = self.all_waited.saturating_add(time);
        self.all_octets = self.all_octets.saturating_add(octets);
        // Before the first octets of an answer the server is thinking, and silence has a limit of its own.
        if std::mem::replace(&mut self.begun, true) {
            self.dripped = self.dripped.saturating_add(time);
            self.waited = self.waited.saturating_add(time);
        }
        self.judge_session(others_wait)?;
        self.octets = self.octets.saturating_add(octets);
        if self.waited < self.window.time {
            return Ok(());
        }
        let (octets, time) = (self.octets, self.waited);
        (self.waited, self.octets) = (Duration::ZERO, 0);
        if octets < self.window.least { Err(TooSlow { octets, time }) } else { Ok(()) }
    }

    fn judge_session(&self, others_wait: bool) -> Result<(), TooSlow> {
        let too_slow = if others_wait {
            let worth = worth(self.all_octets);
            self.dripped > GRACE_FOR_DRIPPING + worth || self.all_waited > GRACE_WHILE_OTHERS_WAIT + worth
        } else {
            self.all_waited > GRACE + at(self.all_octets, LEAST)
        };
        if too_slow { Err(self.so_far()) } else { Ok(()) }
    }

    /// Returns how many octets the session brought, in which time.
    pub(super) fn so_far(&self) -> TooSlow {
        TooSlow { octets: self.all_octets, time: self.all_waited }
    }

    /// Starts a new window, when an answer is complete or its next part begins.
    pub(super) fn answered(&mut self) {
        (self.waited, self.octets, self.begun) = (Duration::ZERO, 0, false);
    }
}

/// Returns the time that this many octets are worth while others wait: the more there are, the faster they must arrive,
/// so that no message, of whatever size, holds a place for a day.
fn worth(octets: u64) -> Duration {
    let mut left = octets;
    let mut time = Duration::ZERO;
    for (step, rate) in STEPS {
        let part = left.min(step);
        time = time.saturating_add(at(part, rate));
        left -= part;
    }
    time.saturating_add(at(left, LAST_STEP))
}

/// Returns how long this many octets take at this rate.
fn at(octets: u64, rate: u64) -> Duration {
    SECOND.saturating_mul(u32::try_from(octets / rate).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stall_detector() -> StallDetector {
        StallDetector::new(Window { time: 120 * SECOND, least: 12_000 })
    }

    /// After how many seconds an answer that arrives at this rate is given up, if it is.
    fn given_up(octets_a_second: usize, seconds: u64, others_wait: bool) -> Option<u64> {
        let mut stall_detector = stall_detector();
        (1..=seconds).find(|_| stall_detector.waited(SECOND, octets_a_second, others_wait).is_err())
    }

    #[test]
    fn a_drip_ends_and_a_slow_line_does_not() {
        assert_eq!(given_up(1, 1000, false), Some(121));
        assert_eq!(given_up(98, 1000, false), Some(121));
        assert_eq!(given_up(513, 1_000_000, false), None, "half of the slowest modem");
    }

    #[test]
    fn above_the_least_of_a_window_a_drip_is_not_for_ever_either() {
        let until = given_up(100, 10_000, false);
        assert!(until.is_some_and(|seconds| (600..900).contains(&seconds)), "{until:?}");
        let until = given_up(500, 1_000_000, false);
        assert!(until.is_some_and(|seconds| seconds < 30_000), "{until:?}");
    }

    #[test]
    fn while_others_wait_a_drip_loses_its_place_soon() {
        for (rate, most) in [(1, 32), (100, 40), (200, 51), (400, 150)] {
            let until = given_up(rate, 1000, true);
            assert!(until.is_some_and(|seconds| (30..=most).contains(&seconds)), "{rate}: {until:?}");
        }
        assert_eq!(given_up(513, 2000, true), None);
    }

    #[test]
    fn while_others_wait_the_more_comes_the_faster_it_must_come() {
        let day = 86_400;
        assert!(given_up(1_000, day, true).is_some());
        assert!(given_up(10_000, day, true).is_some());
        assert_eq!(given_up(20_000, day, true), None);
        assert_eq!(given_up(1_000, day, false), None, "nobody waits");
        // 20 MiB at the speed of ISDN.
        assert_eq!(given_up(8_000, 2_600, true), None);
    }

    /// After how many answers of this size, each after such a delay, the server is given up.
    fn answers(octets: usize, thinking: Duration, others_wait: bool) -> Option<u32> {
        let mut stall_detector = stall_detector();
        (1..=1000).find(|_| {
            let given_up = stall_detector.waited(thinking, octets, others_wait).is_err();
            stall_detector.answered();
            given_up
        })
    }

    #[test]
    fn long_thinking_before_each_answer_is_allowed_as_long_as_it_is_worth_it() {
        assert_eq!(answers(30_000, 50 * SECOND, false), None);
        let until = answers(30_000, 50 * SECOND, true);
        assert!(until.is_some_and(|answers| answers > 40), "{until:?}: behind the first MiB more is expected");
        assert_eq!(answers(300_000, 5 * SECOND, true), None);
        // Small answers (to TOP, say) after long thinking.
        assert_eq!(answers(100, 50 * SECOND, false), Some(13));
        assert_eq!(answers(100, 50 * SECOND, true), Some(3));
    }

    #[test]
    fn who_has_brought_much_may_pause() {
        let mut stall_detector = stall_detector();
        assert_eq!(stall_detector.waited(SECOND, 1 << 20, true), Ok(()));
        stall_detector.answered();
        assert_eq!(stall_detector.waited(500 * SECOND, 5, true), Ok(()));
    }
}
