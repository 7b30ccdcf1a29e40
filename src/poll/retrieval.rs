//! What a session is to retrieve, and what came of it.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::refusals::Refusals;
use crate::account::{Account, MaildirMode, RemovalPolicy};
use crate::client::in_step::InStep;
use crate::delivery::Described;
use crate::delivery::destination::Destinations;
use crate::disk::free_space::FreeSpaces;
use crate::ids::{EntryId, InstanceId};
use crate::message::Digest;
use crate::plan::maildrop::Listed;
use crate::plan::{Arrival, Expected, Fit, Remembered};
use crate::pop3::UniqueId;
use crate::routing::Routing;
use crate::state::error::StateError;
use crate::state::shown::Shown;
use crate::state::store::Store;

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
    /// The times in their names.
    pub(super) name_times: NameTimes,
    /// What happens to them on the server afterwards.
    pub(super) removal: RemovalPolicy,
    /// Remembered messages that one of these may turn out to be.
    pub(super) remembered: Remembered,
    /// What is remembered from before this entry is not deleted: it may not be where it was delivered. None: it may be.
    pub(super) kept_before: Option<EntryId>,
    /// Nothing that was listed is left out: what is none of these is not on the server.
    pub(super) is_whole: bool,
    /// What shows that the answers belong to the commands.
    pub(super) in_step: InStep,
    /// The sizes of the others whose headers were asked for in this session.
    pub(super) sizes_looked_at: HashSet<u64>,
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
    /// The server tells sizes, as far as this listing, the hints or the state know: one message without may be a part.
    pub(super) gives_sizes: bool,
    /// Under these unique-ids something came in another size than it was listed with: without a size it may be a part still.
    pub(super) in_other_sizes: HashSet<UniqueId>,
    /// The sizes that the server lists are estimates, by the user's word.
    pub(super) sizes_are_estimates: bool,
    /// Which other sizes are no reason to retrieve a message again.
    pub(super) explained: Explained,
    /// So many messages came in the size that they were listed with before, lately.
    pub(super) exact_before: u32,
}

/// The times in the names of messages, since 1970. What is forwarded goes on in the order of its names, so there each is later
/// than the one before, and later than those that wait, even if a clock was set back meanwhile.
#[derive(Debug)]
pub(super) struct NameTimes(Option<Duration>);

impl NameTimes {
    /// As the clock says.
    pub(super) fn by_the_clock() -> Self {
        Self(None)
    }

    /// Later than this one, and each later than the one before.
    pub(super) fn after(last: Duration) -> Self {
        Self(Some(last))
    }

    /// That of the next message, if this is now.
    pub(super) fn next(&mut self, now: Duration) -> Duration {
        let Some(last) = &mut self.0 else { return now };
        *last = now.max(last.saturating_add(Duration::from_micros(1)));
        *last
    }
}

impl Retrieval {
    /// How many octets a message is taken for.
    pub(super) fn size(&self, listed: &Listed) -> u64 {
        listed.reported_size.or(self.beside.map(|expected| expected.each)).unwrap_or(0)
    }

    /// Whether the size of a message did not come where it was to be expected.
    pub(super) fn lacks_size(&self, arrival: &Arrival) -> bool {
        // STAT told what they come to, so no size at all and 0 are none.
        let put_off = self.sizes_put_off && arrival.listed().reported_size.is_none_or(|size| size == 0);
        put_off || (self.gives_sizes && arrival.fit() == Fit::Unsaid)
    }

