//! The time between two logins of a poll. PURE.

use std::time::Duration;

use tokio::time::Instant;

/// Knows when the server last accepted a login of this poll.
#[derive(Debug, Default)]
pub(super) struct LoginGate {
    last: Option<Instant>,
}

impl LoginGate {
    /// Records a login that the server accepted.
    pub(super) fn logged_in(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// Returns for how long the next login has to wait, given the least time between two that the server announces.
    pub(super) fn wait(&self, login_delay: Option<Duration>, now: Instant) -> Duration {
        let (Some(last), Some(delay)) = (self.last, login_delay) else { return Duration::ZERO };
        delay.saturating_sub(now.saturating_duration_since(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_waits_for_the_rest_of_the_time_since_the_last_one() {
        let (mut gate, now, second) = (LoginGate::default(), Instant::now(), Duration::from_secs(1));
        assert_eq!(gate.wait(Some(5 * second), now), Duration::ZERO, "the first one");
        gate.logged_in(now);
        assert_eq!(gate.wait(None, now), Duration::ZERO);
        assert_eq!(gate.wait(Some(5 * second), now), 5 * second);
        assert_eq!(gate.wait(Some(5 * second), now + 4 * second), second);
        assert_eq!(gate.wait(Some(5 * second), now + 5 * second), Duration::ZERO);
        gate.logged_in(now + 6 * second);
        assert_eq!(gate.wait(Some(5 * second), now + 8 * second), 3 * second);
    }
}
