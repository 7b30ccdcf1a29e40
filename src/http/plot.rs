//! A small bar chart of the messages that came, hour by hour, as an image that needs no script.

use std::fmt::{self, Write as _};

use crate::account_history::Hour;
use crate::text::Count;

/// Seconds in an hour.
const HOUR: i64 = 3600;

/// The messages of the last days, in bars of several hours each.
pub(super) struct Plot<'a> {
    /// The hours in which messages came, the oldest first.
    pub(super) hours: &'a [Hour],
    /// The time of the last bar, in seconds since 1970.
    pub(super) now: i64,
    /// How many bars there are.
    pub(super) bars: u32,
    /// How many hours a bar covers.
    pub(super) hours_per_bar: u32,
    /// The width of a bar and the height of the highest, in units of the image.
    pub(super) size: (u32, u32),
    /// Makes its ids unique in the page.
    pub(super) id: &'a str,
}

impl Plot<'_> {
    /// Returns the number of messages in each bar, the oldest first.
    fn counts(&self) -> Vec<u64> {
        let mut counts = vec![0_u64; usize::try_from(self.bars).unwrap_or(0)];
        let span = i64::from(self.hours_per_bar) * HOUR;
        let last = self.now.div_euclid(span);
        for hour in self.hours {
            let back = last.saturating_sub(hour.begun.div_euclid(span));
            let at = usize::try_from(i64::from(self.bars) - 1 - back);
            if let Some(count) = at.ok().and_then(|at| counts.get_mut(at)) {
                *count = count.saturating_add(hour.messages);
            }
        }
        counts
    }

    /// Describes the chart in words.
    pub(super) fn words(&self) -> String {
        let counts = self.counts();
        let sum = counts.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
        let days = u64::from(self.bars.saturating_mul(self.hours_per_bar) / 24);
        let most = counts.iter().max().copied().unwrap_or(0);
        let per = if self.hours_per_bar == 1 { "an hour".to_owned() } else { format!("{} hours", self.hours_per_bar) };
        if sum == 0 {
            format!("no mail in {}", Count(days, "day"))
        } else {
            let messages = Count(sum, "message");
            format!("{messages} in {}, at most {most} in {per}", Count(days, "day"))
        }
    }
}

impl fmt::Display for Plot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.counts();
        let (width, height) = self.size;
        let most = counts.iter().max().copied().unwrap_or(0).max(1);
        let words = self.words();
        write!(
            f,
            "<svg class=\"plot\" viewBox=\"0 0 {} {}\" preserveAspectRatio=\"none\" role=\"img\" aria-labelledby=\"{id}\">\
             <title id=\"{id}\">{words}</title>",
            width * self.bars,
            height + 1,
            id = self.id,
        )?;
        let mut path = String::new();
        for (at, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            // At least a visible mark.
            let bar = (u128::from(*count) * u128::from(height)).div_ceil(u128::from(most)).max(2);
            let gap = u32::from(width > 2);
            let x = at * usize::try_from(width).unwrap_or(1);
            write!(path, "M{x} {height}v-{bar}h{}v{bar}z", width - gap)?;
        }
        let days = (24 / self.hours_per_bar.max(1)).max(1);
        let lines = (1..self.bars / days).map(|day| day * days * width);
        let grid = lines.fold(String::new(), |grid, x| format!("{grid}M{x} 0v{height}"));
        write!(f, "<path class=\"grid\" d=\"{grid}\"/>")?;
        write!(
            f,
            "<path class=\"base\" d=\"M0 {height}h{}v1h-{0}z\"/><path class=\"bars\" d=\"{path}\"/></svg>",
            width * self.bars
        )
    }
}

/// The same numbers as a table by day, for those who cannot see the chart.
pub(super) struct ByDay<'a>(pub(super) &'a [Hour]);

impl fmt::Display for ByDay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut days: Vec<(i64, u64)> = Vec::new();
        for hour in self.0.iter().filter(|hour| hour.messages > 0) {
            let day = hour.begun.div_euclid(24 * HOUR);
            match days.last_mut().filter(|(last, _)| *last == day) {
                Some((_, count)) => *count = count.saturating_add(hour.messages),
                None => days.push((day, hour.messages)),
            }
        }
        if days.is_empty() {
            return Ok(());
        }
        f.write_str("<table class=\"unseen\"><caption>messages by day</caption><tbody>")?;
        for (day, count) in days {
            let date = jiff::Timestamp::from_second(day * 24 * HOUR).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
            write!(f, "<tr><th scope=\"row\">{}</th><td>{count}</td></tr>", date.strftime("%Y-%m-%d"))?;
        }
        f.write_str("</tbody></table>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(begun: i64, messages: u64) -> Hour {
        Hour { begun: begun * HOUR, messages, octets: 0, failed: 0 }
    }

    fn plot(hours: &[Hour], now: i64) -> String {
        Plot { hours, now: now * HOUR + 7, bars: 4, hours_per_bar: 6, size: (3, 24), id: "p" }.to_string()
    }

    #[test]
    fn each_bar_stands_for_its_hours_and_the_highest_for_the_most() {
        let image = plot(&[hour(0, 9), hour(6, 1), hour(7, 1), hour(23, 4)], 24);
        assert!(image.contains("6 messages in 1 day, at most 4 in 6 hours"), "{image}");
        assert!(image.contains("d=\"M0 24v-12h2v12zM6 24v-24h2v24z\""), "{image}");
    }

    #[test]
    fn nothing_is_a_line_and_words() {
        let image = plot(&[], 24);
        assert!(image.contains("no mail in 1 day") && image.contains("class=\"bars\" d=\"\""), "{image}");
    }

    #[test]
    fn absurd_numbers_break_nothing() {
        let image = plot(&[hour(i64::MAX / HOUR, u64::MAX), hour(23, u64::MAX), hour(24, u64::MAX)], 24);
        assert!(image.contains("v-24"), "{image}");
    }
}
