//! Learns when mail arrives for an account from its polls, and decides how far apart these should be. PURE.
//!
//! With a poll rate `p(t)` and an arrival rate `r(t)`, a message waits `1 / 2p(t)` on average. For a given number of
//! polls, the mean wait is shortest if `p` is proportional to the square root of `r`. So two things are estimated: how
//! much mail arrives in each hour of the week, and how much more, or less, than that arrives at a given time after the
//! last mail. Their product is the expected rate. The next poll comes when the integral of the poll rate has reached 1,
//! so that a poll before a busy hour does not skip past its start.
//!
//! Little is known of each hour when only twelve weeks are remembered. So a prior is estimated first: for an hour of
//! the day from the hours around it, for an hour of the week from the same hour of other days and the other hours of
//! its day. Whether an hour differs from that at all is a separate question: as far as chance explains what was
//! observed, the estimate is the prior, otherwise it is the mean of a gamma distribution. So a few messages suffice for
//! a pattern, and mail that arrives at any time leads to evenly spaced polls.

use std::time::Duration;

use crate::account::Interval;

mod saved;

pub use saved::SavedArrivals;

/// The hours of a week.
const HOURS: usize = 168;

/// The seconds of an hour.
const HOUR: u32 = 3600;

/// The seconds of a week.
const WEEK: u32 = 168 * HOUR;

/// How much is remembered of an hour of the week, in seconds of observation: twelve weeks. Older observations fade as
/// new ones are added.
const REMEMBERED: u64 = 12 * 3600;

/// One message in the unit that fractions of messages are counted in.
const MESSAGE: u64 = 1_000_000;

/// How many messages of one poll are counted at most: a hundred at once are one event.
const MOST_AT_ONCE: u64 = 4;

/// The upper ends of the classes of time since the last mail (lags), in seconds. One more class follows the last.
const LAGS: [u32; 4] = [4 * 60, 12 * 60, 40 * 60, 120 * 60];

/// How many expected messages are remembered of each lag.
const REMEMBERED_OF_LAG: u64 = 100 * MESSAGE;

/// The longest time since the last mail, in seconds.
const LONGEST_LAG: u32 = 4 * WEEK;

/// At this many messages an hour the mean interval is the geometric mean of the bounds.
const ORDINARY: f64 = 1.0;

/// The weight of [`ORDINARY`] in the estimate of all hours together, in hours.
const WEIGHT_OF_ORDINARY: f64 = 6.0;

/// How much the observations one and two hours away count for an hour of the day.
const AROUND: [f64; 2] = [1.0, 0.5];

/// The weight of [`Rates::overall`] in the prior for an hour of the day, in messages.
const WEIGHT_OF_OVERALL: f64 = 0.5;

/// How hours of the day differ from those around them.
const HOURS_OF_DAY: Differences = Differences { weight: 1.0, odds: 1.0 };

/// How days differ from the week. A weekend may differ much.
const DAYS_OF_WEEK: Differences = Differences { weight: 0.5, odds: 0.3 };

/// How hours of the week differ from what their hour and their day suggest.
const HOURS_OF_WEEK: Differences = Differences { weight: 3.0, odds: 0.2 };

/// The weight of the assumption that the last mail has no influence, in messages.
const WEIGHT_OF_NONE: f64 = 4.0;

/// A moment of the week, in local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeOfWeek(u32);

impl TimeOfWeek {
    /// Makes one from seconds since the start of Monday.
    #[must_use]
    pub fn new(seconds: u32) -> Self {
        Self(seconds % WEEK)
    }

    /// Returns the moment this long before.
    pub(super) fn before(self, time: Duration) -> Self {
        let seconds = u32::try_from(time.as_secs() % u64::from(WEEK)).unwrap_or(0);
        Self::new(self.0 + (WEEK - seconds))
    }
}

/// What was observed of an hour of the week, or of a lag.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Seen {
    /// How much mail arrived, in millionths of a message.
    came: u64,
    /// How long it was observed, in seconds; for a lag, how much mail was expected, in millionths of a message.
    watched: u64,
}

