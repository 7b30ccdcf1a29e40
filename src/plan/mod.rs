//! Plans a session. PURE: takes the listing, what is remembered, the policy and the time, and returns a [`Plan`].
//!
//! Planning takes several steps, because some messages can only be told apart by their headers: [`PlanInput::look_at`]
//! names the messages whose headers the session should request (TOP n 0), [`PlanInput::look_for_renumbering`] names
//! more if the server seems to have changed all unique-ids, and [`PlanInput::plan`] decides with the headers that came
//! back. Before all that, [`PlanInput::sizes_may_wait`] tells whether a LIST that was put off is needed at all.
//!
//! Two questions are kept apart. Whether to fetch a message may be answered by a hint: its unique-id and size. Whether
//! to delete one is answered by evidence alone, which [`evidence`] defines.

mod evidence;
mod fit;
mod isolation;
pub mod maildrop;
mod matching;
mod renumbering;
mod sizing;
mod skipping;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::OnceLock;
use std::time::Duration;

pub use evidence::{Arrival, Remembered, Removable, next_due};
pub(crate) use evidence::{Verified, is_due};
pub use fit::{Fit, Length};
pub(crate) use fit::{has_size, is_size};

use crate::account::{Account, RemovalPolicy};
use crate::clock::trusted_time::TrustedTime;
use crate::ids::EntryId;
use crate::message::Digest;
use crate::plan::maildrop::{Listed, Maildrop};
use crate::pop3::{MessageNumber, UniqueId};
use crate::state::entries::{Entry, Fingerprint, ListedAs, Origin, Quarantine, QuarantineReason, UidState};
use evidence::{Proof, proof};
pub use isolation::IsolatedMessages;
use isolation::Isolation;
use matching::Matching;
pub use matching::Seen;
use renumbering::Renumbered;
pub use sizing::Expected;
pub use skipping::Skipping;
use skipping::Verdict;

/// How long an absent message is remembered (90 days): an empty or short listing proves nothing.
const REMEMBER_ABSENT: Duration = Duration::from_secs(90 * 86_400);

/// Absent messages are remembered as long as they cost no more than this, in bytes of memory: a million of them with
/// usual unique-ids. A server that lists other messages in each session would otherwise make a state grow for 90 days.
const MOST_ABSENT: usize = 192 << 20;

/// What an absent message costs besides its unique-id, in bytes of memory.
const ABSENT: usize = 160;

/// The most headers that a session requests of messages which another program fetched; there is no hurry.
const MOST_FIRST_LOOKS: usize = 500;

/// What the account and its server ask of a plan.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// What happens to delivered messages on the server.
    pub removal: RemovalPolicy,
    /// Messages reported larger than this many octets stay.
    pub max_message_size: Option<u64>,
    /// The most messages retrieved in one session.
    pub max_messages: Option<NonZeroU32>,
    /// Whether the server has TOP, so that headers can be compared before anything is deleted.
    pub has_top: bool,
    /// The account points at another server than when the state was last written: unique-ids may name other messages.
    pub moved: bool,
    /// Messages were recognised under new unique-ids earlier in this poll, so the rest may have been renumbered, too.
    pub renumbered: bool,
    /// Which messages this session handles.
    pub pass: Pass,
}

impl Policy {
    /// Returns the policy of an account, for a server about which nothing else is known.
    #[must_use]
    pub fn of(account: &Account) -> Self {
        Self {
            removal: account.removal,
            max_message_size: account.max_message_size,
            max_messages: account.max_messages_per_session,
            has_top: true,
            moved: false,
            renumbered: false,
            pass: Pass::Normal,
        }
    }

    fn is_too_large(&self, listed: &Listed) -> bool {
        self.max_message_size.zip(listed.reported_size).is_some_and(|(most, size)| size > most)
    }
}

/// Which messages a session handles. Messages at which earlier sessions broke get sessions of their own after all
/// others, so that they cannot starve the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// Messages at which no session broke.
    Normal,
    /// Messages at which an earlier session broke.
    Isolated,
}

