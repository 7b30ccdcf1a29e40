//! What the account and its server ask of a plan. PURE.

use std::num::NonZeroU32;

use crate::account::{Account, RemovalPolicy};
use crate::plan::maildrop::Listed;

/// What the account and its server ask of a plan.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// What happens to delivered messages on the server.
    pub removal: RemovalPolicy,
    /// Messages reported larger than this many octets stay.
    pub max_message_size: Option<u64>,
    /// The most messages retrieved in one session.
    pub max_messages: Option<NonZeroU32>,
    /// Whether the server has TOP, so that headers can be compared before anything is deleted.
    pub has_top: bool,
    /// The account points at another server than when the state was last written: unique-ids may name other messages.
    pub moved: bool,
    /// Messages were recognised under new unique-ids earlier in this poll, so the rest may have been renumbered, too.
    pub renumbered: bool,
    /// The server's unique-ids last for a session only, as two listings of this poll showed.
    pub names_change: bool,
    /// Which messages this session handles.
    pub pass: Pass,
}

impl Policy {
    /// Returns the policy of an account, for a server about which nothing else is known.
    #[must_use]
    pub fn of(account: &Account) -> Self {
        Self {
            removal: account.removal,
            max_message_size: account.max_message_size,
            max_messages: account.max_messages_per_session,
            has_top: true,
            moved: false,
            renumbered: false,
            names_change: false,
            pass: Pass::Normal,
        }
    }

    pub(super) fn is_too_large(&self, listed: &Listed) -> bool {
        self.max_message_size.zip(listed.reported_size).is_some_and(|(most, size)| size.get() > most)
    }
}

/// Which messages a session handles. Messages at which earlier sessions broke get sessions of their own after all
/// others, so that they cannot starve the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// Messages at which no session broke.
    Normal,
    /// Messages at which an earlier session broke.
    Isolated,
}
