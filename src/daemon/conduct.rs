//! Judges how a running poll behaves and what that means for its places. PURE.
//!
//! Places are for polls that make progress. A poll that takes long stands aside, so that its place in the total goes to
//! an account that waits. If others still wait, it is asked to give way, which it does between two messages. If others
//! wait, a poll that retrieves next to nothing is stopped. A poll that waits for a disk that hangs cannot be stopped,
//! and gives up all places.

use std::time::Duration;

use crate::watch::hang::{Change, Hang};

/// After running this long, a poll stands aside if others wait.
const LONG: Duration = Duration::from_secs(10);

/// A poll that only waits, for the server or for a disk, does so sooner: waiting is no load.
const SHORT: Duration = Duration::from_secs(3);

/// After running this long, a poll gives way if others still wait.
const TURN: Duration = Duration::from_secs(60);

/// If others wait, a poll has to make progress within this time.
pub(super) const WINDOW: Duration = Duration::from_secs(60);

/// How many octets of listings, headers and messages count as progress. The same rate as the client requires of a single answer.
const SOMETHING: u64 = 6000;

/// A running poll as last judged. Times are since boot.
#[derive(Debug)]
pub(super) struct Conduct {
    /// When it began.
    pub(super) begun: Duration,
    /// Since when it has had its places.
    placed: Duration,
    /// When it last made progress.
    progress: Duration,
    /// How many octets had arrived by then.
    octets: u64,
    /// Whether it stands aside.
    aside: bool,
    /// Whether it was asked to give way.
    gives_way: bool,
    /// If it was told to stop: how many octets had arrived in the last [`WINDOW`].
    pub(super) too_slow: Option<u64>,
    /// Whether it waits for a disk that hangs.
    hang: Hang,
}

/// An observation of a poll.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// The time, since boot.
    pub(super) now: Duration,
    /// How many octets of listings, headers and messages have arrived so far.
    pub(super) octets: u64,
    /// How long it has been waiting for a disk.
    pub(super) waits_for_disk: Option<Duration>,
    /// Whether its state waits for memory.
    pub(super) waits_for_room: bool,
    /// Whether others wait for a place that it holds.
    pub(super) in_the_way: bool,
}

impl Seen {
    /// Whether it has retrieved next to nothing yet or waits for the disk.
    fn only_waits(&self) -> bool {
        self.octets < SOMETHING || self.waits_for_disk.is_some_and(|waited| waited >= SHORT)
    }
}

/// What to do with a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Let it go on.
    GoOn,
    /// Let it go on, and pass on its place in the total.
    StandAside,
    /// Ask it to end between two messages.
    GiveWay,
    /// Stop it.
    End,
    /// It hangs: take its places.
    Hangs,
    /// It no longer hangs.
    HangsNoMore,
}

impl Conduct {
    pub(super) fn new(begun: Duration) -> Self {
        Self {
            begun,
            placed: begun,
            progress: begun,
            octets: 0,
            aside: false,
            gives_way: false,
            too_slow: None,
            hang: Hang::default(),
        }
    }

    /// Returns since when it has been waiting for a disk that hangs.
    pub(super) fn hung(&self) -> Option<Duration> {
        self.hang.since()
    }

    /// Records that the poll has ended; the work after it does not hang yet. Returns whether the poll hung.
    pub(super) fn ends(&mut self) -> bool {
        self.hang.end()
    }

    /// Judges an observation.
    pub(super) fn judge(&mut self, seen: Seen) -> Verdict {
        if seen.waits_for_disk.is_some() || seen.waits_for_room || seen.octets >= self.octets.saturating_add(SOMETHING)
        {
            // A poll that waits for a disk or for memory is not slow.
            (self.progress, self.octets) = (seen.now, seen.octets);
        }
        match self.hang.judge(seen.now, seen.waits_for_disk) {
            Some(Change::Hangs) => return Verdict::Hangs,
            Some(Change::HangsNoMore) => return Verdict::HangsNoMore,
            None if self.hang.since().is_some() => return Verdict::GoOn,
            None => {}
        }
        if !seen.in_the_way || self.too_slow.is_some() {
            return Verdict::GoOn;
        }
        let runs = seen.now.saturating_sub(self.placed);
        if seen.now.saturating_sub(self.progress) >= WINDOW {
            self.too_slow = Some(seen.octets.saturating_sub(self.octets));
            Verdict::End
        } else if runs >= TURN && !self.gives_way {
            self.gives_way = true;
            Verdict::GiveWay
        } else if !self.aside && (runs >= LONG || runs >= SHORT && seen.only_waits()) {
            Verdict::StandAside
        } else {
            Verdict::GoOn
        }
    }