/// What to do in this session.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The messages to retrieve, in this order: new ones first, then those that can only be identified by their bytes.
    pub retrieve: Vec<Listed>,
    /// How many messages at the head of `retrieve` have no quarantine and were not yet compared in this poll.
    pub untried: usize,
    /// The messages to delete: delivered earlier, found again and verified.
    pub delete: Vec<Removable>,
    /// Whether some messages are retrieved in order to be deleted.
    pub retrieves_to_delete: bool,
    /// Messages larger than the account allows; they stay on the server.
    pub too_large: Vec<Listed>,
    /// Messages that a rule leaves on the server.
    pub skipped: Vec<Listed>,
    /// Those in `skipped` for which this is not recorded yet.
    pub newly_skipped: Vec<ListedAs>,
    /// How many messages wait for another session because no rule has been applied to them yet.
    pub unjudged: usize,
    /// Messages for which UIDL gave no unique-id; they stay until it does.
    pub unnamed: Vec<Listed>,
    /// Messages that failed too often and are quarantined for a while, though there is something to do with them.
    pub quarantined: Vec<Listed>,
    /// Messages to be handled in sessions of their own.
    pub to_isolate: Vec<Listed>,
    /// How many messages would be handled, but were already tried in this poll, or share unique-id and size with one
    /// that was.
    pub left_alone: usize,
    /// How many messages are left for another session: because of the limit per session, a full spool, or a rule that
    /// cannot be applied yet.
    pub postponed: usize,
    /// How many messages are known already.
    pub known: usize,
    /// The entries of the known messages, in order.
    pub known_entries: Vec<EntryId>,
    /// How many known messages are due for deletion but could not be verified.
    pub unverified: usize,
    /// Entries missing from a complete listing for the first time.
    pub absent: Vec<EntryId>,
    /// Known entries whose reported size has changed, with the new size in octets.
    pub resized: Vec<(EntryId, u64)>,
    /// Entries recorded as absent or removed that are listed again.
    pub present: Vec<EntryId>,
    /// Entries recognised by their header under a new unique-id: the server has renumbered its messages.
    pub renamed: Vec<(EntryId, UniqueId)>,
    /// Entries imported from another program that spells unique-ids differently, with the server's spelling.
    pub respelt: Vec<(EntryId, UniqueId)>,
    /// Entries known by their unique-ids alone until now, with the digests of their headers.
    pub fingerprinted: Vec<(EntryId, Digest)>,
    /// How many of the messages to retrieve may have been retrieved before: the server seems to have renumbered its
    /// messages, and no header identifies them.
    pub unrecognisable: usize,
    /// Whether the server has TOP.
    pub has_top: bool,
    /// Entries to forget: absent for long enough, or without a unique-id and not listed.
    pub forget: Vec<EntryId>,
}

/// What a plan is made from. The listing is matched with the remembered entries once, as long as no header was seen.
#[derive(Debug)]
pub struct PlanInput<'a> {
    maildrop: &'a Maildrop,
    state: &'a UidState,
    /// Messages that failed in this poll and are left alone for the rest of it.
    tried: &'a HashSet<ListedAs>,
    /// Entries whose messages were retrieved in this poll for comparison; once is enough, whatever the outcome.
    compared: &'a HashSet<EntryId>,
    /// How those messages were listed.
    compared_as: &'a HashSet<(MessageNumber, Option<ListedAs>)>,
    /// The time of this poll.
    now: TrustedTime,
    /// What the account's rules leave on the server, if it has such rules.
    skipping: Option<Skipping<'a>>,
    /// The messages at which sessions of this poll broke, by their numbers in this session.
    isolated: HashMap<MessageNumber, Isolation>,
    /// Numbers and sizes of messages that went beyond their limits and are left alone for now.
    beyond_limits: Option<&'a HashSet<(MessageNumber, Option<u64>)>>,
    /// The matching that needs no headers.
    unseen: OnceLock<Matching<'a>>,
    /// Unique-id and size of messages listed more than once, one of which failed.
    several: OnceLock<HashSet<ListedAs>>,
}

