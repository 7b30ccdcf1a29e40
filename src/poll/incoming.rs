//! A message that is coming in: passes its bytes to staging and, once its header is complete, decides where it goes.
//! Until then nothing is written.

use std::collections::BTreeSet;
use std::path::Path;

use super::error::PollError;
use crate::delivery::destination::{DestinationIndex, DestinationIndexes, Destinations, OWN};
use crate::disk::Dir;
use crate::disk::free_space::is_full;
use crate::maildir::staging::{NotWritten, Staging};
use crate::pop3::TakenDots;
use crate::routing::{HEADER_MOST, HeaderEnd, Route, Routing};

/// With less free space than this, in bytes, the rest of a message whose beginning was written is written at once.
const SCARCE: u64 = 64 << 20;

/// A message that is coming in.
pub(super) struct Incoming {
    /// Stages its bytes.
    pub(super) staging: Staging,
    /// Where it goes.
    pub(super) to: DestinationIndexes,
    /// A Maildir other than the account's own could not be written to; the rest of the message is discarded.
    pub(super) not_written: Option<NotWritten>,
    /// The dots removed from its lines, once it is complete.
    pub(super) taken_dots: TakenDots,
    /// A rule would have left it on the server.
    pub(super) would_be_skipped: bool,
    /// Its header is too long to route it by.
    pub(super) has_long_header: bool,
    /// Finds the end of its header. `None` once its destination is decided.
    end: Option<HeaderEnd>,
}

impl Incoming {
    /// Begins a message. It goes into the account's own Maildir unless its header says otherwise.
    pub(super) fn new(staging: Staging, routing: &Routing) -> Self {
        let end = routing.looks_at_headers().then(HeaderEnd::default);
        let (to, not_written) = (DestinationIndexes::one(OWN), None);
        let taken_dots = TakenDots::default();
        Self { staging, to, not_written, taken_dots, would_be_skipped: false, has_long_header: false, end }
    }

    /// Takes the next bytes.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.staging.take(bytes);
    }

    /// Whether the bytes taken have to be written before more are taken.
    pub(super) fn is_full(&self) -> bool {
        self.end.is_none() && self.staging.is_full()
    }

    /// Whether the rest has to be written before the message is handed over, because there may be no room for it: what
    /// does not fit then is this message alone.
    pub(super) fn is_where_room_is_scarce(&self) -> bool {
        self.not_written.is_none() && self.staging.space_seen().is_some_and(|seen| seen.last < SCARCE)
    }

    /// Writes the bytes taken, and leaves `kept` bytes alone for other messages. If a Maildir other than the account's own
    /// cannot be written to, the message is discarded and the session continues; but if only this message
    /// `may_be_set_aside` for lack of room, the Maildir may have some for others. Blocks.
    ///
    /// # Errors
    /// Those of the account's own Maildir, and lack of room in another one.
    pub(super) fn flush(
        &mut self,
        destinations: &Destinations,
        kept: u64,
        may_be_set_aside: bool,
    ) -> Result<(), NotWritten> {
        match self.staging.flush(kept) {
            Err(e)
                if destinations.place_of_tmp(&e.dir).is_some_and(|place| place != OWN)
                    && !(may_be_set_aside && is_full(&e.source)) =>
            {
                self.not_written = Some(e);
                self.staging.discard();
                self.staging.flush(0)
            }
            flushed => flushed,
        }
    }

    /// Decides where it goes once its header is complete, at the latest at the end of the message (`ended`). Returns the
    /// `tmp/` that it goes to, if that was decided now.
    ///
    /// # Errors
    /// If it would go to a Maildir that is none of those of the session.
    pub(super) fn route<'a>(
        &mut self,
        routing: &Routing,
        destinations: &'a Destinations,
        ended: bool,
    ) -> Result<Option<&'a Dir>, PollError> {
        let Some(end) = self.end.as_mut() else { return Ok(None) };
        let beginning = self.staging.beginning();
        let length = end.find(beginning).or(ended.then_some(beginning.len()));
        if length.is_none() && beginning.len() <= HEADER_MOST {
            return Ok(None);
        }
        let header = length.filter(|length| *length <= HEADER_MOST).and_then(|length| beginning.get(..length));
        self.has_long_header = header.is_none();
        let route = header.map_or(Route::Own, |header| routing.route(header));
        self.would_be_skipped = route == Route::Skip;
        let route = match (route, header) {
            (Route::Skip, Some(header)) => routing.route_of_fetched(header),
            (route, _) => route,
        };
        self.end = None;
        self.to = places(&route, destinations).ok_or_else(no_such_maildir)?;
        if destinations.unusable().any(|closed| self.to.iter().any(|place| place == closed)) {
            self.staging.discard();
            return Ok(None);
        }
        let tmp_at = |place| destinations.at(place).map(|to| to.maildir.tmp()).ok_or_else(no_such_maildir);
        let also = self.to.also.iter().copied().map(tmp_at).collect::<Result<Vec<_>, _>>()?;
        let tmp = tmp_at(self.to.first)?;
        self.staging.direct_to(tmp, also.into_iter());
        Ok(Some(tmp))
    }
}

fn no_such_maildir() -> PollError {
    PollError::contradiction("route a message", "its Maildir is none of those that the session delivers to")
}

/// Returns the places to which a route leads, each once. None if one of them is unknown.
fn places(route: &Route<'_>, destinations: &Destinations) -> Option<DestinationIndexes> {
    let several = match route {
        Route::Own | Route::Skip => return Some(DestinationIndexes::one(OWN)),
        Route::Other(path) => return destinations.place_of(path).map(DestinationIndexes::one),
        Route::Several(several) => several,
    };
    let place = |maildir: &Option<&Path>| maildir.map_or(Some(OWN), |path| destinations.place_of(path));
    let mut all: BTreeSet<DestinationIndex> = several.iter().map(place).collect::<Option<_>>()?;
    let first = all.pop_first()?;
    Some(DestinationIndexes { first, also: all.into_iter().collect() })
}
