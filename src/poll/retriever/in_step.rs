//! Finds out whether the responses are in step with the commands.

use super::{Requested, Retriever};
use crate::client::ClientError;
use crate::client::listing::size_of;
use crate::plan::has_size;
use crate::pop3::{MessageNumber, Response};

/// After this many messages without other proof, the session asks between messages whether the responses are in step.
const ASKED_AFTER: u64 = 100;

impl Retriever<'_> {
    /// Asks whether the responses are in step, unless that is known or asked already.
    pub(super) fn ask_whether_in_step(&mut self) -> Result<(), ClientError> {
        if self.in_step || self.asks {
            return Ok(());
        }
        self.asks = true;
        self.asked_behind = self.done.asked;
        self.client.ask(self.retrieval.in_step.first_command())
    }

    /// Whether to ask between messages whether the responses are in step: a session that breaks long after the last
    /// proof leaves much in doubt.
    pub(super) fn is_to_ask_between(&self) -> bool {
        let last = self.asked_behind.max(self.retrieval.shown.last().get());
        let is_due = self.done.asked.saturating_sub(last) >= ASKED_AFTER && !self.asks && !self.in_step;
        is_due && self.retrieval.in_step.tells_between_messages() && !self.retrieval.messages.is_empty()
    }

    /// Records that the responses were in step so far.
    pub(super) fn is_shown(&mut self) {
        self.retrieval.shown.show(self.answered);
        self.done.verified_shown = self.done.verified.len();
    }

    /// Takes the response to the LIST sent before a message. It also proves that the responses were in step so far.
    pub(super) fn hear_size(&mut self, number: MessageNumber, response: &Response) -> Result<(), ClientError> {
        let size = size_of(number, response);
        self.sizes_do_not_come |= !matches!(size, Ok(Some(_)));
        let size = size.map_err(|e| self.client.masked(e))?;
        if size.is_some() {
            self.is_shown();
        }
        self.sizes.extend(size.map(|size| (number, size)));
        let is_it = |one: &&mut Requested| one.listed.number == number;
        let Some(Requested { listed, promise }) = self.under_way.iter_mut().find(is_it) else { return Ok(()) };
        let before = self.retrieval.size(listed);
        listed.reported_size = size;
        self.retrieval.gives_sizes |= has_size(listed);
        let now = self.retrieval.size(listed);
        self.window.completed(before);
        self.window.asked(now);
        promise.resize(now);
        Ok(())
    }
}