/// What earlier sessions of this poll did.
#[derive(Debug, Clone, Copy)]
pub struct Done<'a> {
    /// Messages that failed and are left alone for the rest of the poll.
    pub tried: &'a HashSet<ListedAs>,
    /// Entries whose messages were retrieved again and compared.
    pub compared: &'a HashSet<EntryId>,
    /// How those messages were listed; a hint only, since numbers may shift between sessions.
    pub compared_as: &'a HashSet<(MessageNumber, Option<ListedAs>)>,
}

impl<'a> PlanInput<'a> {
    /// Creates the input from a listing, the remembered state, the poll's work so far and the time.
    #[must_use]
    pub fn new(maildrop: &'a Maildrop, state: &'a UidState, done: Done<'a>, now: TrustedTime) -> Self {
        let Done { tried, compared, compared_as } = done;
        Self {
            maildrop,
            state,
            tried,
            compared,
            compared_as,
            now,
            skipping: None,
            isolated: HashMap::new(),
            beyond_limits: None,
            unseen: OnceLock::new(),
            several: OnceLock::new(),
        }
    }

    /// Adds what is known about rules that leave messages on the server.
    #[must_use]
    pub fn with_skipping(mut self, skipping: Option<Skipping<'a>>) -> Self {
        self.skipping = skipping;
        self
    }

    /// Adds the messages at which sessions of this poll broke; they must have met this session's listing.
    #[must_use]
    pub fn with_isolated(mut self, isolated: &IsolatedMessages) -> Self {
        self.isolated = isolated.by_number();
        self
    }

    /// Adds numbers and sizes of messages that went beyond their limits, and are left alone for now whatever their
    /// unique-ids are.
    #[must_use]
    pub fn with_beyond_limits(mut self, messages: &'a HashSet<(MessageNumber, Option<u64>)>) -> Self {
        self.beyond_limits = Some(messages);
        self
    }

