//! The state of an account between two polls: what its schedule has learned, when and why the next poll is due, and
//! what people were told. The daemon has it in memory; across restarts, and between runs of `fetch --scheduled`, it is
//! kept in `ACCOUNT.hints`. PURE, except for [`Files`].
//!
//! If it is lost, an account is merely polled sooner and somebody is notified twice. A back-off is kept as long as
//! nothing suggests that somebody fixed the problem, that is, as long as the configuration and password files are
//! unchanged.

use std::path::Path;
use std::time::Duration;

use crate::account::{Account, CredentialSource, NotifySettings};
use crate::account_history::PastPoll;
use crate::clock::trusted_time::ClockReading;
use crate::disk::Stamp;
use crate::notify::{Notification, NotifyState, PollFacts, after_poll};
use crate::poll::{PollError, PollReport};
use crate::schedule::{Arrivals, Cause, Experience, History, Next, PollTiming, Reason, TimeOfWeek, next};
use crate::state::error::StateError;
use crate::state::saved::{Files, Saved, SavedFailure, SavedForwardingPause};

/// The longest text about a problem that is kept, in characters.
const LONGEST_TEXT: usize = 1000;

/// What is known about an account between two polls.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// What happened in earlier polls.
    pub history: History,
    /// What people were told about it.
    pub told: NotifyState,
    /// What keeps it from working.
    pub failure: Option<Box<Failure>>,
    /// Why mail waits to be forwarded, and how long runs started by a timer leave the destination alone. The daemon
    /// has its pauses in memory.
    pub forwarding: Option<Box<ForwardingPause>>,
}

/// Why mail waits to be forwarded, and how long the destination is left alone, because somebody has to fix something or
/// it is full.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ForwardingPause {
    /// How many passes in a row failed in a way that calls for a pause.
    pub failures: u32,
    /// When the next pass is due, since boot. Not in the future if there is no pause.
    pub due: Duration,
    /// The stamp of its password file before the last pass; empty if there is none.
    pub password: String,
    /// The destination's error concerned a single message: new mail is tried all the same.
    pub is_of_one: bool,
    /// Since when mail waits, in seconds since 1970.
    pub since: i64,
    /// Why it waits and what to do about it. Empty: nothing is known to hold it up.
    pub why: String,
    /// Whether the last poll left mail on the server because the spool was full.
    pub is_spool_full: bool,
}

/// What keeps an account from working.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What is known of it.
    pub kind: FailureKind,
    /// When the next poll is due, since boot.
    pub due: Duration,
    /// When it began, in seconds since 1970.
    pub since: i64,
    /// What happened and what to do about it.
    pub text: String,
}

/// What is known of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The last polls failed.
    Failed {
        /// What the error was sorted as.
        cause: Cause,
        /// How many polls in a row.
        times: u32,
    },
    /// The server refused a login that worked the last time, which is not believed yet.
    Doubt,
}

impl FailureKind {
    /// Returns what a poll with this reason for the next one failed by; None if it did not fail.
    #[must_use]
    pub fn of(reason: &Reason) -> Option<Self> {
        match *reason {
            Reason::Failure { cause, times } => Some(Self::Failed { cause, times }),
            Reason::Doubt => Some(Self::Doubt),
            Reason::Start
            | Reason::AsConfigured
            | Reason::Adapted(_)
            | Reason::Often
            | Reason::MinInterval { .. }
            | Reason::Backlog
            | Reason::Stopped
            | Reason::Asked => None,
        }
    }
}

