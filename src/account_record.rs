//! Where an account stands between two polls: what its schedule has learned, when it is due and why, what people were
//! told. The daemon has it in memory; over a restart, and from one run of `fetch --scheduled` to the next, it is kept in
//! `ACCOUNT.hints`. PURE, except for [`Files`].
//!
//! What was kept may be lost: then an account is polled sooner, and something is told twice. A back-off is kept as long as
//! nothing says that a person has mended something: the files of the configuration and of the password are as they were.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::clock::trusted_time::ClockReading;
use crate::credential::CredentialSource;
use crate::notify::decide::SavedNotifyState;
use crate::notify::{Notification, NotifyState, PollFacts, after_poll};
use crate::poll::PollReport;
use crate::schedule::{Cause, Experience, History, Next, PollTiming, Reason, next};

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
    pub trouble: Option<Trouble>,
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
    /// Takes in how a poll ended that ran from `polled.start` to `polled.end`; `wall` is the same end since 1970. Says when
    /// the next one is.
    pub fn on_poll_end(
        &mut self,
        account: &Account,
        seed: u64,
        report: &PollReport,
        polled: std::ops::Range<Duration>,
        wall: i64,
    ) -> Next {
        let timing = PollTiming::new(account.interval, &account.endpoint.host);
        let next = next(&timing, &mut self.history, &report.outcome(), seed, polled);
        let is_trouble = matches!(next.reason, Reason::Trouble { .. } | Reason::Doubt);
        self.trouble = report.trouble().filter(|_| is_trouble).map(|text| {
            let mut trouble = Trouble { reason: next.reason, due: next.at, since: wall, text };
            if let Some(known) = self.trouble.as_ref().filter(|known| known.cause() == trouble.cause()) {
                trouble.since = known.since;
            }
            trouble
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
        };
        let trouble = saved.trouble.as_ref().and_then(|trouble| {
            let reason = if trouble.doubt {
                Reason::Doubt
            } else {
                Reason::Trouble { cause: Cause::named(&trouble.cause)?, times: trouble.times }
            };
            // A clock that went back says nothing: then it is over.
            let left = passed.map_or(0, |passed| trouble.due_in.saturating_sub(passed));
            let due = now.saturating_add(Duration::from_secs(left));
            Some(Trouble { reason, due, since: trouble.since, text: trouble.text.clone() })
        });
        Self { history, told: NotifyState::restore(&saved.told, passed.unwrap_or(0), now), trouble }
    }
}

/// A standing as it is kept in `ACCOUNT.hints`. Times are seconds, counted from the moment at which it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    /// When it was written, in seconds since 1970.
    wall: i64,
    /// In which boot of the machine.
    boot: u32,
    /// When, since that.
    since_boot: u64,
    /// The last time that the server judged our login, it let us in.
    last_login_worked: bool,
    /// The LOGIN-DELAY that the server announced.
    login_delay: Option<u64>,
    /// How long ago the last poll that was let in had ended.
    last_login: Option<u64>,
    /// The time between two polls that refusals have taught.
    pace: Option<u64>,
    /// How long ago.
    pace_learnt: Option<u64>,
    /// What the files looked like from which the account is made.
    files: Files,
    /// How many times in a row each cause has ended a poll, by its name.
    in_a_row: BTreeMap<String, u32>,
    /// What keeps it from its work.
    trouble: Option<SavedTrouble>,
    /// What was told.
    told: SavedNotifyState,
}

/// What keeps an account from its work, as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
struct SavedTrouble {
    /// What kind it is of.
    cause: String,
    /// It is a refused login that is not believed yet.
    doubt: bool,
    /// How many polls in a row.
    times: u32,
    /// In so many seconds the next poll is due.
    due_in: u64,
    /// Since when, in seconds since 1970.
    since: i64,
    /// What happened.
    text: String,
}

impl Saved {
    /// How long ago it was written, in seconds: within a boot by the clock that nobody sets, else by the wall clock. None
    /// if that went back.
    fn passed(&self, now: ClockReading) -> Option<u64> {
        if now.boot == self.boot && now.since_boot >= self.since_boot {
            return Some(now.since_boot - self.since_boot);
        }
        u64::try_from(now.wall.checked_sub(self.wall)?).ok()
    }

    /// What the files looked like from which the account was made.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// What it says, apart from when, as a number: what is known to be kept need not be written again.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.matter().hash(&mut hasher);
        hasher.finish()
    }

    fn matter(&self) -> Self {
        let (wall, boot, since_boot) = (0, 0, 0);
        let (last_login, pace_learnt, told) = (None, None, self.told.matter());
        // What the files look like matters only to a back-off.
        let files = self.trouble.as_ref().map(|_| self.files.clone()).unwrap_or_default();
        Self { wall, boot, since_boot, last_login, pace_learnt, told, files, ..self.clone() }
    }

    /// Whether it says the same, apart from when.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.matter() == other.matter()
    }
}

/// What the files look like that a person changes to mend something: inode, length, time of the last change, and who may
/// read them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Files {
    /// That of the configuration.
    pub config: String,
    /// That of the password, if it has one.
    pub password: String,
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
    match std::fs::metadata(path) {
        Ok(file) => format!(
            "{} {} {}.{:09} {:o} {}:{}",
            file.ino(),
            file.len(),
            file.mtime(),
            file.mtime_nsec(),
            file.mode(),
            file.uid(),
            file.gid()
        ),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
#[path = "account_record_tests.rs"]
mod tests;
