//! Making a message safe: the steps from a complete file in `tmp/` to a name in `new/` that survives a power cut, and
//! what finishes them after one.
//!
//! Above `maildir`, which knows files, and `state`, which knows records; neither knows the other. [`committer`] takes the
//! steps in their order: [`crate::maildir::staging::stage`], [`record`], [`publish`]. [`destination`] is where to,
//! [`recovery`] what is done about deliveries that a crash interrupted.

#[cfg(test)]
pub(crate) mod bench;
pub mod committer;
pub mod destination;
mod error;
mod lost_state;
pub mod publish;
pub mod record;
pub mod recovery;

pub use error::DeliveryError;
pub use lost_state::delivered_by;

use crate::ids::EntryId;
use crate::maildir::names::TmpName;
use crate::pop3::UniqueId;
use crate::state::entries::MaildirNumbers;

/// What a message carries says how the server listed it.
pub trait Described: Send + 'static {
    /// The server's name for it.
    fn unique_id(&self) -> Option<&UniqueId>;

    /// Its size in octets, as the server reports it.
    fn reported_size(&self) -> Option<u64>;

    /// Whether what came may not be all of it, so that later only its bytes can show that it is.
    fn is_unsure(&self) -> bool;

    /// Whether it is to be retrieved again, whatever the policy, because it did not come as it was listed.
    fn comes_again(&self) -> bool;

    /// Its place among the messages that its session asked for, counted from 1; 0 where that does not matter.
    fn place(&self) -> u64 {
        0
    }
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
    /// How many bytes it has.
    size: u64,
    /// What it carries.
    payload: T,
}
