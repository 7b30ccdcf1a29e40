//! What a session is to retrieve, and what came of it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::in_step::InStep;
use super::refusals::Refusals;
use crate::account::{MaildirMode, RemovalPolicy};
use crate::delivery::destination::Destinations;
use crate::disk::free_space::FreeSpaces;
use crate::ids::{EntryId, InstanceId};
use crate::plan::maildrop::Listed;
use crate::plan::{Expected, Remembered};
use crate::routing::Routing;
use crate::state::entries::ListedAs;

/// What is to be retrieved, and how.
pub(super) struct Retrieval {
    /// The messages, in this order.
    pub(super) messages: VecDeque<Listed>,
    /// Where they may go.
    pub(super) destinations: Arc<Destinations>,
    /// Which of them goes where.
    pub(super) routing: Arc<Routing>,
    /// The permissions that their files get.
    pub(super) maildir_mode: MaildirMode,
    /// The instance id for their names.
    pub(super) instance: InstanceId,
    /// What happens to them on the server afterwards.
    pub(super) removal: RemovalPolicy,
    /// Remembered messages that one of these may turn out to be.
    pub(super) remembered: Remembered,
    /// Nothing that was listed is left out: what is none of these is not on the server.
    pub(super) is_whole: bool,
    /// What shows that the answers belong to the commands.
    pub(super) in_step: InStep,
    /// The time of this poll, in trusted seconds.
    pub(super) now: u64,
    /// How many bytes may be written without touching the reserve.
    pub(super) free_space: u64,
    /// What was known of that when the session began.
    pub(super) room: FreeSpaces,
    /// Messages that turn out larger than so many octets stay on the server.
    pub(super) max_message_size: Option<u64>,
    /// So many of the messages, the first ones, never made trouble.
    pub(super) untried: usize,
    /// A session ended at this message before: it is not taken until a NOOP behind it was answered, since its end may
    /// have been in the wrong place.
    pub(super) careful: bool,
    /// The sizes were not listed: each is asked for beside its message, and this is expected of them.
    pub(super) beside: Option<Expected>,
    /// The sizes were not listed, but asked for one by one: a message without one may be a part.
    pub(super) sizes_put_off: bool,
}

impl Retrieval {
    /// How many octets a message is taken for.
    pub(super) fn size(&self, listed: &Listed) -> u64 {
        listed.reported_size.or(self.beside.map(|expected| expected.each)).unwrap_or(0)
    }
}

/// What came of it.
#[derive(Default)]
pub(super) struct Retrieved {
    /// How many RETR were sent.
    pub(super) asked: u64,
    /// Those that the server refused, and how.
    pub(super) refused: Refusals,
    /// Those that turned out to be known already, as the server lists them now.
    pub(super) known: Vec<(EntryId, Listed)>,
    /// Those that became safe: how many, and their octets.
    pub(super) safe: u64,
    /// Octets of those.
    pub(super) octets: u64,
    /// What was not asked for any more: no time, no room, or the end was asked for.
    pub(super) left: usize,
    /// The end was asked for.
    pub(super) stopped: bool,
    /// There was no room for some.
    pub(super) insufficient_space: Option<NoRoom>,
    /// One came out shorter than it was listed.
    pub(super) any_shorter: bool,
    /// How many came out far shorter.
    pub(super) short: u64,
    /// The first ones of those that are new.
    pub(super) far_shorter: Vec<ListedAs>,
    /// Those that came so before, and did again with the same bytes: nothing shows that they are whole. The entries, and how
    /// they are listed where that has a name.
    pub(super) still_short: HashMap<EntryId, Option<ListedAs>>,
    /// The first one that had not come so before, with the octets that came.
    pub(super) first_short: Option<(Listed, u64)>,
    /// Remembered messages in whose place others came: they are not on the server.
    pub(super) absent: Vec<EntryId>,
    /// How many came that a rule would have left on the server.
    pub(super) not_skipped: u64,
    /// How many had a header that is too long to route them by.
    pub(super) long_headers: u64,
}

/// Messages for which there is no room.
pub(super) struct NoRoom {
    /// The first one.
    pub(super) first: Listed,
    /// It is larger than the whole file system.
    pub(super) never: bool,
    /// What was free then, the reserve included, in bytes.
    pub(super) available: u64,
    /// The reserve, in bytes.
    pub(super) reserve: u64,
    /// How many there are.
    pub(super) messages: u64,
    /// Their size as it was listed, in octets.
    pub(super) octets: u64,
}

impl Retrieved {
    /// The entries of which it was seen that they are what the server has.
    pub(super) fn verified(&self) -> Vec<EntryId> {
        self.known.iter().map(|(id, _)| *id).filter(|id| !self.still_short.contains_key(id)).collect()
    }
}
