//! Durations in words.

use std::fmt;
use std::time::Duration;

/// A time until something happens, in words: "at once", "in 30 s", "in 2 h 30 min".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct In(pub(crate) Duration);

impl In {
    /// Whether it is over.
    pub(crate) fn is_now(self) -> bool {
        self.0 < Duration::from_millis(500)
    }
}

impl fmt::Display for In {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_now() { f.write_str("now") } else { write!(f, "in {}", Span(self.0)) }
    }
}

/// A span of time as a person would say it: at most two numbers, and no seconds beside hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl Span {
    /// Returns the time from one moment to a later one, both in seconds of the same clock; zero if the clock went back.
    pub(crate) fn between(earlier: i64, later: i64) -> Self {
        Self(Duration::from_secs(u64::try_from(later.saturating_sub(earlier)).unwrap_or(0)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_millis().saturating_add(500) / 1000;
        let minutes = (seconds + 30) / 60;
        let hours = (minutes + 30) / 60;
        match (seconds, minutes, hours) {
            (0..100, _, _) => write!(f, "{seconds} s"),
            (_, 0..100, _) => write!(f, "{minutes} min"),
            (_, _, 0..48) if minutes.is_multiple_of(60) => write!(f, "{hours} h"),
            (_, _, 0..48) => write!(f, "{} h {} min", minutes / 60, minutes % 60),
            _ => write!(f, "{} days", (hours + 12) / 24),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_go_is_told_as_people_say_it() {
        for (seconds, expected) in [
            (0, "now"),
            (1, "in 1 s"),
            (90, "in 90 s"),
            (100, "in 2 min"),
            (288, "in 5 min"),
            (3600, "in 60 min"),
            (5970, "in 1 h 40 min"),
            (7200, "in 2 h"),
            (9060, "in 2 h 31 min"),
            (86_400, "in 24 h"),
            (200_000, "in 2 days"),
            (u64::MAX, "in 213503982334601 days"),
        ] {
            assert_eq!(In(Duration::from_secs(seconds)).to_string(), expected, "{seconds}");
        }
        assert_eq!(In(Duration::from_millis(400)).to_string(), "now");
    }

    #[test]
    fn a_clock_that_went_back_makes_no_time() {
        assert_eq!(Span::between(10, 70).to_string(), "60 s");
        assert_eq!(Span::between(70, 10).to_string(), "0 s");
        assert_eq!(Span::between(i64::MIN, i64::MAX), Span(Duration::from_secs(i64::MAX.unsigned_abs())));
    }
}
