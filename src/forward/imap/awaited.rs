//! Limits how much may come before an answer and how long it may take, so that a server that floods or drips cannot
//! hold us for ever.

use std::time::Duration;

use tokio::time::Instant;

use crate::forward::wire::{SLOWEST, WireError};

/// How long an answer may take, whatever comes before it, plus a second for each [`SLOWEST`] octets of that.
const LONGEST: Duration = Duration::from_secs(10 * 60);

/// How many unsolicited lines may come before it, and how many octets in them.
const UNASKED: (u32, u64) = (100_000, 8 << 20);

/// The same where all messages of a mailbox are listed.
const LISTING: (u32, u64) = (2_000_000, 128 << 20);

/// How many octets of literals may come: more than a hundred large messages have.
const MOST_OF_LITERALS: u64 = 16 << 30;

/// What has come since a command was sent or answered.
#[derive(Debug)]
pub(super) struct Awaited {
    since: Instant,
    /// The most lines that may come, and the most octets in them.
    most: (u32, u64),
    lines: u32,
    of_lines: u64,
    of_literals: u64,
}

impl Awaited {
    pub(super) fn begin() -> Self {
        Self { since: Instant::now(), most: UNASKED, lines: 0, of_lines: 0, of_literals: 0 }
    }

    /// Begins with the limits of a listing, which has a line for each message of a mailbox.
    pub(super) fn begin_listing() -> Self {
        Self { most: LISTING, ..Self::begin() }
    }

    /// Counts another line of this many octets.
    pub(super) fn take_line(&mut self, octets: usize) -> Result<(), WireError> {
        self.lines = self.lines.saturating_add(1);
        self.of_lines = self.of_lines.saturating_add(u64::try_from(octets).unwrap_or(u64::MAX));
        if self.lines > self.most.0 || self.of_lines > self.most.1 {
            return Err(WireError::Flood);
        }
        self.check_time()
    }

    /// Counts a literal of this many octets that is about to come.
    pub(super) fn take_literal(&mut self, octets: u64) -> Result<(), WireError> {
        self.of_literals = self.of_literals.saturating_add(octets);
        if self.of_literals > MOST_OF_LITERALS { Err(WireError::Flood) } else { self.check_time() }
    }

    fn check_time(&self) -> Result<(), WireError> {
        let octets = self.of_lines.saturating_add(self.of_literals);
        let allowed = LONGEST.saturating_add(Duration::from_secs(octets / SLOWEST));
        if self.since.elapsed() > allowed { Err(WireError::TooSlow) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_line_now_and_then_is_borne_for_minutes_and_not_for_ever() {
        let mut awaited = Awaited::begin();
        for seconds in 0.. {
            tokio::time::sleep(Duration::from_secs(15)).await;
            if let Err(e) = awaited.take_line(30) {
                assert!(matches!(e, WireError::TooSlow) && (40..43).contains(&seconds), "{e} {seconds}");
                break;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_message_has_the_time_that_it_takes_and_a_flood_has_an_end() {
        let mut awaited = Awaited::begin();
        awaited.take_literal(300 << 20).unwrap();
        tokio::time::sleep(Duration::from_secs(24 * 60 * 60)).await;
        awaited.take_line(1).unwrap();
        assert!(matches!(Awaited::begin().take_literal(u64::MAX), Err(WireError::Flood)));
        let mut flood = Awaited::begin_listing();
        let count = (0..).take_while(|_| flood.take_line(60_000).is_ok()).count();
        assert!((2000..3000).contains(&count), "{count}");
        for (mut short, most) in [(Awaited::begin(), 100_000), (Awaited::begin_listing(), 2_000_000)] {
            assert_eq!((0..).take_while(|_| short.take_line(1).is_ok()).count(), most);
        }
    }
}
