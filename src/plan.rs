//! What to do in a session. PURE: the listing, what is remembered, the policy and the time go in, a [`Plan`] comes out.
//!
//! It takes steps, because some messages can only be told apart by their header: [`Outlook::look_at`] names those whose
//! header the session should ask for (TOP n 0), [`Outlook::look_for_renumbering`] more of them if everything seems to have
//! another name now, and [`Outlook::plan`] decides with what came back.

mod matching;
mod renumbering;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::OnceLock;

use crate::account::RemovalPolicy;
use crate::maildir::publishing::Delivered;
use crate::maildrop::{Listed, Maildrop};
use crate::pop3::{MessageNumber, UniqueId};
use crate::state::entries::{Entry, EntryId, Origin, TroubleKind, UidState};
use crate::witness::Digest;
use matching::Matching;
use renumbering::Suspicion;

/// How long an absent message is remembered, in seconds (90 days): an empty or short listing proves nothing.
const REMEMBER_ABSENT: u64 = 90 * 86_400;

/// A doubt about a listed message is written anew after so many seconds: else it would be forgotten as soon as it is not
/// listed once.
const DOUBT_RENEWED: u64 = 30 * 86_400;

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
    /// It was said or presumed to have TOP, and showed no header when it was asked.
    pub top_refused: bool,
    /// The account points at another server than when the state was last written: unique-ids may name other messages.
    pub moved: bool,
    /// In this poll messages were recognised under other unique-ids already, so the rest may be such, too.
    pub renumbered: bool,
    /// Which messages this session is about.
    pub scope: Scope,
}

impl Policy {
    fn is_too_large(&self, listed: &Listed) -> bool {
        self.max_message_size.zip(listed.reported_size).is_some_and(|(most, size)| size > most)
    }
}

/// Which messages a session is about. Those at which earlier sessions ended have sessions of their own, behind
/// everything else, so that they cannot starve the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All others.
    Sound,
    /// Those.
    Suspects,
}

/// What to do in this session.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// To be retrieved, in this order.
    pub retrieve: Vec<Listed>,
    /// So many of those, the first ones, never made trouble.
    pub untried: usize,
    /// To be deleted: delivered earlier, found again, verified.
    pub delete: Vec<Removable>,
    /// Larger than the account allows: these stay.
    pub too_large: Vec<Listed>,
    /// UIDL had no unique-id for these: they stay until it has.
    pub unnamed: Vec<Listed>,
    /// There was something to do with these, but they made trouble too often: they are set aside for a while.
    pub set_aside: Vec<Listed>,
    /// There is something to do with these, in a session of their own.
    pub suspects: Vec<Listed>,
    /// New, but more than one session may retrieve.
    pub postponed: usize,
    /// Known already.
    pub known: usize,
    /// Of those, the ones that the policy wants deleted and that could not be verified.
    pub unverified: usize,
    /// Remembered, and missing in a complete listing for the first time; or listed, and nothing tells whether it is the same.
    pub absent: Vec<EntryId>,
    /// Known, and reported with another size than before.
    pub resized: Vec<(EntryId, u64)>,
    /// Remembered as absent or removed, and listed again.
    pub present: Vec<EntryId>,
    /// Recognised by their header under another unique-id: the server has renumbered its messages.
    pub renamed: Vec<(EntryId, UniqueId)>,
    /// So many of those to be retrieved were perhaps retrieved before: the server seems to have renumbered its messages,
    /// and shows no header to recognise them by.
    pub unrecognisable: usize,
    /// Whether the server shows headers.
    pub has_top: bool,
    /// Absent for so long that they need not be remembered any more.
    pub forget: Vec<EntryId>,
}

/// A message that may be deleted: it was delivered, durably, and it is the one that has this number in this session.
#[derive(Debug, PartialEq, Eq)]
pub struct Removable {
    number: MessageNumber,
    entry: EntryId,
}

