//! Messages of a mailbox that its server cannot hand out. A look passes them over, and they prove nothing.

use std::collections::BTreeSet;

use crate::forward::error::ForwardError;
use crate::forward::wire::WireError;

/// So many messages that a server cannot hand out are passed over; where there are more, it has another trouble.
const MOST_UNREADABLE: usize = 10;

/// Messages that the server cannot hand out: it refuses that, or ends the connection. Any of them may be any message.
#[derive(Debug, Default)]
pub(super) struct Unreadable {
    /// Their UIDs.
    pub(super) uids: BTreeSet<u32>,
    /// What the server said of the last one.
    pub(super) said: String,
    /// The UIDs that were asked for, as long as there is no answer.
    pub(super) asked: Vec<u32>,
    /// A connection has ended at several.
    pub(super) one_by_one: bool,
}

impl Unreadable {
    /// One more; false if there are too many.
    pub(super) fn add(&mut self, uid: u32, said: String) -> bool {
        self.uids.insert(uid);
        self.said = said;
        self.uids.len() <= MOST_UNREADABLE
    }

    /// A connection has ended so. Whether another one may come further.
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