impl Seen {
    /// Adds an observation, and lets older ones fade in proportion.
    fn add(&mut self, came: u64, watched: u64, remembered: u64) {
        let fade = |value: u64| value.saturating_sub(value.saturating_mul(watched.min(remembered)) / remembered);
        self.came = fade(self.came).saturating_add(came);
        self.watched = fade(self.watched).saturating_add(watched).min(remembered);
    }
}

/// Why polls are as frequent as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    /// Too little is known yet about when mail arrives.
    Learning,
    /// Mail has just arrived, and more often follows.
    JustCame,
    /// Mail is frequent at this time.
    Often,
    /// Mail is rare at this time.
    Seldom,
    /// Nothing unusual is expected.
    Ordinary,
}

/// What is known of when an account's mail arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrivals {
    /// For each hour of the week, starting with Monday.
    hours: [Seen; HOURS],
    /// For groups of hours.
    sums: Sums,
    /// For each lag, which is the time since the last mail: up to each of [`LAGS`], and longer.
    lags: [Seen; LAGS.len() + 1],
    /// When the last poll began that handled everything, since boot.
    last_poll: Option<Duration>,
    /// When the last poll began that retrieved mail, since boot.
    last_mail: Option<Duration>,
    /// How many messages were counted.
    counted: u64,
    /// How long arrivals were observed, in seconds.
    watched: u64,
}

impl Default for Arrivals {
    fn default() -> Self {
        let (hours, sums, lags) = ([Seen::default(); HOURS], Sums::default(), <[Seen; LAGS.len() + 1]>::default());
        Self { hours, sums, lags, last_poll: None, last_mail: None, counted: 0, watched: 0 }
    }
}

/// A part of a period in which the expected rate is constant.
struct Part {
    hour: usize,
    lag: usize,
    seconds: u32,
}

/// Splits a period that begins at a moment of the week and this long after the last mail.
fn parts(from: TimeOfWeek, since_mail: u32, seconds: u32) -> impl Iterator<Item = Part> {
    let (mut at, mut lag, mut left) = (from.0, since_mail.min(LONGEST_LAG), seconds);
    std::iter::from_fn(move || {
        let index = LAGS.iter().position(|&end| lag < end).unwrap_or(LAGS.len());
        let of_lag = LAGS.get(index).map_or(u32::MAX, |end| end - lag);
        let seconds = left.min(HOUR - at % HOUR).min(of_lag);
        let hour = usize::try_from(at / HOUR).unwrap_or(0);
        (at, lag, left) = ((at + seconds) % WEEK, lag.saturating_add(seconds), left - seconds);
        (seconds > 0).then_some(Part { hour, lag: index, seconds })
    })
}

/// Sums over groups of hours. Each hour fades separately, so the sums are kept rather than computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sums {
    all: Seen,
    /// For each hour of the day, over all days.
    hours: [Seen; 24],
    /// For each day, over all its hours.
    days: [Seen; 7],
}

impl Sums {
    /// Updates the sums when an hour of the week changes from `before` to `after`.
    fn change(&mut self, hour: usize, before: Seen, after: Seen) {
        let sums = [Some(&mut self.all), self.hours.get_mut(hour % 24), self.days.get_mut(hour / 24)];
        for sum in sums.into_iter().flatten() {
            sum.came = (sum.came + after.came).saturating_sub(before.came);
            sum.watched = (sum.watched + after.watched).saturating_sub(before.watched);
        }
    }
}

/// Estimates of messages an hour.
struct Rates<'a> {
    arrivals: &'a Arrivals,
    overall: f64,
}

fn messages(of: u64) -> f64 {
    // Sums of counts that fade stay far below what a double represents exactly.
    f64::from(u32::try_from(of / 1000).unwrap_or(u32::MAX)) / 1000.0
}

fn hours(of: u64) -> f64 {
    f64::from(u32::try_from(of).unwrap_or(u32::MAX)) / f64::from(HOUR)
}

/// How much rates of one kind differ from their prior.
#[derive(Debug, Clone, Copy)]
struct Differences {
    /// If one differs, the prior weighs as much as this many messages: the shape of a gamma distribution.
    weight: f64,
    /// The prior odds that one differs.
    odds: f64,
}