    fn without_headers(&self) -> &Matching<'a> {
        self.unseen.get_or_init(|| Matching::of(self.maildrop, self.state, None))
    }

    /// Returns the matching that takes the headers seen into account.
    fn with_headers(&self, seen: &Seen) -> Cow<'_, Matching<'a>> {
        if seen.is_empty() && self.without_headers().to_look_at.is_empty() {
            return Cow::Borrowed(self.without_headers());
        }
        Cow::Owned(Matching::of(self.maildrop, self.state, Some(seen)))
    }

    fn turn(&self, listed: &Listed, policy: &Policy) -> Turn {
        let quarantine = self.quarantine(listed);
        let isolation = self.isolated.get(&listed.number).map(|isolation| isolation.turn);
        // A quarantine shared by several messages of one unique-id and size may be about any of them: in this poll each
        // gets its turn.
        if let Some(turn) = isolation.filter(|_| quarantine.is_some() && self.is_one_of_several(listed)) {
            return turn;
        }
        let was_tried = quarantine.is_some() && ListedAs::of(listed).is_some_and(|one| self.tried.contains(&one));
        let breaks = quarantine.is_some_and(|quarantine| quarantine.kind == QuarantineReason::BrokeSession);
        match isolation {
            _ if was_tried => Turn::Tried,
            Some(Turn::Tried) => Turn::Tried,
            _ if quarantine.is_some_and(|quarantine| quarantine.until > self.now) => Turn::Quarantined,
            Some(turn) => turn,
            None if breaks || policy.pass == Pass::Isolated => Turn::OtherSession,
            None => Turn::Now,
        }
    }

    /// The same for a message that is new. It may be listed like one that went beyond its limit under other unique-ids.
    fn turn_of_new(&self, listed: &Listed, policy: &Policy) -> Turn {
        let is_like = |messages: &HashSet<_>| messages.contains(&(listed.number, listed.reported_size));
        match self.turn(listed, policy) {
            Turn::Now | Turn::OtherSession
                if self.beyond_limits.is_some_and(is_like) && self.quarantine(listed).is_none() =>
            {
                Turn::Quarantined
            }
            turn => turn,
        }
    }

    /// Whether other messages share the unique-id and size of this one, which failed.
    fn is_one_of_several(&self, listed: &Listed) -> bool {
        let several = self.several.get_or_init(|| {
            let mut once = HashSet::new();
            let quarantined = self.maildrop.messages.iter().filter(|listed| self.quarantine(listed).is_some());
            quarantined.filter_map(ListedAs::of).filter(|one| !once.insert(one.clone())).collect()
        });
        ListedAs::of(listed).is_some_and(|one| several.contains(&one))
    }

    /// Returns the quarantine of this message.
    fn quarantine(&self, listed: &Listed) -> Option<Quarantine> {
        quarantine(self.state, listed)
    }

    /// Returns the messages whose headers decide what they are or whether they may be deleted.
    #[must_use]
    pub fn look_at(&self, policy: &Policy) -> Vec<MessageNumber> {
        if !policy.has_top {
            return Vec::new();
        }
        let ask = |listed: &&Listed| self.turn(listed, policy) == Turn::Now;
        let matching = self.without_headers();
        let tells = |(listed, entry): &(&Listed, &Entry)| {
            let is_due = self.is_due(entry, policy);
            // On another server the unique-id may belong to another message; what is due is retrieved there anyway.
            let decides = match policy.moved {
                true => !is_due && entry.fingerprint.header.is_some_and(Digest::is_strong),
                false => is_due && proof(listed, entry, policy) == Proof::Header,
            };
            decides && ask(listed)
        };
        let unsure = matching.to_look_at.iter().filter(|listed| ask(listed)).map(|listed| listed.number);
        let mut numbers: Vec<MessageNumber> = unsure.collect();
        numbers.extend(matching.known.iter().filter(|pair| tells(pair)).map(|(listed, _)| listed.number));
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Returns the messages whose headers tell whether the server has renumbered everything: a sample, or all of them
    /// once a header seen is a remembered one; empty if nothing suggests renumbering. To be called twice.
    #[must_use]
    pub fn look_for_renumbering(&self, policy: &Policy, seen: &Seen) -> Vec<MessageNumber> {
        let matching = self.with_headers(seen);
        let renumbered = Renumbered::of(self.maildrop, self.state, policy, &matching, |one| self.turn(one, policy));
        renumbered.filter(|_| policy.has_top).map_or_else(Vec::new, |renumbered| renumbered.look(seen))
    }

    /// Returns the messages known from another program by their unique-ids alone, whose headers are to be remembered:
    /// one at first, to see whether the server shows it, then more once that `probed` successfully.
    #[must_use]
    pub fn look_for_first_time(&self, policy: &Policy, seen: &Seen, probed: bool) -> Vec<MessageNumber> {
        if !policy.has_top || policy.pass != Pass::Normal {
            return Vec::new();
        }
        let matching = self.with_headers(seen);
        let is_unseen = |(listed, entry): &&(&Listed, &Entry)| {
            entry.fingerprint.is_unknown()
                && entry.unique_id.is_some()
                && seen.get(&listed.number).is_none()
                && self.turn(listed, policy) == Turn::Now
        };
        let most = if probed { MOST_FIRST_LOOKS } else { 1 };
        matching.known.iter().filter(is_unseen).take(most).map(|(listed, _)| listed.number).collect()
    }

    /// Returns the new messages whose headers decide whether a rule leaves them on the server, up to the limit per
    /// session.
    #[must_use]
    pub fn look_to_skip(&self, policy: &Policy, seen: &Seen) -> Vec<MessageNumber> {
        if self.skipping.is_none() {
            return Vec::new();
        }
        let matching = self.with_headers(seen);
        let is_open = |listed: &&&Listed| {
            let may_be_fetched = self.may_be_fetched(listed, policy) && self.turn(listed, policy) == Turn::Now;
            may_be_fetched && self.verdict(listed, policy) == Verdict::Unknown
        };
        let open = matching.new.iter().filter(is_open);
        open.take(skipping::MOST_HEADERS).map(|listed| listed.number).collect()
    }

    /// Returns the new messages that a poll would fetch, some of them in sessions of their own, as far as this can be
    /// told without headers.
    #[must_use]
    pub fn to_fetch(&self, policy: &Policy) -> Vec<&'a Listed> {
        let is_wanted = |listed: &&&Listed| {
            let is_skipped = matches!(self.verdict(listed, policy), Verdict::Skip { .. });
            let has_a_turn = matches!(self.turn_of_new(listed, policy), Turn::Now | Turn::OtherSession);
            self.may_be_fetched(listed, policy) && !is_skipped && has_a_turn
        };
        self.without_headers().new.iter().filter(is_wanted).copied().collect()
    }

    /// Whether neither its size nor the lack of a unique-id keeps the message on the server.
    fn may_be_fetched(&self, listed: &Listed, policy: &Policy) -> bool {
        let is_unnamed = self.maildrop.has_unique_ids && listed.unique_id.is_none();
        !is_unnamed && !policy.is_too_large(listed)
    }

    /// Applies the account's rules to a new message.
    fn verdict(&self, listed: &Listed, policy: &Policy) -> Verdict {
        self.skipping.as_ref().map_or(Verdict::Fetch, |skipping| skipping.judge(listed, self.state, policy))
    }

    /// Makes the plan. `seen` has the digests of the headers that the server showed.
    #[must_use]
    pub fn plan(&self, policy: &Policy, seen: &Seen) -> Plan {
        let turn = |listed: &Listed| self.turn(listed, policy);
        let mut matching = self.with_headers(seen).into_owned();
        let mut plan = Plan { has_top: policy.has_top, ..Plan::default() };
        if let Some(renumbered) = Renumbered::of(self.maildrop, self.state, policy, &matching, turn) {
            let recognised = renumbered.recognise(seen);
            plan.unrecognisable = renumbered.unrecognisable(policy, seen, recognised.len());
            let renamed = recognised.iter().map(|(listed, entry)| Some((entry.id, listed.unique_id.clone()?)));
            plan.renamed = renamed.flatten().collect();
            matching.adopt(recognised);
        }
        let mut listed: Vec<EntryId> = matching.known.iter().map(|(_, entry)| entry.id).collect();
        let is_due = |pair: &(&Listed, &Entry)| self.is_due(pair.1, policy);
        let due_before = matching.known.iter().filter(|pair| is_due(pair)).count();
        matching.compare_instead(|listed, entry| self.must_be_compared(listed, entry, policy, seen));
        plan.retrieves_to_delete = matching.known.iter().filter(|pair| is_due(pair)).count() < due_before;
        plan.known = matching.known.len();
        plan.known_entries = matching.known.iter().map(|(_, entry)| entry.id).collect();
        plan.known_entries.sort_unstable();
        for (listed, entry) in &matching.known {
            plan.take_known(listed, entry, seen);
            if is_due(&(listed, entry)) && plan.takes_turn(listed, turn(listed)) {
                match Removable::after_look(self.maildrop, listed, entry, policy, seen, self.now) {
                    Some(removable) => plan.delete.push(removable),
                    // Its header is recorded in this session.
                    None if entry.fingerprint.is_unknown() && policy.has_top => {}
                    None => plan.unverified += 1,
                }
            }
        }
        let had_its_turn = |listed: &Listed| self.compared_as.contains(&(listed.number, ListedAs::of(listed)));
        let verdict = |listed: &Listed| self.verdict(listed, policy);
        let turn = |is_new: bool, listed: &Listed| if is_new { self.turn_of_new(listed, policy) } else { turn(listed) };
        plan_retrieval(&mut plan, self.maildrop, &matching, policy, turn, verdict);
        // If unique-ids change with every session, only one that retrieves everything makes progress.
        let most = policy.max_messages.filter(|_| plan.unrecognisable == 0);
        plan.order_and_limit(self.state, most, had_its_turn);
        if self.maildrop.complete {
            listed.extend(self.compared_under(&matching.to_compare));
            plan_forgetting(&mut plan, self.state, listed, self.now, MOST_ABSENT);
        }
        plan
    }
}

