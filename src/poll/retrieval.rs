//! What a session is to retrieve, and the outcome.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::refusals::Refusals;
use crate::account::{Account, MaildirMode, RemovalPolicy};
use crate::client::in_step::InStep;
use crate::clock::trusted_time::TrustedTime;
use crate::delivery::Described;
use crate::delivery::destination::Destinations;
use crate::disk::free_space::FreeSpaces;
use crate::disk::promised_space::SpaceShare;
use crate::ids::{EntryId, InstanceId, RequestNumber};
use crate::message::WireSize;
use crate::plan::maildrop::Listed;
use crate::plan::{Arrival, Expected, Fit, NewUniqueId, Remembered, Verified};
use crate::pop3::{MessageNumber, ReportedSize, UniqueId};
use crate::routing::Routing;
use crate::state::hints::BeyondLimits;
use crate::state::shown::Shown;

/// What to retrieve, and how.
pub(super) struct Retrieval {
    /// The messages, in this order.
    pub(super) messages: VecDeque<Listed>,
    /// Messages that went beyond their limits before.
    pub(super) beyond_limits: BeyondLimits,
    /// The Maildirs that they may go to.
    pub(super) destinations: Arc<Destinations>,
    /// Decides which message goes where.
    pub(super) routing: Arc<Routing>,
    /// The permissions of their files.
    pub(super) maildir_mode: MaildirMode,
    /// The instance id in their file names.
    pub(super) instance: InstanceId,
    /// The times in their file names.
    pub(super) name_times: NameTimes,
    /// What happens to them on the server afterwards.
    pub(super) removal: RemovalPolicy,
    /// Entries that one of these may turn out to be.
    pub(super) remembered: Remembered,
    /// Messages of entries before this one are not deleted, as they may no longer be where they were delivered. `None`:
    /// all may be deleted.
    pub(super) kept_before: Option<EntryId>,
    /// No listed message is left out, so an entry that is none of these is not on the server.
    pub(super) is_whole: bool,
    /// Checks that responses belong to their commands.
    pub(super) in_step: InStep,
    /// The messages to which no rule with `skip` was applied beforehand, although the server shows headers.
    pub(super) unjudged: HashSet<MessageNumber>,
    /// The sizes of other messages whose headers were requested in this session.
    pub(super) sizes_looked_at: HashSet<ReportedSize>,
    /// How many messages the check has proven so far.
    pub(super) shown: Shown,
    /// The time of this poll.
    pub(super) now: TrustedTime,
    /// The space for the messages, of which each takes a promise.
    pub(super) space: SpaceShare,
    /// The free space there, as last looked up.
    pub(super) free_spaces: FreeSpaces,
    /// A message that has no room in another Maildir than the account's own ends the session. Otherwise that Maildir
    /// takes no more mail.
    pub(super) may_set_aside: bool,
    /// Messages larger than this many octets stay on the server.
    pub(super) max_message_size: Option<u64>,
    /// How many messages at the head of `messages` have no quarantine.
    pub(super) untried: usize,
    /// A session broke at this message before: it is not accepted until a NOOP after it is answered, since its end may
    /// have been misplaced.
    pub(super) careful: bool,
    /// The sizes were not listed: each is requested along with its message, and this is what to expect of them.
    pub(super) beside: Option<Expected>,
    /// The sizes were not listed but are requested one by one: a message without one may be incomplete.
    pub(super) sizes_put_off: bool,
    /// The server reports sizes, according to this listing, the hints or the state: a message without one may be
    /// incomplete.
    pub(super) gives_sizes: bool,
    /// Unique-ids under which a message came in another size than listed: without a size it may still be incomplete.
    pub(super) in_other_sizes: HashSet<UniqueId>,
    /// The user says that the server's listed sizes are estimates.
    pub(super) sizes_are_estimates: bool,
    /// Which size differences are no reason to retrieve a message again.
    pub(super) explained: Explained,
    /// How many messages have lately come in the listed size.
    pub(super) exact_before: u32,
}

/// The times in the file names of messages, since 1970. Mail is forwarded in the order of file names, so in a spool
/// each time is later than the one before and than those of waiting messages, even if a clock was set back.
#[derive(Debug)]
pub(super) struct NameTimes(Option<Duration>);

impl NameTimes {
    /// Takes the times from the clock.
    pub(super) fn by_the_clock() -> Self {
        Self(None)
    }

    /// Makes each time later than `last` and than the one before.
    pub(super) fn after(last: Duration) -> Self {
        Self(Some(last))
    }

