//! An account's standing, and what people were notified of, as written to `ACCOUNT.hints`. [`crate::account_record`]
//! and [`crate::notify`] know what it means.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher as _};

use serde::{Deserialize, Serialize};

use crate::clock::trusted_time::ClockReading;
use crate::schedule::arrivals::SavedArrivals;

/// A standing as stored in `ACCOUNT.hints`. Times are in seconds relative to the moment of writing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    /// When it was written, in seconds since 1970.
    pub(crate) wall: i64,
    /// The boot of the machine in which it was written.
    pub(crate) boot: u32,
    /// When it was written, in seconds since that boot.
    pub(crate) since_boot: u64,
    /// Whether the server accepted our login the last time that it judged one.
    pub(crate) last_login_worked: bool,
    /// The LOGIN-DELAY announced by the server.
    pub(crate) login_delay: Option<u64>,
    /// How long ago the last poll with a successful login ended.
    pub(crate) last_login: Option<u64>,
    /// The interval between polls that was learned from refusals.
    pub(crate) pace: Option<u64>,
    /// How long ago it was learned.
    pub(crate) pace_learnt: Option<u64>,
    /// The state of the files that the account is configured by.
    pub(crate) files: Files,
    /// How often in a row each cause has ended a poll, by name of the cause.
    pub(crate) in_a_row: BTreeMap<String, u32>,
    /// What makes its polls fail.
    #[serde(rename = "trouble")]
    pub(crate) failure: Option<SavedFailure>,
    /// Why its mail waits to be forwarded, and the pause of the destination.
    pub(crate) forwarding: Option<SavedForwardingPause>,
    /// When mail usually comes.
    pub(crate) arrivals: Option<SavedArrivals>,
    /// What people were notified of.
    pub(crate) told: SavedNotifyState,
}

/// What makes an account's polls fail, as stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedFailure {
    /// The name of its cause, such as `storage`.
    pub(crate) cause: String,
    /// Whether it is a refused login that may be temporary.
    pub(crate) doubt: bool,
    /// How many polls in a row it ended.
    pub(crate) times: u32,
    /// The seconds until the next poll is due.
    pub(crate) due_in: u64,
    /// When it began, in seconds since 1970.
    pub(crate) since: i64,
    /// What happened and what to do about it, as shown to people.
    pub(crate) text: String,
}

/// Why mail waits to be forwarded, and how long the destination is left alone, as stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedForwardingPause {
    /// How many passes in a row failed.
    pub(crate) failures: u32,
    /// The seconds until the next pass is due.
    pub(crate) due_in: u64,
    /// The state of the destination's password file before the last pass.
    pub(crate) password: String,
    /// Whether the destination's refusal was about one message only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) of_one: bool,
    /// Since when mail waits, in seconds since 1970.
    pub(crate) since: i64,
    /// Why it waits; empty if nothing is known to hold it up.
    pub(crate) text: String,
    /// Whether the last poll left mail on the server because the spool was full.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) spool_full: bool,
}

impl Saved {
    /// How long ago it was written, in seconds: by the boot clock within the same boot, else by the wall clock. None if
    /// the wall clock went back.
    pub(crate) fn passed(&self, now: ClockReading) -> Option<u64> {
        if now.boot == self.boot && now.since_boot >= self.since_boot {
            return Some(now.since_boot - self.since_boot);
        }
        u64::try_from(now.wall.checked_sub(self.wall)?).ok()
    }

    /// The state of the files that the account is configured by.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// A digest of what it says, regardless of when: what is stored already need not be written again.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.matter().hash(&mut hasher);
        hasher.finish()
    }

    fn matter(&self) -> Self {
        let (wall, boot, since_boot) = (0, 0, 0);
        let (last_login, pace_learnt, told) = (None, None, self.told.matter());
        // The state of the files matters only to a back-off.
        let waits_out = self.failure.is_some() || self.forwarding.as_ref().is_some_and(|pause| pause.due_in > 0);
        let files = if waits_out { self.files.clone() } else { Files::default() };
        let arrivals = self.arrivals.as_ref().map(SavedArrivals::matter);
        Self { wall, boot, since_boot, last_login, pace_learnt, arrivals, told, files, ..self.clone() }
    }

    /// Whether the two say the same, regardless of when.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.matter() == other.matter()
    }
}

/// The state of the files that a person edits to fix a problem: inode, length, time of the last change, and access
/// rights.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Files {
    /// The configuration file.
    pub config: String,
    /// The password file, if any.
    pub password: String,
}

/// What people were notified of, as stored. Times are in seconds before the moment of writing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedNotifyState {
    /// The last successful poll, or else the first poll.
    pub(crate) well: Option<u64>,
    /// How many polls in a row have failed.
    pub(crate) failures: u32,
    /// The end of the first of these polls.
    pub(crate) failing_since: Option<u64>,
    /// The notification that nothing has succeeded for long.
    pub(crate) silence: Option<u64>,
    /// The fewest remaining days of the server's certificate that were notified.
    pub(crate) certificate: Option<u32>,
    /// When that was notified.
    pub(crate) certificate_told: Option<u64>,
    /// The expiry of the sign-in that was notified as near, in seconds since 1970.
    pub(crate) sign_in_end: Option<i64>,
    /// The marks of quarantined messages that were notified, in hexadecimal digits.
    pub(crate) quarantined: Vec<String>,
    /// The marks of the last poll's warnings.
    pub(crate) warnings: Vec<String>,
    /// Whether it was notified that mail is not forwarded.
    pub(crate) not_forwarded: bool,
    /// Whether it was notified that mail is set aside.
    pub(crate) set_aside: bool,
    /// The problems that were notified, and when.
    #[serde(rename = "troubles")]
    pub(crate) reported_causes: BTreeMap<String, u64>,
}

impl SavedNotifyState {
    /// Returns what matters of it, without the times.
    #[must_use]
    pub fn matter(&self) -> Self {
        let reported_causes = self.reported_causes.keys().map(|name| (name.clone(), 0)).collect();
        let silence = self.silence.map(|_| 0);
        let (well, failing_since, certificate_told) = (None, None, None);
        Self { well, failing_since, certificate_told, silence, reported_causes, ..self.clone() }
    }
}
