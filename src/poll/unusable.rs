//! Maildirs other than the account's own that cannot take mail now: mail for them waits, all other mail is fetched.

use std::collections::HashSet;
use std::path::PathBuf;

use super::emitter::Emitter;
use super::error::PollError;
use super::events::PollEvent;
use crate::delivery::recovery::Unusable;
use crate::ids::EntryId;

/// The Maildirs other than the account's own that could not take mail in this poll.
#[derive(Debug, Default)]
pub(super) struct Closed {
    /// Their paths, as configured.
    paths: HashSet<PathBuf>,
    /// The error of the first: the poll ends with it unless it ends otherwise.
    first: Option<PollError>,
    /// The first entry that this poll makes.
    begun: Option<EntryId>,
    /// One of them is not where it was: whether it still has what earlier polls delivered is unknown.
    is_any_out_of_place: bool,
    /// The last session had messages for them, and can be held once more without these.
    pub(super) left_some: bool,
    /// That session was held.
    pub(super) went_on: bool,
}

impl Closed {
    /// Notes a Maildir that cannot take mail, and reports it unless the poll may end with its error.
    pub(super) fn note(&mut self, configured: PathBuf, error: PollError, events: &Emitter) {
        if !self.paths.insert(configured) {
            return;
        }
        match self.first {
            None => self.first = Some(error),
            Some(_) => events.tell(&PollEvent::MaildirClosed(&error)),
        }
    }

    /// Notes what was found when the poll began; `next` is the next entry of the state.
    pub(super) fn found(&mut self, unusable: Vec<Unusable>, next: EntryId, events: &Emitter) {
        self.begun = Some(next);
        for Unusable { configured, error, is_in_place } in unusable {
            if !is_in_place {
                self.keep_earlier();
            }
            self.note(configured, error.into(), events);
        }
    }

    /// Keeps on the server what earlier polls delivered.
    pub(super) fn keep_earlier(&mut self) {
        self.is_any_out_of_place = true;
    }

    /// Whether an entry's message has to stay on the server, whatever the policy says.
    pub(super) fn keeps(&self, entry: EntryId) -> bool {
        self.before().is_some_and(|before| entry < before)
    }

    /// Returns the entry before which all messages stay on the server. `None`: any may be deleted.
    pub(super) fn before(&self) -> Option<EntryId> {
        self.begun.filter(|_| self.is_any_out_of_place)
    }

    /// Returns their paths, as configured.
    pub(super) fn paths(&self) -> &HashSet<PathBuf> {
        &self.paths
    }

    /// Takes the error of the first, to end a session with.
    pub(super) fn take(&mut self) -> Option<PollError> {
        self.first.take()
    }

    /// Puts back the error with which a session ended: the poll continues without the messages for them.
    pub(super) fn give_back(&mut self, error: PollError) {
        self.first.get_or_insert(error);
        self.went_on = true;
    }

    /// Returns how the poll ends, given how its sessions did. If a session for the other messages then fails because of
    /// the server, that is not the error to report.
    pub(super) fn end(&mut self, end: Result<(), PollError>) -> Result<(), PollError> {
        match (end, self.first.take()) {
            (Ok(()), Some(error)) => Err(error),
            (Err(e), Some(error)) if self.went_on && e.is_about_the_server() => Err(error),
            (end, _) => end,
        }
    }
}
