//! What shows that a message on the server is one that we have, so that it may be deleted. PURE.
//!
//! A listing is a hint. Evidence is what was seen in this session: a header that says enough (Message-ID, Date or Received)
//! under the same unique-id and of the same size, by TOP; or all the bytes. Where the unique-id itself is in doubt, or no
//! size is known, only the bytes count. What has no evidence stays.

use std::collections::{HashMap, HashSet};

use super::fit::{self, Fit, Length};
use super::{Policy, Seen, is_shown};
use crate::account::RemovalPolicy;
use crate::delivery::Described;
use crate::delivery::publish::Delivered;
use crate::ids::EntryId;
use crate::maildir::staging::Received;
use crate::message::{Digest, Digests};
use crate::plan::maildrop::{Listed, Maildrop};
use crate::pop3::{MessageNumber, SessionSerial, UniqueId};
use crate::state::entries::{Entry, Origin, UidState};

/// A message that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    session: SessionSerial,
    listed: Listed,
    /// How its size compares with what was listed.
    fit: Fit,
    /// Its size was asked for and did not come: it may be a part.
    is_unsized: bool,
    /// Something that was not all of it came under its unique-id before, or dots are missing in it, and no size tells more.
    may_be_part: bool,
    /// The server's sizes are estimates, by the user's word.
    sizes_are_estimates: bool,
    /// It is to be retrieved again for its size.
    comes_again: bool,
    /// Its place among the messages that the session asked for.
    place: u64,
}

impl Arrival {
    /// One that came in this session, where it was listed so.
    #[must_use]
    pub fn of(session: SessionSerial, listed: Listed, came: Length) -> Self {
        let fit = Fit::of(&listed, came);
        Self {
            session,
            listed,
            fit,
            is_unsized: false,
            may_be_part: false,
            sizes_are_estimates: false,
            comes_again: false,
            place: 0,
        }
    }

    /// The size of this one was asked for and did not come: it may be a part, like one that is shorter than it was listed.
    #[must_use]
    pub fn of_unknown_size(self) -> Self {
        Self { is_unsized: true, ..self }
    }

    /// The same, where something that was not all of it came before, or dots are missing: without a size, that the same bytes come
    /// again shows nothing.
    #[must_use]
    pub fn that_may_be_part(self, may_be_part: bool) -> Self {
        let may_be_part = may_be_part && self.fit == Fit::Unsaid;
        Self { may_be_part, is_unsized: self.is_unsized || may_be_part, ..self }
    }

    /// The same, where the user says that the sizes which the server lists are estimates, or does not. Nothing that was
    /// counted says so: notes in place of all messages look like estimates.
    #[must_use]
    pub fn where_sizes_are_estimates(self, sizes_are_estimates: bool) -> Self {
        Self { sizes_are_estimates, ..self }
    }

    /// The same, which is to be retrieved again for its size, or is not.
    #[must_use]
    pub fn that_comes_again(self, comes_again: bool) -> Self {
        Self { comes_again, ..self }
    }

    /// The same, at this place among the messages that its session asked for, counted from 1.
    #[must_use]
    pub fn at_place(self, place: u64) -> Self {
        Self { place, ..self }
    }

    /// Whether a message that is listed so would be too short with so many octets.
    #[must_use]
    pub fn would_be_short(listed: &Listed, octets: u64) -> bool {
        fit::is_short(listed, octets)
    }

    /// How its size compares with what was listed.
    #[must_use]
    pub fn fit(&self) -> Fit {
        self.fit
    }

    /// Whether its size is as it was listed, as far as this server tells sizes: if not, it may be a part, or something else
    /// in its place, and nothing of the kind is deleted, however often it comes.
    #[must_use]
    pub fn is_as_listed(&self) -> bool {
        self.fit.contradicts_nothing(self.sizes_are_estimates)
    }

    /// Whether nothing may be missing, so that it may be deleted in the session that it came in.
    fn is_whole(&self) -> bool {
        self.is_as_listed() && self.fit != Fit::Shorter && !self.is_unsized
    }

    /// Whether a size shows, now or when the entry was made, that it is all of the message.
    #[must_use]
    pub fn proves_all_of(&self, entry: &Entry) -> bool {
        !self.may_be_part || entry.fingerprint.reported_size.is_some_and(fit::is_size)
    }

    /// How the server listed it in this session.
    #[must_use]
    pub fn listed(&self) -> &Listed {
        &self.listed
    }
}

