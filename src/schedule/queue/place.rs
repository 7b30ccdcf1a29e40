//! Where an account is: whether it waits, may begin or is being polled, and which places it has then. PURE.

use std::sync::Arc;
use std::time::Duration;

use super::host::Turn;
use super::line::Line;

/// Where an account is.
#[derive(Debug)]
pub(super) struct Place {
    /// Its server.
    pub(super) host: Arc<str>,
    /// How it comes by what it logs in with.
    pub(super) credential: Credential,
    /// Its last poll had its places for long, and brought next to nothing.
    pub(super) slow: bool,
    /// What it does there.
    pub(super) stage: Stage,
}

impl Place {
    /// Where it waits when it is due.
    pub(super) fn line(&self) -> Line {
        match self.credential {
            Credential::AtHand => self.line_for_places(),
            Credential::Prompt => Line::Prompt,
            Credential::Late => Line::Late,
        }
    }

    /// Where it waits when it has what it logs in with.
    pub(super) fn line_for_places(&self) -> Line {
        if self.slow { Line::Slow } else { Line::Places }
    }
}

/// How an account comes by what it logs in with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Credential {
    /// It has it.
    AtHand,
    /// It has to get it, and that took no time when it did so last.
    Prompt,
    /// It has to get it, and that took long.
    Late,
}

/// Whether it waits, may begin, or is being polled.
#[derive(Debug)]
pub(super) enum Stage {
    /// In `waiting`.
    Waiting {
        turn: Turn,
        /// Somebody asked for it while it was being polled: if it is late, that poll is why.
        asked: bool,
    },
    /// In a line of its server.
    Ready { turn: Turn, line: Line },
    /// It is being polled.
    Running {
        /// Since then it has been due.
        turn: Turn,
        /// Its places.
        holds: Holds,
        /// It is to be polled again no later than this.
        again: Option<Duration>,
        /// It is forgotten when the poll has ended.
        removed: bool,
    },
}

/// The places of an account that is being polled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holds {
    /// One among all, and one at this server, which may not be its server any more.
    Both { at: Arc<str>, slow: bool },
    /// Only that at the server.
    Server { at: Arc<str>, slow: bool },
    /// It prepares for a poll at this server.
    Room {
        at: Arc<str>,
        /// In the room of those that take long.
        late: bool,
        since: Duration,
    },
    /// It is prepared, and stands in the line for places at this server.
    Queued { at: Arc<str>, line: Line },
    /// None.
    Nothing,
}

/// How many accounts that are being polled have which places, removed ones included.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Both places.
    pub(super) running: usize,
    /// Only that at the server: they stand aside.
    pub(super) aside: usize,
    /// They prepare in the room of those that take no time.
    pub(super) prompt: usize,
    /// They prepare in the other one.
    pub(super) late: usize,
    /// They are prepared and wait for their places.
    pub(super) prepared: usize,
    /// No place at all.
    pub(super) without: usize,
}

impl Counts {
    /// Of those that have places like these.
    pub(super) fn of(&mut self, holds: &Holds) -> &mut usize {
        match holds {
            Holds::Both { .. } => &mut self.running,
            Holds::Server { .. } => &mut self.aside,
            Holds::Room { late: false, .. } => &mut self.prompt,
            Holds::Room { late: true, .. } => &mut self.late,
            Holds::Queued { .. } => &mut self.prepared,
            Holds::Nothing => &mut self.without,
        }
    }
}
