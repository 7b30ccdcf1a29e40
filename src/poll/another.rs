//! Whether a poll continues with another session. PURE.
//!
//! A poll may need several sessions: for messages left over, for those at which one broke, for those listed only once
//! the others are gone. The server has a say in this (LOGIN-DELAY, RFC 2449, section 6.5), and a server that always
//! lists one more message would keep a poll going forever. What remains is left for the next poll.

use std::time::Duration;

use super::report::LeftFor;

/// How many sessions a poll may hold, whatever they bring.
const SESSIONS: u64 = 30;

/// How many retrieved messages entitle a poll to one more session.
const MESSAGES: u64 = 5;

/// The most sessions of a poll.
const MOST_SESSIONS: u64 = 1000;

/// No further session begins after a poll has taken this long.
const LONGEST: Duration = Duration::from_secs(4 * 3600);

/// The same while other accounts wait for a place.
const LONGEST_WHILE_OTHERS_WAIT: Duration = Duration::from_secs(3600);

/// The longest single delay that is waited for, and only while no account waits for a place.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The most time that a poll waits in all.
const ALL_WAITS: Duration = Duration::from_secs(120);

/// What a poll has done so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SoFar {
    /// How many sessions it has held.
    pub(super) sessions: u32,
    /// How many messages were delivered.
    pub(super) messages: u64,
    /// How long it has taken.
    pub(super) time: Duration,
    /// How much of that it waited between sessions.
    pub(super) waited: Duration,
    /// The least time between two logins that the server announces.
    pub(super) login_delay: Option<Duration>,
    /// Other accounts wait for a place.
    pub(super) others_wait: bool,
    /// The state has outgrown the memory available for states.
    pub(super) lacks_room: bool,
}

/// When the next session may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Another {
    /// After this delay.
    After(Duration),
    /// Not in this poll.
    NextPoll(LeftFor),
}

/// Decides whether a poll may hold another session, and when.
pub(super) fn another(so_far: &SoFar) -> Another {
    let most = SESSIONS.saturating_add(so_far.messages / MESSAGES).min(MOST_SESSIONS);
    let longest = if so_far.others_wait { LONGEST_WHILE_OTHERS_WAIT } else { LONGEST };
    if u64::from(so_far.sessions) >= most || so_far.time >= longest {
        return Another::NextPoll(LeftFor::LongPoll);
    }
    if so_far.lacks_room {
        return Another::NextPoll(LeftFor::LargeState);
    }
    let delay = so_far.login_delay.unwrap_or_default();
    let too_long = delay > LONGEST_WAIT || so_far.waited.saturating_add(delay) > ALL_WAITS || so_far.others_wait;
    if !delay.is_zero() && too_long {
        return Another::NextPoll(LeftFor::LoginDelay);
    }
    Another::After(delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn sessions_that_bring_little_are_few() {
        let of = |sessions, messages| another(&SoFar { sessions, messages, ..SoFar::default() });
        assert_eq!(of(29, 0), Another::After(Duration::ZERO));
        assert_eq!(of(30, 0), Another::NextPoll(LeftFor::LongPoll));
        assert_eq!(of(30, 4), Another::NextPoll(LeftFor::LongPoll));
        assert_eq!(of(30, 5), Another::After(Duration::ZERO));
        assert_eq!(of(999, 250_000), Another::After(Duration::ZERO), "a backlog in portions");
        assert_eq!(of(1000, u64::MAX), Another::NextPoll(LeftFor::LongPoll));
    }

    #[test]
    fn a_poll_does_not_go_on_for_ever() {
        for (longest, others_wait) in [(LONGEST, false), (LONGEST_WHILE_OTHERS_WAIT, true)] {
            let of = |time| another(&SoFar { sessions: 1, time, others_wait, ..SoFar::default() });
            assert_eq!(of(longest - SECOND), Another::After(Duration::ZERO));
            assert_eq!(of(longest), Another::NextPoll(LeftFor::LongPoll));
        }
    }

    #[test]
    fn a_state_without_room_for_more_ends_the_poll() {
        let of = |lacks_room| another(&SoFar { sessions: 1, lacks_room, ..SoFar::default() });
        assert_eq!(of(false), Another::After(Duration::ZERO));
        assert_eq!(of(true), Another::NextPoll(LeftFor::LargeState));
    }

    #[test]
    fn a_login_delay_is_waited_for_if_it_is_short_and_left_to_the_next_poll_if_not() {
        let of = |delay, waited, others_wait| {
            let login_delay = Some(delay * SECOND);
            another(&SoFar { sessions: 1, login_delay, waited: waited * SECOND, others_wait, ..SoFar::default() })
        };
        assert_eq!(of(0, 0, true), Another::After(Duration::ZERO));
        assert_eq!(of(10, 0, false), Another::After(10 * SECOND));
        assert_eq!(of(10, 110, false), Another::After(10 * SECOND));
        assert_eq!(of(30, 0, false), Another::After(30 * SECOND));
        for (delay, waited, others_wait) in [(10, 111, false), (31, 0, false), (1, 0, true)] {
            assert_eq!(of(delay, waited, others_wait), Another::NextPoll(LeftFor::LoginDelay));
        }
    }
}