    /// Whether something came under the unique-id of a message in another size than it was listed with.
    pub(super) fn came_in_another_size(&self, listed: &Listed) -> bool {
        listed.unique_id.as_ref().is_some_and(|id| self.in_other_sizes.contains(id))
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
    /// Of those, the ones of which no size, now or before, says that they are all of a message.
    pub(super) without_size: HashSet<EntryId>,
    /// The headers of those that are remembered with another one: it was no proof any more, or never was seen.
    pub(super) headers: Vec<(EntryId, Digest)>,
    /// One of those is still on its way into a Maildir that does not take it: the server must keep it.
    pub(super) is_any_under_way: bool,
    /// So many of those, the first ones, came before the last sign that the answers were in step.
    pub(super) known_shown: usize,
    /// So many of the messages that were asked for are shown to be what they were taken for once QUIT is answered.
    pub(super) shown_by_quit: Option<(Shown, u64)>,
    /// Those that became safe: how many, and their octets.
    pub(super) safe: u64,
    /// Octets of those.
    pub(super) octets: u64,
    /// What was not asked for any more: no time, no room, or the end was asked for.
    pub(super) left: usize,
    /// The end was asked for.
    pub(super) stopped: bool,
    /// There was no room for some.
    pub(super) insufficient_space: Option<LackOfSpace>,
    /// A new one came of which nothing says that it is all of the message.
    pub(super) any_may_be_part: bool,
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
pub(super) struct LackOfSpace {
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
    /// What was seen to be what the server has; and the others whose bytes came.
    pub(super) fn verified(&self) -> (Verified, Vec<EntryId>) {
        let of_other_size: HashSet<EntryId> = self.other_sizes.those.iter().filter_map(|one| one.entry).collect();
        let is_sure = |id: &EntryId| !of_other_size.contains(id) && !self.without_size.contains(id);
        let (entries, others) = self.known.iter().map(|(id, _)| *id).partition(is_sure);
        (Verified::new(entries, &self.headers), others)
    }

    /// Of that, what was seen though the session broke.
    pub(super) fn verified_so_far(&self) -> Verified {
        let (Verified { mut entries, .. }, _) = self.verified();
        let shown: HashSet<EntryId> = self.known.iter().take(self.known_shown).map(|(id, _)| *id).collect();
        entries.retain(|id| shown.contains(id));
        Verified::new(entries, &self.headers)
    }
}

/// Entries whose bytes came again, so that they are what the server has.
#[derive(Debug, Default)]
pub(super) struct Verified {
    entries: Vec<EntryId>,
    /// The headers of those that are remembered with another one.
    headers: Vec<(EntryId, Digest)>,
}

impl Verified {
    fn new(entries: Vec<EntryId>, headers: &[(EntryId, Digest)]) -> Self {
        let among_them: HashSet<&EntryId> = if headers.is_empty() { HashSet::new() } else { entries.iter().collect() };
        let headers = headers.iter().copied().filter(|(id, _)| among_them.contains(id)).collect();
        Self { entries, headers }
    }

    pub(super) fn record(self, store: &mut Store) -> Result<(), StateError> {
        store.record_verified(self.entries)?;
        store.record_fingerprinted(self.headers)
    }
}

/// So many new messages that came in another size are named.
pub(super) const NAMED: usize = 100;

/// At a server that seems to estimate sizes, by what came until now, so many new messages are retrieved once more for that.
const PROBED: u32 = 100;

/// Which other sizes are no news at a server that seems to estimate them, as long as half of a message or more came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Explained {
    /// None.
    None,
    /// Those of messages that are not due.
    New,
    /// All.
    All,
}

impl Explained {
    /// By the user's word, or by what most sizes were like, which is enough where nothing is to be deleted yet.
    pub(super) fn of(account: &Account, sizes_are_mostly_off: bool) -> Self {
        match account.removal {
            _ if account.sizes_are_estimates => Self::All,
            RemovalPolicy::Keep if sizes_are_mostly_off => Self::All,
            RemovalPolicy::AfterAge(_) if sizes_are_mostly_off => Self::New,
            _ => Self::None,
        }
    }
}

/// Messages that came in another size than they were listed with.
#[derive(Default)]
pub(super) struct OtherSizes {
    /// Those that are remembered or come again, and the first ones of the others.
    pub(super) those: Vec<OtherSize>,
    /// How many new ones there are that estimates would explain.
    explicable_new: usize,
    /// How many remembered ones that are not due.
    explicable_known: usize,
    /// How many that are.
    explicable_due: usize,
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
    /// The policy would have that deleted now.
    is_due: bool,
    /// Less than half of it came, which no estimate explains.
    is_far: bool,
    /// That it is to be retrieved again is on record with its delivery.
    pub(super) is_on_record: bool,
}

impl OtherSizes {
    /// Whether a message that came is to be retrieved again for its size. That goes on record with its delivery, since
    /// nothing else would bring it again where mail stays.
    pub(super) fn wants_again(&self, arrival: &Arrival, retrieval: &Retrieval) -> bool {
        let is_explained = retrieval.explained != Explained::None || self.look_like_estimates(retrieval.exact_before);
        match arrival.fit() {
            Fit::Exact | Fit::Unsaid => false,
            Fit::Longer | Fit::Shorter => !is_explained,
            Fit::FarShorter => true,
        }
    }

