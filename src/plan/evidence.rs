//! The evidence that a message on the server is one we have, so that it may be deleted. PURE.
//!
//! A listing is only a hint. Evidence is what was seen in this session: a strong header (with Message-ID, Date or
//! Received), shown by TOP under the same unique-id and for the same size; or all the bytes. Where the unique-id is in
//! doubt or no size is known, only the bytes count. A message without evidence stays.

use std::time::Duration;

use super::fit::{self, Fit, Length};
use super::{Policy, Seen};
use crate::account::RemovalPolicy;
use crate::clock::trusted_time::TrustedTime;
use crate::delivery::Described;
use crate::delivery::publish::Delivered;
use crate::ids::{EntryId, RequestNumber};
use crate::maildir::staging::Received;
use crate::message::{Digest, Digests, WireSize};
use crate::plan::maildrop::{Listed, Maildrop};
use crate::pop3::{MessageNumber, ReportedSize, SessionSerial, UniqueId};
use crate::state::entries::{Entry, Fingerprint, Origin, UidState};
use crate::state::proofs::{IsFirstSeen, IsVerified};

/// What is known of a message that was retrieved, besides its listing and its length. There is no default: who leaves
/// one of these out would permit a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Circumstances {
    /// Its size was asked for and did not come: like a message shorter than listed, it may be incomplete.
    pub(crate) lacks_size: bool,
    /// An incomplete message came under its unique-id before, or dots are missing from it. Without a size, receiving the
    /// same bytes again then proves nothing.
    pub(crate) may_be_part: bool,
    /// The user says that the server's listed sizes are estimates. This is never concluded from counting: placeholders
    /// sent in place of every message look like estimates, too.
    pub(crate) sizes_are_estimates: bool,
    /// It will be retrieved again because of its size.
    pub(crate) comes_again: bool,
    /// A rule leaves it on the server.
    pub(crate) is_kept: bool,
    /// Its position among the messages that the session asked for; [`RequestNumber::NONE`] where it does not matter.
    pub(crate) request: RequestNumber,
}

#[cfg(test)]
impl Circumstances {
    /// Nothing speaks against the message.
    pub(crate) const GOOD: Self = Self {
        lacks_size: false,
        may_be_part: false,
        sizes_are_estimates: false,
        comes_again: false,
        is_kept: false,
        request: RequestNumber::NONE,
    };
}

/// A message that was retrieved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    session: SessionSerial,
    listed: Listed,
    /// How its size compares with what was listed.
    fit: Fit,
    /// Its size was asked for and did not come, so it may be incomplete.
    is_unsized: bool,
    /// An incomplete message came under its unique-id before, or dots are missing from it, and no size settles the
    /// matter.
    may_be_part: bool,
    /// The user says that the server's sizes are estimates.
    sizes_are_estimates: bool,
    /// It will be retrieved again because of its size.
    comes_again: bool,
    /// A rule leaves it on the server, which its header showed only as it came.
    is_kept: bool,
    /// Its position among the messages that the session asked for.
    request: RequestNumber,
}

impl Arrival {
    /// Creates the arrival of a message in this session, with its listing and the length that came.
    pub(crate) fn of(session: SessionSerial, listed: Listed, came: Length, circumstances: Circumstances) -> Self {
        let Circumstances { lacks_size, may_be_part, sizes_are_estimates, comes_again, is_kept, request } =
            circumstances;
        let fit = Fit::of(&listed, came);
        let may_be_part = may_be_part && fit == Fit::Unsaid;
        let is_unsized = lacks_size || may_be_part;
        Self { session, listed, fit, is_unsized, may_be_part, sizes_are_estimates, comes_again, is_kept, request }
    }

    /// Whether a message listed like this would be too short if it came in this size.
    #[must_use]
    pub fn would_be_short(listed: &Listed, came: WireSize) -> bool {
        fit::is_short(listed, came)
    }

    /// Returns how its size compares with the listed one.
    #[must_use]
    pub fn fit(&self) -> Fit {
        self.fit
    }

    /// Whether its size matches the listing, as far as this server reports sizes. If not, it may be incomplete, or
    /// something sent in its place, and is not deleted, however often it comes.
    #[must_use]
    pub fn is_as_listed(&self) -> bool {
        self.fit.contradicts_nothing(self.sizes_are_estimates)
    }