impl PlanInput<'_> {
    /// Whether a message that seems to be known has to be retrieved, because only its bytes tell whether it is known or
    /// may be deleted.
    fn must_be_compared(&self, listed: &Listed, entry: &Entry, policy: &Policy, seen: &Seen) -> bool {
        if is_first_size(listed, entry) {
            return true;
        }
        let is_shown = is_shown(listed, entry, seen);
        let is_other = !is_shown && seen.get(&listed.number).is_some_and(|header| header.is_strong());
        let same_name = listed.unique_id == entry.unique_id;
        let says_little = !entry.fingerprint.header.is_some_and(Digest::is_strong);
        let never_seen = entry.fingerprint.header.is_none() || (says_little && entry.origin != Origin::Delivered);
        let is_doubtful = is_other
            || (policy.moved && !is_shown)
            || (entry.doubt && self.came_badly(listed))
            || self.stands_for_an_isolated_one(listed, entry);
        if !never_seen && same_name && is_doubtful {
            return true;
        }
        self.is_due(entry, policy)
            && match proof(listed, entry, policy) {
                Proof::Header => !is_shown,
                Proof::Bytes => !policy.is_too_large(listed),
                Proof::None => false,
            }
    }

    /// Whether the policy wants a remembered message deleted and this poll has not compared it yet.
    fn is_due(&self, entry: &Entry, policy: &Policy) -> bool {
        is_due(entry, policy.removal, self.now) && !self.compared.contains(&entry.id)
    }

    /// Returns the entries that earlier sessions of this poll found on the server by their bytes, under the unique-ids
    /// of these messages. They are not absent merely because this session compares others with that unique-id: with a
    /// limit per session, each session would undo the findings of the one before, forever.
    fn compared_under(&self, to_compare: &[&Listed]) -> impl Iterator<Item = EntryId> {
        let names: HashSet<&UniqueId> = to_compare.iter().filter_map(|listed| listed.unique_id.as_ref()).collect();
        let known = self.compared.iter().filter_map(|id| self.state.entry(*id));
        known.filter(move |entry| entry.unique_id.as_ref().is_some_and(|id| names.contains(id))).map(|entry| entry.id)
    }

    /// Whether a session broke at this message, or it came in another size than listed.
    fn came_badly(&self, listed: &Listed) -> bool {
        let is_bad = |kind| matches!(kind, QuarantineReason::BrokeSession | QuarantineReason::OtherSize);
        self.quarantine(listed).is_some_and(|quarantine| is_bad(quarantine.kind))
    }

    /// Whether a session broke at this message under another unique-id, so that it only seems to be known by chance.
    fn stands_for_an_isolated_one(&self, listed: &Listed, entry: &Entry) -> bool {
        let is_renamed = self.isolated.get(&listed.number).is_some_and(|isolation| isolation.is_renamed);
        is_renamed && !self.compared.contains(&entry.id)
    }
}

