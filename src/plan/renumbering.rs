//! Recognises a server that gave its messages new unique-ids, as a migration does. PURE.
//!
//! From outside, many remembered messages vanish while many unknown ones appear. The same happens when somebody else
//! empties a maildrop and new mail arrives, and at servers that hand out a maildrop in portions. So a suspicion alone
//! decides nothing: it only leads to a look at headers (TOP n 0), of a sample at first and, if a remembered one is
//! among these, of all. A message with a remembered strong header and the remembered size keeps its entry under the new
//! unique-id; only the rest is new. A weak header identifies nothing: six alert messages removed by webmail and six new
//! ones would look like a migration.
//!
//! What no header shows is retrieved, and all of its bytes are compared with those of the vanished messages: the same
//! bytes with a strong header are the same message. Only where no bytes are remembered either is the user asked.

use std::collections::{HashMap, HashSet};

use super::Policy;
use super::matching::{Matching, Seen};
use super::turns::Turn;
use crate::account::RemovalPolicy;
use crate::ids::EntryId;
use crate::message::Digest;
use crate::plan::maildrop::{Listed, Maildrop};
use crate::pop3::{MessageNumber, ReportedSize};
use crate::state::entries::{Entry, UidState};

/// With fewer vanished or unknown messages than this there is no suspicion, and only bytes are compared. If the account points at another server
/// than before, or messages were recognised earlier in this poll, one is enough.
const LEAST: usize = 5;

/// How many remembered messages a sample of unknown ones should contain if the suspicion is right: then a sample
/// without any is practically impossible by chance (e^-20).
const EXPECTED: usize = 20;

/// How many possible duplicates justify stopping to ask the user. For fewer it would be out of proportion, since no mail
/// comes until somebody has answered.
const WORTH_ASKING: usize = 10;

/// The most vanished messages whose bytes are compared with those of unknown ones. Each costs some 200 bytes of memory.
const MOST_COMPARED: usize = 100_000;

/// A maildrop that may have been renumbered.
pub(super) struct Renumbered<'a> {
    /// Messages listed under unknown unique-ids that would be retrieved now.
    unknown: Vec<&'a Listed>,
    /// Entries not listed under their unique-ids, including those that vanished a while ago, because a migration may
    /// begin with an empty maildrop.
    lost: Vec<&'a Entry>,
    /// How many remembered messages the last listing had.
    present: usize,
    /// A renumbering is to be expected, so a single message is enough.
    expected: bool,
    /// It is expected because the account points at another server than before.
    moved: bool,
    /// The listing is complete.
    complete: bool,
}

impl<'a> Renumbered<'a> {
    /// Returns how few vanished or unknown messages are a suspicion.
    pub(super) fn least(policy: &Policy) -> usize {
        if policy.moved || policy.renumbered { 1 } else { LEAST }
    }

    /// Returns the suspicion if at least half of the listed messages are unknown and `least` remembered ones have
    /// vanished. A listing that may be incomplete may lack those; then everything that it has must be unknown.
    pub(super) fn of(
        least: usize,
        maildrop: &Maildrop,
        state: &'a UidState,
        policy: &Policy,
        matching: &Matching<'a>,
        turn: impl Fn(&Listed) -> Turn,
    ) -> Option<Self> {
        let wanted =
            |listed: &&Listed| listed.unique_id.is_some() && !policy.is_too_large(listed) && turn(listed) == Turn::Now;
        let mut unknown: Vec<&Listed> =
            matching.new.iter().chain(&matching.to_compare).copied().filter(wanted).collect();
        unknown.sort_by_key(|listed| listed.number);
        let expected = policy.moved || policy.renumbered;
        // Without TOP a session may break when most messages have been recognised by their bytes; they are in doubt.
        let is_settled = |(_, entry): &&(&Listed, &Entry)| policy.has_top || !entry.doubt;
        let settled = || matching.known.iter().filter(is_settled).count();
        let tells = maildrop.complete || matching.knows_nothing();
        if !tells || unknown.len() < least || (!expected && unknown.len() < settled()) {
            return None;
        }
        let found: HashSet<EntryId> = matching.known.iter().map(|(_, entry)| entry.id).collect();
        // Messages that we deleted are gone, as the server confirmed.
        let remembered = || state.entries().filter(|entry| entry.unique_id.is_some() && !entry.removed);
        let lost: Vec<&Entry> = remembered().filter(|entry| !found.contains(&entry.id)).collect();
        let present = remembered().filter(|entry| entry.absent_since.is_none()).count();
        let complete = maildrop.complete;
        (lost.len() >= least).then_some(Self { unknown, lost, present, expected, moved: policy.moved, complete })
    }