impl Removable {
    /// A message of this session that has just been delivered, if the policy wants it gone at once and a power cut could
    /// not take it away.
    #[must_use]
    pub fn after_delivery(removal: RemovalPolicy, listed: &Listed, delivered: &Delivered) -> Option<Self> {
        let at_once = removal == RemovalPolicy::AfterDelivery && delivered.is_durable();
        at_once.then(|| Self { number: listed.number, entry: delivered.entry() })
    }

    /// A message that was retrieved again only to learn that it is one we have, which [`is_one_we_have`] has said.
    #[must_use]
    pub fn retrieved_again(removal: RemovalPolicy, listed: &Listed, entry: &Entry, now: u64) -> Option<Self> {
        is_due(entry, removal, now).then_some(Self { number: listed.number, entry: entry.id })
    }

    /// Its number in this session.
    #[must_use]
    pub fn number(&self) -> MessageNumber {
        self.number
    }

    /// Its entry.
    #[must_use]
    pub fn entry(&self) -> EntryId {
        self.entry
    }
}

/// Whether a message that was retrieved is this remembered one: the same bytes, or the same unique-id and the same header.
/// TOP did not tell, because the server has none, refuses it, or shows another header than RETR.
#[must_use]
pub fn is_one_we_have(listed: &Listed, entry: &Entry, header: Digest, whole: Option<Digest>) -> bool {
    let same_bytes = whole.is_some() && entry.witness.whole == whole;
    let same_name = listed.unique_id.is_some() && listed.unique_id == entry.unique_id;
    same_bytes || (same_name && header.is_strong() && entry.witness.header == Some(header))
}

/// What a plan is made from. The listing and what is remembered are matched once, as long as no header was looked at.
#[derive(Debug)]
pub struct Outlook<'a> {
    maildrop: &'a Maildrop,
    state: &'a UidState,
    /// The messages that made trouble in this poll, and are left alone for the rest of it.
    tried: &'a HashSet<UniqueId>,
    /// The time of this poll, in certain seconds.
    now: u64,
    /// What matches what as far as it can be told without a header.
    unseen: OnceLock<Matching<'a>>,
}

impl<'a> Outlook<'a> {
    /// Of a listing, on what is remembered, at a time in certain seconds; `tried` are the messages that made trouble in
    /// this poll and are left alone for the rest of it.
    #[must_use]
    pub fn new(maildrop: &'a Maildrop, state: &'a UidState, tried: &'a HashSet<UniqueId>, now: u64) -> Self {
        Self { maildrop, state, tried, now, unseen: OnceLock::new() }
    }

