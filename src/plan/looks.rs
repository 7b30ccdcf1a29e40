//! Which messages' headers a session requests (TOP n 0) before it plans. PURE.

use super::evidence::{Proof, proof};
use super::renumbering::Renumbered;
use super::skipping::{self, Verdict};
use super::turns::Turn;
use super::{Pass, PlanInput, Policy, Seen, Skipping};
use crate::message::Digest;
use crate::plan::maildrop::Listed;
use crate::pop3::MessageNumber;
use crate::state::entries::Entry;

/// The most headers that a session requests of messages which another program fetched; there is no hurry.
const MOST_FIRST_LOOKS: usize = 500;

impl PlanInput<'_> {
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
        // What was left there by a rule after all with its unique-id had gone is none of those.
        let is_left = |listed: &Listed| {
            let is_decided = matches!(self.verdict(listed, policy), Verdict::Skip { is_recorded: true });
            is_decided && skipping::was_given_before(self.state, listed)
        };
        let unsure = matching.to_look_at.iter().filter(|listed| ask(listed) && !is_left(listed));
        let unsure = unsure.map(|listed| listed.number);
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
        let (least, turn) = (Renumbered::least(policy), |one: &_| self.turn(one, policy));
        let renumbered = Renumbered::of(least, self.maildrop, self.state, policy, &matching, turn);
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

    /// Returns the messages whose headers decide whether a rule leaves them on the server, up to the limit per session:
    /// those that are new, and those that would be retrieved because another one had their unique-ids.
    #[must_use]
    pub fn look_to_skip(&self, policy: &Policy, seen: &Seen) -> Vec<MessageNumber> {
        if self.skipping.is_none() {
            return Vec::new();
        }
        let mut matching = self.with_headers(seen).into_owned();
        self.compare_instead(&mut matching, policy, seen);
        let others = matching.to_compare.iter().copied().filter(|listed| !self.is_ours(listed, seen));
        let is_open = |listed: &&Listed| {
            let may_be_fetched = self.may_be_fetched(listed, policy) && self.turn(listed, policy) == Turn::Now;
            may_be_fetched && matches!(self.verdict(listed, policy), Verdict::Unknown { .. })
        };
        let is_recorded = |listed: &&Listed| {
            let recorded = |skipping: &Skipping<'_>| skipping.was_recorded(listed, self.state);
            self.skipping.as_ref().is_some_and(recorded)
        };
        // Those looked at again, because several have their unique-id or the decisions are void, must not hold up the
        // others for ever.
        let open = matching.new.iter().copied().chain(others).filter(is_open);
        let (again, first): (Vec<&Listed>, Vec<&Listed>) = open.partition(is_recorded);
        first.into_iter().chain(again).take(skipping::MOST_HEADERS).map(|listed| listed.number).collect()
    }
}
