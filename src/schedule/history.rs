//! What is known from the polls before.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use super::arrivals::{Arrivals, TimeOfWeek};
use super::cause::Cause;
use super::{End, Outcome};
use crate::account::Interval;

/// A LOGIN-DELAY beyond this is not believed: it would be mail that does not come because of a typing error.
const LONGEST_LOGIN_DELAY: Duration = Duration::from_secs(3600);

/// How long what a server has refused is remembered: the reason may have been another program at the same account.
const EXPERIENCE: Duration = Duration::from_secs(86_400);

/// The longest time between two polls that is learnt from refusals.
const LONGEST_PACE: Duration = Duration::from_secs(1800);

/// Where polls are further apart than this, and more than twice their longest interval, it is not known when mail came.
const KNOWN_GAP: Duration = Duration::from_secs(3600);

/// What happened in the polls before. Plain values, so that they can be kept; the times since boot are to be left out
/// after another boot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// How many times in a row each cause has ended a poll.
    pub in_a_row: BTreeMap<Cause, u32>,
    /// The last time that the server judged our login, it let us in.
    pub last_login_worked: bool,
    /// The LOGIN-DELAY that the server announced the last time it let us in.
    pub login_delay: Option<Duration>,
    /// When the last poll that was let in ended, since boot.
    pub last_login: Option<Duration>,
    /// What the server has refused.
    pub experience: Option<Experience>,
    /// When mail comes; where the interval is fixed, nobody asks.
    pub arrivals: Option<Box<Arrivals>>,
    /// Somebody waits for mail until then, since boot.
    pub awaited_until: Option<Duration>,
}

/// A login was refused because the last one was too short a while ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Experience {
    /// The time between two polls that is tried instead.
    pub pace: Duration,
    /// When it was learnt, since boot.
    pub learnt: Duration,
}

impl History {
    /// Forgets all troubles, because a person has done something: changed the credential, reloaded the configuration,
    /// asked for a poll. What is known of the server stays.
    pub fn begin_anew(&mut self) {
        self.in_a_row.clear();
    }

    /// Counts a poll that ended by this cause; says how many there are in a row now.
    pub(super) fn count(&mut self, cause: Cause, outcome: &Outcome) -> u32 {
        let keep = |one: Cause| {
            let stays = match one {
                _ if one == cause => outcome.new == 0,
                Cause::LoginRefused => !outcome.logged_in,
                _ => false,
            };
            self.in_a_row.get(&one).copied().filter(|_| stays)
        };
        let (again, refused) = (keep(cause).unwrap_or(0).saturating_add(1), keep(Cause::LoginRefused));
        self.in_a_row = refused.map(|times| (Cause::LoginRefused, times)).into_iter().chain([(cause, again)]).collect();
        again
    }

    /// Takes in what a poll tells about the server and its rules.
    pub(super) fn learn(&mut self, outcome: &Outcome, polled: &Range<Duration>) {
        if outcome.end == End::Trouble(Cause::RateLimited)
            && let Some(last) = self.last_login.filter(|_| !outcome.logged_in)
        {
            // Twice the time that was not enough, until it is.
            let pace = polled.start.saturating_sub(last).saturating_mul(2).min(LONGEST_PACE);
            self.experience = Some(Experience { pace, learnt: polled.end });
        }
        if outcome.logged_in {
            self.last_login = Some(polled.end);
            self.login_delay = outcome.login_delay.map(|delay| delay.min(LONGEST_LOGIN_DELAY));
        }
        match outcome.end {
            End::Refused { .. } => self.last_login_worked = false,
            _ => self.last_login_worked |= outcome.logged_in,
        }
    }

    /// Takes in what a poll tells about when mail comes: it began at `began`, since boot, and `local`.
    pub(super) fn learn_arrivals(&mut self, interval: Interval, outcome: &Outcome, began: Duration, local: TimeOfWeek) {
        if interval.is_fixed() {
            self.arrivals = None;
            return;
        }
        let arrivals = self.arrivals.get_or_insert_default();
        match outcome.end {
            End::Dealt { more: false } => {
                let longest = interval.longest.max(KNOWN_GAP).saturating_mul(2);
                arrivals.learn(outcome.new, began, local, longest);
            }
            // What is left comes with the next poll, and came sooner.
            End::Dealt { more: true } | End::HadItsShare => arrivals.lose_count(),
            _ if outcome.new > 0 => arrivals.lose_count(),
            _ => {}
        }
    }

    /// Whether somebody waits for mail.
    pub(super) fn is_awaited(&self, now: Duration) -> bool {
        self.awaited_until.is_some_and(|until| now < until)
    }

    /// The least time between two polls that refusals have taught, as long as it counts.
    pub(crate) fn pace(&self, now: Duration) -> Option<Duration> {
        self.experience.filter(|one| now.saturating_sub(one.learnt) < EXPERIENCE).map(|one| one.pace)
    }
}