    fn without_headers(&self) -> &Matching<'a> {
        self.unseen.get_or_init(|| Matching::of(self.maildrop, self.state, None))
    }

    /// The same with what was seen of the headers.
    fn with_headers(&self, seen: &HashMap<MessageNumber, Digest>) -> Cow<'_, Matching<'a>> {
        if seen.is_empty() && self.without_headers().ambiguous.is_empty() {
            return Cow::Borrowed(self.without_headers());
        }
        Cow::Owned(Matching::of(self.maildrop, self.state, Some(seen)))
    }

    fn turn(&self, listed: &Listed, policy: &Policy) -> Turn {
        turn(listed, self.state, policy.scope, self.tried, self.now)
    }

    /// The messages whose header decides something: what they are, or whether they may be deleted.
    #[must_use]
    pub fn look_at(&self, policy: &Policy) -> Vec<MessageNumber> {
        if !policy.has_top {
            return Vec::new();
        }
        let ask = |listed: &&Listed| self.turn(listed, policy) == Turn::Now;
        let matching = self.without_headers();
        let due = |(listed, entry): &(&Listed, &Entry)| {
            (is_due(entry, policy.removal, self.now) || is_doubtful(entry, policy)) && ask(listed)
        };
        let ambiguous = matching.ambiguous.iter().filter(|listed| ask(listed)).map(|listed| listed.number);
        let mut numbers: Vec<MessageNumber> = ambiguous.collect();
        numbers.extend(matching.known.iter().filter(|pair| due(pair)).map(|(listed, _)| listed.number));
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// The messages whose headers tell whether the server has renumbered everything: a sample, or all if one of those
    /// seen so far is an old acquaintance. None where there is no such suspicion. To be asked for twice.
    #[must_use]
    pub fn look_for_renumbering(&self, policy: &Policy, seen: &HashMap<MessageNumber, Digest>) -> Vec<MessageNumber> {
        let matching = self.with_headers(seen);
        let suspicion = Suspicion::of(self.maildrop, self.state, policy, &matching, |one| self.turn(one, policy));
        suspicion.filter(|_| policy.has_top).map_or_else(Vec::new, |suspicion| suspicion.look(seen))
    }

    /// Decides. `seen` has the header digests of the messages that were looked at, as far as the server gave them.
    #[must_use]
    pub fn plan(&self, policy: &Policy, seen: &HashMap<MessageNumber, Digest>) -> Plan {
        let (maildrop, state, now) = (self.maildrop, self.state, self.now);
        let turn = |listed: &Listed| self.turn(listed, policy);
        let mut matching = self.with_headers(seen).into_owned();
        let mut plan = Plan { has_top: policy.has_top, ..Plan::default() };
        if let Some(suspicion) = Suspicion::of(maildrop, state, policy, &matching, turn) {
            let recognised = suspicion.recognise(seen);
            plan.unrecognisable = suspicion.unrecognisable(policy, seen, recognised.len());
            let renamed = recognised.iter().map(|(listed, entry)| Some((entry.id, listed.unique_id.clone()?)));
            plan.renamed = renamed.flatten().collect();
            matching.adopt(recognised);
        }
        let unseen = |listed: &Listed| !seen.contains_key(&listed.number);
        let doubtful = |listed: &Listed, entry: &Entry| unseen(listed) && is_doubtful(entry, policy);
        if policy.moved {
            // The next poll knows nothing of the move, and must doubt all the same.
            let moved = matching.known.iter().filter(|(listed, entry)| doubtful(listed, entry));
            plan.absent = moved.filter(|(_, entry)| entry.absent_since.is_none()).map(|(_, entry)| entry.id).collect();
        }
        let listed: Vec<EntryId> = matching.known.iter().map(|(_, entry)| entry.id).collect();
        matching.retrieve_instead(|listed, entry| {
            doubtful(listed, entry) && (entry.removed || is_due(entry, policy.removal, now))
        });
        plan.known = matching.known.len();
        for (listed, entry) in &matching.known {
            if let Some(size) = listed.reported_size
                && entry.witness.reported_size != Some(size)
            {
                plan.resized.push((entry.id, size));
            }
            // A new name says as much.
            if entry.was_gone() && listed.unique_id == entry.unique_id {
                if !doubtful(listed, entry) {
                    plan.present.push(entry.id);
                } else if entry.absent_since.is_some_and(|since| now.saturating_sub(since) >= DOUBT_RENEWED) {
                    plan.absent.push(entry.id);
                }
            }
            if !is_due(entry, policy.removal, now) {
                continue;
            }
            if plan.takes_turn(listed, turn(listed)) {
                if is_verified(listed, entry, policy, seen) {
                    plan.delete.push(Removable { number: listed.number, entry: entry.id });
                } else {
                    plan.unverified += 1;
                }
            }
        }
        plan_retrieval(&mut plan, maildrop, &matching, policy, turn);
        plan.order_and_limit(state, policy.max_messages);
        if maildrop.complete {
            plan_forgetting(&mut plan, state, listed, now);
        }
        plan
    }
}

/// Whether something may be done with a message in this session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// It may.
    Now,
    /// In another session of this poll.
    OtherSession,
    /// Not in this poll.
    SetAside,
    /// It was tried in this poll already.
    Tried,
}

fn turn(listed: &Listed, state: &UidState, scope: Scope, tried: &HashSet<UniqueId>, now: u64) -> Turn {
    let trouble = listed.unique_id.as_ref().and_then(|unique_id| Some((unique_id, state.trouble(unique_id)?)));
    let suspect = match trouble {
        Some((unique_id, _)) if tried.contains(unique_id) => return Turn::Tried,
        Some((_, trouble)) if trouble.until > now => return Turn::SetAside,
        Some((_, trouble)) => trouble.kind == TroubleKind::Broke,
        None => false,
    };
    if suspect == (scope == Scope::Suspects) { Turn::Now } else { Turn::OtherSession }
}