    /// Whether it is certainly complete, so that it may be deleted in the session in which it came.
    fn is_whole(&self) -> bool {
        self.is_as_listed() && self.fit != Fit::Shorter && !self.is_unsized
    }

    /// Whether a size proves, now or when the entry was made, that the message is complete.
    #[must_use]
    pub fn proves_all_of(&self, entry: &Entry) -> bool {
        !self.may_be_part || entry.fingerprint.reported_size.is_some_and(fit::is_size)
    }

    /// Returns how the server listed it in this session.
    #[must_use]
    pub fn listed(&self) -> &Listed {
        &self.listed
    }
}

impl Described for Arrival {
    fn unique_id(&self) -> Option<&UniqueId> {
        self.listed.unique_id.as_ref()
    }

    fn reported_size(&self) -> Option<ReportedSize> {
        self.listed.reported_size
    }

    /// It differs in size from its listing: later, only its bytes can show that it is complete.
    fn is_unsure(&self) -> bool {
        self.is_unsized || (self.fit != Fit::Exact && self.listed.reported_size.is_some())
    }

    fn comes_again(&self) -> bool {
        self.comes_again
    }

    fn is_kept(&self) -> bool {
        self.is_kept
    }

    fn request(&self) -> RequestNumber {
        self.request
    }
}

/// The evidence that would allow a message to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// Its header.
    Header,
    /// Its bytes.
    Bytes,
    /// None is possible: an early version remembered a weak header and no bytes.
    None,
}

/// Returns the evidence needed to show that a listed message is the remembered one.
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

/// Whether the header of a listed message was seen in this session, is strong, and equals the remembered one.
pub(super) fn is_shown(listed: &Listed, entry: &Entry, seen: &Seen) -> bool {
    seen.get(&listed.number).is_some_and(|header| header.is_strong() && entry.fingerprint.header == Some(*header))
}

/// Whether the policy wants a remembered message deleted now.
pub(crate) fn is_due(entry: &Entry, removal: RemovalPolicy, now: TrustedTime) -> bool {
    may_fall_due(entry)
        && entry.intent.is_none()
        && match removal {
            RemovalPolicy::Keep => false,
            RemovalPolicy::AfterDelivery => true,
            RemovalPolicy::AfterAge(age) => now.since(entry.delivered_trusted) >= age,
        }
}

/// Whether a policy may ever want it deleted: its delivery is vouched for.
fn may_fall_due(entry: &Entry) -> bool {
    matches!(entry.origin, Origin::Delivered | Origin::Trusted)
}

/// Returns in how much time the policy will next want a remembered message deleted, if nothing changes; `None` if
/// never.
#[must_use]
pub fn next_due(state: &UidState, removal: RemovalPolicy, now: TrustedTime) -> Option<Duration> {
    let RemovalPolicy::AfterAge(age) = removal else { return None };
    let is_here = |entry: &&Entry| may_fall_due(entry) && !entry.was_gone();
    let due = |entry: &Entry| entry.delivered_trusted.after(age).since(now);
    state.entries().filter(is_here).map(due).min()
}

/// Proof that a message may be deleted in a session: it was delivered durably, and it is the one with this number in
/// that session. Made only from evidence.
#[derive(Debug, PartialEq, Eq)]
pub struct Removable {
    session: SessionSerial,
    number: MessageNumber,
    entry: EntryId,
}

impl Removable {
    /// Allows the deletion of a message just delivered in its session, if the policy wants it removed at once and the
    /// delivery survives a power cut.
    pub(crate) fn after_delivery(removal: RemovalPolicy, delivered: &Delivered<Arrival>) -> Option<Self> {
        let arrival = delivered.payload();
        // A spooled message has to be forwarded first.
        if delivered.is_spooled() || arrival.is_kept {
            return None;
        }
        let at_once = removal == RemovalPolicy::AfterDelivery && delivered.is_durable() && arrival.is_whole();
        at_once.then(|| Self::of(arrival, delivered.entry()))
    }

    /// Allows the deletion of a message that was delivered earlier and is due, if its header was seen in the session of
    /// the listing and shows that it is the same.
    pub(super) fn after_look(
        maildrop: &Maildrop,
        listed: &Listed,
        entry: &Entry,
        policy: &Policy,
        seen: &Seen,
        now: TrustedTime,
    ) -> Option<Self> {
        let session = maildrop.session.filter(|session| seen.is_of(*session))?;
        let is_shown = proof(listed, entry, policy) == Proof::Header && is_shown(listed, entry, seen);
        let number = listed.number;
        (is_shown && is_due(entry, policy.removal, now)).then_some(Self { session, number, entry: entry.id })
    }