    /// Whether they are enough to ask for headers, or the user. With fewer, only the bytes in hand tell.
    pub(super) fn is_suspicious(&self, policy: &Policy) -> bool {
        self.unknown.len().min(self.lost.len()) >= Self::least(policy)
    }

    /// Returns the messages whose headers to request next.
    pub(super) fn look(&self, seen: &Seen) -> Vec<MessageNumber> {
        let (shown, unseen): (Vec<&Listed>, Vec<&Listed>) =
            self.unknown.iter().partition(|listed| seen.get(&listed.number).is_some());
        let shown_headers: HashSet<Digest> =
            shown.iter().filter_map(|listed| seen.get(&listed.number)).copied().collect();
        let strong = || self.lost.iter().filter_map(|entry| strong_header(entry));
        if strong().any(|header| shown_headers.contains(&header)) {
            return unseen.iter().map(|listed| listed.number).collect();
        }
        // For a million entries, a vector takes a fraction of the memory of a set.
        let mut headers: Vec<Digest> = Vec::with_capacity(self.lost.len());
        headers.extend(strong());
        headers.sort_unstable();
        headers.dedup();
        let sample = match headers.len() {
            0 => 0,
            headers => EXPECTED.saturating_mul(self.unknown.len()).div_ceil(headers).max(EXPECTED),
        };
        let wanted = sample.saturating_sub(shown.len());
        // Spread evenly, since old messages are listed next to each other.
        let step = unseen.len().div_ceil(wanted.max(1)).max(1);
        unseen.iter().step_by(step).take(wanted).map(|listed| listed.number).collect()
    }

    /// Matches unknown messages with vanished ones by header and size. Returns nothing unless enough of them match to
    /// rule out coincidence. If more messages share header and size than have vanished, any of them may be the new one:
    /// none is recognised.
    pub(super) fn recognise(&self, seen: &Seen) -> Vec<(&'a Listed, &'a Entry)> {
        let key_of = |listed: &Listed| seen.get(&listed.number).copied().zip(listed.reported_size);
        let mut vanished: HashMap<(Digest, ReportedSize), Vec<&'a Entry>> = HashMap::new();
        let mut listed: HashMap<(Digest, ReportedSize), usize> = HashMap::new();
        for key in self.unknown.iter().filter_map(|listed| key_of(listed)) {
            vanished.entry(key).or_default();
            *listed.entry(key).or_default() += 1;
        }
        // From the youngest on, so that of several alike the oldest are taken first.
        for entry in self.lost.iter().rev() {
            let key = strong_header(entry).zip(entry.fingerprint.reported_size);
            if let Some(alike) = key.and_then(|key| vanished.get_mut(&key)) {
                alike.push(entry);
            }
        }
        vanished.retain(|key, alike| listed.get(key).is_some_and(|count| *count <= alike.len()));
        let mut headers = HashSet::new();
        let mut pairs = Vec::new();
        for listed in &self.unknown {
            let Some(key) = key_of(listed) else { continue };
            if let Some(entry) = vanished.get_mut(&key).and_then(Vec::pop) {
                headers.insert(key.0);
                pairs.push((*listed, entry));
            }
        }
        let is_coincidence = headers.len() < LEAST && headers.len() * 2 < self.unknown.len();
        if is_coincidence && !self.expected { Vec::new() } else { pairs }
    }

