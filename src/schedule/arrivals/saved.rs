//! Saves what is known of an account's arrivals across restarts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Arrivals, MESSAGE, REMEMBERED, REMEMBERED_OF_LAG, Seen};

/// What is known of an account's arrivals, as saved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedArrivals {
    /// How much mail arrived in each hour of the week, in hundredths of a message.
    came: Vec<u32>,
    /// How long each was observed, in seconds.
    watched: Vec<u32>,
    /// How much mail arrived in each lag, in hundredths of a message.
    came_after_mail: Vec<u32>,
    /// How much was expected in each, in hundredths of a message.
    expected_after_mail: Vec<u32>,
    /// How long ago the last poll began that handled everything, in seconds.
    last_poll: Option<u64>,
    /// How long ago the last poll began that retrieved mail, in seconds.
    last_mail: Option<u64>,
    /// How many messages were counted.
    counted: u64,
    /// How long arrivals were observed, in days.
    days: u64,
}

impl SavedArrivals {
    /// Returns the part whose change makes saving worthwhile: mail arrived, or a day has passed.
    #[must_use]
    pub fn matter(&self) -> Self {
        Self { counted: self.counted, days: self.days, ..Self::default() }
    }
}

/// A hundredth of a message in the unit that fractions are counted in.
const HUNDREDTH: u64 = MESSAGE / 100;

/// The seconds of a day.
const DAY: u64 = 86_400;

impl Arrivals {
    /// Returns what to save; `now` is since boot.
    #[must_use]
    pub fn save(&self, now: Duration) -> SavedArrivals {
        let ago = |time: Duration| now.saturating_sub(time).as_secs();
        let list = |seen: &[Seen], value: fn(&Seen) -> u64, unit: u64| -> Vec<u32> {
            seen.iter().map(|one| u32::try_from(value(one) / unit).unwrap_or(u32::MAX)).collect()
        };
        let (came, watched) = (|seen: &Seen| seen.came, |seen: &Seen| seen.watched);
        SavedArrivals {
            came: list(&self.hours, came, HUNDREDTH),
            watched: list(&self.hours, watched, 1),
            came_after_mail: list(&self.lags, came, HUNDREDTH),
            expected_after_mail: list(&self.lags, watched, HUNDREDTH),
            last_poll: self.last_poll.map(ago),
            last_mail: self.last_mail.map(ago),
            counted: self.counted,
            days: self.watched / DAY,
        }
    }

    /// Restores what was saved. `moment` returns the time since boot of a given number of seconds before the saving.
    /// Values that make no sense are ignored.
    pub fn restore(saved: &SavedArrivals, moment: impl Fn(u64) -> Option<Duration>) -> Self {
        let mut arrivals = Self {
            last_poll: saved.last_poll.and_then(&moment),
            last_mail: saved.last_mail.and_then(&moment),
            counted: saved.counted,
            watched: saved.days.saturating_mul(DAY),
            ..Self::default()
        };
        let fill = |seen: &mut [Seen], came: &[u32], watched: &[u32], unit: u64, remembered: u64| {
            for ((seen, came), watched) in seen.iter_mut().zip(came).zip(watched) {
                seen.came = u64::from(*came) * HUNDREDTH;
                seen.watched = (u64::from(*watched) * unit).min(remembered);
            }
        };
        fill(&mut arrivals.hours, &saved.came, &saved.watched, 1, REMEMBERED);
        let (came, expected) = (&saved.came_after_mail, &saved.expected_after_mail);
        fill(&mut arrivals.lags, came, expected, HUNDREDTH, REMEMBERED_OF_LAG);
        for (hour, seen) in arrivals.hours.iter().enumerate() {
            arrivals.sums.change(hour, Seen::default(), *seen);
        }
        arrivals
    }
}
