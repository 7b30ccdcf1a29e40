//! Decides when an account is polled next. PURE: the account's timing, the outcome of the last poll, the history, a
//! seed and the time go in; the next time and the reason for it come out.
//!
//! [`first`] places the first poll after a start, [`next`] every other one. [`queue`] decides which of the due accounts
//! may begin.
//!
//! All times count from boot on a clock that keeps running while the machine is suspended (`CLOCK_BOOTTIME`). So a
//! laptop that wakes up finds its accounts due, and changes of the wall clock do not matter here.
//!
//! # The regular poll
//!
//! Each account has a moment of its own in every interval, derived from its seed, and is polled around that moment,
//! give or take a few percent. So ten thousand accounts that were all polled right after a start are spread evenly over
//! their interval two or three polls later, late polls do not shift the following ones, and the mean is exactly the
//! interval. An account approaches its moment by polling earlier, never much later than its interval.
//!
//! # The minimum time between two polls
//!
//! The longest of the server's LOGIN-DELAY, what is known of the provider, and what refusals have taught. It counts
//! from the end of a poll, since it is not known here when its last session began. It lengthens an interval that is too
//! short, and every wait after a failure that the server noticed.
//!
//! # Failures
//!
//! Each [`Cause`] has its own count, backoff and limit. The counts are of failures in a row: a login or a delivered
//! message resets all of them, and so does a different cause. The exception is a refused login, which is forgotten only
//! after a successful one: an unreliable network must not cause a wrong password to be tried more often. A user's
//! action ([`History::begin_anew`]) resets everything.

pub mod arrivals;
pub(crate) mod credential_wait;
pub(crate) mod login_pace;
pub(crate) mod queue;

mod cause;
mod history;
mod jitter;
mod min_interval;
mod reason;

use std::fmt;
use std::ops::Range;
use std::time::Duration;

pub use arrivals::{Arrivals, Expectation, TimeOfWeek};
pub use cause::Cause;
pub use history::{Experience, History};
pub use jitter::{installation, seed};
pub use reason::{MinIntervalFrom, Reason};

use crate::account::Interval;
use crate::provider::Provider;
use crate::text::In;
use jitter::{chance, past_own_moment, up_to};
use min_interval::MinInterval;

/// All accounts are polled within this time after a start.
const FIRST: Duration = Duration::from_secs(30);

/// How much of that each account adds: a few accounts need not wait for each other.
const FIRST_EACH: Duration = Duration::from_millis(50);

/// The maximum delay of a poll that is wanted at once.
const AT_ONCE: Duration = Duration::from_secs(2);

/// When a poll used up its sessions, the next one follows after this time, or after the interval if that is shorter.
const AFTER_A_SHARE: Duration = Duration::from_secs(60);

/// The time between polls while a user waits for mail.
const OFTEN: Duration = Duration::from_secs(15);

/// How often an account is to be polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollTiming {
    /// The time between two polls.
    pub interval: Interval,
    /// The provider of its server, if known.
    pub provider: Option<&'static Provider>,
}

impl PollTiming {
    /// Returns the timing of an account at this host.
    #[must_use]
    pub fn new(interval: Interval, host: &str) -> Self {
        Self { interval, provider: Provider::of(host) }
    }
}

/// How a poll ended, as far as it matters for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Whether the login succeeded, whatever came after.
    pub logged_in: bool,
    /// How many messages were retrieved.
    pub new: u64,
    /// The LOGIN-DELAY that the server announces (RFC 2449, section 6.5).
    pub login_delay: Option<Duration>,
    /// How it ended, as far as the next poll depends on it.
    pub end: End,
}

impl Outcome {
    /// Whether the server accepted a login, even if the session broke before anything was listed: it had announced a
    /// LOGIN-DELAY then.
    fn was_let_in(&self) -> bool {
        self.logged_in || self.login_delay.is_some()
    }
}

/// The reason why a poll ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Everything that was listed has been handled.
    Dealt {
        /// Whether there is, or may be, more than was listed.
        more: bool,
    },
    /// There is, or may be, more, but the poll used up its sessions or its time.
    HadItsShare,
    /// The server refused the login, and not for a temporary reason.
    Refused {
        /// Whether the server named the credentials as the reason with the code AUTH (RFC 3206, section 5).
        explicit: bool,
    },
    /// Something else kept it from finishing.
    Failed(Cause),
    /// It was asked to stop.
    Stopped,
}

