//! A listing that left nothing to do: a hint, kept in `ACCOUNT.hints`.
//!
//! If the server lists the same again and nothing else has changed, there is nothing to decide, and the state need not
//! be read. The hint holds for a day at most, within one boot, and only while the state's file, the Maildir and the
//! account are unchanged. If it is lost or wrong, that costs a full look, never a message.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::account::{Account, RemovalPolicy};
use crate::clock::trusted_time::{ClockReading, TrustedTime};
use crate::disk::FileStatus;

/// The longest time without a full look, in seconds: it finds what no listing shows. One day, like the interval between
/// marks of trusted time.
const LONGEST: u64 = 86_400;

/// What was true when nothing was left to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanListing {
    /// The number of messages listed.
    pub messages: u32,
    /// Their size in octets, as reported by STAT. Decimal digits, since TOML integers end at 63 bits.
    pub octets: String,
    /// The digest of the UIDL response, in hexadecimal digits.
    pub unique_ids: String,
    /// How many of the messages a rule leaves on the server.
    #[serde(default)]
    pub skipped: u32,
    /// The state's file: its id, its last change and its size.
    pub state: String,
    /// The identity of the Maildir's directories.
    pub maildir: String,
    /// A digest of the account as configured.
    account: u32,
    /// The boot of the machine in which it was made.
    boot: u32,
    /// When it was made, in seconds since that boot.
    since_boot: u64,
    /// The same in the trusted time of the state.
    #[serde(alias = "certain")]
    pub trusted: TrustedTime,
    /// How long it holds from then on, in seconds.
    holds: u64,
}

/// What a clean listing depends on, besides the listing.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// The account as configured.
    pub account: &'a Account,
    /// The state's file.
    pub state: &'a FileStatus,
    /// The identity of the Maildir.
    pub maildir: &'a str,
    /// The clocks.
    pub clock: ClockReading,
}

impl CleanListing {
    /// Makes the hint for a listing of which rules leave `skipped` messages on the server. `trusted` is the time of the
    /// poll; `due` is in how long something has to be done even if nothing changes.
    #[must_use]
    pub fn new(
        listing: (u32, u64, String),
        skipped: u32,
        now: Circumstances<'_>,
        trusted: TrustedTime,
        due: Option<Duration>,
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
            holds: due.map_or(LONGEST, |due| due.as_secs().min(LONGEST)),
        }
    }

    /// Returns its age, if it still holds.
    #[must_use]
    pub fn age(&self, now: Circumstances<'_>) -> Option<Duration> {
        let same = self.state == file(now.state)
            && self.maildir == now.maildir
            && self.account == digest(now.account)
            && self.boot == now.clock.boot;
        let age = now.clock.since_boot.checked_sub(self.since_boot)?;
        (same && age < self.holds.min(LONGEST)).then_some(Duration::from_secs(age))
    }
}

/// Includes the size, which shows an append within one tick of the file system's clock.
fn file(status: &FileStatus) -> String {
    let FileStatus { id, changed, size, .. } = status;
    format!("{:x}.{:x}.{changed:x}.{size:x}", id.device, id.inode)
}

/// Digests those settings of an account that decide what is to be done.
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
            account.routing.digest().get(),
        )
    );
    crc32fast::hash(text.as_bytes())
}
