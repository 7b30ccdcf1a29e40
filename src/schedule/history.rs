//! What earlier polls have shown.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use super::arrivals::{Arrivals, TimeOfWeek};
use super::cause::Cause;
use super::{End, Outcome};
use crate::account::Interval;

/// A longer LOGIN-DELAY is not believed: a typing error would hold mail back.
const LONGEST_LOGIN_DELAY: Duration = Duration::from_secs(3600);

/// How long a refusal is remembered. Its reason may have been another program that polls the account.
const EXPERIENCE: Duration = Duration::from_secs(86_400);

/// The longest time between two polls that is learnt from refusals.
const LONGEST_PACE: Duration = Duration::from_secs(1800);

/// If polls are further apart than this, and more than twice their longest interval, it is unknown when the mail
/// arrived.
const KNOWN_GAP: Duration = Duration::from_secs(3600);

/// What happened in earlier polls. Plain values that can be saved; the times since boot must not be used after a
/// reboot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// How many times in a row each cause has ended a poll.
    pub in_a_row: BTreeMap<Cause, u32>,
    /// Whether the server accepted our login the last time that it judged one.
    pub last_login_worked: bool,
    /// The LOGIN-DELAY that the server announced at the last successful login.
    pub login_delay: Option<Duration>,
    /// When the last poll with a successful login ended, since boot.
    pub last_login: Option<Duration>,
    /// What was learnt from refusals.
    pub experience: Option<Experience>,
    /// When mail arrives. Unused where the interval is fixed.
    pub arrivals: Option<Box<Arrivals>>,
    /// Until when a user waits for mail, since boot.
    pub awaited_until: Option<Duration>,
}

/// A login that was refused because it followed the last one too soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Experience {
    /// The time between two polls to try instead.
    pub pace: Duration,
    /// When it was learnt, since boot.
    pub learnt: Duration,
}

impl History {
    /// Returns how many polls in a row were ended because they were too slow while others waited.
    #[must_use]
    pub fn times_too_slow(&self) -> u32 {
        self.in_a_row.get(&Cause::TooSlow).copied().unwrap_or(0)
    }

    /// Resets all counts of failures, because the user has acted: changed the credential, reloaded the configuration,
    /// or asked for a poll. What is known of the server stays.
    pub fn begin_anew(&mut self) {
        self.in_a_row.clear();
    }

    /// Counts a poll that failed for this cause. Returns how many there now are in a row.
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

    /// Learns about the server and its rules from a poll.
    pub(super) fn learn(&mut self, outcome: &Outcome, polled: &Range<Duration>) {
        if outcome.end == End::Failed(Cause::RateLimited)
            && let Some(last) = self.last_login.filter(|_| !outcome.logged_in)
        {
            // Twice the time that was too short, until it is enough.
            let pace = polled.start.saturating_sub(last).saturating_mul(2).min(LONGEST_PACE);
            self.experience = Some(Experience { pace, learnt: polled.end });
        }
        if outcome.was_let_in() {
            self.last_login = Some(polled.end);
            self.login_delay = outcome.login_delay.map(|delay| delay.min(LONGEST_LOGIN_DELAY));
        }
        match outcome.end {
            End::Refused { .. } => self.last_login_worked = false,
            _ => self.last_login_worked |= outcome.logged_in,
        }
    }

    /// Learns when mail arrives from a poll that began at `began`, since boot, and `local`.
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
            // The rest comes with the next poll, but arrived earlier.
            End::Dealt { more: true } | End::HadItsShare => arrivals.lose_count(),
            _ if outcome.new > 0 => arrivals.lose_count(),
            _ => {}
        }
    }

    /// Whether a user waits for mail.
    pub(super) fn is_awaited(&self, now: Duration) -> bool {
        self.awaited_until.is_some_and(|until| now < until)
    }

    /// Returns the minimum time between two polls that refusals have taught, while it is valid.
    pub(crate) fn pace(&self, now: Duration) -> Option<Duration> {
        self.experience.filter(|one| now.saturating_sub(one.learnt) < EXPERIENCE).map(|one| one.pace)
    }
}