/// When an account is polled next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// The time, since boot.
    pub at: Duration,
    /// Why then, for the user.
    pub reason: Reason,
}

impl Next {
    /// Says when and why: "in 5 min, as configured".
    #[must_use]
    pub fn told(&self, now: Duration) -> NextInWords {
        NextInWords { to_go: In(self.at.saturating_sub(now)), reason: self.reason }
    }

    /// Places a poll after `wait` and up to `jitter` more.
    fn after(now: Duration, wait: Duration, jitter: Duration, seed: u64, reason: Reason) -> Self {
        let wait = wait.saturating_add(up_to(&mut chance(seed, now), jitter));
        Self { at: now.saturating_add(wait), reason }
    }
}

/// When and why, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextInWords {
    to_go: In,
    reason: Reason,
}

impl fmt::Display for NextInWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            Reason::AsConfigured if self.to_go.is_now() => self.to_go.fmt(f),
            reason => write!(f, "{}{reason}", self.to_go),
        }
    }
}

/// Places the first poll of an account after a start with this many accounts.
#[must_use]
pub fn first(timing: &PollTiming, accounts: usize, seed: u64, now: Duration) -> Next {
    let accounts = u32::try_from(accounts).unwrap_or(u32::MAX);
    let window = FIRST_EACH.saturating_mul(accounts).min(FIRST).min(timing.interval.shortest);
    Next::after(now, Duration::ZERO, window, seed, Reason::Start)
}

/// Moves a poll to when the server and its provider allow another one after the last login.
#[must_use]
pub(crate) fn when_allowed(next: Next, timing: &PollTiming, history: &History, now: Duration) -> Next {
    let min_interval = MinInterval::of(timing, history, now);
    match history.last_login.map(|last| last.saturating_add(min_interval.time)) {
        Some(from) if from > next.at => Next { at: from, reason: min_interval.reason() },
        _ => next,
    }
}

/// Places the poll after one that ran from `polled.start` to `polled.end`, which was at `local`, and updates the
/// history with its outcome. The seed is the account's own ([`seed`]).
#[must_use]
pub fn next(
    timing: &PollTiming,
    history: &mut History,
    outcome: &Outcome,
    seed: u64,
    polled: Range<Duration>,
    local: TimeOfWeek,
) -> Next {
    let now = polled.end;
    let worked = history.last_login_worked || outcome.logged_in;
    let begun = local.before(polled.end.saturating_sub(polled.start));
    history.learn(outcome, &polled);
    history.learn_arrivals(timing.interval, outcome, polled.start, begun);
    let min_interval = MinInterval::of(timing, history, now);
    let cause = match outcome.end {
        End::Dealt { .. } | End::HadItsShare => {
            history.in_a_row.clear();
            if outcome.end == (End::Dealt { more: false }) || outcome.new == 0 {
                if history.is_awaited(now) {
                    return often(timing, min_interval, seed, now);
                }
                return regular(timing, history, min_interval, seed, &polled, begun);
            }
            // Otherwise a server that always lists one more message would be polled without a pause.
            let had_its_share = outcome.end == End::HadItsShare;
            let least = if had_its_share { AFTER_A_SHARE.min(timing.interval.shortest) } else { Duration::ZERO };
            let pause = min_interval.between_portions(timing, history, now).max(least);
            return Next::after(now, pause, AT_ONCE, seed, Reason::Backlog);
        }
        End::Stopped => {
            let pause = if outcome.was_let_in() { min_interval.time } else { Duration::ZERO };
            return Next::after(now, pause, AT_ONCE, seed, Reason::Stopped);
        }
        // Counts as a busy server, once.
        End::Refused { explicit: false } if worked => {
            history.in_a_row.clear();
            let wait = Cause::ServerBusy.wait(1, timing.interval.longest).max(min_interval.time);
            return Next::after(now, wait, wait / 10, seed, Reason::Doubt);
        }
        End::Refused { .. } => Cause::LoginRefused,
        End::Failed(cause) => cause,
    };
    let times = history.count(cause, outcome);
    let noticed = outcome.was_let_in() || cause.reached_server();
    let wait = cause.wait(times, timing.interval.longest).max(if noticed { min_interval.time } else { Duration::ZERO });
    Next::after(now, wait, wait / 10, seed, Reason::Failure { cause, times })
}