/// Whether the header of a listed message was seen in this session, is strong, and equals the remembered one.
fn is_shown(listed: &Listed, entry: &Entry, seen: &Seen) -> bool {
    seen.get(&listed.number).is_some_and(|header| header.is_strong() && entry.fingerprint.header == Some(*header))
}

/// Whether a message is listed with a size although none is remembered, but its bytes are: it came in another size than
/// listed, or the server reported none, and it may have grown.
fn is_first_size(listed: &Listed, entry: &Entry) -> bool {
    let Fingerprint { reported_size, whole, .. } = entry.fingerprint;
    listed.reported_size.is_some() && reported_size.is_none() && whole.is_some()
}

/// When a message may be handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// In this session.
    Now,
    /// In another session of this poll.
    OtherSession,
    /// Not in this poll.
    Quarantined,
    /// Not again in this poll: it was tried already.
    Tried,
}

impl Plan {
    /// Moves messages with a quarantine behind the others, and those compared in this poll behind everything
    /// else, then applies the limit per session. Otherwise thousands of messages that cannot be retrieved would be
    /// tried again before one that can, or sessions with a small limit would handle the same few messages again and
    /// again.
    fn order_and_limit(&mut self, state: &UidState, most: Option<NonZeroU32>, had_its_turn: impl Fn(&Listed) -> bool) {
        let place = |listed: &Listed| (had_its_turn(listed), tries(state, listed));
        self.retrieve.sort_by_cached_key(place);
        self.untried = self.retrieve.partition_point(|listed| place(listed) == (false, 0));
        let most = most.map_or(usize::MAX, |most| usize::try_from(most.get()).unwrap_or(usize::MAX));
        self.postponed = self.retrieve.len().saturating_sub(most) + self.unjudged;
        self.retrieve.truncate(most);
    }

