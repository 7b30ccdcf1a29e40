//! What to do in a session. PURE: the listing, what is remembered, the policy and the time go in, a [`Plan`] comes out.
//!
//! It takes two steps, because some messages can only be told apart by their header: [`look_at`] names those whose header
//! the session should ask for (TOP n 0), [`plan`] decides with what came back.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;

use crate::account::RemovalPolicy;
use crate::maildir::publishing::Delivered;
use crate::maildrop::{Listed, Maildrop};
use crate::pop3::{MessageNumber, UniqueId};
use crate::state::entries::{Entry, EntryId, Origin, TroubleKind, UidState};
use crate::witness::Digest;

/// How long an absent message is remembered, in seconds (90 days): an empty or short listing proves nothing.
const REMEMBER_ABSENT: u64 = 90 * 86_400;

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
    /// Which messages this session is about.
    pub scope: Scope,
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
    /// Remembered, and missing in a complete listing for the first time.
    pub absent: Vec<EntryId>,
    /// Known, and reported with another size than before.
    pub resized: Vec<(EntryId, u64)>,
    /// Remembered as absent or removed, and listed again.
    pub present: Vec<EntryId>,
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
        let at_once = removal == RemovalPolicy::AfterDelivery;
        (at_once && delivered.is_durable()).then(|| Self { number: listed.number, entry: delivered.entry() })
    }

    /// A message that was retrieved again only to learn that it is one we have, byte for byte: the way of servers that
    /// have neither UIDL nor TOP.
    #[must_use]
    pub fn same_bytes(removal: RemovalPolicy, listed: &Listed, entry: &Entry, whole: Digest) -> Option<Self> {
        let wanted = removal == RemovalPolicy::AfterDelivery;
        let verified = entry.origin == Origin::Delivered && entry.witness.whole == Some(whole);
        (wanted && verified).then_some(Self { number: listed.number, entry: entry.id })
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

/// The messages whose header decides something: what they are, or whether they may be deleted.
#[must_use]
pub fn look_at(
    maildrop: &Maildrop,
    state: &UidState,
    policy: &Policy,
    tried: &HashSet<UniqueId>,
    now: u64,
) -> Vec<MessageNumber> {
    if !policy.has_top {
        return Vec::new();
    }
    let ask = |listed: &&Listed| turn(listed, state, policy.scope, tried, now) == Turn::Now;
    let matching = Matching::of(maildrop, state, None);
    let due = |(listed, entry): &(&Listed, &Entry)| is_due(entry, policy.removal, now) && ask(listed);
    let ambiguous = matching.ambiguous.iter().filter(|listed| ask(listed)).map(|listed| listed.number);
    let mut numbers: Vec<MessageNumber> = ambiguous.collect();
    numbers.extend(matching.known.iter().filter(|pair| due(pair)).map(|(listed, _)| listed.number));
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// Decides. `seen` has the header digests of the messages that were looked at, as far as the server gave them; `tried`
/// are the messages that made trouble in this poll and are left alone for the rest of it.
#[must_use]
pub fn plan(
    maildrop: &Maildrop,
    state: &UidState,
    policy: &Policy,
    tried: &HashSet<UniqueId>,
    seen: &HashMap<MessageNumber, Digest>,
    now: u64,
) -> Plan {
    let turn = |listed: &Listed| turn(listed, state, policy.scope, tried, now);
    let matching = Matching::of(maildrop, state, Some(seen));
    let mut plan = Plan { known: matching.known.len(), ..Plan::default() };
    for (listed, entry) in &matching.known {
        if let Some(size) = listed.reported_size
            && entry.witness.reported_size != Some(size)
        {
            plan.resized.push((entry.id, size));
        }
        if entry.removed || entry.absent_since.is_some() {
            plan.present.push(entry.id);
        }
        if is_due(entry, policy.removal, now) && plan.takes_turn(listed, turn(listed)) {
            if is_verified(listed, entry, policy, seen) {
                plan.delete.push(Removable { number: listed.number, entry: entry.id });
            } else {
                plan.unverified += 1;
            }
        }
    }
    plan_retrieval(&mut plan, maildrop, &matching, policy, turn);
    if maildrop.complete {
        plan_forgetting(&mut plan, state, &matching, now);
    }
    plan
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

fn plan_retrieval(
    plan: &mut Plan,
    maildrop: &Maildrop,
    matching: &Matching<'_>,
    policy: &Policy,
    turn: impl Fn(&Listed) -> Turn,
) {
    let most = policy.max_messages.map_or(usize::MAX, |most| usize::try_from(most.get()).unwrap_or(usize::MAX));
    for listed in matching.new.iter().chain(&matching.ambiguous).copied() {
        let too_large = policy.max_message_size.zip(listed.reported_size).is_some_and(|(most, size)| size > most);
        if maildrop.has_unique_ids && listed.unique_id.is_none() {
            plan.unnamed.push(listed.clone());
        } else if too_large {
            plan.too_large.push(listed.clone());
        } else if plan.takes_turn(listed, turn(listed)) {
            plan.retrieve.push(listed.clone());
        }
    }
    plan.retrieve.sort_by_key(|listed| listed.number);
    plan.postponed = plan.retrieve.len().saturating_sub(most);
    plan.retrieve.truncate(most);
}

fn plan_forgetting(plan: &mut Plan, state: &UidState, matching: &Matching<'_>, now: u64) {
    let listed: HashSet<EntryId> = matching.known.iter().map(|(_, entry)| entry.id).collect();
    for entry in state.entries().filter(|entry| !listed.contains(&entry.id)) {
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

/// Whether the message with this number is surely the one that was delivered.
fn is_verified(listed: &Listed, entry: &Entry, policy: &Policy, seen: &HashMap<MessageNumber, Digest>) -> bool {
    if policy.has_top {
        return seen.get(&listed.number).is_some_and(|digest| entry.witness.header == Some(*digest));
    }
    let same_size = entry.witness.reported_size.is_some() && entry.witness.reported_size == listed.reported_size;
    same_size && listed.unique_id.is_some() && listed.unique_id == entry.unique_id
}

/// Header digests of this session, by number. None: nobody has looked yet.
type Seen<'a> = Option<&'a HashMap<MessageNumber, Digest>>;

/// Which listed message is which remembered one.
#[derive(Default)]
struct Matching<'a> {
    /// Surely or, as long as nobody looked, presumably the same.
    known: Vec<(&'a Listed, &'a Entry)>,
    /// Nothing remembered fits.
    new: Vec<&'a Listed>,
    /// Only the header tells; what nobody could look at is retrieved.
    ambiguous: Vec<&'a Listed>,
}

impl<'a> Matching<'a> {
    fn of(maildrop: &'a Maildrop, state: &'a UidState, seen: Seen<'_>) -> Self {
        let mut matching = Self::default();
        let mut groups: HashMap<&UniqueId, Vec<&Listed>> = HashMap::with_capacity(maildrop.messages.len());
        let mut unnamed = Vec::new();
        for listed in &maildrop.messages {
            match &listed.unique_id {
                Some(unique_id) => groups.entry(unique_id).or_default().push(listed),
                None => unnamed.push(listed),
            }
        }
        for (unique_id, listed) in groups {
            matching.add_group(&listed, state.with_unique_id(unique_id).collect(), seen);
        }
        let nameless: Vec<&Entry> = match maildrop.has_unique_ids {
            true => Vec::new(),
            false => state.without_unique_id().collect(),
        };
        if nameless.is_empty() {
            matching.new.extend(unnamed);
        } else {
            matching.tell_apart(&unnamed, nameless, seen);
        }
        matching.known.sort_by_key(|(listed, _)| listed.number);
        matching
    }

    /// Messages that share a unique-id, and what is remembered under it.
    fn add_group(&mut self, listed: &[&'a Listed], entries: Vec<&'a Entry>, seen: Seen<'_>) {
        if entries.is_empty() {
            self.new.extend(listed);
            return;
        }
        let was_looked_at = seen.is_some_and(|seen| listed.iter().any(|one| seen.contains_key(&one.number)));
        let present: Vec<&Entry> = entries.iter().copied().filter(|entry| entry.absent_since.is_none()).collect();
        for candidates in [&present, &entries] {
            if !was_looked_at && sizes_agree(listed, candidates) {
                self.known.extend(listed.iter().copied().zip(candidates.iter().copied()));
                return;
            }
        }
        self.tell_apart(listed, entries, seen);
    }

    /// Pairs by header digest; then, what the server did not show, by unique-id and reported size, so that nothing is
    /// retrieved more than once for each of the two.
    fn tell_apart(&mut self, listed: &[&'a Listed], mut entries: Vec<&'a Entry>, seen: Seen<'_>) {
        let Some(seen) = seen else {
            self.ambiguous.extend(listed);
            return;
        };
        let mut unseen = Vec::new();
        for one in listed.iter().copied() {
            match seen.get(&one.number) {
                Some(digest) => match take(&mut entries, |entry| entry.witness.header == Some(*digest)) {
                    Some(entry) => self.known.push((one, entry)),
                    None => self.new.push(one),
                },
                None => unseen.push(one),
            }
        }
        for one in unseen {
            let size = one.reported_size.filter(|_| one.unique_id.is_some());
            match take(&mut entries, |entry| size.is_some() && entry.witness.reported_size == size) {
                Some(entry) => self.known.push((one, entry)),
                None => self.ambiguous.push(one),
            }
        }
    }
}

fn take<'a>(entries: &mut Vec<&'a Entry>, fits: impl Fn(&Entry) -> bool) -> Option<&'a Entry> {
    let at = entries.iter().position(|entry| fits(entry))?;
    Some(entries.remove(at))
}

/// Whether as many are listed as are remembered, with the same sizes as far as both are known.
fn sizes_agree(listed: &[&Listed], entries: &[&Entry]) -> bool {
    if listed.len() != entries.len() {
        return false;
    }
    let mut listed: Vec<Option<u64>> = listed.iter().map(|one| one.reported_size).collect();
    let mut entries: Vec<Option<u64>> = entries.iter().map(|entry| entry.witness.reported_size).collect();
    listed.sort_unstable();
    entries.sort_unstable();
    listed.iter().zip(&entries).all(|(a, b)| a.is_none() || b.is_none() || a == b)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
