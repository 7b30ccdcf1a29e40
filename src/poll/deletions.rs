//! Marks safe messages as deleted (DELE), once everything is retrieved.

use std::collections::{BTreeMap, VecDeque};

use crate::client::{Client, ClientError};
use crate::ids::EntryId;
use crate::plan::Removable;
use crate::pop3::{CommandKind, Event, MessageNumber, Response, Status};

/// The DELEs of a session.
#[derive(Debug, Default)]
pub(super) struct Deletions {
    /// Messages that may be deleted and for which no DELE has been sent. The highest number goes first: some servers
    /// number what is left anew as soon as a message is marked, and then lower numbers still mean what they did.
    waiting: BTreeMap<MessageNumber, Removable>,
    /// DELEs in flight, the oldest first.
    asked: VecDeque<(MessageNumber, EntryId)>,
    /// Entries whose messages the server has marked; removed only once it acknowledges QUIT.
    pub(super) marked: Vec<EntryId>,
    /// The message numbers of those in `marked`.
    pub(super) numbers: Vec<MessageNumber>,
    /// Entries whose messages the server refused to mark.
    pub(super) refused: Vec<EntryId>,
    /// No further DELE is sent in this session.
    pub(super) cancelled: bool,
}

impl Deletions {
    /// Starts with the deletions in the plan.
    pub(super) fn new(planned: Vec<Removable>) -> Self {
        let waiting = planned.into_iter().map(|removable| (removable.number(), removable)).collect();
        Self { waiting, ..Self::default() }
    }

    /// Adds a message that may be deleted.
    pub(super) fn add(&mut self, removable: Removable) {
        self.waiting.insert(removable.number(), removable);
    }

    /// Drops the waiting deletions for which `stays` returns true.
    pub(super) fn leave(&mut self, stays: impl Fn(EntryId) -> bool) {
        self.waiting.retain(|_, removable| !stays(removable.entry()));
    }

    /// Stops sending DELEs for the rest of the session.
    pub(super) fn cancel(&mut self) {
        self.cancelled = true;
    }

    /// Sends as many DELEs ahead as the server accepts.
    pub(super) fn ask_ahead(&mut self, client: &mut Client) -> Result<(), ClientError> {
        while !self.cancelled
            && client.outstanding() < client.window()
            && let Some((_, removable)) = self.waiting.pop_last()
        {
            client.delete(&removable)?;
            self.asked.push_back((removable.number(), removable.entry()));
        }
        Ok(())
    }

    /// Takes the response to the oldest DELE in flight.
    pub(super) fn on_event(&mut self, response: &Response) {
        let Some((number, entry)) = self.asked.pop_front() else { return };
        match response.status {
            Status::Ok => {
                self.marked.push(entry);
                self.numbers.push(number);
            }
            Status::Err => self.refused.push(entry),
        }
    }

    /// Sends the remaining DELEs and waits for every response.
    pub(super) async fn finish(&mut self, client: &mut Client) -> Result<(), ClientError> {
        loop {
            self.ask_ahead(client)?;
            if client.outstanding() == 0 {
                return Ok(());
            }
            if let Event::Response { to: CommandKind::Dele(_), response } = client.event().await? {
                self.on_event(&response);
            }
        }
    }
}
