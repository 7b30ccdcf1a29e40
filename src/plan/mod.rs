//! Plans a session. PURE: takes the listing, what is remembered, the policy and the time, and returns a [`Plan`].
//!
//! Planning takes several steps, because some messages can only be told apart by their headers: [`PlanInput::look_at`]
//! names the messages whose headers the session should request (TOP n 0), [`PlanInput::look_for_renumbering`] names
//! more if the server seems to have changed all unique-ids, and [`PlanInput::plan`] decides with the headers that came
//! back. Before all that, [`PlanInput::sizes_may_wait`] tells whether a LIST that was put off is needed at all.
//!
//! Two questions are kept apart. Whether to fetch a message may be answered by a hint: its unique-id and size. Whether
//! to delete one is answered by evidence alone, which [`evidence`] defines.

mod comparing;
mod evidence;
mod fit;
mod forgetting;
mod isolation;
mod looks;
pub mod maildrop;
mod matching;
mod policy;
mod relisted;
mod remembered;
mod renumbering;
mod session_plan;
mod sizing;
mod skipping;
mod turns;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

pub use evidence::{Arrival, FirstHeader, Removable, next_due};
pub(crate) use evidence::{Circumstances, Verified, is_due};
pub use fit::{Fit, Length};
pub(crate) use fit::{as_reported, has_size, is_size};
pub use isolation::IsolatedMessages;
pub use matching::Seen;
pub use policy::{Pass, Policy};
pub use relisted::{ListedAgain, NewSize, NewUniqueId};
pub use remembered::{Names, Remembered};
pub use session_plan::Plan;
pub use sizing::Expected;
pub use skipping::Skipping;

