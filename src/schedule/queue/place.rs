//! Where an account is in the queue: whether it waits, may begin or is being polled, and which places it holds. PURE.

use std::sync::Arc;
use std::time::Duration;

use super::host::Turn;
use super::line::Line;
use super::slowness::{Course, Slowness};

/// Where an account is in the queue.
#[derive(Debug)]
pub(super) struct Place {
    /// The server that it is to be polled at, as the caller tells servers apart.
    pub(super) host: Arc<str>,
    /// How it gets its credential.
    pub(super) credential: Credential,
    /// Whether its polls hold their places for long and retrieve little.
    pub(super) slowness: Slowness,
    /// What it is doing.
    pub(super) stage: Stage,
}

impl Place {
    /// Returns the line in which it waits when it is due.
    pub(super) fn line(&self) -> Line {
        match self.credential {
            Credential::AtHand => self.line_for_places(),
            Credential::Prompt => Line::Prompt,
            Credential::Late => Line::Late,
        }
    }

    /// Returns the line in which it waits once it has its credential.
    pub(super) fn line_for_places(&self) -> Line {
        if self.slowness.is_slow { Line::Slow } else { Line::Places }
    }
}

/// How an account gets its credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Credential {
    /// It has it already.
    AtHand,
    /// It has to get it, which was quick the last time.
    Prompt,
    /// It has to get it, which took long the last time.
    Late,
}

/// Whether an account waits, may begin or is being polled.
#[derive(Debug)]
pub(super) enum Stage {
    /// It is not due yet, and in `Queue::waiting`.
    Waiting {
        turn: Turn,
        /// Whether the user asked for it while it was being polled: then that poll is why it is late.
        asked: bool,
    },
    /// In a line of its server.
    Ready { turn: Turn, line: Line },
    /// It is being polled.
    Running {
        /// When it became due.
        turn: Turn,
        /// The places that it holds.
        holds: Holds,
        /// When it is to be polled again, at the latest.
        again: Option<Duration>,
        /// Whether it is to be forgotten when the poll has ended.
        removed: bool,
    },
}

/// The places of an account that is being polled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holds {
    /// One in the total and one at this server, which may no longer be its server.
    Both { at: Arc<str>, course: Course },
    /// Only the one at the server.
    Server { at: Arc<str>, course: Course },
    /// None: it is preparing for a poll at this server.
    Room {
        at: Arc<str>,
        /// Whether in the room for those that take long.
        late: bool,
        since: Duration,
    },
    /// None: it is prepared, and in the line for places at this server.
    Queued { at: Arc<str>, line: Line },
    /// None: it hangs, or it ended before it had a place.
    Nothing,
}

/// How many accounts that are being polled hold which places, removed ones included.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// One in the total and one at a server.
    pub(super) running: usize,
    /// Those among them that are slow.
    pub(super) running_slow: usize,
    /// Only the one at the server: they stand aside, beside a few others.
    pub(super) aside: usize,
    /// The same, beside many others: they are slow, or no load, or at a single message for long.
    pub(super) aside_among_many: usize,
    /// Those that hold places and were told to end.
    pub(super) leaving: usize,
    /// They are preparing in the room for prompt ones.
    pub(super) prompt: usize,
    /// They are preparing in the room for those that take long.
    pub(super) late: usize,
    /// They are prepared and wait for their places.
    pub(super) prepared: usize,
    /// No place at all.
    pub(super) without: usize,
}

impl Counts {
    /// Counts an account that holds such places.
    pub(super) fn enter(&mut self, holds: &Holds) {
        self.all_of(holds, |count| *count += 1);
    }

    /// No longer counts an account that held such places.
    pub(super) fn leave(&mut self, holds: &Holds) {
        self.all_of(holds, |count| *count -= 1);
    }

    fn all_of(&mut self, holds: &Holds, change: impl Fn(&mut usize)) {
        change(self.of(holds));
        if let Holds::Both { course, .. } = holds
            && course.counts_as_slow()
        {
            change(&mut self.running_slow);
        }
        if let Holds::Both { course, .. } | Holds::Server { course, .. } = holds
            && course.leaves
        {
            change(&mut self.leaving);
        }
    }

    /// Returns the count of the accounts that hold such places.
    fn of(&mut self, holds: &Holds) -> &mut usize {
        match holds {
            Holds::Both { .. } => &mut self.running,
            Holds::Server { course, .. } if course.stands_among_many() => &mut self.aside_among_many,
            Holds::Server { .. } => &mut self.aside,
            Holds::Room { late: false, .. } => &mut self.prompt,
            Holds::Room { late: true, .. } => &mut self.late,
            Holds::Queued { .. } => &mut self.prepared,
            Holds::Nothing => &mut self.without,
        }
    }
}
