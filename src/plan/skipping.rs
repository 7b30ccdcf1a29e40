//! What the rules of an account leave on the server, as far as a plan is concerned. PURE.

use std::collections::HashMap;

use super::Policy;
use crate::plan::maildrop::Listed;
use crate::pop3::MessageNumber;
use crate::state::entries::{ListedAs, UidState};

/// So many headers are asked for in a session; the messages behind them are another session's.
pub(super) const MOST_HEADERS: usize = 5000;

/// What is known of messages that a rule may leave on the server.
#[derive(Debug, Clone, Copy)]
pub struct Skipping<'a> {
    /// What tells the rules from others: what others have decided does not count.
    pub rules: u32,
    /// Whether a rule leaves them there, of those messages whose headers were asked for in this session. One whose header
    /// the server does not show is fetched.
    pub judged: &'a HashMap<MessageNumber, bool>,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is fetched.
    Fetch,
    /// It stays.
    Skip {
        /// That is remembered from an earlier session.
        is_recorded: bool,
    },
    /// Its header tells.
    Unknown,
}

impl Skipping<'_> {
    /// What becomes of a message that is new. Without TOP nothing is left there but what was decided before, on this host.
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
