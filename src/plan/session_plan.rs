//! What a session is to do. PURE.

use std::num::NonZeroU32;

use super::matching::Matching;
use super::skipping::Verdict;
use super::turns::{Turn, tries};
use super::{FirstHeader, ListedAgain, NewSize, NewUniqueId, Policy, Removable, Seen};
use crate::ids::EntryId;
use crate::plan::maildrop::{Listed, Maildrop};
use crate::state::entries::{Entry, ListedAs, UidState};

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
    /// Whether the recorded decisions to leave messages on the server say nothing any more.
    pub skips_are_void: bool,
    /// Whether any in `skipped` shares its unique-id with another message, so that only its header tells.
    pub skips_are_shared: bool,
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
    /// The same, but messages to retrieve may turn out to be these: absent unless they are found.
    pub absent_unless_found: Vec<EntryId>,
    /// Known entries whose reported size has changed.
    pub resized: Vec<NewSize>,
    /// Entries recorded as absent or removed that are listed again.
    pub present: Vec<ListedAgain>,
    /// Entries recognised by their header under a new unique-id: the server has renumbered its messages.
    pub renamed: Vec<NewUniqueId>,
    /// Entries imported from another program that spells unique-ids differently, with the server's spelling.
    pub respelt: Vec<NewUniqueId>,
    /// Entries known by their unique-ids alone until now, with the digests of their headers.
    pub fingerprinted: Vec<FirstHeader>,
    /// Entries that messages to retrieve under unknown unique-ids may turn out to be by their bytes, in order.
    pub vanished: Vec<EntryId>,
    /// Whether the server's unique-ids may last for a session only: another listing would tell.
    pub names_may_change: bool,
    /// How many of the messages to retrieve may have been retrieved before: the server seems to have renumbered its
    /// messages, and neither headers nor bytes can identify them.
    pub unrecognisable: usize,
    /// Whether the server has TOP.
    pub has_top: bool,
    /// Entries to forget: absent for long enough, or without a unique-id and not listed.
    pub forget: Vec<EntryId>,
}

impl Plan {
    /// Moves messages that may be old ones behind the new ones, those with a quarantine behind both, and those compared
    /// in this poll behind everything else, then applies the limit per session. Otherwise thousands of messages that
    /// cannot be retrieved would be tried again before one that can, or sessions with a small limit would handle the
    /// same few messages again and again.
    pub(super) fn order_and_limit(
        &mut self,
        state: &UidState,
        most: Option<NonZeroU32>,
        had_its_turn: impl Fn(&Listed) -> bool,
        may_be_old: impl Fn(&Listed) -> bool,
    ) {
        let place = |listed: &Listed| (had_its_turn(listed), tries(state, listed));
        self.retrieve.sort_by_cached_key(|listed| (place(listed), may_be_old(listed)));
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
            skips_are_void,
            skips_are_shared,
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
            absent_unless_found,
            resized,
            present,
            renamed,
            vanished: _,
            names_may_change: _,
            unrecognisable,
            has_top: _,
            forget,
            respelt,
            fingerprinted,
        } = self;
        let listed = [retrieve, too_large, unnamed, quarantined, to_isolate].into_iter().all(Vec::is_empty);
        let remembered = [absent, absent_unless_found, forget].into_iter().all(Vec::is_empty) && present.is_empty();
        let changed = !delete.is_empty() || !resized.is_empty() || !renamed.is_empty() || *retrieves_to_delete;
        let changed = changed || !respelt.is_empty() || !fingerprinted.is_empty() || !newly_skipped.is_empty();
        let changed = changed || *skips_are_void || *skips_are_shared;
        listed && remembered && !changed && left_alone + postponed + unverified + unrecognisable == 0
    }

    /// Whether anything that was delivered earlier may be deleted in this session.
    #[must_use]
    pub fn deletes_earlier(&self) -> bool {
        self.retrieves_to_delete || !self.delete.is_empty()
    }

    /// Notes what to record about a known message.
    pub(super) fn take_known(&mut self, listed: &Listed, entry: &Entry, seen: &Seen) {
        self.resized.extend(NewSize::listed(listed, entry));
        self.fingerprinted.extend(FirstHeader::seen(listed, entry, seen));
        self.respelt.extend(NewUniqueId::respelt(listed, entry));
        self.present.extend(ListedAgain::listed(listed, entry));
    }

    /// Whether a message stays on the server by a rule, or waits until one can be applied; notes which.
    fn is_left_by_a_rule(&mut self, listed: &Listed, verdict: Verdict, turn: Turn) -> bool {
        match verdict {
            Verdict::Fetch => return false,
            Verdict::Skip { is_recorded } => {
                self.skipped.push(listed.clone());
                self.newly_skipped.extend(ListedAs::of(listed).filter(|_| !is_recorded));
            }
            Verdict::Unknown { .. } if turn == Turn::Now => self.unjudged += 1,
            // In its own session of this poll it was skipped.
            Verdict::Unknown { is_recorded: true } if turn == Turn::Tried => self.skipped.push(listed.clone()),
            Verdict::Unknown { .. } => return false,
        }
        true
    }

    /// Whether this message may be handled now; if not, notes why.
    pub(super) fn takes_turn(&mut self, listed: &Listed, turn: Turn) -> bool {
        match turn {
            Turn::Now => return true,
            Turn::OtherSession => self.to_isolate.push(listed.clone()),
            Turn::Quarantined => self.quarantined.push(listed.clone()),
            Turn::Tried => self.left_alone += 1,
        }
        false
    }
}

pub(super) fn plan_retrieval(
    plan: &mut Plan,
    maildrop: &Maildrop,
    matching: &Matching<'_>,
    policy: &Policy,
    turn: impl Fn(bool, &Listed) -> Turn,
    verdict: impl Fn(bool, &Listed) -> Verdict,
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
        } else if plan.is_left_by_a_rule(listed, verdict(!is_compared, listed), turn(!is_compared, listed)) {
            // The reason is noted.
        } else if plan.takes_turn(listed, turn(!is_compared, listed)) {
            plan.retrieve.push(listed.clone());
        }
    }
}
