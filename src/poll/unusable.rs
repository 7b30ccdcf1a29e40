//! Maildirs beside the account's own that take no mail now: what is for them waits, and all other mail comes.

use std::collections::HashSet;
use std::path::PathBuf;

use tracing::warn;

use super::error::PollError;
use crate::delivery::recovery::Unusable;
use crate::ids::EntryId;

/// The Maildirs beside the account's own that took no mail in this poll.
#[derive(Debug, Default)]
pub(super) struct Closed {
    /// Their paths, as configured.
    paths: HashSet<PathBuf>,
    /// What is wrong with the first of them: the poll ends so, if it does not end otherwise.
    first: Option<PollError>,
    /// The first entry of this poll.
    begun: Option<EntryId>,
    /// One of them is not where it was: of what was delivered before this poll nobody knows whether it is still there.
    is_any_out_of_place: bool,
    /// The session that has just ended had messages for them, and can be held once more without these.
    pub(super) left_some: bool,
    /// That was done.
    pub(super) went_on: bool,
}

impl Closed {
    /// One takes no mail.
    pub(super) fn note(&mut self, configured: PathBuf, error: PollError) {
        if !self.paths.insert(configured) {
            return;
        }
        match self.first {
            None => self.first = Some(error),
            Some(_) => warn!("{error}"),
        }
    }

    /// What was found when the poll began, with a state whose next entry is this.
    pub(super) fn found(&mut self, unusable: Vec<Unusable>, next: EntryId) {
        self.begun = Some(next);
        for Unusable { configured, error, is_in_place } in unusable {
            if !is_in_place {
                self.keep_earlier();
            }
            self.note(configured, error.into());
        }
    }

    /// What earlier polls delivered stays on the server.
    pub(super) fn keep_earlier(&mut self) {
        self.is_any_out_of_place = true;
    }

    /// Whether an entry's message is to stay on the server, whatever the policy says.
    pub(super) fn keeps(&self, entry: EntryId) -> bool {
        self.before().is_some_and(|before| entry < before)
    }

    /// The messages of entries before this one stay on the server. None: any may go.
    pub(super) fn before(&self) -> Option<EntryId> {
        self.begun.filter(|_| self.is_any_out_of_place)
    }

    /// Their paths, as configured.
    pub(super) fn paths(&self) -> &HashSet<PathBuf> {
        &self.paths
    }

    /// What is wrong with the first, to end a session with.
    pub(super) fn take(&mut self) -> Option<PollError> {
        self.first.take()
    }

    /// A session ended with it, and the poll goes on without what was for them.
    pub(super) fn give_back(&mut self, error: PollError) {
        self.first.get_or_insert(error);
        self.went_on = true;
    }

    /// How the poll ends, given how its sessions did: a server that is in the way of a session that was held for the rest is not
    /// what is wrong.
    pub(super) fn end(&mut self, end: Result<(), PollError>) -> Result<(), PollError> {
        match (end, self.first.take()) {
            (Ok(()), Some(error)) => Err(error),
            (Err(e), Some(error)) if self.went_on && e.is_about_the_server() => Err(error),
            (end, _) => end,
        }
    }
}
