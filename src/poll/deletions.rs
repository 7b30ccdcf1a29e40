//! Marks messages as deleted (DELE), as soon as each is safe.

use std::collections::VecDeque;

use crate::client::{Client, ClientError};
use crate::ids::EntryId;
use crate::plan::Removable;
use crate::pop3::{CommandKind, Event, MessageNumber, Response, Status};

/// The DELEs of a session.
#[derive(Debug, Default)]
pub(super) struct Deletions {
    /// What may be deleted and has not been asked for yet.
    waiting: VecDeque<Removable>,
    /// Asked for and not answered, the oldest first.
    asked: VecDeque<(MessageNumber, EntryId)>,
    /// Marked by the server. Gone only once it acknowledges QUIT.
    pub(super) marked: Vec<EntryId>,
    /// The numbers of those.
    pub(super) numbers: Vec<MessageNumber>,
    /// Those that the server refused to mark.
    pub(super) refused: Vec<EntryId>,
    /// What waits is not asked for in this session.
    pub(super) cancelled: bool,
}

impl Deletions {
    /// Beginning with what the plan wants deleted.
    pub(super) fn new(planned: Vec<Removable>) -> Self {
        Self { waiting: planned.into(), ..Self::default() }
    }

    /// One more may be deleted.
    pub(super) fn add(&mut self, removable: Removable) {
        self.waiting.push_back(removable);
    }

    /// These stay, of those that wait.
    pub(super) fn leave(&mut self, stays: impl Fn(EntryId) -> bool) {
        self.waiting.retain(|removable| !stays(removable.entry()));
    }

    /// Nothing may be deleted after all, now or later in this session.
    pub(super) fn cancel(&mut self) {
        self.cancelled = true;
    }

    /// Sends as many DELEs as the server takes ahead.
    pub(super) fn ask_ahead(&mut self, client: &mut Client) -> Result<(), ClientError> {
        while !self.cancelled
            && client.outstanding() < client.window()
            && let Some(removable) = self.waiting.pop_front()
        {
            client.delete(&removable)?;
            self.asked.push_back((removable.number(), removable.entry()));
        }
        Ok(())
    }

    /// The answer to the oldest DELE.
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

    /// Sends what is left and waits for every answer.
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
