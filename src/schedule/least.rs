//! The least time between two polls: what the server and its provider have a say in.

use std::time::Duration;

use super::Wishes;
use super::history::History;
use super::why::LeastBy;

/// The least time between two polls, and who says so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Least {
    pub(super) time: Duration,
    pub(super) by: LeastBy,
}

impl Least {
    pub(super) fn of(wishes: &Wishes, history: &History, now: Duration) -> Self {
        let announced = history.login_delay.filter(|_| !wishes.provider.is_some_and(|p| p.login_delay_is_untrue));
        let known = wishes.provider.map(|provider| Self { time: provider.least, by: LeastBy::Provider(provider) });
        let announced = announced.map(|time| Self { time, by: LeastBy::LoginDelay });
        let learnt = history.pace(now).map(|time| Self { time, by: LeastBy::Experience });
        let nothing = Self { time: Duration::ZERO, by: LeastBy::LoginDelay };
        [known, announced, learnt].into_iter().flatten().fold(nothing, |a, b| if b.time > a.time { b } else { a })
    }

    /// What is waited before the rest of a backlog is fetched.
    pub(super) fn between_portions(self, wishes: &Wishes, history: &History, now: Duration) -> Duration {
        match wishes.provider {
            Some(provider) if provider.login_delay_is_untrue => history.pace(now).unwrap_or_default(),
            _ => self.time,
        }
    }
}
