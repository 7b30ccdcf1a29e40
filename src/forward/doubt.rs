//! Words that may hold for all messages, and may be about one: a mailbox is full for a large message first, and a server may
//! call itself broken where it cannot deal with one. So another message is tried before they are believed.

use std::collections::VecDeque;

use super::error::ForwardError;
use super::spool::Spooled;

/// What was said at one message, and what is tried to find out whether it holds for all.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) why: ForwardError,
    /// So many messages were told something of the kind.
    told: u32,
    /// The message that is tried.
    probe: Option<String>,
}

impl Doubt {
    pub(super) fn new(why: ForwardError) -> Self {
        Self { why, told: 1, probe: None }
    }

    /// Another message was told something of the kind.
    pub(super) fn is_told_again(&mut self) {
        self.told = self.told.saturating_add(1);
    }

    /// Whether one message alone was told so: nothing shows that it holds for another one.
    pub(super) fn is_of_one(&self) -> bool {
        self.told == 1
    }

    /// The next message of a queue: the one to try first, once; behind a quota the smallest, which has room before others.
    pub(super) fn next(&mut self, queue: &mut VecDeque<Spooled>) -> Option<Spooled> {
        let is_smallest_wanted = self.probe.is_none() && matches!(self.why, ForwardError::Full { .. });
        let place = match is_smallest_wanted {
            true => queue.iter().enumerate().min_by_key(|(_, message)| message.size())?.0,
            false => 0,
        };
        let message = queue.remove(place)?;
        self.probe.get_or_insert_with(|| message.name.clone());
        Some(message)
    }

    /// Whether that is the message that is tried.
    pub(super) fn is_about(&self, message: &Spooled) -> bool {
        self.probe.as_deref() == Some(&message.name)
    }

    /// What became of that message shows nothing: another one has to be tried.
    pub(super) fn forget_probe(&mut self) {
        self.probe = None;
    }
}