    /// Whether there is nothing to do, to record or to report.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        let Self {
            retrieve,
            untried: _,
            delete,
            retrieves_to_delete,
            too_large,
            skipped: _,
            newly_skipped,
            unjudged: _,
            unnamed,
            quarantined,
            to_isolate,
            left_alone,
            postponed,
            known: _,
            known_entries: _,
            unverified,
            absent,
            resized,
            present,
            renamed,
            unrecognisable,
            has_top: _,
            forget,
            respelt,
            fingerprinted,
        } = self;
        let listed = [retrieve, too_large, unnamed, quarantined, to_isolate].into_iter().all(Vec::is_empty);
        let remembered = [absent, present, forget].into_iter().all(Vec::is_empty);
        let changed = !delete.is_empty() || !resized.is_empty() || !renamed.is_empty() || *retrieves_to_delete;
        let changed = changed || !respelt.is_empty() || !fingerprinted.is_empty() || !newly_skipped.is_empty();
        listed && remembered && !changed && left_alone + postponed + unverified + unrecognisable == 0
    }

    /// Whether anything that was delivered earlier may be deleted in this session.
    #[must_use]
    pub fn deletes_earlier(&self) -> bool {
        self.retrieves_to_delete || !self.delete.is_empty()
    }

    /// Notes what to record about a known message.
    fn take_known(&mut self, listed: &Listed, entry: &Entry, seen: &Seen) {
        if let Some(size) = listed.reported_size
            && entry.fingerprint.reported_size != Some(size)
        {
            self.resized.push((entry.id, size));
        }
        if entry.fingerprint.is_unknown() {
            self.fingerprinted.extend(seen.get(&listed.number).map(|header| (entry.id, *header)));
            self.respelt.extend(
                listed.unique_id.clone().filter(|id| entry.unique_id.as_ref() != Some(id)).map(|id| (entry.id, id)),
            );
        }
        // A new unique-id says the same.
        if entry.was_gone() && listed.unique_id == entry.unique_id {
            self.present.push(entry.id);
        }
    }

    /// Whether a new message stays on the server by a rule, or waits until one can be applied; notes which.
    fn is_left_by_a_rule(&mut self, listed: &Listed, verdict: Verdict, turn: Turn) -> bool {
        match verdict {
            Verdict::Fetch => return false,
            Verdict::Skip { is_recorded } => {
                self.skipped.push(listed.clone());
                self.newly_skipped.extend(ListedAs::of(listed).filter(|_| !is_recorded));
            }
            Verdict::Unknown if turn == Turn::Now => self.unjudged += 1,
            Verdict::Unknown => return false,
        }
        true
    }

    /// Whether this message may be handled now; if not, notes why.
    fn takes_turn(&mut self, listed: &Listed, turn: Turn) -> bool {
        match turn {
            Turn::Now => return true,
            Turn::OtherSession => self.to_isolate.push(listed.clone()),
            Turn::Quarantined => self.quarantined.push(listed.clone()),
            Turn::Tried => self.left_alone += 1,
        }
        false
    }
}

/// Returns the quarantine of a message. If it is listed without a size, or with 0, that of any message
/// with its unique-id counts.
fn quarantine(state: &UidState, listed: &Listed) -> Option<Quarantine> {
    state.quarantine(listed.unique_id.as_ref()?, listed.reported_size.filter(|size| *size > 0))
}

/// Returns how often a message failed in a row.
fn tries(state: &UidState, listed: &Listed) -> u32 {
    match quarantine(state, listed) {
        // It keeps its place: otherwise the limit would always hold back the first ones, and none would ever get its
        // turn.
        Some(quarantine) if quarantine.kind == QuarantineReason::OverLimit => 0,
        Some(quarantine) => quarantine.count,
        None => 0,
    }
}

