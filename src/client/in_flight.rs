//! Which commands are in flight, and at which message a session broke.

use std::collections::VecDeque;

use super::{Client, ClientError};
use crate::pop3::{CommandKind, Event, MessageNumber, Status};

/// Tracks which message is being transferred, so that the one at which a session breaks can be named.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    /// The outstanding commands, oldest first.
    pub(super) awaited: VecDeque<CommandKind>,
    /// Whether the answer to the oldest one has begun.
    begun: bool,
    /// The message whose answer was completed last.
    previous: Option<MessageNumber>,
}

impl InFlight {
    pub(super) fn on_event(&mut self, event: &Event) {
        match event {
            Event::Response { to: CommandKind::Retr(_) | CommandKind::Top(_), response }
                if response.status == Status::Ok =>
            {
                self.begun = true;
            }
            Event::Response { to: CommandKind::Capa | CommandKind::Uidl(None) | CommandKind::List(None), response }
                if response.status == Status::Ok => {}
            Event::Response { .. } | Event::End { .. } => {
                let asked = self.awaited.pop_front();
                // These only check that the message before them ended where it should; LIST is asked beside the next
                // message.
                let is_beside = |asked: &CommandKind| {
                    matches!(
                        asked,
                        CommandKind::Stat | CommandKind::Noop | CommandKind::Uidl(_) | CommandKind::List(Some(_))
                    )
                };
                if !asked.as_ref().is_some_and(is_beside) {
                    self.previous = asked.and_then(message_of);
                }
                self.begun = false;
            }
            _ => {}
        }
    }
}

fn message_of(asked: CommandKind) -> Option<MessageNumber> {
    match asked {
        CommandKind::Retr(number) | CommandKind::Top(number) | CommandKind::List(Some(number)) => Some(number),
        _ => None,
    }
}

impl Client {
    /// Returns the messages at which the session may have ended with this error: the one whose answer was awaited or
    /// being received and, if something other than a response arrived in its place, the one before, which may have
    /// ended in the wrong place.
    #[must_use]
    pub fn ended_at(&self, error: &ClientError) -> Vec<MessageNumber> {
        let framing = matches!(error, ClientError::Framing(_));
        let current = self.in_flight.awaited.front().copied().and_then(message_of);
        let previous = self.in_flight.previous.filter(|_| framing && !self.in_flight.begun);
        previous.into_iter().chain(current).collect()
    }

    /// Returns the message that was received last.
    #[must_use]
    pub fn last_message(&self) -> Option<MessageNumber> {
        self.in_flight.previous
    }

    /// Returns the message that is being received.
    #[must_use]
    pub fn receiving(&self) -> Option<MessageNumber> {
        self.in_flight.awaited.front().copied().filter(|_| self.in_flight.begun).and_then(message_of)
    }
}