    /// Returns the time for the next message, at the time `now`.
    pub(super) fn next(&mut self, now: Duration) -> Duration {
        let Some(last) = &mut self.0 else { return now };
        *last = now.max(last.saturating_add(Duration::from_micros(1)));
        *last
    }
}

impl Retrieval {
    /// Returns how many octets a message is assumed to take, in flight and on the disk.
    pub(super) fn size(&self, listed: &Listed) -> u64 {
        listed.reported_size.or(self.beside.map(|expected| expected.each)).map_or(0, ReportedSize::get)
    }

    /// Whether an expected size of a message did not come.
    pub(super) fn lacks_size(&self, listed: &Listed, fit: Fit) -> bool {
        // STAT reported the sum of the sizes, so a missing size or 0 is none.
        let put_off = self.sizes_put_off && listed.reported_size.is_none_or(ReportedSize::is_zero);
        put_off || (self.gives_sizes && fit == Fit::Unsaid)
    }

    /// Whether a message came under this unique-id in another size than listed.
    pub(super) fn came_in_another_size(&self, listed: &Listed) -> bool {
        listed.unique_id.as_ref().is_some_and(|id| self.in_other_sizes.contains(id))
    }
}

/// The outcome.
#[derive(Default)]
pub(super) struct Retrieved {
    /// How many RETR were sent.
    pub(super) asked: u64,
    /// The messages that the server refused, and how.
    pub(super) refused: Refusals,
    /// Entries that retrieved messages turned out to be, with their current listings.
    pub(super) known: Vec<(EntryId, Listed)>,
    /// Those in `known` that were remembered under other unique-ids, with the new ones.
    pub(super) renamed: Vec<NewUniqueId>,
    /// Those in `known` that no size, now or before, proves complete.
    pub(super) without_size: HashSet<EntryId>,
    /// Those in `known` that are proven to be what the server has, in the order in which their bytes came.
    pub(super) verified: Vec<Verified>,
    /// How many at the head of `verified` came before the last proof that the responses were in step.
    pub(super) verified_shown: usize,
    /// One of `known` is still on its way into a Maildir that cannot take it: the server must keep it.
    pub(super) is_any_under_way: bool,
    /// The last requested message that the response to QUIT will prove to be the right one, with those before it.
    pub(super) shown_by_quit: Option<(Shown, RequestNumber)>,
    /// How many messages became safe.
    pub(super) safe: u64,
    /// The octets of the safe messages.
    pub(super) octets: u64,
    /// How many messages were not requested any more: no time, no space, or a stop was requested.
    pub(super) left: usize,
    /// A stop was requested.
    pub(super) stopped: bool,
    /// Some messages did not fit on the disk.
    pub(super) insufficient_space: Option<LackOfSpace>,
    /// A new message came that nothing proves complete.
    pub(super) any_may_be_part: bool,
    /// A message came shorter than listed.
    pub(super) any_shorter: bool,
    /// The messages that came completely though they are listed like one that went beyond its limit.
    pub(super) within_limits: Vec<Listed>,
    /// The messages that came in another size than listed.
    pub(super) other_sizes: OtherSizes,
    /// Entries in whose place other messages came: their messages are not on the server.
    pub(super) absent: Vec<EntryId>,
    /// How many messages came that a rule would have left on the server.
    pub(super) not_skipped: u64,
    /// How many of these could have been looked at beforehand, and were not.
    pub(super) not_judged: u64,
    /// How many messages had a header too long to route them by.
    pub(super) long_headers: u64,
}

/// Messages that do not fit on the disk.
pub(super) struct LackOfSpace {
    /// The first one.
    pub(super) first: Listed,
    /// The first one is larger than the whole file system.
    pub(super) never: bool,
    /// The free space at that time including the reserve, in bytes.
    pub(super) available: u64,
    /// How much of that was promised to other messages, in bytes.
    pub(super) promised: u64,
    /// The reserve, in bytes.
    pub(super) reserve: u64,
    /// How many there are.
    pub(super) messages: u64,
    /// Their listed size, in octets.
    pub(super) octets: u64,
}

impl Retrieved {
    /// Whether every message that was to be retrieved came.
    pub(super) fn has_all(&self) -> bool {
        self.left == 0 && self.refused.alone() == 0 && self.insufficient_space.is_none() && !self.stopped
    }

