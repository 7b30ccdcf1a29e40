//! What to do in a session. PURE: the listing, what is remembered, the policy and the time go in, a [`Plan`] comes out.
//!
//! It takes steps, because some messages can only be told apart by their header: [`PlanInput::look_at`] names those whose
//! header the session should ask for (TOP n 0), [`PlanInput::look_for_renumbering`] more of them if everything seems to have
//! another name now, and [`PlanInput::plan`] decides with what came back. Before all that, [`PlanInput::sizes_may_wait`]
//! tells whether LIST, where it was not asked, is needed at all.
//!
//! Two questions are kept apart. Whether a message has to be fetched may be answered by a hint: its unique-id and size.
//! Whether one may be deleted is answered by evidence alone: [`evidence`] says by which.

mod evidence;
mod fit;
pub mod maildrop;
mod matching;
mod renumbering;
mod sizing;
mod skipping;
mod suspects;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::OnceLock;

pub(crate) use evidence::is_due;
pub use evidence::{Arrival, Remembered, Removable, next_due};
pub use fit::{Fit, Length};
pub(crate) use fit::{has_size, is_size};

use crate::account::{Account, RemovalPolicy};
use crate::ids::EntryId;
use crate::message::Digest;
use crate::plan::maildrop::{Listed, Maildrop};
use crate::pop3::{MessageNumber, UniqueId};
use crate::state::entries::{Entry, Fingerprint, ListedAs, Origin, Quarantine, QuarantineReason, UidState};
use evidence::{Proof, proof};
use matching::Matching;
pub use matching::Seen;
use renumbering::Renumbered;
pub use sizing::Expected;
pub use skipping::Skipping;
use skipping::Verdict;
use suspects::Suspected;
pub use suspects::Suspects;

/// How long an absent message is remembered, in seconds (90 days): an empty or short listing proves nothing.
const REMEMBER_ABSENT: u64 = 90 * 86_400;

/// So many headers of messages that another program fetched are looked at in a session, in bulk: the rest has time.
const MOST_FIRST_LOOKS: usize = 500;

/// What the account wants.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// What happens to delivered messages on the server.
    pub removal: RemovalPolicy,
    /// Messages reported larger than this many octets stay.
    pub max_message_size: Option<u64>,
    /// No more than this many are retrieved.
    pub max_messages: Option<NonZeroU32>,
    /// Whether the server has TOP, so that a header can be compared before something is deleted.
    pub has_top: bool,
    /// The account points at another server than when the state was last written: unique-ids may name other messages.
    pub moved: bool,
    /// In this poll messages were recognised under other unique-ids already, so the rest may be such, too.
    pub renumbered: bool,
    /// Which messages this session is about.
    pub pass: Pass,
}

impl Policy {
    /// That of an account at a server of which nothing else is known.
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

/// Which messages a session is about. Those at which earlier sessions ended have sessions of their own, behind
/// everything else, so that they cannot starve the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// All others.
    Normal,
    /// Those.
    Isolated,
}

