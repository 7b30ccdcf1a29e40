//! The minimum time between two polls, which the server and its provider impose.

use std::time::Duration;

use super::PollTiming;
use super::history::History;
use super::reason::{MinIntervalFrom, Reason};

/// The minimum time between two polls, and where it comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct MinInterval {
    pub(super) time: Duration,
    pub(super) by: MinIntervalFrom,
}

impl MinInterval {
    pub(super) fn of(timing: &PollTiming, history: &History, now: Duration) -> Self {
        let announced = history.login_delay.filter(|_| !timing.provider.is_some_and(|p| p.login_delay_is_untrue));
        let known = timing
            .provider
            .map(|provider| Self { time: provider.min_interval, by: MinIntervalFrom::Provider(provider) });
        let announced = announced.map(|time| Self { time, by: MinIntervalFrom::LoginDelay });
        let learnt = history.pace(now).map(|time| Self { time, by: MinIntervalFrom::Experience });
        let nothing = Self { time: Duration::ZERO, by: MinIntervalFrom::LoginDelay };
        [known, announced, learnt].into_iter().flatten().fold(nothing, |a, b| if b.time > a.time { b } else { a })
    }

    /// Returns it as the reason for the time of a poll.
    pub(super) fn reason(self) -> Reason {
        Reason::MinInterval { min_interval: self.time, by: self.by }
    }

    /// Returns how long to wait before the rest of a backlog is fetched.
    pub(super) fn between_portions(self, timing: &PollTiming, history: &History, now: Duration) -> Duration {
        match timing.provider {
            Some(provider) if provider.login_delay_is_untrue => history.pace(now).unwrap_or_default(),
            _ => self.time,
        }
    }
}