    /// Returns the entries whose bytes came without proving that they are what the server has.
    pub(super) fn unverified(&self) -> Vec<EntryId> {
        let verified: HashSet<EntryId> = self.verified.iter().map(Verified::entry).collect();
        self.known.iter().map(|(id, _)| *id).filter(|id| !verified.contains(id)).collect()
    }

    /// Returns the entries proven before the session broke.
    pub(super) fn verified_so_far(&self) -> &[Verified] {
        self.verified.get(..self.verified_shown).unwrap_or_default()
    }

    /// Returns the new unique-ids of those.
    pub(super) fn renamed_so_far(&self) -> Vec<NewUniqueId> {
        let verified: HashSet<EntryId> = self.verified_so_far().iter().map(Verified::entry).collect();
        self.renamed.iter().filter(|one| verified.contains(&one.entry())).cloned().collect()
    }
}

/// How many new messages that came in another size are kept for reporting.
pub(super) const NAMED: usize = 100;

/// At a server that seems to estimate sizes, judging by what came so far, how many new messages are retrieved again
/// because of that.
const PROBED: u32 = 100;

/// Which size differences are expected of a server that seems to estimate sizes, as long as at least half of a message
/// came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Explained {
    /// None.
    None,
    /// Those of messages not due for deletion.
    New,
    /// All.
    All,
}

impl Explained {
    /// Decides by what the user says, or by how most sizes were, which is enough as long as nothing is to be deleted.
    pub(super) fn of(account: &Account, sizes_are_mostly_off: bool) -> Self {
        match account.removal {
            _ if account.sizes_are_estimates => Self::All,
            RemovalPolicy::Keep if sizes_are_mostly_off => Self::All,
            RemovalPolicy::AfterAge(_) if sizes_are_mostly_off => Self::New,
            _ => Self::None,
        }
    }
}

/// Messages that came in another size than listed.
#[derive(Default)]
pub(super) struct OtherSizes {
    /// All that are remembered or come again, and the first few of the others.
    pub(super) those: Vec<OtherSize>,
    /// How many new messages have sizes that estimates would explain.
    explicable_new: usize,
    /// The same for remembered messages that are not due for deletion.
    explicable_known: usize,
    /// The same for remembered messages that are due for deletion.
    explicable_due: usize,
    /// How many messages have sizes that estimates would not explain.
    others: usize,
    /// How many new messages came in the listed size.
    pub(super) exact: u32,
    /// How many new messages came in another size that an estimate would explain.
    pub(super) off: u32,
}

/// A message that came in another size than listed.
pub(super) struct OtherSize {
    /// How it was listed.
    pub(super) listed: Listed,
    /// The size in which it came.
    pub(super) octets: WireSize,
    /// Its entry, if its bytes came before.
    pub(super) entry: Option<EntryId>,
    /// The policy wants it deleted now.
    is_due: bool,
    /// Less than half of it came, which no estimate explains.
    is_far: bool,
    /// It is recorded with its delivery that it is to be retrieved again.
    pub(super) is_on_record: bool,
}

impl OtherSizes {
    /// Whether a message is to be retrieved again because of its size. This is recorded with its delivery, since
    /// nothing else would bring the message again if mail stays on the server.
    pub(super) fn wants_again(&self, fit: Fit, retrieval: &Retrieval) -> bool {
        let is_explained = retrieval.explained != Explained::None || self.look_like_estimates(retrieval.exact_before);
        match fit {
            Fit::Exact | Fit::Unsaid => false,
            Fit::Longer | Fit::Shorter => !is_explained,
            Fit::FarShorter => true,
        }
    }

    /// Whether the sizes so far leave so little doubt that they are estimates that other messages need not come again.
    fn look_like_estimates(&self, exact_before: u32) -> bool {
        self.off >= PROBED && self.off / 3 >= self.exact.saturating_add(exact_before)
    }

    /// Counts a message and the size in which it came; `known` is its entry, if it is remembered, and whether this is due
    /// for deletion. If it `came_before` in another size, its size has been counted.
    pub(super) fn came(
        &mut self,
        arrival: &Arrival,
        octets: WireSize,
        known: Option<(EntryId, bool)>,
        came_before: bool,
    ) {
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

    /// Returns the messages whose sizes remain unexplained.
    pub(super) fn telling(&self, explained: Explained) -> impl Iterator<Item = &OtherSize> {
        self.those.iter().filter(move |one| match explained {
            _ if one.is_far => true,
            Explained::None => true,
            Explained::New => one.is_due,
            Explained::All => false,
        })
    }

    /// Returns how many sizes remain unexplained.
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