/// What to do in this session.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// To be retrieved, in this order: what is new, then what only its bytes tell from what is remembered.
    pub retrieve: Vec<Listed>,
    /// So many of those, the first ones, never made trouble.
    pub untried: usize,
    /// To be deleted: delivered earlier, found again, verified.
    pub delete: Vec<Removable>,
    /// Whether some of those to be retrieved are so that they may be deleted.
    pub retrieves_to_delete: bool,
    /// Larger than the account allows: these stay.
    pub too_large: Vec<Listed>,
    /// A rule leaves these on the server.
    pub skipped: Vec<Listed>,
    /// Of those, the ones of which that is to be written down.
    pub newly_skipped: Vec<ListedAs>,
    /// It is not known yet whether a rule leaves so many on the server, and they wait for another session.
    pub unjudged: usize,
    /// UIDL had no unique-id for these: they stay until it has.
    pub unnamed: Vec<Listed>,
    /// There was something to do with these, but they failed too often: they are quarantined for a while.
    pub quarantined: Vec<Listed>,
    /// There is something to do with these, in a session of their own.
    pub to_isolate: Vec<Listed>,
    /// There is something to do with so many that this poll has tried already, or whose unique-id and size another one has.
    pub left_alone: usize,
    /// New, but more than one session may retrieve.
    pub postponed: usize,
    /// Known already.
    pub known: usize,
    /// The entries of those, in order.
    pub known_entries: Vec<EntryId>,
    /// Of those, the ones that the policy wants deleted and that could not be verified.
    pub unverified: usize,
    /// Remembered, and missing in a complete listing for the first time.
    pub absent: Vec<EntryId>,
    /// Known, and reported with another size than before.
    pub resized: Vec<(EntryId, u64)>,
    /// Remembered as absent or removed, and listed again.
    pub present: Vec<EntryId>,
    /// Recognised by their header under another unique-id: the server has renumbered its messages.
    pub renamed: Vec<(EntryId, UniqueId)>,
    /// Known from another program, which spelt their unique-ids in another way.
    pub respelt: Vec<(EntryId, UniqueId)>,
    /// Known by their unique-ids alone until now, with what their headers say.
    pub fingerprinted: Vec<(EntryId, Digest)>,
    /// So many of those to be retrieved were perhaps retrieved before: the server seems to have renumbered its messages,
    /// and shows no header to recognise them by.
    pub unrecognisable: usize,
    /// Whether the server shows headers.
    pub has_top: bool,
    /// Absent for so long that they need not be remembered any more.
    pub forget: Vec<EntryId>,
}

/// What a plan is made from. The listing and what is remembered are matched once, as long as no header was looked at.
#[derive(Debug)]
pub struct PlanInput<'a> {
    maildrop: &'a Maildrop,
    state: &'a UidState,
    /// The messages that made trouble in this poll, and are left alone for the rest of it.
    tried: &'a HashSet<ListedAs>,
    /// What was retrieved in this poll to be compared: once is enough, whatever became of it.
    compared: &'a HashSet<EntryId>,
    /// How that was listed.
    compared_as: &'a HashSet<(MessageNumber, Option<ListedAs>)>,
    /// The time of this poll, in trusted seconds.
    now: u64,
    /// What the rules of the account leave on the server.
    skipping: Option<Skipping<'a>>,
    /// The messages at which sessions of this poll broke, by their numbers in this one.
    suspects: HashMap<MessageNumber, Suspected>,
    /// What matches what as far as it can be told without a header.
    unseen: OnceLock<Matching<'a>>,
    /// How several messages are listed alike, one of which made trouble.
    several: OnceLock<HashSet<ListedAs>>,
}

/// What earlier sessions of this poll have done.
#[derive(Debug, Clone, Copy)]
pub struct Done<'a> {
    /// Messages that made trouble, and are left alone for the rest of the poll.
    pub tried: &'a HashSet<ListedAs>,
    /// Entries whose messages were retrieved again and compared.
    pub compared: &'a HashSet<EntryId>,
    /// How those messages were listed: a hint only, as numbers may shift from session to session.
    pub compared_as: &'a HashSet<(MessageNumber, Option<ListedAs>)>,
}

impl<'a> PlanInput<'a> {
    /// Of a listing, on what is remembered, at a time in trusted seconds; `done` is what this poll has done.
    #[must_use]
    pub fn new(maildrop: &'a Maildrop, state: &'a UidState, done: Done<'a>, now: u64) -> Self {
        let Done { tried, compared, compared_as } = done;
        Self {
            maildrop,
            state,
            tried,
            compared,
            compared_as,
            now,
            skipping: None,
            suspects: HashMap::new(),
            unseen: OnceLock::new(),
            several: OnceLock::new(),
        }
    }

    /// The same for an account with rules that leave messages on the server.
    #[must_use]
    pub fn with_skipping(mut self, skipping: Option<Skipping<'a>>) -> Self {
        self.skipping = skipping;
        self
    }

    /// The same in a poll in which sessions broke at messages: in a session that has met these.
    #[must_use]
    pub fn with_suspects(mut self, suspects: &Suspects) -> Self {
        self.suspects = suspects.by_number();
        self
    }