impl Failure {
    /// Returns why the next poll is due when it is.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self.kind {
            FailureKind::Failed { cause, times } => Reason::Failure { cause, times },
            FailureKind::Doubt => Reason::Doubt,
        }
    }

    /// Returns its cause.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self.kind {
            FailureKind::Failed { cause, .. } => cause,
            // A refused login that is not believed yet.
            FailureKind::Doubt => Cause::ServerBusy,
        }
    }

    /// Whether another mailferry holds the account, and has not done so for long at `wall`, in seconds since 1970.
    /// Nobody has to look at this.
    #[must_use]
    pub fn is_brief_hold(&self, wall: i64) -> bool {
        self.cause() == Cause::LockedByAnother && wall.abs_diff(self.since) < Cause::BRIEF_HOLD.as_secs()
    }

    /// Whether it is waited out even if the daemon restarts: a restart alone is no reason to repeat a login or to ask a
    /// person again.
    #[must_use]
    pub fn outlives_a_restart(&self) -> bool {
        match self.kind {
            FailureKind::Failed { cause, .. } => {
                cause.reached_server() || matches!(cause, Cause::Credential | Cause::InternalError)
            }
            FailureKind::Doubt => true,
        }
    }

    /// Returns how many polls in a row failed like this.
    #[must_use]
    pub fn times(&self) -> u32 {
        match self.kind {
            FailureKind::Failed { times, .. } => times,
            FailureKind::Doubt => 1,
        }
    }
}

impl Standing {
    /// Takes the result of a poll that ran from `polled.start` to `polled.end` and returns when the next one is due.
    /// `wall` is the end in seconds since 1970, `local` the end in the user's week.
    pub fn on_poll_end(
        &mut self,
        account: &Account,
        seed: u64,
        report: &PollReport,
        polled: std::ops::Range<Duration>,
        wall: i64,
        local: TimeOfWeek,
    ) -> Next {
        let timing = PollTiming::new(account.interval, &account.endpoint.host);
        let next = next(&timing, &mut self.history, &report.outcome(), seed, polled, local);
        let text = match &report.end {
            // The text is shown later to people who did not ask about the account.
            Err(PollError::State(held @ StateError::Locked { .. })) => Some(held.to_string()),
            _ => report.failure_text(),
        };
        self.failure = FailureKind::of(&next.reason).zip(text).map(|(kind, mut text)| {
            text.shrink_to_fit();
            let mut failure = Failure { kind, due: next.at, since: wall, text };
            if let Some(known) = self.failure.as_ref().filter(|known| known.cause() == failure.cause()) {
                failure.since = known.since;
            }
            Box::new(failure)
        });
        next
    }

    /// Returns what to tell people after a poll that [`Self::on_poll_end`] took.
    pub fn notifications(
        &mut self,
        settings: &NotifySettings,
        report: &PollReport,
        reason: &Reason,
        now: Duration,
        wall: i64,
    ) -> Vec<Notification> {
        after_poll(&mut self.told, settings, &PollFacts::of(report, reason, now, wall))
    }

    /// Returns it in the form that is kept; `now` is since boot, and the same moment as `clock`.
    #[must_use]
    pub fn save(&self, files: &Files, now: Duration, clock: ClockReading) -> Saved {
        let ago = |time: Duration| now.saturating_sub(time).as_secs();
        let history = &self.history;
        let experience = history.experience.filter(|_| history.pace(now).is_some());
        Saved {
            wall: clock.wall,
            boot: clock.boot,
            since_boot: clock.since_boot,
            files: files.clone(),
            last_login_worked: history.last_login_worked,
            login_delay: history.login_delay.map(|delay| delay.as_secs()),
            last_login: history.last_login.map(ago),
            pace: experience.map(|one| one.pace.as_secs()),
            pace_learnt: experience.map(|one| ago(one.learnt)),
            in_a_row: history.in_a_row.iter().map(|(cause, times)| (cause.name().to_owned(), *times)).collect(),
            failure: self.failure.as_ref().map(|failure| SavedFailure {
                cause: failure.cause().name().to_owned(),
                doubt: failure.kind == FailureKind::Doubt,
                times: failure.times(),
                due_in: failure.due.saturating_sub(now).as_secs().saturating_add(1),
                since: failure.since,
                text: failure.text.chars().take(LONGEST_TEXT).collect(),
            }),
            forwarding: self.forwarding.as_ref().map(|pause| SavedForwardingPause {
                failures: pause.failures,
                due_in: pause.due.saturating_sub(now).as_secs(),
                password: pause.password.clone(),
                of_one: pause.is_of_one,
                since: pause.since,
                text: pause.why.chars().take(LONGEST_TEXT).collect(),
                spool_full: pause.is_spool_full,
            }),
            arrivals: history.arrivals.as_ref().map(|arrivals| arrivals.save(now)),
            told: self.told.save(now),
        }
    }