    /// Allows the deletion of a message that was retrieved again, if it is the remembered one and due.
    pub(crate) fn after_comparison(
        received: &Received<Arrival>,
        entry: &Entry,
        removal: RemovalPolicy,
        now: TrustedTime,
    ) -> Option<Self> {
        Self::compared(received.payload(), received.digests(), entry, removal, now)
    }

    pub(super) fn compared(
        arrival: &Arrival,
        digests: Digests,
        entry: &Entry,
        removal: RemovalPolicy,
        now: TrustedTime,
    ) -> Option<Self> {
        let is_shown =
            is_same(&arrival.listed, digests, entry) && arrival.is_as_listed() && arrival.proves_all_of(entry);
        (is_shown && is_due(entry, removal, now)).then(|| Self::of(arrival, entry.id))
    }

    fn of(arrival: &Arrival, entry: EntryId) -> Self {
        Self { session: arrival.session, number: arrival.listed.number, entry }
    }

    /// Returns the session in which the proof holds.
    #[must_use]
    pub fn session(&self) -> SessionSerial {
        self.session
    }

    /// Returns the message number in that session.
    #[must_use]
    pub fn number(&self) -> MessageNumber {
        self.number
    }

    /// Returns the entry of the message.
    #[must_use]
    pub fn entry(&self) -> EntryId {
        self.entry
    }
}

/// Proof that the message of an entry is on the server: all of its bytes came again. Made only by comparing them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verified {
    entry: EntryId,
    /// The digest of its header, if another one is remembered, or none: that one was not valid as evidence, or none was
    /// ever seen.
    new_header: Option<Digest>,
}

impl Verified {
    /// Compares a message that was retrieved again with an entry. In another size than listed, or where no size proves
    /// that it is complete, it shows nothing.
    pub(crate) fn after_comparison(received: &Received<Arrival>, entry: &Entry) -> Option<Self> {
        Self::compared(received.payload(), received.digests(), entry)
    }

    pub(super) fn compared(arrival: &Arrival, digests: Digests, entry: &Entry) -> Option<Self> {
        let is_all = arrival.fit.contradicts_nothing(false) && arrival.proves_all_of(entry);
        let Fingerprint { header, whole, .. } = entry.fingerprint;
        let is_new = whole == Some(digests.whole) && header != Some(digests.header);
        let new_header = is_new.then_some(digests.header);
        (is_all && is_same(&arrival.listed, digests, entry)).then_some(Self { entry: entry.id, new_header })
    }

    /// Returns the entry of the message.
    pub(crate) fn entry(&self) -> EntryId {
        self.entry
    }
}

impl IsVerified for Verified {
    fn entry(&self) -> EntryId {
        self.entry
    }

    fn new_header(&self) -> Option<Digest> {
        self.new_header
    }
}

/// The header of a message that was known by its unique-id alone, as it was seen in this session. Made only by looking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstHeader {
    entry: EntryId,
    header: Digest,
}

impl FirstHeader {
    /// Takes what was seen of the message that is listed for this entry. None if more of it is remembered, which a
    /// header does not replace.
    pub(super) fn seen(listed: &Listed, entry: &Entry, seen: &Seen) -> Option<Self> {
        let header = seen.get(&listed.number).filter(|_| entry.fingerprint.is_unknown())?;
        Some(Self { entry: entry.id, header: *header })
    }
}

impl IsFirstSeen for FirstHeader {
    fn entry(&self) -> EntryId {
        self.entry
    }

    fn header(&self) -> Digest {
        self.header
    }
}

/// Whether a message is listed with its remembered size. A missing size, or 0, matches nothing.
fn is_same_size(listed: &Listed, entry: &Entry) -> bool {
    listed.reported_size.is_some_and(|size| !size.is_zero()) && listed.reported_size == entry.fingerprint.reported_size
}

/// Whether a retrieved message is the remembered one. The bytes decide; if an early version did not remember them, a
/// strong header does, unless the unique-id is in doubt.
pub(super) fn is_same(listed: &Listed, digests: Digests, entry: &Entry) -> bool {
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
