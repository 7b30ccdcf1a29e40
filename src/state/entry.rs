//! What is remembered of one message, and the plain values that go with it. PURE.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::ids::{EntryId, InstanceId, MaildirId, MaildirNumber};
use crate::message::Digest;
use crate::pop3::{Listed, UniqueId};

/// Who a state belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Stands in the name of every file that this state delivers.
    pub instance: InstanceId,
    /// The server it was made for.
    pub host: String,
    /// The user name at that server.
    pub user: String,
    /// Seconds since 1970 when it was made.
    pub created: i64,
}

/// A Maildir that this state has delivered to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownMaildir {
    /// The path as the configuration gave it.
    pub configured: PathBuf,
    /// The same without symbolic links.
    pub resolved: PathBuf,
    /// What tells it from another one under that path.
    pub id: MaildirId,
}

/// How we came to know a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// We delivered it ourselves.
    Delivered,
    /// Another program's state says that it fetched it.
    Imported,
    /// The user said that it is not to be fetched.
    Adopted,
    /// Another program's state says that it fetched it, and the user vouches for its deliveries.
    Trusted,
}

#[cfg(test)]
impl Entry {
    /// A message of which nothing but this is known.
    pub(super) fn bare(id: u64, unique_id: Option<UniqueId>) -> Self {
        Self {
            id: EntryId::new(id),
            unique_id,
            origin: Origin::Delivered,
            fingerprint: Fingerprint { reported_size: None, header: None, whole: None },
            delivered_at: 0,
            delivered_trusted: 0,
            intent: None,
            removed: false,
            doubt: false,
            absent_since: None,
        }
    }
}

/// What tells this message from others with the same unique-id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    /// The size in octets that the server reported: a hint. None if it reported none, or what came had another one.
    pub reported_size: Option<u64>,
    /// The digest of its header. None if we never saw it.
    pub header: Option<Digest>,
    /// The digest of all its bytes, as they are stored. None if we never had them, or an early version had.
    pub whole: Option<Digest>,
}

impl Fingerprint {
    /// Whether nothing of the message itself was ever seen.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.header.is_none() && self.whole.is_none()
    }
}

/// A delivery that was begun: the file is durable in `tmp/`, and may or may not be in `new/` yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The file's name in `new/`.
    pub file_name: String,
    /// The Maildir.
    pub maildir: MaildirNumber,
    /// The file is in the account's spool, and waits there until it is forwarded.
    pub spooled: bool,
    /// Others that it is delivered to as well, as a file of its own in each: it is delivered once it is in all of them.
    pub also: Vec<MaildirNumber>,
}

impl Intent {
    /// All the Maildirs.
    pub fn maildirs(&self) -> impl Iterator<Item = MaildirNumber> {
        std::iter::once(self.maildir).chain(self.also.iter().copied())
    }
}

/// One message that we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name within the state.
    pub id: EntryId,
    /// The server's name for it; None where the server has no UIDL.
    pub unique_id: Option<UniqueId>,
    /// How we came to know it.
    pub origin: Origin,
    /// What tells it from others.
    pub fingerprint: Fingerprint,
    /// Seconds since 1970 when it was delivered, by a clock that may have been wrong: for people.
    pub delivered_at: i64,
    /// The same in trusted seconds: for ages.
    pub delivered_trusted: u64,
    /// Some until the delivery is known to have been finished. In a box, since that is of few.
    pub intent: Option<Box<Intent>>,
    /// We deleted it, and the server acknowledged the QUIT.
    pub removed: bool,
    /// What is listed under its unique-id may be another message, whatever its header says: it was missing in a listing,
    /// was deleted or was to be, came in another size than it was listed with or in a session whose answers were out of
    /// step, has the unique-id from a renumbering, stands on another host, or a session of its own ended at it. Only its
    /// bytes tell.
    pub doubt: bool,
    /// Certain seconds at the first complete listing without it, or at the acknowledged QUIT that removed it.
    pub absent_since: Option<u64>,
}

impl Entry {
    /// Whether we deleted the message, or a complete listing lacked it.
    #[must_use]
    pub fn was_gone(&self) -> bool {
        self.removed || self.absent_since.is_some()
    }

    /// Whether its delivery was begun, and is not known to be finished: it is ours, and not in all of its Maildirs yet.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.intent.as_ref().is_some_and(|intent| !intent.spooled)
    }

    /// It is listed again.
    pub(super) fn set_present(&mut self) {
        self.removed = false;
        self.absent_since = None;
    }
}

/// How a listing names a message: by unique-id and size together, since a server may give a unique-id to another message.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListedAs {
    /// The server's name for it.
    pub unique_id: UniqueId,
    /// Its size in octets, as the server reports it. None if it reports none, and where an early version did not write it.
    pub reported_size: Option<u64>,
}

impl ListedAs {
    /// That of a listed message; None where the server has no unique-id for it.
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

    /// The same where no size is told, whatever stands in its place.
    #[must_use]
    pub fn without_size(self) -> Self {
        Self { reported_size: None, ..self }
    }
}

/// A message that failed: it is quarantined for a growing time so that everything else flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quarantine {
    /// What kind.
    pub kind: QuarantineReason,
    /// How often in a row.
    pub count: u32,
    /// Not before this time, in trusted seconds.
    pub until: u64,
}

/// What kind of trouble a message makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuarantineReason {
    /// The server would not hand it over. That harms nobody else.
    Refused,
    /// A session ended at it: cut there, or its answer broke the framing. It is only asked for in a session of its own.
    BrokeSession,
    /// The server gave no more for the day when this was asked for. It counts once a day, and until it is set aside `until`
    /// is when it counted last.
    OverLimit,
    /// What came of it has another size than it was listed with.
    OtherSize,
}