    /// Restores it at a later moment; `now` is since boot, and the same moment as `clock`.
    #[must_use]
    pub fn restore(saved: &Saved, now: Duration, clock: ClockReading) -> Self {
        let passed = saved.passed(clock);
        let moment = |ago: u64| now.checked_sub(Duration::from_secs(ago.saturating_add(passed.unwrap_or(0))));
        let learnt = saved.pace.zip(saved.pace_learnt);
        let in_a_row = saved.in_a_row.iter().filter_map(|(name, times)| Some((Cause::named(name)?, *times)));
        let history = History {
            in_a_row: in_a_row.collect(),
            last_login_worked: saved.last_login_worked,
            login_delay: saved.login_delay.map(Duration::from_secs),
            last_login: saved.last_login.and_then(moment),
            experience: learnt.and_then(|(pace, learnt)| {
                Some(Experience { pace: Duration::from_secs(pace), learnt: moment(learnt)? })
            }),
            arrivals: saved.arrivals.as_ref().map(|arrivals| Box::new(Arrivals::restore(arrivals, moment))),
            awaited_until: None,
        };
        let due = |due_in: u64| {
            // A clock set back says nothing about the time passed: then the wait is over.
            let left = passed.map_or(0, |passed| due_in.saturating_sub(passed));
            now.saturating_add(Duration::from_secs(left))
        };
        let failure = saved.failure.as_ref().and_then(|failure| {
            let kind = if failure.doubt {
                FailureKind::Doubt
            } else {
                FailureKind::Failed { cause: Cause::named(&failure.cause)?, times: failure.times }
            };
            Some(Box::new(Failure { kind, due: due(failure.due_in), since: failure.since, text: failure.text.clone() }))
        });
        let forwarding = saved.forwarding.as_ref().map(|pause| {
            Box::new(ForwardingPause {
                failures: pause.failures,
                due: due(pause.due_in),
                password: pause.password.clone(),
                is_of_one: pause.of_one,
                since: pause.since,
                why: pause.text.clone(),
                is_spool_full: pause.spool_full,
            })
        });
        Self { history, told: NotifyState::restore(&saved.told, passed.unwrap_or(0), now), failure, forwarding }
    }
}

/// Returns what the history keeps of a poll that ended at `wall`, in seconds since 1970; `cause` is why it failed, if
/// it did.
#[must_use]
pub fn past_poll(report: &PollReport, wall: i64, cause: Option<Cause>) -> PastPoll {
    PastPoll {
        ended: wall,
        milliseconds: u64::try_from(report.duration.as_millis()).unwrap_or(u64::MAX),
        messages: report.retrieved,
        octets: report.octets,
        round_trips: report.round_trips,
        cause,
    }
}

impl Files {
    /// Whether a password comes from a file.
    #[must_use]
    pub fn has_password(source: &CredentialSource) -> bool {
        matches!(source, CredentialSource::File(_) | CredentialSource::Credential(_))
    }

    /// Returns the stamp of the file with the password; empty if there is none. Blocks, and hangs if its disk does.
    #[must_use]
    pub fn password_of(source: &CredentialSource, directory: Option<&Path>) -> String {
        match (source, directory) {
            (CredentialSource::File(path), _) => stamp(path),
            // systemd creates it at each start of the service, so it is only read again after a restart.
            (CredentialSource::Credential(name), Some(directory)) => stamp(&directory.join(name)),
            _ => String::new(),
        }
    }
}

/// Returns the stamp of a file; empty if it does not exist. Blocks, and hangs if its disk does.
#[must_use]
pub fn stamp(path: &Path) -> String {
    Stamp::at(path).map(|stamp| stamp.to_string()).unwrap_or_default()
}

#[cfg(test)]
#[path = "account_record_tests.rs"]
mod tests;
