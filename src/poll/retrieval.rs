//! What a session is to retrieve, and what came of it.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::in_step::InStep;
use super::refusals::Refusals;
use crate::account::{MaildirMode, RemovalPolicy};
use crate::delivery::destination::Destinations;
use crate::disk::free_space::FreeSpaces;
use crate::ids::{EntryId, InstanceId};
use crate::plan::maildrop::Listed;
use crate::plan::{Arrival, Expected, Fit, Remembered};
use crate::routing::Routing;
use crate::state::shown::Shown;

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
    /// How many of them that has shown.
    pub(super) shown: Shown,
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
    /// The sizes that the server lists are estimates.
    pub(super) sizes_are_estimates: bool,
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
    /// So many of those, the first ones, came before the last sign that the answers were in step.
    pub(super) known_shown: usize,
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
    /// Those that came in another size than they were listed with.
    pub(super) other_sizes: OtherSizes,
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
    /// The entries of which it was seen that they are what the server has, and of the others those whose bytes came.
    pub(super) fn verified(&self) -> (Vec<EntryId>, Vec<EntryId>) {
        let of_other_size: HashSet<EntryId> = self.other_sizes.those.iter().filter_map(|one| one.entry).collect();
        self.known.iter().map(|(id, _)| *id).partition(|id| !of_other_size.contains(id))
    }

    /// The entries of which it was seen though the session broke.
    pub(super) fn verified_so_far(&self) -> Vec<EntryId> {
        let (verified, _) = self.verified();
        let shown: HashSet<EntryId> = self.known.iter().take(self.known_shown).map(|(id, _)| *id).collect();
        verified.into_iter().filter(|id| shown.contains(id)).collect()
    }
}

/// So many new messages that came in another size are retrieved once more for that, and named.
const NAMED: usize = 100;

/// Messages that came in another size than they were listed with.
#[derive(Default)]
pub(super) struct OtherSizes {
    /// Those that are remembered, and the first ones of those that are new.
    pub(super) those: Vec<OtherSize>,
    /// How many there are that estimates would explain.
    explicable: usize,
    /// How many there are that they would not.
    others: usize,
    /// How many new messages came as they were listed.
    pub(super) exact: u32,
    /// How many new ones came in another size that an estimate would explain.
    pub(super) off: u32,
}

/// A message that came in another size than it was listed with.
pub(super) struct OtherSize {
    /// How it was listed.
    pub(super) listed: Listed,
    /// So many octets came.
    pub(super) octets: u64,
    /// What is remembered of it, if its bytes came before.
    pub(super) entry: Option<EntryId>,
    /// Less than half of it came, which no estimate explains.
    is_far: bool,
}

impl OtherSizes {
    /// A message came, with so many octets; `entry` if it is remembered.
    pub(super) fn came(&mut self, arrival: &Arrival, octets: u64, entry: Option<EntryId>) {
        let is_far = match arrival.fit() {
            Fit::Unsaid => return,
            Fit::Exact => {
                self.exact = self.exact.saturating_add(u32::from(entry.is_none()));
                return;
            }
            Fit::Longer | Fit::Shorter => false,
            Fit::FarShorter => true,
        };
        self.off = self.off.saturating_add(u32::from(entry.is_none() && !is_far));
        *if is_far { &mut self.others } else { &mut self.explicable } += 1;
        if entry.is_some() || self.those.len() < NAMED {
            self.those.push(OtherSize { listed: arrival.listed().clone(), octets, entry, is_far });
        }
    }

    /// Those that mean something, where the sizes are estimates or not.
    pub(super) fn telling(&self, sizes_are_estimates: bool) -> impl Iterator<Item = &OtherSize> {
        self.those.iter().filter(move |one| one.is_far || !sizes_are_estimates)
    }

    /// How many that are.
    pub(super) fn count(&self, sizes_are_estimates: bool) -> usize {
        self.others + if sizes_are_estimates { 0 } else { self.explicable }
    }
}