/// Places a poll while a user waits for mail.
fn often(timing: &PollTiming, min_interval: MinInterval, seed: u64, now: Duration) -> Next {
    let wait = OFTEN.min(timing.interval.shortest);
    let reason = if wait >= min_interval.time { Reason::Often } else { min_interval.reason() };
    Next::after(now, wait.max(min_interval.time), AT_ONCE, seed, reason)
}

/// Places a poll that nothing hastens or delays; the last one began at `begun`.
fn regular(
    timing: &PollTiming,
    history: &History,
    min_interval: MinInterval,
    seed: u64,
    polled: &Range<Duration>,
    begun: TimeOfWeek,
) -> Next {
    // Without some slack above the minimum time, polls could not be moved.
    let roomy = min_interval.time.saturating_add(min_interval.time / 8);
    let Interval { shortest, longest } = timing.interval;
    if longest < roomy {
        return periodic(roomy, min_interval.reason(), min_interval, seed, polled);
    }
    match &history.arrivals {
        Some(arrivals) if !timing.interval.is_fixed() => {
            let bounds = Interval { shortest: shortest.max(roomy), longest };
            let (wait, why) = arrivals.wait(polled.start, begun, bounds);
            let reason = if wait <= roomy { min_interval.reason() } else { Reason::Adapted(why) };
            adapted(wait, reason, (bounds, min_interval.time), seed, polled)
        }
        _ => periodic(longest, Reason::AsConfigured, min_interval, seed, polled),
    }
}

/// Places a poll `wait` after the start of the last one, give or take a few percent, within the bounds and not before
/// the minimum time.
fn adapted(
    wait: Duration,
    reason: Reason,
    (bounds, least): (Interval, Duration),
    seed: u64,
    polled: &Range<Duration>,
) -> Next {
    let due = polled.start.saturating_add(wait);
    let sooner = sooner(wait, bounds, seed, due);
    let mut next = Next::after(due.saturating_sub(sooner), Duration::ZERO, wait / 16, seed, reason);
    next.at =
        next.at.max(polled.start.saturating_add(bounds.shortest)).min(polled.start.saturating_add(bounds.longest));
    // A poll may have taken longer than that, and the server's minimum time counts from its end.
    next.at = next.at.max(polled.end.saturating_add(least.max(wait / 16)));
    next
}

/// Returns how much earlier than due a poll comes, so that accounts do not bunch up after a start: each moves towards
/// its own moment. At the longer bound no poll can be late in exchange, so an account near its moment stays there.
fn sooner(wait: Duration, bounds: Interval, seed: u64, due: Duration) -> Duration {
    if wait < bounds.longest {
        let period = arrivals::middle(bounds);
        return part(past_own_moment(seed, period, due), wait / 8, period);
    }
    let (period, near) = (bounds.longest, bounds.longest / 32);
    let past = past_own_moment(seed, period, due.saturating_add(near));
    if past <= near.saturating_mul(2) { Duration::ZERO } else { part(past.saturating_sub(near), wait / 8, period) }
}

/// Places a poll near the account's own moment, at most one period after the last one.
fn periodic(period: Duration, reason: Reason, min_interval: MinInterval, seed: u64, polled: &Range<Duration>) -> Next {
    let jitter = period / 32;
    let due = polled.start.saturating_add(period);
    // The own moment before `due + jitter`: a poll that was early by its jitter still counts as on time.
    let past = past_own_moment(seed, period, due.saturating_add(jitter));
    let most = (period / 2).min(period.saturating_sub(min_interval.time));
    let sooner = if past <= most + jitter { past } else { part(past, most, period) };
    let mut next = Next::after(due.saturating_sub(sooner), Duration::ZERO, period / 16, seed, reason);
    // A poll may have taken longer than the interval.
    next.at = next.at.max(polled.end.saturating_add(min_interval.time.max(period / 16)));
    next
}

/// `past * most / period`: an account too far from its own moment to reach it with the next poll goes part of the way,
/// each a different part, so that they do not bunch up.
fn part(past: Duration, most: Duration, period: Duration) -> Duration {
    let nanos = past.as_nanos().saturating_mul(most.as_nanos()) / period.as_nanos().max(1);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(most)
}

#[cfg(test)]
mod tests;