fn plan_retrieval(
    plan: &mut Plan,
    maildrop: &Maildrop,
    matching: &Matching<'_>,
    policy: &Policy,
    turn: impl Fn(bool, &Listed) -> Turn,
    verdict: impl Fn(&Listed) -> Verdict,
) {
    let new = matching.new.iter().map(|listed| (false, *listed));
    let compared = matching.to_compare.iter().map(|listed| (true, *listed));
    let mut wanted: Vec<(bool, &Listed)> = new.chain(compared).collect();
    // Messages that may be known come after new ones, which must not wait for them.
    wanted.sort_by_key(|(is_compared, listed)| (*is_compared, listed.number));
    for (is_compared, listed) in wanted {
        if maildrop.has_unique_ids && listed.unique_id.is_none() {
            plan.unnamed.push(listed.clone());
        } else if policy.is_too_large(listed) {
            plan.too_large.push(listed.clone());
        } else if !is_compared && plan.is_left_by_a_rule(listed, verdict(listed), turn(true, listed)) {
            // The reason is noted.
        } else if plan.takes_turn(listed, turn(!is_compared, listed)) {
            plan.retrieve.push(listed.clone());
        }
    }
}

/// Plans which entries become absent or are forgotten. `listed` has the entries whose messages are, or may be, listed;
/// absent messages may cost `most_absent` bytes of memory.
fn plan_forgetting(plan: &mut Plan, state: &UidState, mut listed: Vec<EntryId>, now: TrustedTime, most_absent: usize) {
    listed.sort_unstable();
    let mut cost = 0_usize;
    for entry in not_listed(state, &listed) {
        match entry.absent_since {
            // Without a unique-id, nothing can identify the message again.
            _ if may_be_forgotten(entry) && entry.unique_id.is_none() => plan.forget.push(entry.id),
            None => plan.absent.push(entry.id),
            Some(since) if may_be_forgotten(entry) && now.since(since) >= REMEMBER_ABSENT => {
                plan.forget.push(entry.id);
            }
            Some(_) => cost = cost.saturating_add(cost_of(entry)),
        }
    }
    if cost > most_absent {
        let remembered = |since| now.since(since) < REMEMBER_ABSENT;
        let entries = not_listed(state, &listed).filter(|entry| may_be_forgotten(entry) && entry.unique_id.is_some());
        let absent = entries.filter_map(|entry| Some((entry.absent_since.filter(|since| remembered(*since))?, entry)));
        forget_the_longest_absent(plan, absent.collect(), cost - most_absent);
    }
}

/// Iterates over the entries that are not among these, sorted, ids.
fn not_listed<'a>(state: &'a UidState, listed: &[EntryId]) -> impl Iterator<Item = &'a Entry> {
    let mut listed = listed.iter().copied().peekable();
    state.entries().filter(move |entry| {
        // Both are sorted by id.
        while listed.next_if(|id| *id < entry.id).is_some() {}
        listed.peek() != Some(&entry.id)
    })
}

/// Forgetting an entry under way would remove its file waiting in `tmp/`, and the server may no longer have the message.
fn may_be_forgotten(entry: &Entry) -> bool {
    !entry.is_under_way()
}

/// Plans to forget the messages that have been absent the longest, until they free this many bytes of memory.
fn forget_the_longest_absent(plan: &mut Plan, mut absent: Vec<(TrustedTime, &Entry)>, excess: usize) {
    absent.sort_unstable_by_key(|(since, entry)| (*since, entry.id));
    let mut freed = 0;
    for (_, entry) in absent {
        if freed >= excess {
            return;
        }
        freed += cost_of(entry);
        plan.forget.push(entry.id);
    }
}

/// What it costs to remember an absent message, in bytes of memory.
fn cost_of(entry: &Entry) -> usize {
    ABSENT + entry.unique_id.as_ref().map_or(0, |unique_id| unique_id.as_bytes().len())
}

#[cfg(test)]
pub(crate) mod tests;