    /// Whether those that came until now leave so little doubt of it that the others need not come again.
    fn look_like_estimates(&self, exact_before: u32) -> bool {
        self.off >= PROBED && self.off / 3 >= self.exact.saturating_add(exact_before)
    }

    /// A message came, with so many octets; `known` if it is remembered, and whether that is due. Where it `came_before`
    /// in another size, its size has been counted.
    pub(super) fn came(&mut self, arrival: &Arrival, octets: u64, known: Option<(EntryId, bool)>, came_before: bool) {
        let (entry, is_due) = known.unzip();
        let is_due = is_due.unwrap_or(false);
        let is_far = match arrival.fit() {
            Fit::Unsaid => return,
            Fit::Exact => {
                self.exact = self.exact.saturating_add(u32::from(entry.is_none()));
                return;
            }
            Fit::Longer | Fit::Shorter => false,
            Fit::FarShorter => true,
        };
        self.off = self.off.saturating_add(u32::from(entry.is_none() && !is_far && !came_before));
        *match entry {
            _ if is_far => &mut self.others,
            None => &mut self.explicable_new,
            Some(_) if is_due => &mut self.explicable_due,
            Some(_) => &mut self.explicable_known,
        } += 1;
        if entry.is_some() || arrival.comes_again() || self.those.len() < NAMED {
            let is_on_record = entry.is_none() && arrival.comes_again();
            let listed = arrival.listed().clone();
            self.those.push(OtherSize { listed, octets, entry, is_due, is_far, is_on_record });
        }
    }

    /// Those that mean something, where so much is explained.
    pub(super) fn telling(&self, explained: Explained) -> impl Iterator<Item = &OtherSize> {
        self.those.iter().filter(move |one| match explained {
            _ if one.is_far => true,
            Explained::None => true,
            Explained::New => one.is_due,
            Explained::All => false,
        })
    }

    /// How many that are.
    pub(super) fn count(&self, explained: Explained) -> usize {
        self.others
            + match explained {
                Explained::None => self.explicable_new + self.explicable_known + self.explicable_due,
                Explained::New => self.explicable_due,
                Explained::All => 0,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forwarded_has_its_order_whatever_the_clock_says() {
        let clock = [100, 100, 90, 101, 40].map(Duration::from_secs);
        let (mut plain, mut forwarded) = (NameTimes::by_the_clock(), NameTimes::after(Duration::from_secs(99)));
        assert_eq!(clock.map(|now| plain.next(now)), clock);
        let micros = clock.map(|now| forwarded.next(now).as_micros());
        assert_eq!(micros, [100_000_000, 100_000_001, 100_000_002, 101_000_000, 101_000_001]);
        assert_eq!(NameTimes::after(clock[0]).next(clock[4]).as_micros(), 100_000_001, "set back between two polls");
    }
}