impl Plan {
    /// Puts what is to be retrieved in order, and leaves what is more than a session may retrieve. What was refused before
    /// comes last: else thousands of messages that cannot be had would be tried again before one that can.
    fn order_and_limit(&mut self, state: &UidState, most: Option<NonZeroU32>) {
        let tries = |listed: &Listed| tries(state, listed);
        self.retrieve.sort_by_key(|listed| (tries(listed), listed.number));
        self.untried = self.retrieve.partition_point(|listed| tries(listed) == 0);
        let most = most.map_or(usize::MAX, |most| usize::try_from(most.get()).unwrap_or(usize::MAX));
        self.postponed = self.retrieve.len().saturating_sub(most);
        self.retrieve.truncate(most);
    }

    /// Whether something may be done with this message now; if not, it is noted why.
    fn takes_turn(&mut self, listed: &Listed, turn: Turn) -> bool {
        match turn {
            Turn::Now => return true,
            Turn::OtherSession => self.suspects.push(listed.clone()),
            Turn::SetAside => self.set_aside.push(listed.clone()),
            Turn::Tried => {}
        }
        false
    }
}

/// How often a message made trouble in a row.
fn tries(state: &UidState, listed: &Listed) -> u32 {
    listed.unique_id.as_ref().and_then(|unique_id| state.trouble(unique_id)).map_or(0, |trouble| trouble.count)
}

fn plan_retrieval(
    plan: &mut Plan,
    maildrop: &Maildrop,
    matching: &Matching<'_>,
    policy: &Policy,
    turn: impl Fn(&Listed) -> Turn,
) {
    for listed in matching.new.iter().chain(&matching.ambiguous).copied() {
        if maildrop.has_unique_ids && listed.unique_id.is_none() {
            plan.unnamed.push(listed.clone());
        } else if policy.is_too_large(listed) {
            plan.too_large.push(listed.clone());
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
        match entry.absent_since {
            // Without a unique-id there is nothing to remember a removed message by: the listing agrees, that is all.
            _ if entry.unique_id.is_none() => plan.forget.push(entry.id),
            None => plan.absent.push(entry.id),
            Some(since) if now.saturating_sub(since) >= REMEMBER_ABSENT => plan.forget.push(entry.id),
            Some(_) => {}
        }
    }
}

/// Whether the policy wants a remembered message deleted now.
fn is_due(entry: &Entry, removal: RemovalPolicy, now: u64) -> bool {
    entry.origin == Origin::Delivered
        && entry.intent.is_none()
        && match removal {
            RemovalPolicy::Keep => false,
            RemovalPolicy::AfterDelivery => true,
            RemovalPolicy::AfterAge(age) => now.saturating_sub(entry.delivered_certain) >= age.as_secs(),
        }
}

/// Whether a message that was not looked at may be another one under the same unique-id: the entry's message was gone, or
/// stands on another server, or should have been deleted before. What was never seen has nothing to compare.
fn is_doubtful(entry: &Entry, policy: &Policy) -> bool {
    let left_behind = policy.top_refused && policy.removal == RemovalPolicy::AfterDelivery;
    entry.witness.header.is_some() && (entry.was_gone() || policy.moved || left_behind)
}

/// Whether the message with this number is surely the one that was delivered.
fn is_verified(listed: &Listed, entry: &Entry, policy: &Policy, seen: &HashMap<MessageNumber, Digest>) -> bool {
    if policy.has_top {
        return seen.get(&listed.number).is_some_and(|digest| entry.witness.header == Some(*digest));
    }
    let same_size = entry.witness.reported_size.is_some() && entry.witness.reported_size == listed.reported_size;
    !is_doubtful(entry, policy) && same_size && listed.unique_id.is_some() && listed.unique_id == entry.unique_id
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