    fn without_headers(&self) -> &Matching<'a> {
        self.unseen.get_or_init(|| Matching::of(self.maildrop, self.state, None))
    }

    /// The same with what was seen of the headers.
    fn with_headers(&self, seen: &Seen) -> Cow<'_, Matching<'a>> {
        if seen.is_empty() && self.without_headers().to_look_at.is_empty() {
            return Cow::Borrowed(self.without_headers());
        }
        Cow::Owned(Matching::of(self.maildrop, self.state, Some(seen)))
    }

    fn turn(&self, listed: &Listed, policy: &Policy) -> Turn {
        let quarantine = self.quarantine(listed);
        let suspected = self.suspects.get(&listed.number).map(|suspected| suspected.turn);
        // What is known under one name and size of several messages may be that of another one: in this poll each has its turn.
        if let Some(turn) = suspected.filter(|_| quarantine.is_some() && self.is_one_of_several(listed)) {
            return turn;
        }
        let was_tried = quarantine.is_some() && ListedAs::of(listed).is_some_and(|one| self.tried.contains(&one));
        let breaks = quarantine.is_some_and(|quarantine| quarantine.kind == QuarantineReason::BrokeSession);
        match suspected {
            _ if was_tried => Turn::Tried,
            Some(Turn::Tried) => Turn::Tried,
            _ if quarantine.is_some_and(|quarantine| quarantine.until > self.now) => Turn::Quarantined,
            Some(turn) => turn,
            None if breaks || policy.pass == Pass::Isolated => Turn::OtherSession,
            None => Turn::Now,
        }
    }

    /// Whether other messages are listed with the unique-id and the size of this one, which made trouble.
    fn is_one_of_several(&self, listed: &Listed) -> bool {
        let several = self.several.get_or_init(|| {
            let mut once = HashSet::new();
            let troubled = self.maildrop.messages.iter().filter(|listed| self.quarantine(listed).is_some());
            troubled.filter_map(ListedAs::of).filter(|one| !once.insert(one.clone())).collect()
        });
        ListedAs::of(listed).is_some_and(|one| several.contains(&one))
    }

    /// The trouble that this message made last.
    fn quarantine(&self, listed: &Listed) -> Option<Quarantine> {
        quarantine(self.state, listed)
    }

    /// The messages whose header decides something: what they are, or whether they may be deleted.
    #[must_use]
    pub fn look_at(&self, policy: &Policy) -> Vec<MessageNumber> {
        if !policy.has_top {
            return Vec::new();
        }
        let ask = |listed: &&Listed| self.turn(listed, policy) == Turn::Now;
        let matching = self.without_headers();
        let tells = |(listed, entry): &(&Listed, &Entry)| {
            let is_due = self.is_due(entry, policy);
            // On another server the unique-id may be something else's; what is due is retrieved there anyway.
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

    /// The messages whose headers tell whether the server has renumbered everything: a sample, or all if one of those
    /// seen so far is an old acquaintance. None where there is no such suspicion. To be asked for twice.
    #[must_use]
    pub fn look_for_renumbering(&self, policy: &Policy, seen: &Seen) -> Vec<MessageNumber> {
        let matching = self.with_headers(seen);
        let renumbered = Renumbered::of(self.maildrop, self.state, policy, &matching, |one| self.turn(one, policy));
        renumbered.filter(|_| policy.has_top).map_or_else(Vec::new, |renumbered| renumbered.look(seen))
    }

    /// The messages that are known from another program by their unique-ids alone, and whose headers are to be remembered:
    /// first one, to see whether the server shows it, then more; none if it does not.
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

    /// The new messages whose headers tell whether a rule leaves them on the server: no more than a session asks for.
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

    /// The new messages that a poll would fetch, some of them in sessions of their own, as far as that can be told without a
    /// header.
    #[must_use]
    pub fn to_fetch(&self, policy: &Policy) -> Vec<&'a Listed> {
        let is_wanted = |listed: &&&Listed| {
            let is_skipped = matches!(self.verdict(listed, policy), Verdict::Skip { .. });
            let has_a_turn = matches!(self.turn(listed, policy), Turn::Now | Turn::OtherSession);
            self.may_be_fetched(listed, policy) && !is_skipped && has_a_turn
        };
        self.without_headers().new.iter().filter(is_wanted).copied().collect()
    }

    /// Whether neither its size nor the lack of a unique-id keeps a message on the server.
    fn may_be_fetched(&self, listed: &Listed, policy: &Policy) -> bool {
        let is_unnamed = self.maildrop.has_unique_ids && listed.unique_id.is_none();
        !is_unnamed && !policy.is_too_large(listed)
    }

    /// What the rules of the account make of a new message.
    fn verdict(&self, listed: &Listed, policy: &Policy) -> Verdict {
        self.skipping.as_ref().map_or(Verdict::Fetch, |skipping| skipping.judge(listed, self.state, policy))
    }

    /// Decides. `seen` has the header digests of the messages that were looked at, as far as the server gave them.
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
                    // Its header is known from this session on.
                    None if entry.fingerprint.is_unknown() && policy.has_top => {}
                    None => plan.unverified += 1,
                }
            }
        }
        let had_its_turn = |listed: &Listed| self.compared_as.contains(&(listed.number, ListedAs::of(listed)));
        let verdict = |listed: &Listed| self.verdict(listed, policy);
        plan_retrieval(&mut plan, self.maildrop, &matching, policy, turn, verdict);
        // Where every session has other names, only one that retrieves everything comes to an end.
        let most = policy.max_messages.filter(|_| plan.unrecognisable == 0);
        plan.order_and_limit(self.state, most, had_its_turn);
        if self.maildrop.complete {
            listed.extend(self.compared_under(&matching.to_compare));
            plan_forgetting(&mut plan, self.state, listed, self.now);
        }
        plan
    }
}

