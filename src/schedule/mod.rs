//! When an account is polled next. PURE: what the account wants, how the last poll ended, what happened before, a seed
//! and the time go in; the next time and the reason for it come out.
//!
//! [`first`] places the first poll after a start, [`next`] every other one. [`queue`] decides which of the accounts that
//! are due may begin.
//!
//! All times are counted from the boot of the machine on a clock that goes on while it is suspended
//! (`CLOCK_BOOTTIME`). So a laptop that wakes finds its accounts due, and nothing here cares what the wall clock does.
//!
//! # The regular poll
//!
//! An account has a moment of its own in each interval, which its seed gives it, and a poll is placed at that moment, a
//! few percent sooner or later. So ten thousand accounts that were all polled just after a start are spread evenly over
//! their interval two or three polls later, polls that come late do not move the following ones, and the mean is the
//! interval exactly. An account comes to its moment by polls that are sooner, never much later than its interval.
//!
//! # The least time between two polls
//!
//! The server's LOGIN-DELAY, what is known of the provider, and what the server has refused before, whichever is the
//! longest. It counts from the end of a poll, since nobody knows here when the last of its sessions began. It lengthens
//! an interval that is too short, and every wait after a trouble that the server noticed.
//!
//! # Troubles
//!
//! Each [`Cause`] has a count, a growth and a limit of its own. A login, or a message that was delivered, ends all
//! counts: they count failures in a row. Another cause ends them, too, except that a refused login is only forgotten
//! when the server lets us in: a network that comes and goes must not make a wrong password be tried more often. What a
//! person does ([`History::begin_anew`]) ends everything.

pub mod arrivals;
pub(crate) mod login_pace;
pub(crate) mod patience;
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

/// After a start every account is polled within this time.
const FIRST: Duration = Duration::from_secs(30);

/// So much of it for each account: a few need not wait for each other.
const FIRST_EACH: Duration = Duration::from_millis(50);

/// A poll that should be at once is no more than this away.
const AT_ONCE: Duration = Duration::from_secs(2);

/// A poll that had its share of sessions is followed by another one after this time, or the interval if that is less.
const AFTER_A_SHARE: Duration = Duration::from_secs(60);

/// How far apart polls are while somebody waits for mail.
const OFTEN: Duration = Duration::from_secs(15);

/// What an account wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollTiming {
    /// The time between two polls.
    pub interval: Interval,
    /// What is known of the server's provider.
    pub provider: Option<&'static Provider>,
}

impl PollTiming {
    /// What an account at a host wants.
    #[must_use]
    pub fn new(interval: Interval, host: &str) -> Self {
        Self { interval, provider: Provider::of(host) }
    }
}

/// How a poll ended, as far as it matters for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The server let us in, whatever came after.
    pub logged_in: bool,
    /// How many messages came.
    pub new: u64,
    /// The LOGIN-DELAY that the server announces (RFC 2449, section 6.5).
    pub login_delay: Option<Duration>,
    /// Its end.
    pub end: End,
}

/// The end of a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Everything that was listed has been dealt with.
    Dealt {
        /// There is, or may be, more than was listed.
        more: bool,
    },
    /// There is, or may be, more, and the poll had its share of sessions or of time.
    HadItsShare,
    /// The server refused the login, and not as something that will pass.
    Refused {
        /// It says itself that it is the credentials, by the code AUTH (RFC 3206, section 5).
        explicit: bool,
    },
    /// Something else kept it from its end.
    Trouble(Cause),
    /// It was asked to stop.
    Stopped,
}

/// When an account is polled next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// The time, since boot.
    pub at: Duration,
    /// The reason.
    pub reason: Reason,
}

impl Next {
    /// The time to go and the reason, in words: "in 5 min, as configured".
    #[must_use]
    pub fn told(&self, now: Duration) -> NextInWords {
        NextInWords { to_go: In(self.at.saturating_sub(now)), reason: self.reason }
    }

    /// After `wait` and up to `jitter` more.
    fn after(now: Duration, wait: Duration, jitter: Duration, seed: u64, reason: Reason) -> Self {
        let wait = wait.saturating_add(up_to(&mut chance(seed, now), jitter));
        Self { at: now.saturating_add(wait), reason }
    }
}

/// The time to go and the reason, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextInWords {
    to_go: In,
    reason: Reason,
}