impl Differences {
    /// Estimates a rate in messages an hour. `likely` is its prior.
    fn estimate(self, seen: Seen, likely: f64) -> f64 {
        let Self { weight, odds } = self;
        let (came, watched) = (messages(seen.came), hours(seen.watched));
        let own = (came + weight) / (watched + weight / likely);
        // How much better a gamma distribution of rates explains the observation than the prior rate alone: a negative
        // binomial distribution against a Poisson distribution.
        let expected = likely * watched;
        let evidence = ln_gamma(weight + came) - ln_gamma(weight) + weight * weight.ln() + expected
            - (weight + came) * (weight + expected).ln();
        let odds = odds * evidence.clamp(-30.0, 30.0).exp();
        (odds * own + likely) / (odds + 1.0)
    }
}

/// The logarithm of the gamma function for positive numbers, accurate to a thousandth (Stirling's formula).
fn ln_gamma(x: f64) -> f64 {
    let next = x + 1.0;
    (next - 0.5) * next.ln() - next + 0.5 * std::f64::consts::TAU.ln() + 1.0 / (12.0 * next) - x.ln()
}

impl<'a> Rates<'a> {
    fn of(arrivals: &'a Arrivals) -> Self {
        let all = arrivals.sums.all;
        let overall = (messages(all.came) + ORDINARY * WEIGHT_OF_ORDINARY) / (hours(all.watched) + WEIGHT_OF_ORDINARY);
        Self { arrivals, overall }
    }

    /// Returns the rate in an hour of the week relative to the mean.
    fn of_hour(&self, hour: usize) -> f64 {
        let Arrivals { hours, sums, .. } = self.arrivals;
        let seen = |seen: Option<&Seen>| seen.copied().unwrap_or_default();
        let of_hour = HOURS_OF_DAY.estimate(seen(sums.hours.get(hour % 24)), self.around(hour));
        let of_day = DAYS_OF_WEEK.estimate(seen(sums.days.get(hour / 24)), self.overall);
        HOURS_OF_WEEK.estimate(seen(hours.get(hour)), of_hour * of_day / self.overall) / self.overall
    }

    /// Returns the prior for an hour of the day, from the hours around it and itself.
    fn around(&self, hour: usize) -> f64 {
        let (mut came, mut watched) = (WEIGHT_OF_OVERALL, WEIGHT_OF_OVERALL / self.overall);
        let around = (1..).zip(AROUND).flat_map(|(distance, counts)| [(distance, counts), (24 - distance, counts)]);
        for (distance, counts) in around.chain([(0, 1.0)]) {
            let seen = self.arrivals.sums.hours.get((hour + distance) % 24).copied().unwrap_or_default();
            came += counts * messages(seen.came);
            watched += counts * hours(seen.watched);
        }
        came / watched
    }

    /// Returns the rate at a lag relative to what the hour alone suggests.
    fn of_lag(&self, lag: usize) -> f64 {
        let seen = self.arrivals.lags.get(lag).copied().unwrap_or_default();
        (messages(seen.came) + WEIGHT_OF_NONE) / (messages(seen.watched) + WEIGHT_OF_NONE)
    }
}

impl Arrivals {
    /// Learns from a poll that handled everything and found `new` messages since the one before. It began at `at`,
    /// since boot, which is `local`. A gap longer than `longest` teaches nothing, because the mail may have arrived at
    /// any time in it.
    pub(super) fn learn(&mut self, new: u64, at: Duration, local: TimeOfWeek, longest: Duration) {
        let gap = self.last_poll.map(|last| at.saturating_sub(last)).filter(|gap| *gap <= longest);
        if let Some(gap) = gap.and_then(|gap| u32::try_from(gap.as_secs()).ok()) {
            let since_mail = self.since_mail(at.saturating_sub(Duration::from_secs(gap.into())));
            self.count(new.min(MOST_AT_ONCE) * MESSAGE, gap, local, since_mail);
            self.counted = self.counted.saturating_add(new.min(MOST_AT_ONCE));
            self.watched = self.watched.saturating_add(gap.into());
        }
        self.last_poll = Some(at);
        if new > 0 {
            self.last_mail = Some(at);
        }
    }

    /// Records that a poll failed or left mail on the server: what the next one retrieves says nothing about when it
    /// arrived.
    pub(super) fn lose_count(&mut self) {
        self.last_poll = None;
    }