impl Described for Arrival {
    fn unique_id(&self) -> Option<&UniqueId> {
        self.listed.unique_id.as_ref()
    }

    fn reported_size(&self) -> Option<u64> {
        self.listed.reported_size
    }

    /// What came has not the size that was listed: later, only its bytes can show that it is all there.
    fn is_unsure(&self) -> bool {
        self.is_unsized || (self.fit != Fit::Exact && self.listed.reported_size.is_some())
    }

    fn comes_again(&self) -> bool {
        self.comes_again
    }

    fn place(&self) -> u64 {
        self.place
    }
}

/// What would show that a message may be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// Its header.
    Header,
    /// Its bytes.
    Bytes,
    /// Nothing: an early version remembered a header that says little, and no bytes.
    None,
}

/// What would show that a listed message is the remembered one.
pub(super) fn proof(listed: &Listed, entry: &Entry, policy: &Policy) -> Proof {
    let is_sure = listed.unique_id.is_some() && listed.unique_id == entry.unique_id && !entry.doubt && !policy.moved;
    let same_size = is_same_size(listed, entry);
    let is_strong = entry.fingerprint.header.is_some_and(Digest::is_strong);
    if is_sure && same_size && is_strong && policy.has_top {
        Proof::Header
    } else if entry.fingerprint.whole.is_some() || !is_sure || (same_size && is_strong) {
        // Without a remembered digest of all bytes, a message whose unique-id is in doubt is stored once more.
        Proof::Bytes
    } else {
        Proof::None
    }
}

/// Whether the policy wants a remembered message deleted now.
pub(crate) fn is_due(entry: &Entry, removal: RemovalPolicy, now: u64) -> bool {
    may_fall_due(entry)
        && entry.intent.is_none()
        && match removal {
            RemovalPolicy::Keep => false,
            RemovalPolicy::AfterDelivery => true,
            RemovalPolicy::AfterAge(age) => now.saturating_sub(entry.delivered_trusted) >= age.as_secs(),
        }
}

/// Whether a policy may ever want it deleted: somebody vouches for its delivery.
fn may_fall_due(entry: &Entry) -> bool {
    matches!(entry.origin, Origin::Delivered | Origin::Trusted)
}

/// In how many seconds the policy will want the next remembered message deleted, if nothing changes. None: never.
#[must_use]
pub fn next_due(state: &UidState, removal: RemovalPolicy, now: u64) -> Option<u64> {
    let RemovalPolicy::AfterAge(age) = removal else { return None };
    let is_here = |entry: &&Entry| may_fall_due(entry) && !entry.was_gone();
    let due = |entry: &Entry| entry.delivered_trusted.saturating_add(age.as_secs()).saturating_sub(now);
    state.entries().filter(is_here).map(due).min()
}

/// A message that may be deleted in a session: it was delivered, durably, and it is the one that has this number in that
/// session. Made only from what shows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Removable {
    session: SessionSerial,
    number: MessageNumber,
    entry: EntryId,
}

impl Removable {
    /// A message that has just been delivered in its session, if the policy wants it gone at once and a power cut could not
    /// take it away.
    pub(crate) fn after_delivery(removal: RemovalPolicy, delivered: &Delivered<Arrival>) -> Option<Self> {
        let arrival = delivered.payload();
        // What is in a spool has to be forwarded first.
        if delivered.is_spooled() {
            return None;
        }
        let at_once = removal == RemovalPolicy::AfterDelivery && delivered.is_durable() && arrival.is_whole();
        at_once.then(|| Self::of(arrival, delivered.entry()))
    }

    /// A message that was delivered earlier and is due, if its header was seen in the session of the listing and shows that
    /// it is the same.
    pub(super) fn after_look(
        maildrop: &Maildrop,
        listed: &Listed,
        entry: &Entry,
        policy: &Policy,
        seen: &Seen,
        now: u64,
    ) -> Option<Self> {
        let session = maildrop.session.filter(|session| seen.is_of(*session))?;
        let is_shown = proof(listed, entry, policy) == Proof::Header && is_shown(listed, entry, seen);
        let number = listed.number;
        (is_shown && is_due(entry, policy.removal, now)).then_some(Self { session, number, entry: entry.id })
    }

    /// A message that was retrieved again, if it is the remembered one and due.
    pub(crate) fn after_comparison(
        received: &Received<Arrival>,
        entry: &Entry,
        removal: RemovalPolicy,
        now: u64,
    ) -> Option<Self> {
        Self::compared(received.payload(), received.digests(), entry, removal, now)
    }

