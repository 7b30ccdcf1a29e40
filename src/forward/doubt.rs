//! Refusals that may concern all messages or only one: a full mailbox first has no room for a large message, and a
//! server may call itself broken when it cannot handle one message. So another message is tried before such a refusal
//! is believed.

use std::collections::VecDeque;

use super::error::ForwardError;
use super::spool::Spooled;

/// A refusal of one message, and the message tried next to find out whether it concerns all.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) why: ForwardError,
    /// The first message that was refused like this.
    pub(super) first: Spooled,
    /// How many messages were refused like this.
    told: u32,
    /// The name of the message that is tried.
    probe: Option<String>,
}

impl Doubt {
    pub(super) fn new(first: &Spooled, why: ForwardError) -> Self {
        Self { why, first: first.clone(), told: 1, probe: None }
    }

    /// Counts another message that was refused like this.
    pub(super) fn is_told_again(&mut self) {
        self.told = self.told.saturating_add(1);
    }

    /// Whether only one message was refused like this, so that nothing shows that it concerns others.
    pub(super) fn is_of_one(&self) -> bool {
        self.told == 1 && !self.is_of_refusals_for_good()
    }

    /// Whether it is about messages that were refused for good.
    pub(super) fn is_of_refusals_for_good(&self) -> bool {
        matches!(self.why, ForwardError::RefusesAll { .. })
    }

    /// Takes the next message from the queue. The first one taken becomes the one that is tried; behind a quota that is
    /// the smallest, which is the most likely to fit, and if several were refused for good the newest, which is the
    /// least like them.
    pub(super) fn next(&mut self, queue: &mut VecDeque<Spooled>) -> Option<Spooled> {
        let place = match &self.why {
            ForwardError::Full { .. } if self.probe.is_none() => {
                queue.iter().enumerate().min_by_key(|(_, message)| message.size())?.0
            }
            ForwardError::RefusesAll { .. } if self.probe.is_none() => {
                queue.iter().enumerate().max_by_key(|(_, message)| message.order())?.0
            }
            _ => 0,
        };
        let message = queue.remove(place)?;
        self.probe.get_or_insert_with(|| message.name.clone());
        Some(message)
    }

    /// Whether a message is the one that is tried.
    pub(super) fn is_about(&self, message: &Spooled) -> bool {
        self.probe.as_deref() == Some(&message.name)
    }

    /// Forgets the message that was tried: its outcome shows nothing, and another one has to be tried.
    pub(super) fn forget_probe(&mut self) {
        self.probe = None;
    }
}
