//! What an account's rules leave on the server, as seen by the planner. PURE.

use std::collections::{HashMap, HashSet};

use super::Policy;
use crate::ids::RulesDigest;
use crate::plan::maildrop::{Listed, Maildrop};
use crate::pop3::{MessageNumber, UniqueId};
use crate::state::entries::{Entry, ListedAs, UidState};

/// The most headers that a session asks for; later sessions see to the remaining messages.
pub(super) const MOST_HEADERS: usize = 5000;

/// What is known about messages that a rule may leave on the server.
#[derive(Debug, Clone, Copy)]
pub struct Skipping<'a> {
    /// Digest of the current rules: decisions made under other rules do not count.
    pub rules: RulesDigest,
    /// The messages whose headers were requested in this session, each with whether a rule leaves it on the server. A
    /// message whose header the server does not show is fetched.
    pub judged: &'a HashMap<MessageNumber, bool>,
}

/// What to do with a new message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Fetch it.
    Fetch,
    /// Leave it on the server.
    Skip {
        /// The decision is recorded from an earlier session.
        is_recorded: bool,
    },
    /// Its header has to be seen first.
    Unknown {
        /// One that is listed like it was skipped in an earlier session.
        is_recorded: bool,
    },
}

/// Which of the recorded decisions count in a session. They were made about messages, but are recorded by unique-id and
/// size.
#[derive(Debug, Default)]
pub(super) struct Decisions<'a> {
    /// The server gives unique-ids a second time: one is listed of which every message had gone, and nothing was decided
    /// about it since then. Where unique-ids are counted, that shows that messages have moved up, and each decision may
    /// be about another message.
    pub(super) are_void: bool,
    /// The unique-ids that several messages are listed with: any of these may be a new one.
    shared: HashSet<&'a UniqueId>,
}

impl<'a> Decisions<'a> {
    pub(super) fn of(maildrop: &'a Maildrop, state: &UidState, skipping: Option<&Skipping<'_>>) -> Self {
        if state.skipped().next().is_none() {
            return Self::default();
        }
        let names = || maildrop.messages.iter().filter_map(|listed| listed.unique_id.as_ref());
        // A session that finds decisions void makes all of them anew, and one about a message that has gone is dropped.
        let is_decided = |listed: &Listed| skipping.is_some_and(|skipping| skipping.was_recorded(listed, state));
        let shows_it = |listed: &Listed| was_given_before(state, listed) && !is_decided(listed);
        let mut once = HashSet::new();
        let shared = names().filter(|unique_id| !once.insert(*unique_id)).collect();
        Self { are_void: maildrop.messages.iter().any(shows_it), shared }
    }

    /// Whether a message is listed with a unique-id that others have, too.
    pub(super) fn is_shared(&self, listed: &Listed) -> bool {
        listed.unique_id.as_ref().is_some_and(|unique_id| self.shared.contains(unique_id))
    }
}

/// Whether a message is listed with a unique-id of which every message had gone.
pub(super) fn was_given_before(state: &UidState, listed: &Listed) -> bool {
    let ids = listed.unique_id.as_ref().map_or(&[][..], |unique_id| state.ids_of(unique_id));
    !ids.is_empty() && ids.iter().filter_map(|id| state.entry(*id)).all(Entry::was_gone)
}

impl Skipping<'_> {
    /// Decides what to do with a new message. Without TOP, only messages skipped earlier on this host are left.
    pub(super) fn judge(
        &self,
        listed: &Listed,
        state: &UidState,
        decisions: &Decisions<'_>,
        policy: &Policy,
    ) -> Verdict {
        let is_recorded = self.is_recorded(listed, state, decisions, policy);
        if is_recorded && !decisions.is_shared(listed) {
            return Verdict::Skip { is_recorded };
        }
        match self.judged.get(&listed.number) {
            Some(true) => Verdict::Skip { is_recorded },
            Some(false) => Verdict::Fetch,
            None if policy.has_top => Verdict::Unknown { is_recorded },
            None => Verdict::Fetch,
        }
    }

    /// Whether it is on record that a message listed like this is skipped.
    pub(super) fn is_recorded(
        &self,
        listed: &Listed,
        state: &UidState,
        decisions: &Decisions<'_>,
        policy: &Policy,
    ) -> bool {
        !policy.moved && !decisions.are_void && self.was_recorded(listed, state)
    }

    /// Whether that is on record, be it still good or not.
    pub(super) fn was_recorded(&self, listed: &Listed, state: &UidState) -> bool {
        ListedAs::of(listed).is_some_and(|one| state.is_skipped(&one, self.rules))
    }
}