use crate::clock::trusted_time::TrustedTime;
use crate::ids::EntryId;
use crate::plan::maildrop::{Listed, Maildrop};
use crate::pop3::{MessageNumber, ReportedSize, UniqueId};
use crate::state::entries::{Entry, ListedAs, Origin, UidState};
use forgetting::{MOST_ABSENT, plan_forgetting, put_off_absence};
use isolation::Isolation;
use matching::Matching;
use renumbering::Renumbered;
use session_plan::plan_retrieval;
use skipping::{Decisions, Verdict};
use turns::Turn;

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
    beyond_limits: Option<&'a HashSet<(MessageNumber, Option<ReportedSize>)>>,
    /// The entries, in order, that were on the server and free of doubt when this poll saw that unique-ids change.
    certain: &'a [EntryId],
    /// The matching that needs no headers.
    unseen: OnceLock<Matching<'a>>,
    /// Unique-id and size of messages listed more than once, one of which failed.
    several: OnceLock<HashSet<ListedAs>>,
    /// Which recorded decisions to leave messages on the server count.
    decisions: OnceLock<Decisions<'a>>,
    /// Whether the unique-ids are the message numbers.
    counts: OnceLock<bool>,
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
            certain: &[],
            unseen: OnceLock::new(),
            several: OnceLock::new(),
            decisions: OnceLock::new(),
            counts: OnceLock::new(),
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
    pub fn with_beyond_limits(mut self, messages: &'a HashSet<(MessageNumber, Option<ReportedSize>)>) -> Self {
        self.beyond_limits = Some(messages);
        self
    }

    /// Adds the entries, in order, that were on the server and free of doubt when this poll saw that unique-ids change.
    #[must_use]
    pub fn with_certain(mut self, entries: &'a [EntryId]) -> Self {
        self.certain = entries;
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

    /// Applies the account's rules to a message that was not delivered yet.
    fn verdict(&self, listed: &Listed, policy: &Policy) -> Verdict {
        let judge = |skipping: &Skipping<'_>| skipping.judge(listed, self.state, self.decisions(), policy);
        self.skipping.as_ref().map_or(Verdict::Fetch, judge)
    }

    fn decisions(&self) -> &Decisions<'a> {
        self.decisions.get_or_init(|| Decisions::of(self.maildrop, self.state, self.skipping.as_ref()))
    }

    /// Moves the known messages that only their bytes identify to those that are compared.
    fn compare_instead(&self, matching: &mut Matching<'a>, policy: &Policy, seen: &Seen) {
        let is_shared = |unique_id: &UniqueId| self.state.ids_of(unique_id).len() > 1;
        matching.compare_instead(|listed, entry| self.must_be_compared(listed, entry, policy, seen), is_shared);
    }

    /// Whether the policy wants a remembered message deleted and this poll has not compared it yet.
    fn is_due(&self, entry: &Entry, policy: &Policy) -> bool {
        is_due(entry, policy.removal, self.now) && !self.compared.contains(&entry.id) && !self.is_merely_a_number(entry)
    }

    /// Whether another program fetched a message of which it recorded no more than the number: the unique-ids are the
    /// message numbers, so the message may have moved to another one before its header was first seen.
    fn is_merely_a_number(&self, entry: &Entry) -> bool {
        entry.origin == Origin::Trusted && *self.counts.get_or_init(|| self.maildrop.counts())
    }

    /// Returns the entries that earlier sessions of this poll found on the server by their bytes, under the unique-ids
    /// of these messages. They are not absent merely because this session compares others with that unique-id: with a
    /// limit per session, each session would undo the findings of the one before, forever.
    fn compared_under(&self, to_compare: &[&Listed]) -> impl Iterator<Item = EntryId> {
        let names: HashSet<&UniqueId> = to_compare.iter().filter_map(|listed| listed.unique_id.as_ref()).collect();
        let known = self.compared.iter().filter_map(|id| self.state.entry(*id));
        known.filter(move |entry| entry.unique_id.as_ref().is_some_and(|id| names.contains(id))).map(|entry| entry.id)
    }

    /// Adopts what is recognised under new unique-ids, and notes what may be recognised by its bytes. Returns the numbers
    /// of what was recognised.
    fn adopt_renumbered(
        &self,
        plan: &mut Plan,
        matching: &mut Matching<'a>,
        policy: &Policy,
        seen: &Seen,
    ) -> HashSet<MessageNumber> {
        let turn = |listed: &Listed| self.turn(listed, policy);
        let everything = Renumbered::of_all(self.maildrop, self.state, policy, matching, turn);
        let is_open = everything.is_some() && !policy.names_change;
        let broke = !policy.names_change && matching.knows_nothing() && self.broke_under_another_name();
        let few = Renumbered::of(1, self.maildrop, self.state, policy, matching, turn);
        let Some(renumbered) = few.as_ref().filter(|few| few.is_suspicious(policy)) else {
            plan.vanished = few.map(|few| few.by_all_bytes(policy, &[], self.certain)).unwrap_or_default();
            let may_change = |all: &Renumbered<'_>| is_open && all.names_may_change(&[], &[]);
            plan.names_may_change = broke || everything.as_ref().is_some_and(may_change);
            return HashSet::new();
        };
        let recognised = renumbered.recognise(seen);
        plan.unrecognisable = renumbered.unrecognisable(policy, seen, recognised.len());
        plan.vanished = renumbered.by_bytes(policy, seen, &recognised, self.certain);
        // What a limit cuts off is not told by its bytes in this session.
        let is_cut_off = renumbered.exceeds_limit(policy, &recognised) && !plan.vanished.is_empty();
        let may_change = || is_cut_off || renumbered.names_may_change(&recognised, &plan.vanished);
        plan.names_may_change = broke || is_open && !renumbered.is_refuted(policy, seen) && may_change();
        plan.renamed = recognised.iter().filter_map(|(listed, entry)| NewUniqueId::of(listed, entry)).collect();
        let numbers = recognised.iter().map(|(listed, _)| listed.number).collect();
        matching.adopt(recognised);
        numbers
    }

    /// Returns numbers and sizes of the messages compared in this poll, if unique-ids may have changed since.
    fn compared_so(&self, plan: &Plan) -> HashSet<(MessageNumber, Option<ReportedSize>)> {
        let so = |(number, listed_as): &(_, Option<ListedAs>)| Some((*number, listed_as.as_ref()?.reported_size));
        let compared = self.compared_as.iter().filter(|_| !plan.vanished.is_empty());
        compared.filter_map(so).collect()
    }

    /// Returns the reported sizes of these entries.
    fn sizes_of(&self, entries: &[EntryId]) -> HashSet<Option<ReportedSize>> {
        entries.iter().filter_map(|id| self.state.entry(*id)).map(|entry| entry.fingerprint.reported_size).collect()
    }

    /// Makes the plan. `seen` has the digests of the headers that the server showed.
    #[must_use]
    pub fn plan(&self, policy: &Policy, seen: &Seen) -> Plan {
        let turn = |listed: &Listed| self.turn(listed, policy);
        let mut matching = self.with_headers(seen).into_owned();
        let mut plan = Plan { has_top: policy.has_top, ..Plan::default() };
        let ours = self.adopt_renumbered(&mut plan, &mut matching, policy, seen);
        let mut listed: Vec<EntryId> = matching.known.iter().map(|(_, entry)| entry.id).collect();
        let is_due = |pair: &(&Listed, &Entry)| self.is_due(pair.1, policy);
        let due_before = matching.known.iter().filter(|pair| is_due(pair)).count();
        self.compare_instead(&mut matching, policy, seen);
        let is_unproven = |pair: &&(&Listed, &Entry)| self.is_merely_a_number(pair.1);
        let due =
            matching.known.iter().filter(is_unproven).filter(|pair| evidence::is_due(pair.1, policy.removal, self.now));
        plan.unverified = due.count();
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
        let (compared_so, vanished_sizes) = (self.compared_so(&plan), self.sizes_of(&plan.vanished));
        let had_its_turn = |listed: &Listed| {
            let so = (listed.number, listed.reported_size);
            self.compared_as.contains(&(listed.number, ListedAs::of(listed))) || compared_so.contains(&so)
        };
        let may_be_old = |listed: &Listed| vanished_sizes.contains(&listed.reported_size);
        let verdict = |is_new: bool, listed: &Listed| match !is_new && self.skipping.is_some() {
            true if ours.contains(&listed.number) || self.is_ours(listed, seen) => Verdict::Fetch,
            _ => self.verdict(listed, policy),
        };
        let turn = |is_new: bool, listed: &Listed| if is_new { self.turn_of_new(listed, policy) } else { turn(listed) };
        plan_retrieval(&mut plan, self.maildrop, &matching, policy, turn, verdict);
        plan.skips_are_void = self.decisions().are_void;
        plan.skips_are_shared = plan.skipped.iter().any(|listed| self.decisions().is_shared(listed));
        // If unique-ids change with every session, only one that retrieves everything makes progress.
        let most = policy.max_messages.filter(|_| plan.unrecognisable == 0 && !policy.names_change);
        plan.order_and_limit(self.state, most, had_its_turn, may_be_old);
        if self.maildrop.complete {
            listed.extend(self.compared_under(&matching.to_compare));
            plan_forgetting(&mut plan, self.state, listed, self.now, MOST_ABSENT);
            if policy.names_change {
                put_off_absence(&mut plan, self.state, self.maildrop, &matching);
            }
        }
        plan
    }
}

#[cfg(test)]
pub(crate) mod tests;
