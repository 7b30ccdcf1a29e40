//! The progress of one account. Pure: from snapshots of its poll and the time it makes a line.

use std::time::Duration;

use crate::poll::progress::{Phase, Snapshot};
use crate::text::{Size, Span, shortened};

/// The time over which a rate is averaged, in seconds.
const WINDOW: f64 = 5.0;

/// Over a shorter time a rate means nothing.
const TOO_SOON: Duration = Duration::from_secs(2);

/// The widest bar, in columns.
const BAR: usize = 30;

/// The narrowest bar that is of use, in columns.
const SHORTEST_BAR: usize = 10;

/// The progress of an account's poll.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    /// The last snapshot.
    seen: Snapshot,
    /// When it was taken, since the start of the run.
    at: Duration,
    /// When mail began to arrive, since the start of the run.
    flowing_since: Option<Duration>,
    /// The recent rate, in octets per second.
    rate: f64,
}

impl Progress {
    /// Starts with a poll that has just begun.
    pub(super) fn new(at: Duration) -> Self {
        Self { seen: Snapshot::default(), at, flowing_since: None, rate: 0.0 }
    }

    /// Takes a new snapshot into account.
    pub(super) fn take(&mut self, seen: Snapshot, at: Duration) {
        let passed = at.saturating_sub(self.at).as_secs_f64();
        let came = seen.octets.saturating_sub(self.seen.octets);
        if came > 0 && self.flowing_since.is_none() {
            self.flowing_since = Some(self.at);
        }
        if self.flowing_since.is_some() && passed > 0.0 {
            // A moving average, in which older snapshots weigh less and less; at first, all count in full.
            let since = at.saturating_sub(self.flowing_since.unwrap_or(at)).as_secs_f64();
            let share = (passed / WINDOW.min(since.max(passed))).min(1.0);
            self.rate += share * (as_f64(came) / passed - self.rate);
        }
        (self.seen, self.at) = (seen, at);
    }

    /// Returns octets per second; None if it is too soon to tell.
    pub(super) fn rate(&self) -> Option<f64> {
        let since = self.flowing_since?;
        (self.at.saturating_sub(since) >= TOO_SOON).then_some(self.rate)
    }

    /// Returns the last snapshot.
    pub(super) fn seen(&self) -> &Snapshot {
        &self.seen
    }

    /// Estimates how long the rest of the planned messages will take.
    fn left(&self) -> Option<Duration> {
        let planned = self.seen.planned_octets.filter(|planned| *planned > 0)?;
        let rate = self.rate().filter(|rate| *rate >= 1.0)?;
        let seconds = as_f64(planned.saturating_sub(self.seen.octets)) / rate;
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// Returns a line of at most this many columns, beginning with a padded name. If there is no room, what matters
    /// least is left out. `most` is the largest number of planned messages in any line.
    pub(super) fn line(&self, name: &str, columns: usize, most: u64) -> String {
        let Snapshot { phase, planned, delivered, octets, planned_octets, .. } = self.seen;
        if phase != Phase::Retrieving {
            return shortened(&format!("{name}  {}", words(phase)), columns);
        }
        let count = format!("{}/{planned}", delivered.min(planned));
        let size = match planned_octets {
            Some(planned) => (Size(octets.min(planned)).to_string(), Size(planned).to_string()),
            None => (Size(octets).to_string(), String::new()),
        };
        let size =
            |between: &str| if size.1.is_empty() { size.0.clone() } else { format!("{}{between}{}", size.0, size.1) };
        let left = self.left().map(|left| format!("{} left", rounded(left))).unwrap_or_default();
        let rate = self.rate().map(rate_in_words).unwrap_or_default();
        // Fixed columns, so that nothing shifts when a number grows.
        let width = 1 + 2 * digits(most.max(planned));
        let wide = [
            format!("{:>width$}", format!("{count} messages"), width = width + 9),
            format!("{:>22}", size(" of ")),
            format!("{rate:>12}"),
            format!("{left:>11}"),
        ];
        let narrow = [format!("{count:>width$}"), size("/"), rate, left];
        let line = |parts: &[String], kept: &[usize]| {
            let kept = kept.iter().filter_map(|part| parts.get(*part));
            kept.fold(name.to_owned(), |line, part| line + "  " + part)
        };
        let whole = line(&wide, &[0, 1, 2, 3]);
        let room = columns.saturating_sub(whole.chars().count() + 4);
        if room >= SHORTEST_BAR {
            return whole + &self.bar(room.min(BAR));
        }
        let lines = [whole, line(&narrow, &[0, 1, 2, 3]), line(&narrow, &[0, 1, 3]), line(&narrow, &[0, 3])];
        lines
            .into_iter()
            .find(|line| line.chars().count() <= columns)
            .unwrap_or_else(|| shortened(&line(&narrow, &[0]), columns))
    }

    /// Draws how much is done, by octets if they are known.
    fn bar(&self, columns: usize) -> String {
        let Snapshot { planned, delivered, octets, planned_octets, .. } = self.seen;
        let (done, all) = planned_octets.filter(|all| *all > 0).map_or((delivered, planned), |all| (octets, all));
        let all_columns = u64::try_from(columns).unwrap_or(u64::MAX);
        let filled = done.min(all).saturating_mul(all_columns).checked_div(all).unwrap_or(0);
        let filled = usize::try_from(filled).unwrap_or(columns).min(columns);
        format!("  [{}{}]", "#".repeat(filled), "-".repeat(columns - filled))
    }
}

fn words(phase: Phase) -> &'static str {
    match phase {
        Phase::Begun => "getting the password",
        Phase::Connecting => "connecting",
        Phase::LoggingIn => "logging in and listing",
        Phase::Comparing => "finding out what is new",
        Phase::Retrieving => "retrieving",
        Phase::Ending => "ending",
    }
}