impl fmt::Display for NextInWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.to_go, self.reason)
    }
}

/// Places the first poll of an account after a start with so many accounts.
#[must_use]
pub fn first(timing: &PollTiming, accounts: usize, seed: u64, now: Duration) -> Next {
    let accounts = u32::try_from(accounts).unwrap_or(u32::MAX);
    let window = FIRST_EACH.saturating_mul(accounts).min(FIRST).min(timing.interval.shortest);
    Next::after(now, Duration::ZERO, window, seed, Reason::Start)
}

/// Places the poll after one that ran from `polled.start` to `polled.end`, which was at `local`, and takes in how that one
/// ended. The seed is the account's own ([`seed`]).
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
            // A server that always lists one more would else be logged in to all the time.
            let had_its_share = outcome.end == End::HadItsShare;
            let least = if had_its_share { AFTER_A_SHARE.min(timing.interval.shortest) } else { Duration::ZERO };
            let pause = min_interval.between_portions(timing, history, now).max(least);
            return Next::after(now, pause, AT_ONCE, seed, Reason::Backlog);
        }
        End::Stopped => {
            let pause = if outcome.logged_in { min_interval.time } else { Duration::ZERO };
            return Next::after(now, pause, AT_ONCE, seed, Reason::Stopped);
        }
        // It counts as a busy server, once.
        End::Refused { explicit: false } if worked => {
            history.in_a_row.clear();
            let wait = Cause::ServerBusy.wait(1, timing.interval.longest).max(min_interval.time);
            return Next::after(now, wait, wait / 10, seed, Reason::Doubt);
        }
        End::Refused { .. } => Cause::LoginRefused,
        End::Trouble(cause) => cause,
    };
    let times = history.count(cause, outcome);
    let noticed = outcome.logged_in || cause.reached_server();
    let wait = cause.wait(times, timing.interval.longest).max(if noticed { min_interval.time } else { Duration::ZERO });
    Next::after(now, wait, wait / 10, seed, Reason::Trouble { cause, times })
}

/// Places a poll while somebody waits for mail.
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
    // Without some room above the least time there would be none to move in.
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

/// Places a poll so long after the last one, a few percent sooner or later, between the bounds, and not before the least
/// time.
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
    // A poll may have taken longer than that, and the server's least time counts from its end.
    next.at = next.at.max(polled.end.saturating_add(least.max(wait / 16)));
    next
}

/// How much sooner than it is due a poll comes, so that accounts do not come in a bunch after a start: each moves towards
/// a moment of its own. At the longer bound nothing can come later in exchange, so who is near the moment stays there.
fn sooner(wait: Duration, bounds: Interval, seed: u64, due: Duration) -> Duration {
    if wait < bounds.longest {
        let period = arrivals::middle(bounds);
        return part(past_own_moment(seed, period, due), wait / 8, period);
    }
    let (period, near) = (bounds.longest, bounds.longest / 32);
    let past = past_own_moment(seed, period, due.saturating_add(near));
    if past <= near.saturating_mul(2) { Duration::ZERO } else { part(past.saturating_sub(near), wait / 8, period) }
}

/// Places a poll near the account's own moment, a period after the last one or less.
fn periodic(period: Duration, reason: Reason, min_interval: MinInterval, seed: u64, polled: &Range<Duration>) -> Next {
    let jitter = period / 32;
    let due = polled.start.saturating_add(period);
    // The own moment before `due + jitter`: a poll that was early by its jitter is on time all the same.
    let past = past_own_moment(seed, period, due.saturating_add(jitter));
    let most = (period / 2).min(period.saturating_sub(min_interval.time));
    let sooner = if past <= most + jitter { past } else { part(past, most, period) };
    let mut next = Next::after(due.saturating_sub(sooner), Duration::ZERO, period / 16, seed, reason);
    // A poll may have taken longer than the interval.
    next.at = next.at.max(polled.end.saturating_add(min_interval.time.max(period / 16)));
    next
}

/// `past * most / period`: who is too far from the own moment to be there next time goes a part of the way, each
/// another one, so that they do not gather on it.
fn part(past: Duration, most: Duration, period: Duration) -> Duration {
    let nanos = past.as_nanos().saturating_mul(most.as_nanos()) / period.as_nanos().max(1);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(most)
}

#[cfg(test)]
mod tests;