    pub(super) fn compared(
        arrival: &Arrival,
        digests: Digests,
        entry: &Entry,
        removal: RemovalPolicy,
        now: u64,
    ) -> Option<Self> {
        let is_shown =
            is_same(&arrival.listed, digests, entry) && arrival.is_as_listed() && arrival.proves_all_of(entry);
        (is_shown && is_due(entry, removal, now)).then(|| Self::of(arrival, entry.id))
    }

    fn of(arrival: &Arrival, entry: EntryId) -> Self {
        Self { session: arrival.session, number: arrival.listed.number, entry }
    }

    /// The session that this holds in.
    #[must_use]
    pub fn session(&self) -> SessionSerial {
        self.session
    }

    /// Its number in that session.
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

/// Whether a message is listed with the size that it had. A size that is not there, or is 0, is none.
fn is_same_size(listed: &Listed, entry: &Entry) -> bool {
    listed.reported_size.is_some_and(|size| size > 0) && listed.reported_size == entry.fingerprint.reported_size
}

/// Whether a message that was retrieved is the remembered one. Its bytes tell; where an early version did not remember
/// them, a header that says enough does, unless the unique-id is in doubt.
fn is_same(listed: &Listed, digests: Digests, entry: &Entry) -> bool {
    if listed.unique_id != entry.unique_id {
        return false;
    }
    match entry.fingerprint.whole {
        Some(whole) => whole == digests.whole,
        None => {
            let same_size = is_same_size(listed, entry);
            let same_header = digests.header.is_strong() && entry.fingerprint.header == Some(digests.header);
            listed.unique_id.is_some() && !entry.doubt && same_size && same_header
        }
    }
}

/// Remembered messages that one that is retrieved may turn out to be, each once.
#[derive(Debug, Default)]
pub struct Remembered {
    /// By unique-id and the digest of all bytes, or of the header where there is no other.
    by_digest: ByDigest,
    /// Those that seem to be listed, as another message with the same unique-id and size. Nothing has shown which is which.
    taken_for_others: ByDigest,
}

/// Entries by unique-id and digest.
type ByDigest = HashMap<(Option<UniqueId>, Digest), Vec<Entry>>;

fn by_digest(entries: impl Iterator<Item = Entry>) -> ByDigest {
    let mut by_digest = ByDigest::new();
    for entry in entries {
        if let Some(digest) = entry.fingerprint.whole.or(entry.fingerprint.header) {
            by_digest.entry((entry.unique_id.clone(), digest)).or_default().push(entry);
        }
    }
    by_digest
}

impl Remembered {
    /// These, and those that are taken for other messages of the same names.
    #[must_use]
    pub fn new(entries: impl Iterator<Item = Entry>, taken_for_others: impl Iterator<Item = Entry>) -> Self {
        Self { by_digest: by_digest(entries), taken_for_others: by_digest(taken_for_others) }
    }

    /// Whether there is none, and never was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_digest.is_empty() && self.taken_for_others.is_empty()
    }

    /// The one that this message is, if it is one of them; it is not found a second time.
    pub fn take(&mut self, listed: &Listed, digests: Digests) -> Option<Entry> {
        [digests.whole, digests.header].into_iter().find_map(|digest| {
            let alike = self.by_digest.get_mut(&(listed.unique_id.clone(), digest))?;
            alike.pop_if(|entry| is_same(listed, digests, entry))
        })
    }

    /// The one that this message is though another one was taken for it. Only what hardly two messages have in common tells
    /// that they are not two.
    pub fn take_from_another(&mut self, listed: &Listed, digests: Digests) -> Option<Entry> {
        let alike = self.taken_for_others.get_mut(&(listed.unique_id.clone(), digests.whole))?;
        alike.pop_if(|entry| digests.header.is_strong() && is_same(listed, digests, entry))
    }

    /// Those that none of the messages with their unique-ids was, though all of these were retrieved: they are not on the
    /// server.
    pub fn left_of<'a>(&'a self, stored: &'a HashSet<UniqueId>) -> impl Iterator<Item = EntryId> + 'a {
        let is_of = |unique_id: &Option<UniqueId>| unique_id.as_ref().is_some_and(|id| stored.contains(id));
        let left = self.by_digest.iter().filter(move |((unique_id, _), _)| is_of(unique_id));
        left.flat_map(|(_, entries)| entries.iter().map(|entry| entry.id))
    }
}
