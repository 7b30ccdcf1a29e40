//! What an account's rules leave on the server, as seen by the planner. PURE.

use std::collections::HashMap;

use super::Policy;
use crate::plan::maildrop::Listed;
use crate::pop3::MessageNumber;
use crate::state::entries::{ListedAs, UidState};

/// The most headers that a session asks for; later sessions see to the remaining messages.
pub(super) const MOST_HEADERS: usize = 5000;

/// What is known about messages that a rule may leave on the server.
#[derive(Debug, Clone, Copy)]
pub struct Skipping<'a> {
    /// Digest of the current rules: decisions made under other rules do not count.
    pub rules: u32,
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
    Unknown,
}

impl Skipping<'_> {
    /// Decides what to do with a new message. Without TOP, only messages skipped earlier on this host are left.
    pub(super) fn judge(&self, listed: &Listed, state: &UidState, policy: &Policy) -> Verdict {
        let is_recorded = |one: &ListedAs| !policy.moved && state.is_skipped(one, self.rules);
        if ListedAs::of(listed).is_some_and(|one| is_recorded(&one)) {
            return Verdict::Skip { is_recorded: true };
        }
        match self.judged.get(&listed.number) {
            Some(true) => Verdict::Skip { is_recorded: false },
            Some(false) => Verdict::Fetch,
            None if policy.has_top => Verdict::Unknown,
            None => Verdict::Fetch,
        }
    }
}
