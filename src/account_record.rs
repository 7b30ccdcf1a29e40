//! Where an account stands between two polls: what its schedule has learned, when it is due and why, what people were
//! told. The daemon has it in memory; over a restart, and from one run of `fetch --scheduled` to the next, it is kept in
//! `ACCOUNT.hints`. PURE, except for [`Files`].
//!
//! What was kept may be lost: then an account is polled sooner, and something is told twice. A back-off is kept as long as
//! nothing says that a person has mended something: the files of the configuration and of the password are as they were.

use std::path::Path;
use std::time::Duration;

use crate::account::{Account, CredentialSource};
use crate::account_history::PastPoll;
use crate::clock::trusted_time::ClockReading;
use crate::disk::Stamp;
use crate::notify::{Notification, NotifyState, PollFacts, after_poll};
use crate::poll::{PollError, PollReport};
use crate::schedule::{Arrivals, Cause, Experience, History, Next, PollTiming, Reason, TimeOfWeek, next};
use crate::state::error::StateError;
use crate::state::saved::{Files, Saved, SavedForwardingPause, SavedTrouble};

/// The longest text of a trouble that is kept, in characters.
const LONGEST_TEXT: usize = 1000;

/// What is known of an account between two polls.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// What happened in the polls before.
    pub history: History,
    /// What was told of it to people.
    pub told: NotifyState,
    /// What keeps it from its work.
    pub trouble: Option<Box<Trouble>>,
    /// How long runs of a timer leave the place alone where its mail goes on to. The daemon has that in its memory.
    pub forwarding: Option<Box<ForwardingPause>>,
}

/// How long the place is left alone where mail goes on to, because somebody has to mend something, or it is full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardingPause {
    /// How many passes in a row came to nothing.
    pub failures: u32,
    /// When the next one is due, since boot.
    pub due: Duration,
    /// What the file of its password looked like before the last one; nothing if it has none.
    pub password: String,
    /// It has spoken of one message alone: new mail is tried all the same.
    pub is_of_one: bool,
}

/// What keeps an account from its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Why the next poll is when it is: a trouble, or a doubt.
    pub reason: Reason,
    /// When the next poll is due, since boot.
    pub due: Duration,
    /// Since when, in seconds since 1970.
    pub since: i64,
    /// What happened and what to do about it.
    pub text: String,
}

impl Trouble {
    /// What kind it is of.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self.reason {
            Reason::Trouble { cause, .. } => cause,
            // A refused login that is not believed yet.
            _ => Cause::ServerBusy,
        }
    }

    /// Whether another mailferry holds the account, and not for long yet at this time, in seconds since 1970. That is nothing
    /// that a person has to look at.
    #[must_use]
    pub fn is_brief_hold(&self, wall: i64) -> bool {
        self.cause() == Cause::LockedByAnother && wall.abs_diff(self.since) < Cause::BRIEF_HOLD.as_secs()
    }

    /// Whether it is waited out although the daemon was started anew: a login or a question to a person is not to be
    /// tried again by that alone.
    #[must_use]
    pub fn outlives_a_restart(&self) -> bool {
        match self.reason {
            Reason::Trouble { cause, .. } => {
                cause.reached_server() || matches!(cause, Cause::Credential | Cause::InternalError)
            }
            _ => true,
        }
    }

    /// How many polls in a row.
    #[must_use]
    pub fn times(&self) -> u32 {
        match self.reason {
            Reason::Trouble { times, .. } => times,
            _ => 1,
        }
    }
}

impl Standing {
    /// Takes in how a poll ended that ran from `polled.start` to `polled.end`; `wall` is the same end since 1970, and
    /// `local` that in the user's week. Says when the next one is.
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
        let is_trouble = matches!(next.reason, Reason::Trouble { .. } | Reason::Doubt);
        let text = match &report.end {
            // Who is told of it later did not ask for the account.
            Err(PollError::State(held @ StateError::Locked { .. })) => Some(held.to_string()),
            _ => report.trouble(),
        };
        self.trouble = text.filter(|_| is_trouble).map(|mut text| {
            text.shrink_to_fit();
            let mut trouble = Trouble { reason: next.reason, due: next.at, since: wall, text };
            if let Some(known) = self.trouble.as_ref().filter(|known| known.cause() == trouble.cause()) {
                trouble.since = known.since;
            }
            Box::new(trouble)
        });
        next
    }

    /// What a person should be told after a poll that [`Self::on_poll_end`] took in.
    pub fn notifications(
        &mut self,
        settings: &crate::config::NotifySettings,
        report: &PollReport,
        reason: &Reason,
        now: Duration,
        wall: i64,
    ) -> Vec<Notification> {
        after_poll(&mut self.told, settings, &PollFacts::of(report, reason, now, wall))
    }

    /// As it is kept; `now` is since boot, and the same moment as `clock`.
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
            trouble: self.trouble.as_ref().map(|trouble| SavedTrouble {
                cause: trouble.cause().name().to_owned(),
                doubt: trouble.reason == Reason::Doubt,
                times: trouble.times(),
                due_in: trouble.due.saturating_sub(now).as_secs().saturating_add(1),
                since: trouble.since,
                text: trouble.text.chars().take(LONGEST_TEXT).collect(),
            }),
            forwarding: self.forwarding.as_ref().map(|pause| SavedForwardingPause {
                failures: pause.failures,
                due_in: pause.due.saturating_sub(now).as_secs(),
                password: pause.password.clone(),
                of_one: pause.is_of_one,
            }),
            arrivals: history.arrivals.as_ref().map(|arrivals| arrivals.save(now)),
            told: self.told.save(now),
        }
    }

    /// What was kept, at a later moment; `now` is since boot, and the same moment as `clock`.
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
            // A clock that went back says nothing: then it is over.
            let left = passed.map_or(0, |passed| due_in.saturating_sub(passed));
            now.saturating_add(Duration::from_secs(left))
        };
        let trouble = saved.trouble.as_ref().and_then(|trouble| {
            let reason = if trouble.doubt {
                Reason::Doubt
            } else {
                Reason::Trouble { cause: Cause::named(&trouble.cause)?, times: trouble.times }
            };
            Some(Box::new(Trouble {
                reason,
                due: due(trouble.due_in),
                since: trouble.since,
                text: trouble.text.clone(),
            }))
        });
        let forwarding = saved.forwarding.as_ref().map(|pause| {
            let (failures, password) = (pause.failures, pause.password.clone());
            Box::new(ForwardingPause { failures, due: due(pause.due_in), password, is_of_one: pause.of_one })
        });
        Self { history, told: NotifyState::restore(&saved.told, passed.unwrap_or(0), now), trouble, forwarding }
    }
}

/// What the history keeps of a poll that ended at `wall`, in seconds since 1970; `cause` is why it failed, if it did.
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

    /// What the file that a password comes from looks like. Blocks, and hangs where the file's disk does.
    #[must_use]
    pub fn password_of(source: &CredentialSource, directory: Option<&Path>) -> String {
        match (source, directory) {
            (CredentialSource::File(path), _) => stamp(path),
            // systemd makes it anew at each start of the service: a restart is the way to have it read.
            (CredentialSource::Credential(name), Some(directory)) => stamp(&directory.join(name)),
            _ => String::new(),
        }
    }
}

/// What a file looks like; nothing if it is not there. Blocks, and hangs where its disk does.
#[must_use]
pub fn stamp(path: &Path) -> String {
    Stamp::at(path).map(|stamp| stamp.to_string()).unwrap_or_default()
}

#[cfg(test)]
#[path = "account_record_tests.rs"]
mod tests;
