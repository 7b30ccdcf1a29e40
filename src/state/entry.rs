//! What is remembered of one message, with its plain values. PURE.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::clock::trusted_time::TrustedTime;
use crate::ids::{EntryId, InstanceId, MaildirId, MaildirNumber};
use crate::message::Digest;
use crate::pop3::{Listed, ReportedSize, UniqueId};

/// Who a state belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The random number in the name of every file that this state delivers.
    pub instance: InstanceId,
    /// The server it was made for.
    pub host: String,
    /// The user name on that server.
    pub user: String,
    /// When it was made, in seconds since 1970.
    pub created: i64,
}

/// A Maildir that this state has delivered to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownMaildir {
    /// The path as configured.
    pub configured: PathBuf,
    /// The same path without symbolic links.
    pub resolved: PathBuf,
    /// Distinguishes it from another Maildir at that path.
    pub id: MaildirId,
}

/// How we came to know a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// We delivered it.
    Delivered,
    /// Another program's state says that it was fetched.
    Imported,
    /// The user said that it must not be fetched.
    Adopted,
    /// Another program's state says that it was fetched, and the user vouches for those deliveries.
    Trusted,
}

#[cfg(test)]
impl Entry {
    /// A message of which nothing else is known.
    pub(super) fn bare(id: u64, unique_id: Option<UniqueId>) -> Self {
        Self {
            id: EntryId::new(id),
            unique_id,
            origin: Origin::Delivered,
            fingerprint: Fingerprint { reported_size: None, header: None, whole: None },
            delivered_at: 0,
            delivered_trusted: TrustedTime::FIRST,
            intent: None,
            removed: false,
            doubt: false,
            absent_since: None,
        }
    }
}

/// Distinguishes a message from others with the same unique-id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    /// The size in octets that the server reported: a hint. None if it reported none, or if the message came in another
    /// size.
    pub reported_size: Option<ReportedSize>,
    /// The digest of its header. None if the header was never seen.
    pub header: Option<Digest>,
    /// The digest of all its bytes as stored. None if they were never seen, or were seen by an early version.
    pub whole: Option<Digest>,
}

impl Fingerprint {
    /// Whether nothing of the message itself was ever seen.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.header.is_none() && self.whole.is_none()
    }
}

/// A delivery in progress: the file is durable in `tmp/`, and may or may not be in `new/` yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The file's name in `new/`.
    pub file_name: String,
    /// The first of its Maildirs.
    pub maildir: MaildirNumber,
    /// Whether the file is in the account's spool, where it waits to be forwarded.
    pub spooled: bool,
    /// Further Maildirs, each of which gets a file of its own. The message is delivered once it is in all of them.
    pub also: Vec<MaildirNumber>,
    /// Those of its Maildirs in which no link of ours to `new/` was made: a second name of the file there was made by
    /// somebody else, and shows nothing.
    pub not_linked: Vec<MaildirNumber>,
}

impl Intent {
    /// Iterates over all of its Maildirs.
    pub fn maildirs(&self) -> impl Iterator<Item = MaildirNumber> {
        std::iter::once(self.maildir).chain(self.also.iter().copied())
    }
}

/// One message that we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id within the state.
    pub id: EntryId,
    /// The server's unique-id for it; None where the server has no UIDL.
    pub unique_id: Option<UniqueId>,
    /// How we came to know it.
    pub origin: Origin,
    /// Distinguishes it from others.
    pub fingerprint: Fingerprint,
    /// When it was delivered, in seconds since 1970, by a clock that may have been wrong: for people.
    pub delivered_at: i64,
    /// The same in trusted time: for ages.
    pub delivered_trusted: TrustedTime,
    /// The delivery, until it is known to be finished. Boxed, since few entries have one.
    pub intent: Option<Box<Intent>>,
    /// We deleted it, and the server acknowledged the QUIT.
    pub removed: bool,
    /// Whether another message may be listed under its unique-id, whatever the header says, so that only the bytes can
    /// tell. True if the message was missing from a listing; was deleted or about to be; came in another size than
    /// listed, or in a session whose answers were out of step; got its unique-id from a renumbering; is on another
    /// host; or if a session of its own ended at it.
    pub doubt: bool,
    /// The time of the first complete listing without it, or of the acknowledged QUIT that removed it.
    pub absent_since: Option<TrustedTime>,
}

impl Entry {
    /// Whether we deleted the message, or a complete listing lacked it.
    #[must_use]
    pub fn was_gone(&self) -> bool {
        self.removed || self.absent_since.is_some()
    }

    /// Whether its delivery has begun and is not known to be finished: it is ours, but may not be in all of its
    /// Maildirs yet.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.intent.as_ref().is_some_and(|intent| !intent.spooled)
    }

    /// Marks it as listed again.
    pub(super) fn set_present(&mut self) {
        self.removed = false;
        self.absent_since = None;
    }
}

/// How a message is listed: unique-id and size together, since a server may give a unique-id to another message.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListedAs {
    /// The server's unique-id for it.
    pub unique_id: UniqueId,
    /// The size in octets as reported by the server. None if it reports none, or if an early version did not record it.
    pub reported_size: Option<ReportedSize>,
}

impl ListedAs {
    /// How this message is listed; None without a unique-id.
    #[must_use]
    pub fn of(listed: &Listed) -> Option<Self> {
        let unique_id = listed.unique_id.clone()?;
        Some(Self { unique_id, reported_size: listed.reported_size })
    }

    /// How the message of an entry was listed; None without a unique-id.
    #[must_use]
    pub fn of_entry(entry: &Entry) -> Option<Self> {
        Some(Self { unique_id: entry.unique_id.clone()?, reported_size: entry.fingerprint.reported_size })
    }

    /// The same listing without a size.
    #[must_use]
    pub fn without_size(self) -> Self {
        Self { reported_size: None, ..self }
    }
}

/// A message that failed: it is quarantined for a growing time so that everything else keeps flowing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quarantine {
    /// Why it is quarantined.
    pub kind: QuarantineReason,
    /// How often it failed in a row.
    pub count: u32,
    /// When it may be tried again.
    pub until: TrustedTime,
}

/// Why a message is quarantined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuarantineReason {
    /// The server refused to hand it over. This affects no other message.
    Refused,
    /// A session ended at it: the connection broke, or the response broke the framing. The message is only requested in
    /// a session of its own.
    BrokeSession,
    /// The server's daily limit was reached at this message. This counts once a day; until the message is quarantined,
    /// `until` is the time at which it last counted.
    OverLimit,
    /// It came in another size than listed.
    OtherSize,
}