    /// Records that it has its places from now on: before that it waited at nobody's cost.
    pub(super) fn has_places(&mut self, now: Duration) {
        (self.placed, self.progress, self.aside) = (now, now, false);
    }

    /// Whether it has had its places for long and retrieved next to nothing.
    pub(super) fn is_slow(&self, seen: Seen) -> bool {
        seen.octets < SOMETHING && seen.now.saturating_sub(self.placed) >= LONG
    }

    /// Records that it stands aside.
    pub(super) fn stands_aside(&mut self) {
        self.aside = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Judges a poll each second. Returns the verdicts other than to go on, each with its second.
    fn verdicts(seconds: u64, seen: impl Fn(u64) -> Seen) -> Vec<(u64, Verdict)> {
        let mut conduct = Conduct::new(Duration::ZERO);
        let judge = |second| {
            let verdict = conduct.judge(Seen { now: Duration::from_secs(second), ..seen(second) });
            if verdict == Verdict::StandAside {
                conduct.stands_aside();
            }
            (verdict != Verdict::GoOn).then_some((second, verdict))
        };
        (1..=seconds).filter_map(judge).collect()
    }

    const IDLE: Seen =
        Seen { now: Duration::ZERO, octets: 0, waits_for_disk: None, waits_for_room: false, in_the_way: true };

    #[test]
    fn what_waits_for_room_stands_aside_and_is_not_ended() {
        let waits = |second| Seen { waits_for_room: second <= 300, ..IDLE };
        let expected = [(3, Verdict::StandAside), (60, Verdict::GiveWay), (360, Verdict::End)];
        assert_eq!(verdicts(400, waits), expected);
    }

    #[test]
    fn what_drips_stands_aside_and_is_ended_if_others_still_wait() {
        let drip = |second| Seen { octets: second * 10, ..IDLE };
        assert_eq!(verdicts(500, drip), [(3, Verdict::StandAside), (60, Verdict::End)]);
    }

    #[test]
    fn what_gets_on_gives_way_and_is_not_ended() {
        let fair = |second| Seen { octets: second * 20_000, ..IDLE };
        assert_eq!(verdicts(5000, fair), [(10, Verdict::StandAside), (60, Verdict::GiveWay)]);
        let slow_line = |second| Seen { octets: second * 120, ..IDLE };
        assert_eq!(verdicts(5000, slow_line), [(3, Verdict::StandAside), (60, Verdict::GiveWay)]);
    }

    #[test]
    fn nobody_in_nobodys_way_is_asked_for_anything() {
        assert_eq!(verdicts(5000, |_| Seen { in_the_way: false, ..IDLE }), []);
        let later = |second| Seen { in_the_way: second >= 300, ..IDLE };
        assert_eq!(verdicts(500, later), [(300, Verdict::End)]);
    }

    #[test]
    fn what_waits_for_a_disk_hangs_and_is_not_slow() {
        let hung = |second: u64| Seen {
            waits_for_disk: (second <= 400).then(|| Duration::from_secs(second)),
            in_the_way: second > 400,
            ..IDLE
        };
        let expected =
            [(15, Verdict::Hangs), (401, Verdict::HangsNoMore), (402, Verdict::GiveWay), (403, Verdict::StandAside)];
        assert_eq!(verdicts(420, hung), expected);
        // A disk that is slow but responds.
        let slow =
            |second: u64| Seen { waits_for_disk: Some(Duration::from_secs(second % 14)), in_the_way: false, ..IDLE };
        assert_eq!(verdicts(1000, slow), []);
    }
}
