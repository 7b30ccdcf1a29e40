//! The listing behind which nothing was left to do: a hint, kept in `ACCOUNT.hints`.
//!
//! If the server lists the same again and nothing else has changed, there is nothing to decide, so the state need not be
//! read. It holds for a day at most, within one boot, and only while the state's file, the Maildir and the account are
//! those that it was made with: lost or wrong, it costs a full look, never a message.

use serde::{Deserialize, Serialize};

use crate::account::{Account, RemovalPolicy};
use crate::clock::trusted_time::ClockReading;
use crate::disk::FileStatus;

/// No longer than so many seconds is nothing looked at: what no listing tells, a full look finds. A day, as the marks of
/// trusted time are a day apart, too.
const LONGEST: u64 = 86_400;

/// What was true when nothing was left to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanListing {
    /// How many messages the server listed.
    pub messages: u32,
    /// Their size in octets, as STAT told; in decimal digits, since TOML's integers end at 63 bits.
    pub octets: String,
    /// The digest of UIDL's answer, in hexadecimal digits.
    pub unique_ids: String,
    /// How many of the messages a rule leaves there.
    #[serde(default)]
    pub skipped: u32,
    /// Which file the state was, when it had been changed last, and its size.
    pub state: String,
    /// Which directories the Maildir was.
    pub maildir: String,
    /// The account as it was configured, in a digest.
    account: u32,
    /// In which boot of the machine it was.
    boot: u32,
    /// When, in seconds since that boot.
    since_boot: u64,
    /// The trusted seconds of the state then.
    #[serde(alias = "certain")]
    pub trusted: u64,
    /// For how many seconds from then on it may hold.
    holds: u64,
}

/// What a clean listing is made from, beside the listing.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// The account as it is configured.
    pub account: &'a Account,
    /// The state's file.
    pub state: &'a FileStatus,
    /// What tells the Maildir from another one.
    pub maildir: &'a str,
    /// What the clocks say.
    pub clock: ClockReading,
}

impl CleanListing {
    /// What is kept of a listing, of which rules leave so many messages there; `due` is in how many seconds something is to be done though nothing changes, and
    /// `trusted` the time of the poll in trusted seconds.
    #[must_use]
    pub fn new(
        listing: (u32, u64, String),
        skipped: u32,
        now: Circumstances<'_>,
        trusted: u64,
        due: Option<u64>,
    ) -> Self {
        let (messages, octets, unique_ids) = listing;
        Self {
            messages,
            octets: octets.to_string(),
            unique_ids,
            skipped,
            state: file(now.state),
            maildir: now.maildir.to_owned(),
            account: digest(now.account),
            boot: now.clock.boot,
            since_boot: now.clock.since_boot,
            trusted,
            holds: due.unwrap_or(LONGEST).min(LONGEST),
        }
    }

    /// How many seconds ago it was made, if it still holds.
    #[must_use]
    pub fn age(&self, now: Circumstances<'_>) -> Option<u64> {
        let same = self.state == file(now.state)
            && self.maildir == now.maildir
            && self.account == digest(now.account)
            && self.boot == now.clock.boot;
        let age = now.clock.since_boot.checked_sub(self.since_boot)?;
        (same && age < self.holds.min(LONGEST)).then_some(age)
    }
}

/// The size as well: whatever is added within one step of the file system's clock changes it.
fn file(status: &FileStatus) -> String {
    let FileStatus { id, changed, size, .. } = status;
    format!("{:x}.{:x}.{changed:x}.{size:x}", id.device, id.inode)
}

/// What of an account decides what is to be done.
fn digest(account: &Account) -> u32 {
    let removal = match account.removal {
        RemovalPolicy::Keep => None,
        RemovalPolicy::AfterDelivery => Some(0),
        RemovalPolicy::AfterAge(age) => Some(age.as_secs()),
    };
    let text = format!(
        "{:?}",
        (
            &account.endpoint.host,
            account.endpoint.port,
            &account.username,
            &account.maildir,
            removal,
            account.max_message_size,
            account.routing.digest(),
        )
    );
    crc32fast::hash(text.as_bytes())
}
