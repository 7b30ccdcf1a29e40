//! Messages in a mailbox that the server cannot hand out. A look skips them, and they prove nothing.

use std::collections::BTreeSet;

use crate::forward::error::ForwardError;
use crate::forward::wire::WireError;

/// How many messages that cannot be handed out are skipped. If there are more, something else is wrong with the server.
const MOST_UNREADABLE: usize = 10;

/// Messages that the server cannot hand out: it refuses that or closes the connection. Any of them may be the one that
/// is sought.
#[derive(Debug, Default)]
pub(super) struct Unreadable {
    /// Their UIDs.
    pub(super) uids: BTreeSet<u32>,
    /// What the server said about the last one.
    pub(super) said: String,
    /// The UIDs that were asked for and are not answered yet.
    pub(super) asked: Vec<u32>,
    /// Whether a connection ended while several were asked for.
    pub(super) one_by_one: bool,
}

impl Unreadable {
    /// Adds one; false if there are too many.
    pub(super) fn add(&mut self, uid: u32, said: String) -> bool {
        self.uids.insert(uid);
        self.said = said;
        self.uids.len() <= MOST_UNREADABLE
    }

    /// Notes how a connection ended. Returns whether another connection may get further.
    pub(super) fn may_go_on(&mut self, how: &ForwardError) -> bool {
        let asked = std::mem::take(&mut self.asked);
        let is_end = match how {
            ForwardError::Wire { error, .. } => matches!(error, WireError::Closed | WireError::Io(_)),
            ForwardError::Refused { .. } => true,
            _ => false,
        };
        match asked.as_slice() {
            [] => false,
            [uid] => is_end && self.add(*uid, how.to_string()),
            _ => is_end && !std::mem::replace(&mut self.one_by_one, true),
        }
    }
}
