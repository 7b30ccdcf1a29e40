//! Marks safe messages as deleted (DELE), once everything is retrieved.

use std::collections::BTreeMap;

use super::error::PollError;
use crate::client::{Client, ClientError};
use crate::ids::EntryId;
use crate::plan::Removable;
use crate::pop3::{CommandKind, Event, MessageNumber, Response, Status};
use crate::watch;

/// A message that the server has marked as deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marked {
    /// Its number in this session.
    pub(super) number: MessageNumber,
    /// Its entry.
    pub(super) entry: EntryId,
}

/// The DELEs of a session.
#[derive(Debug, Default)]
pub(super) struct Deletions {
    /// Messages that may be deleted and for which no DELE has been sent. The highest number goes first: some servers
    /// number what is left anew as soon as a message is marked, and then lower numbers still mean what they did.
    waiting: BTreeMap<MessageNumber, Removable>,
    /// The entries of the messages whose DELEs are in flight.
    asked: BTreeMap<MessageNumber, EntryId>,
    /// The messages that the server has marked; removed only once it acknowledges QUIT.
    pub(super) marked: Vec<Marked>,
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
            self.asked.insert(removable.number(), removable.entry());
        }
        Ok(())
    }

    /// Takes the response to the DELE of this message.
    fn on_response(&mut self, number: MessageNumber, response: &Response) -> Result<(), PollError> {
        let entry = self.asked.remove(&number).ok_or_else(|| {
            PollError::contradiction("take the answer to DELE", "it is about a message that was not to be deleted")
        })?;
        match response.status {
            Status::Ok => {
                watch::has_answered();
                self.marked.push(Marked { number, entry });
            }
            Status::Err => self.refused.push(entry),
        }
        Ok(())
    }

    /// Sends the remaining DELEs and waits for every response.
    pub(super) async fn finish(&mut self, client: &mut Client) -> Result<(), PollError> {
        loop {
            self.ask_ahead(client)?;
            if client.outstanding() == 0 {
                return Ok(());
            }
            if let Event::Response { to: CommandKind::Dele(number), response } = client.event().await? {
                self.on_response(number, &response)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: u32) -> MessageNumber {
        MessageNumber::new(n).unwrap()
    }

    fn response(status: Status) -> Response {
        Response { status, code: None, text: String::new(), decoded: None, unique_id: None }
    }

    #[test]
    fn each_answer_marks_the_message_that_it_is_about() {
        let asked = [(1, 11), (2, 12), (3, 13)].map(|(n, entry)| (number(n), EntryId::new(entry)));
        let mut deletions = Deletions { asked: BTreeMap::from(asked), ..Deletions::default() };
        deletions.on_response(number(2), &response(Status::Ok)).unwrap();
        deletions.on_response(number(3), &response(Status::Err)).unwrap();
        deletions.on_response(number(1), &response(Status::Ok)).unwrap();
        let marked = [(2, 12), (1, 11)].map(|(n, entry)| Marked { number: number(n), entry: EntryId::new(entry) });
        assert_eq!(deletions.marked, marked);
        assert_eq!(deletions.refused, [EntryId::new(13)]);
    }

    #[test]
    fn an_answer_about_another_message_marks_none() {
        let asked = BTreeMap::from([(number(1), EntryId::new(11))]);
        let mut deletions = Deletions { asked, ..Deletions::default() };
        let error = deletions.on_response(number(2), &response(Status::Ok)).unwrap_err();
        assert!(matches!(error, PollError::InternalError(_)), "{error:?}");
        deletions.on_response(number(1), &response(Status::Ok)).unwrap();
        assert!(deletions.on_response(number(1), &response(Status::Ok)).is_err(), "answered already");
        assert_eq!(deletions.marked, [Marked { number: number(1), entry: EntryId::new(11) }]);
    }
}
