//! What `ACCOUNT.hints` says of where an account stood and what people were told, as it is written. What it means is
//! known to [`crate::account_record`] and [`crate::notify`].

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher as _};

use serde::{Deserialize, Serialize};

use crate::clock::trusted_time::ClockReading;
use crate::schedule::arrivals::SavedArrivals;

/// A standing as it is kept in `ACCOUNT.hints`. Times are seconds, counted from the moment at which it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    /// When it was written, in seconds since 1970.
    pub(crate) wall: i64,
    /// In which boot of the machine.
    pub(crate) boot: u32,
    /// When, since that.
    pub(crate) since_boot: u64,
    /// The last time that the server judged our login, it let us in.
    pub(crate) last_login_worked: bool,
    /// The LOGIN-DELAY that the server announced.
    pub(crate) login_delay: Option<u64>,
    /// How long ago the last poll that was let in had ended.
    pub(crate) last_login: Option<u64>,
    /// The time between two polls that refusals have taught.
    pub(crate) pace: Option<u64>,
    /// How long ago.
    pub(crate) pace_learnt: Option<u64>,
    /// What the files looked like from which the account is made.
    pub(crate) files: Files,
    /// How many times in a row each cause has ended a poll, by its name.
    pub(crate) in_a_row: BTreeMap<String, u32>,
    /// What keeps it from its work.
    pub(crate) trouble: Option<SavedTrouble>,
    /// How long the place is left alone where its mail goes on to.
    pub(crate) forwarding: Option<SavedForwardingPause>,
    /// When mail comes.
    pub(crate) arrivals: Option<SavedArrivals>,
    /// What was told.
    pub(crate) told: SavedNotifyState,
}

/// What keeps an account from its work, as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedTrouble {
    /// What kind it is of.
    pub(crate) cause: String,
    /// It is a refused login that is not believed yet.
    pub(crate) doubt: bool,
    /// How many polls in a row.
    pub(crate) times: u32,
    /// In so many seconds the next poll is due.
    pub(crate) due_in: u64,
    /// Since when, in seconds since 1970.
    pub(crate) since: i64,
    /// What happened.
    pub(crate) text: String,
}

/// How long the place is left alone where mail goes on to, as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedForwardingPause {
    /// How many passes in a row came to nothing.
    pub(crate) failures: u32,
    /// In so many seconds the next one is due.
    pub(crate) due_in: u64,
    /// What the file of its password looked like before the last one.
    pub(crate) password: String,
    /// It has spoken of one message alone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) of_one: bool,
}

impl Saved {
    /// How long ago it was written, in seconds: within a boot by the clock that nobody sets, else by the wall clock. None
    /// if that went back.
    pub(crate) fn passed(&self, now: ClockReading) -> Option<u64> {
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
        let arrivals = self.arrivals.as_ref().map(SavedArrivals::matter);
        Self { wall, boot, since_boot, last_login, pace_learnt, arrivals, told, files, ..self.clone() }
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

/// What was told, as it is kept. Times are seconds before the moment at which it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedNotifyState {
    /// The last poll that ended well, or else the first one.
    pub(crate) well: Option<u64>,
    /// How many polls in a row have not ended well.
    pub(crate) failures: u32,
    /// The end of the first of these.
    pub(crate) failing_since: Option<u64>,
    /// When it was told that nothing succeeds.
    pub(crate) silence: Option<u64>,
    /// The least number of days at which the server's certificate was told of.
    pub(crate) certificate: Option<u32>,
    /// When that was.
    pub(crate) certificate_told: Option<u64>,
    /// The end of the sign-in that was told to be near, in seconds since 1970.
    pub(crate) sign_in_end: Option<i64>,
    /// Marks of the messages in quarantine that were told of, in hexadecimal digits.
    pub(crate) quarantined: Vec<String>,
    /// Marks of the warnings of the last poll.
    pub(crate) warnings: Vec<String>,
    /// That mail is not forwarded was told.
    pub(crate) not_forwarded: bool,
    /// That mail is set aside was told.
    pub(crate) set_aside: bool,
    /// The troubles that were told, and when.
    pub(crate) troubles: BTreeMap<String, u64>,
}

impl SavedNotifyState {
    /// What matters of it: not when it was.
    #[must_use]
    pub fn matter(&self) -> Self {
        let troubles = self.troubles.keys().map(|name| (name.clone(), 0)).collect();
        let silence = self.silence.map(|_| 0);
        let (well, failing_since, certificate_told) = (None, None, None);
        Self { well, failing_since, certificate_told, silence, troubles, ..self.clone() }
    }
}