impl PlanInput<'_> {
    /// Whether only the bytes tell whether a message that seems to be known is, or may be deleted.
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
            || self.stands_for_a_suspect(listed, entry);
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

    /// Whether the policy wants a remembered message deleted, and this poll has not come to a conclusion about it.
    fn is_due(&self, entry: &Entry, policy: &Policy) -> bool {
        is_due(entry, policy.removal, self.now) && !self.compared.contains(&entry.id)
    }

    /// What earlier sessions of this poll found to be there, by its bytes, under the unique-ids of these messages. It is not
    /// missing only because this session may be about others under that name: with a limit, the sessions would undo what
    /// the ones before them found, without end.
    fn compared_under(&self, to_compare: &[&Listed]) -> impl Iterator<Item = EntryId> {
        let names: HashSet<&UniqueId> = to_compare.iter().filter_map(|listed| listed.unique_id.as_ref()).collect();
        let known = self.compared.iter().filter_map(|id| self.state.entry(*id));
        known.filter(move |entry| entry.unique_id.as_ref().is_some_and(|id| names.contains(id))).map(|entry| entry.id)
    }

    /// Whether a session ended at this message, or what came of it has not the size that is listed.
    fn came_badly(&self, listed: &Listed) -> bool {
        let is_bad = |kind| matches!(kind, QuarantineReason::BrokeSession | QuarantineReason::OtherSize);
        self.quarantine(listed).is_some_and(|quarantine| is_bad(quarantine.kind))
    }

    /// Whether a session ended at this message when it was listed under another unique-id, so that it is only by chance that
    /// it seems to be known.
    fn stands_for_a_suspect(&self, listed: &Listed, entry: &Entry) -> bool {
        let is_renamed = self.suspects.get(&listed.number).is_some_and(|suspected| suspected.is_renamed);
        is_renamed && !self.compared.contains(&entry.id)
    }
}

/// Whether the header of a listed message was seen in this session, and is the remembered one, and says enough.
fn is_shown(listed: &Listed, entry: &Entry, seen: &Seen) -> bool {
    seen.get(&listed.number).is_some_and(|header| header.is_strong() && entry.fingerprint.header == Some(*header))
}

/// Whether a message is listed with a size and none is remembered, though its bytes are: what came had another size, or none
/// was told, and it may have grown.
fn is_first_size(listed: &Listed, entry: &Entry) -> bool {
    let Fingerprint { reported_size, whole, .. } = entry.fingerprint;
    listed.reported_size.is_some() && reported_size.is_none() && whole.is_some()
}

