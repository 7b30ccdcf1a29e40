//! Makes messages safe: the steps that take a complete file in `tmp/` to a name in `new/` that survives a power cut,
//! and the recovery that finishes them after a crash.
//!
//! This module sits above `maildir`, which handles files, and `state`, which handles records; neither knows the other.
//! [`committer`] runs the steps in order: [`crate::maildir::staging::stage`], [`record`], [`publish`]. [`destination`]
//! prepares the Maildirs that messages go to, and [`recovery`] deals with interrupted deliveries.

#[cfg(test)]
pub(crate) mod bench;
pub mod committer;
pub mod destination;
mod error;
mod lost_state;
mod not_linked;
pub mod publish;
pub mod record;
pub mod recovery;

pub use error::DeliveryError;
pub use lost_state::delivered_by;

use crate::ids::{EntryId, RequestNumber};
use crate::maildir::names::TmpName;
use crate::message::StoredSize;
use crate::pop3::{ReportedSize, UniqueId};
use crate::state::entries::MaildirNumbers;

/// The payload of a message, which says how the server listed it.
pub trait Described: Send + 'static {
    /// The server's unique-id for the message.
    fn unique_id(&self) -> Option<&UniqueId>;

    /// The size as reported by the server.
    fn reported_size(&self) -> Option<ReportedSize>;

    /// Whether the message may have come incomplete, so that only a later comparison of its bytes can prove it whole.
    fn is_unsure(&self) -> bool;

    /// Whether the message must be retrieved again, whatever the policy, because it did not match its listing.
    fn comes_again(&self) -> bool;

    /// Whether a rule leaves it on the server, whatever the policy.
    fn is_kept(&self) -> bool;

    /// Its position among the messages that the session asked for; [`RequestNumber::NONE`] where it does not matter.
    fn request(&self) -> RequestNumber;
}

/// A message that has an entry in the state.
#[derive(Debug, PartialEq, Eq)]
struct Entered<T> {
    entry: EntryId,
    /// The numbers of its Maildirs in the state.
    maildirs: MaildirNumbers,
    /// Its name in `tmp/`.
    tmp_name: TmpName,
    /// Its name in `new/`.
    published_name: String,
    /// The size of its file.
    size: StoredSize,
    /// Whether it is in a spool, and counts as delivered only once it is forwarded.
    spooled: bool,
    /// The payload.
    payload: T,
}