    /// Gathers what suggests that unique-ids last for a session only, however few messages there are: nothing that is
    /// listed is known.
    pub(super) fn of_all(
        maildrop: &Maildrop,
        state: &'a UidState,
        policy: &Policy,
        matching: &Matching<'a>,
        turn: impl Fn(&Listed) -> Turn,
    ) -> Option<Self> {
        let policy = Policy { renumbered: true, ..*policy };
        if matching.knows_nothing() {
            Self::of(Self::least(&policy), maildrop, state, &policy, matching, turn)
        } else {
            None
        }
    }

    /// Whether as many messages are listed in the sizes of those that have just vanished that the unique-ids may last for
    /// a session only. `settled`: the entries that something else will tell.
    pub(super) fn names_may_change(&self, recognised: &[(&Listed, &Entry)], settled: &[EntryId]) -> bool {
        let found: HashSet<MessageNumber> = recognised.iter().map(|(listed, _)| listed.number).collect();
        let told: HashSet<EntryId> =
            recognised.iter().map(|(_, entry)| entry.id).chain(settled.iter().copied()).collect();
        let unknown: Vec<&Listed> =
            self.unknown.iter().copied().filter(|listed| !found.contains(&listed.number)).collect();
        let is_open = |entry: &&Entry| {
            entry.absent_since.is_none() && entry.fingerprint.whole.is_some() && !told.contains(&entry.id)
        };
        let vanished: Vec<&Entry> = self.lost.iter().copied().filter(is_open).collect();
        // What came in another size than listed has none.
        let sizeless = vanished.iter().filter(|entry| entry.fingerprint.reported_size.is_none()).count();
        let alike = (same_sizes(&unknown, &vanished) + sizeless).min(unknown.len());
        alike > 0 && alike * 2 >= unknown.len().min(vanished.len())
    }

    /// Returns the vanished entries, in order, that unknown messages may turn out to be by all of their bytes. Only a
    /// strong header shows that two messages with the same bytes are one: a device may send an alarm twice. If
    /// unique-ids last for a session only, what has just vanished is no sign that somebody removed it. Then the same
    /// bytes are enough, unless we may have removed it ourselves. A session that broke raises doubt about what it
    /// recognised, which takes nothing from what was `certain` before.
    pub(super) fn by_bytes(
        &self,
        policy: &Policy,
        seen: &Seen,
        recognised: &[(&Listed, &Entry)],
        certain: &[EntryId],
    ) -> Vec<EntryId> {
        if self.is_refuted(policy, seen) && !policy.names_change {
            return Vec::new();
        }
        self.by_all_bytes(policy, recognised, certain)
    }

    /// Does the same, whatever the headers show.
    pub(super) fn by_all_bytes(
        &self,
        policy: &Policy,
        recognised: &[(&Listed, &Entry)],
        certain: &[EntryId],
    ) -> Vec<EntryId> {
        let found: HashSet<EntryId> = recognised.iter().map(|(_, entry)| entry.id).collect();
        let sizes: HashSet<Option<ReportedSize>> = self.unknown.iter().map(|listed| listed.reported_size).collect();
        let may_fit = |size: Option<ReportedSize>| size.is_none() || sizes.contains(&None) || sizes.contains(&size);
        let is_one = |entry: &&&Entry| {
            let is_here = entry.absent_since.is_none() && (policy.removal == RemovalPolicy::Keep || !entry.doubt);
            let may_be_same = policy.names_change && (is_here || certain.binary_search(&entry.id).is_ok());
            let is_remembered = entry.fingerprint.whole.is_some() && (strong_header(entry).is_some() || may_be_same);
            is_remembered && may_fit(entry.fingerprint.reported_size) && !found.contains(&entry.id)
        };
        // The youngest are the likeliest to be there.
        let mut ids: Vec<EntryId> =
            self.lost.iter().rev().filter(is_one).take(MOST_COMPARED).map(|entry| entry.id).collect();
        ids.reverse();
        ids
    }