/// Rounds an estimate: seconds would be false precision, and would change too fast to be read.
fn rounded(left: Duration) -> Span {
    let seconds = left.as_secs();
    let step = match seconds {
        0..15 => 1,
        15..60 => 5,
        _ => 60,
    };
    Span(Duration::from_secs(seconds.div_ceil(step).saturating_mul(step)))
}

pub(super) fn rate_in_words(rate: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is not negative, and saturates")]
    let octets = rate.max(0.0) as u64;
    format!("{}/s", Size(octets))
}

fn digits(number: u64) -> usize {
    usize::try_from(number.max(1).ilog10()).unwrap_or(0) + 1
}

fn as_f64(octets: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
    let octets = octets as f64;
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn half() -> Progress {
        let mut progress = Progress::new(Duration::ZERO);
        for second in 1..=10 {
            let seen = Snapshot {
                phase: Phase::Retrieving,
                planned: 1500,
                planned_octets: Some(20 * MIB),
                delivered: 75 * second,
                octets: MIB * second,
            };
            progress.take(seen, Duration::from_secs(second));
        }
        progress
    }

    #[test]
    fn a_line_tells_messages_octets_rate_and_time_left_as_far_as_there_is_room() {
        let line = |columns| half().line("acc00", columns, 1500);
        let wide = line(199);
        assert_eq!(
            wide,
            "acc00   750/1500 messages    10.0 MiB of 20.0 MiB     1.0 MiB/s    10 s left  [###############---------------]"
        );
        assert_eq!(line(79), "acc00   750/1500 messages    10.0 MiB of 20.0 MiB     1.0 MiB/s    10 s left");
        assert_eq!(line(59), "acc00   750/1500  10.0 MiB/20.0 MiB  1.0 MiB/s  10 s left");
        assert_eq!(line(50), "acc00   750/1500  10.0 MiB/20.0 MiB  10 s left");
        assert_eq!(line(40), "acc00   750/1500  10 s left");
        for columns in 8..220 {
            assert!(line(columns).chars().count() <= columns, "{columns}: {}", line(columns));
        }
    }

    #[test]
    fn before_there_is_mail_it_says_what_is_being_done() {
        let mut progress = Progress::new(Duration::ZERO);
        progress.take(Snapshot { phase: Phase::Connecting, ..Snapshot::default() }, Duration::from_secs(3));
        assert_eq!(progress.line("acc00", 79, 0), "acc00  connecting");
        assert_eq!(progress.line("acc00", 10, 0), "acc00  co\u{2026}");
        assert_eq!(progress.rate(), None);
    }

    #[test]
    fn a_rate_follows_what_comes_and_a_stall_brings_it_down() {
        let mut progress = half();
        let rate = progress.rate().unwrap_or(0.0);
        assert!((rate - 1_048_576.0).abs() < 20_000.0, "{rate}");
        let seen = *progress.seen();
        (11..60).for_each(|second| progress.take(seen, Duration::from_secs(second)));
        assert!(progress.rate().is_some_and(|rate| rate < 100.0), "{progress:?}");
    }

    #[test]
    fn sizes_that_are_not_known_or_lie_do_no_harm() {
        for (planned_octets, octets) in [(None, 5), (Some(0), 5), (Some(3), 500), (Some(u64::MAX), u64::MAX)] {
            let mut progress = Progress::new(Duration::ZERO);
            let seen = Snapshot { phase: Phase::Retrieving, planned: 1, planned_octets, delivered: 7, octets };
            progress.take(seen, Duration::from_secs(1));
            progress.take(seen, Duration::from_secs(9));
            assert!(progress.line("a", 150, 1).starts_with("a  1/1 messages"), "{}", progress.line("a", 150, 1));
        }
        let steps = [(7, "7 s"), (16, "20 s"), (61, "2 min"), (3500, "59 min"), (3601, "61 min")];
        for (seconds, words) in steps {
            assert_eq!(rounded(Duration::from_secs(seconds)).to_string(), words);
        }
    }
}
