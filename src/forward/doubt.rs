//! Words that may hold for all messages, at one of them: a full mailbox is full for a large message first, and a server may
//! call itself broken where it cannot deal with one. So another message is tried before they are believed.

use std::collections::VecDeque;

use super::error::ForwardError;
use super::spool::Spooled;

/// What was said at one message, and what is tried to find out whether it holds for all.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) why: ForwardError,
    /// Only a message with fewer octets shows anything: there may be room for that.
    below: Option<u64>,
    /// The message that is tried.
    probe: Option<String>,
}

impl Doubt {
    pub(super) fn new(why: ForwardError, message: &Spooled) -> Self {
        let below = matches!(why, ForwardError::Full { .. }).then(|| message.size());
        Self { why, below, probe: None }
    }

    /// The next message of a queue: the one to try first, once, of those that are to show something the smallest.
    pub(super) fn next(&mut self, queue: &mut VecDeque<Spooled>) -> Option<Spooled> {
        let place = match self.below.filter(|_| self.probe.is_none()) {
            None => 0,
            Some(below) => {
                let sizes = queue.iter().map(Spooled::size).enumerate().filter(|(_, size)| *size < below);
                sizes.min_by_key(|(_, size)| *size)?.0
            }
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