    /// Whether headers show that the messages are new: the sample held no remembered one. Too few to rule out
    /// coincidence do not show that, and a weak one, which identifies nothing, does not either.
    pub(super) fn is_refuted(&self, policy: &Policy, seen: &Seen) -> bool {
        let shown: HashSet<Digest> =
            self.unknown.iter().filter_map(|listed| seen.get(&listed.number)).map(|header| header.weakened()).collect();
        let headers = || self.lost.iter().filter_map(|entry| entry.fingerprint.header);
        self.shows_headers(policy) && !headers().any(|header| shown.contains(&header.weakened()))
    }

    /// Whether more messages than a session may retrieve are not recognised.
    pub(super) fn exceeds_limit(&self, policy: &Policy, recognised: &[(&Listed, &Entry)]) -> bool {
        let left = self.unknown.len().saturating_sub(recognised.len());
        policy.max_messages.is_some_and(|most| usize::try_from(most.get()).is_ok_and(|most| left > most))
    }

    /// Whether the server shows headers by which vanished messages can be recognised.
    fn shows_headers(&self, policy: &Policy) -> bool {
        policy.has_top && self.lost.iter().any(|entry| strong_header(entry).is_some())
    }

    /// Returns how many messages may be retrieved a second time because nothing can be compared, neither headers nor
    /// bytes, or 0 if they are too few to ask the user about or the suspicion is too weak.
    pub(super) fn unrecognisable(&self, policy: &Policy, seen: &Seen, recognised: usize) -> usize {
        // Nothing becomes absent by a listing that may be incomplete, so the question would come again in each poll.
        if !self.complete {
            return 0;
        }
        // What vanished earlier has been asked about then.
        let is_untold = |entry: &&&Entry| entry.fingerprint.whole.is_none() && entry.absent_since.is_none();
        let nothing_remembered = self.lost.iter().filter(is_untold).count();
        let untold = nothing_remembered.max(self.lost.len().saturating_sub(MOST_COMPARED));
        let doubtful = match self.shows_headers(policy) {
            // The sample held no remembered message, so the rest is new.
            true if recognised == 0 => 0,
            true => self.unknown.iter().filter(|listed| seen.get(&listed.number).is_none()).count(),
            false => self.unknown.len(),
        };
        let doubtful = doubtful.min(untold);
        let serious = recognised > 0 || self.is_likely();
        if doubtful >= WORTH_ASKING && serious { doubtful } else { 0 }
    }

    /// Whether it looks like a renumbering even without any header. Some servers remove whatever was retrieved, so that
    /// everything is always new: there, the messages that vanished came with the latest poll, and the new ones have
    /// other sizes.
    fn is_likely(&self) -> bool {
        let fresh: Vec<&Entry> = self.lost.iter().copied().filter(|entry| entry.absent_since.is_none()).collect();
        let mostly = !fresh.is_empty() && fresh.len() * 2 >= self.present;
        if self.moved {
            return mostly;
        }
        let in_proportion = mostly && self.unknown.len() * 2 >= fresh.len();
        let latest = fresh.iter().map(|entry| entry.delivered_trusted).max();
        let stayed = fresh.iter().filter(|entry| Some(entry.delivered_trusted) < latest).count();
        let same_sizes = same_sizes(&self.unknown, &fresh) * 2 >= self.unknown.len().min(fresh.len());
        fresh.len() >= LEAST && in_proportion && (stayed * 2 >= fresh.len() || same_sizes)
    }
}

/// Returns the header of a remembered message, if it is strong.
fn strong_header(entry: &Entry) -> Option<Digest> {
    entry.fingerprint.header.filter(|header| header.is_strong())
}

/// Returns how many listed messages have the reported size of a vanished one, counting each vanished one once.
fn same_sizes(listed: &[&Listed], entries: &[&Entry]) -> usize {
    let mut sizes: HashMap<ReportedSize, usize> = HashMap::new();
    entries
        .iter()
        .filter_map(|entry| entry.fingerprint.reported_size)
        .for_each(|size| *sizes.entry(size).or_default() += 1);
    let mut take =
        |size| sizes.get_mut(&size).is_some_and(|left| left.checked_sub(1).map(|less| *left = less).is_some());
    listed.iter().filter_map(|listed| listed.reported_size).filter(|size| take(*size)).count()
}