/// Whether something may be done with a message in this session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// It may.
    Now,
    /// In another session of this poll.
    OtherSession,
    /// Not in this poll.
    Quarantined,
    /// It was tried in this poll already.
    Tried,
}

impl Plan {
    /// Puts what was refused before behind what was not, and what was compared in this poll behind everything else, and
    /// leaves what is more than a session may retrieve: else thousands of messages that cannot be had would be tried again
    /// before one that can, or sessions that may retrieve only a few would be about the same few again and again.
    fn order_and_limit(&mut self, state: &UidState, most: Option<NonZeroU32>, had_its_turn: impl Fn(&Listed) -> bool) {
        let place = |listed: &Listed| (had_its_turn(listed), tries(state, listed));
        self.retrieve.sort_by_cached_key(place);
        self.untried = self.retrieve.partition_point(|listed| place(listed) == (false, 0));
        let most = most.map_or(usize::MAX, |most| usize::try_from(most.get()).unwrap_or(usize::MAX));
        self.postponed = self.retrieve.len().saturating_sub(most) + self.unjudged;
        self.retrieve.truncate(most);
    }

    /// Whether there is nothing to do, to write down or to tell.
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

    /// What is to be written down about a message that is known.
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
        // A new name says as much.
        if entry.was_gone() && listed.unique_id == entry.unique_id {
            self.present.push(entry.id);
        }
    }

    /// Whether a new message is left on the server by a rule, or waits until it is known whether it is.
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

    /// Whether something may be done with this message now; if not, it is noted why.
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

/// The trouble that a message made last. One without a size, or with 0, may be any of those that have its unique-id.
fn quarantine(state: &UidState, listed: &Listed) -> Option<Quarantine> {
    state.quarantine(listed.unique_id.as_ref()?, listed.reported_size.filter(|size| *size > 0))
}

/// How often a message made trouble in a row.
fn tries(state: &UidState, listed: &Listed) -> u32 {
    match quarantine(state, listed) {
        // It keeps its place: others would be the first ones that a limit keeps back, and none would come to its turn.
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
    turn: impl Fn(&Listed) -> Turn,
    verdict: impl Fn(&Listed) -> Verdict,
) {
    let new = matching.new.iter().map(|listed| (false, *listed));
    let compared = matching.to_compare.iter().map(|listed| (true, *listed));
    let mut wanted: Vec<(bool, &Listed)> = new.chain(compared).collect();
    // What may be known comes behind what is new, which must not have to wait for it.
    wanted.sort_by_key(|(is_compared, listed)| (*is_compared, listed.number));
    for (is_compared, listed) in wanted {
        if maildrop.has_unique_ids && listed.unique_id.is_none() {
            plan.unnamed.push(listed.clone());
        } else if policy.is_too_large(listed) {
            plan.too_large.push(listed.clone());
        } else if !is_compared && plan.is_left_by_a_rule(listed, verdict(listed), turn(listed)) {
            // Noted why.
        } else if plan.takes_turn(listed, turn(listed)) {
            plan.retrieve.push(listed.clone());
        }
    }
}

/// `listed` are the entries whose messages are listed, or may be.
fn plan_forgetting(plan: &mut Plan, state: &UidState, mut listed: Vec<EntryId>, now: u64) {
    listed.sort_unstable();
    let mut listed = listed.into_iter().peekable();
    for entry in state.entries() {
        // Both are in the order of their ids.
        while listed.next_if(|id| *id < entry.id).is_some() {}
        if listed.peek() == Some(&entry.id) {
            continue;
        }
        // A file that waits in `tmp/` goes if nothing speaks of it, and the server may have the message no more.
        let may_be_forgotten = !entry.is_under_way();
        match entry.absent_since {
            // Without a unique-id there is nothing to remember a removed message by: the listing agrees, that is all.
            _ if may_be_forgotten && entry.unique_id.is_none() => plan.forget.push(entry.id),
            None => plan.absent.push(entry.id),
            Some(since) if may_be_forgotten && now.saturating_sub(since) >= REMEMBER_ABSENT => {
                plan.forget.push(entry.id);
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