    fn since_mail(&self, at: Duration) -> u32 {
        let since = self.last_mail.map(|last| at.saturating_sub(last).as_secs());
        since.and_then(|since| u32::try_from(since).ok()).unwrap_or(LONGEST_LAG)
    }

    /// Distributes new mail over the period in which it arrived.
    fn count(&mut self, came: u64, gap: u32, local: TimeOfWeek, since_mail: u32) {
        let rates = Rates::of(self);
        let expect = |part: &Part| rates.of_hour(part.hour) * rates.overall * f64::from(part.seconds) / 3600.0;
        let parts: Vec<(Part, f64, f64)> = parts(local.before(Duration::from_secs(gap.into())), since_mail, gap)
            .map(|part| {
                let expected = expect(&part);
                let share = expected * rates.of_lag(part.lag);
                (part, expected, share)
            })
            .collect();
        let all: f64 = parts.iter().map(|(.., share)| share).sum();
        for (part, expected, share) in parts {
            let came = fraction(came, share / all);
            if let Some(hour) = self.hours.get_mut(part.hour) {
                let before = *hour;
                hour.add(came, part.seconds.into(), REMEMBERED);
                self.sums.change(part.hour, before, *hour);
            }
            if let Some(lag) = self.lags.get_mut(part.lag) {
                lag.add(came, fraction(MESSAGE, expected), REMEMBERED_OF_LAG);
            }
        }
    }

    /// Returns how long to wait from `now`, which is `local`, within these bounds, and why.
    pub(super) fn wait(&self, now: Duration, local: TimeOfWeek, bounds: Interval) -> (Duration, Expectation) {
        let Interval { shortest, longest } = bounds;
        let rates = Rates::of(self);
        let (least, most) = (shortest.as_secs_f64().max(1.0), longest.as_secs_f64().max(1.0));
        let ordinary = middle(bounds).as_secs_f64() * (ORDINARY / rates.overall).powf(0.25);
        let whole = u32::try_from(longest.as_secs()).unwrap_or(u32::MAX);
        let (mut polls, mut waited, mut last) = (0.0, 0.0, None);
        for part in parts(local, self.since_mail(now), whole) {
            let (of_hour, of_lag) = (rates.of_hour(part.hour), rates.of_lag(part.lag));
            let interval = (ordinary / (of_hour * of_lag).sqrt()).clamp(least, most.max(least));
            let seconds = f64::from(part.seconds);
            last = Some((of_hour, of_lag, part.lag));
            if polls + seconds / interval >= 1.0 {
                waited += (1.0 - polls) * interval;
                break;
            }
            polls += seconds / interval;
            waited += seconds;
        }
        let wait = Duration::try_from_secs_f64(waited).unwrap_or(longest).clamp(shortest, longest.max(shortest));
        (wait, self.expectation(last))
    }

    fn expectation(&self, at: Option<(f64, f64, usize)>) -> Expectation {
        match at {
            _ if self.watched < u64::from(WEEK) / 2 => Expectation::Learning,
            Some((of_hour, of_lag, lag)) if lag < 3 && of_lag >= 1.5 && of_lag > of_hour => Expectation::JustCame,
            Some((of_hour, ..)) if of_hour >= 1.5 => Expectation::Often,
            Some((of_hour, of_lag, _)) if of_hour * of_lag <= 0.5 => Expectation::Seldom,
            _ => Expectation::Ordinary,
        }
    }
}

/// Returns the geometric mean of the bounds.
pub(super) fn middle(bounds: Interval) -> Duration {
    let middle = (bounds.shortest.as_secs_f64() * bounds.longest.as_secs_f64()).sqrt();
    Duration::try_from_secs_f64(middle).unwrap_or(bounds.longest)
}

/// Returns a fraction of a whole, in the same unit.
fn fraction(whole: u64, part: f64) -> u64 {
    // Through a duration, whose conversion rounds and reports overflow.
    let parts = Duration::try_from_secs_f64(part.max(0.0)).map_or(0, |part| part.as_nanos());
    u64::try_from(parts.saturating_mul(u128::from(whole)) / 1_000_000_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
