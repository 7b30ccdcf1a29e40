//! How a poll that runs conducts itself, and what follows for its place. PURE.
//!
//! Places are for those that get something done. A poll that takes long stands aside, so that its place among all goes to
//! whoever waits; at its server it is asked to give way, which it does between two messages; and one that brings next to
//! nothing is ended. One that waits for a disk that hangs cannot be ended, and has no place at all.

use std::time::Duration;

use crate::watch::hang::{Change, Hang};

/// A poll that has run for so long stands aside, if others wait.
const LONG: Duration = Duration::from_secs(10);

/// One that only waits, for the server or for a disk, does so sooner: to wait is no load.
const SHORT: Duration = Duration::from_secs(3);

/// One that has run for so long gives way, if others still wait.
const TURN: Duration = Duration::from_secs(60);

/// Over this time a poll has to bring something, if others wait.
pub(super) const WINDOW: Duration = Duration::from_secs(60);

/// So many octets of messages are something. The same pace as that of a single answer, which the client judges.
const SOMETHING: u64 = 6000;

/// A poll that runs, as it was judged last. Times are since boot.
#[derive(Debug)]
pub(super) struct Conduct {
    /// When it began.
    pub(super) begun: Duration,
    /// Since when it has had its places.
    placed: Duration,
    /// When it had brought something last.
    progress: Duration,
    /// How many octets of messages had come by then.
    octets: u64,
    /// Whether it stands aside.
    aside: bool,
    /// It was asked to give way.
    gives_way: bool,
    /// It was told to end: so many octets of messages had come in the last [`WINDOW`].
    pub(super) too_slow: Option<u64>,
    /// Whether it waits for a disk that hangs.
    hang: Hang,
}

/// What is seen of a poll.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// The time.
    pub(super) now: Duration,
    /// How many octets of messages came so far.
    pub(super) octets: u64,
    /// For how long it has been waiting for a disk.
    pub(super) waits_for_disk: Option<Duration>,
    /// Whether its state waits for room in memory.
    pub(super) waits_for_room: bool,
    /// Whether others wait for a place that it has.
    pub(super) in_the_way: bool,
}

impl Seen {
    /// Next to nothing has come yet, or the disk is waited for.
    fn only_waits(&self) -> bool {
        self.octets < SOMETHING || self.waits_for_disk.is_some_and(|waited| waited >= SHORT)
    }
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on.
    GoOn,
    /// It goes on, and its place among all is another's.
    StandAside,
    /// It is to end between two messages.
    GiveWay,
    /// It is to end.
    End,
    /// It hangs: its places are others'.
    Hangs,
    /// It does not hang any more.
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

    /// Since when it has been waiting for a disk that hangs.
    pub(super) fn hung(&self) -> Option<Duration> {
        self.hang.since()
    }

    /// It has ended, and what is done behind it does not hang yet. Whether it hung.
    pub(super) fn ends(&mut self) -> bool {
        self.hang.end()
    }

    /// Judges it.
    pub(super) fn judge(&mut self, seen: Seen) -> Verdict {
        if seen.waits_for_disk.is_some() || seen.waits_for_room || seen.octets >= self.octets.saturating_add(SOMETHING)
        {
            // What waits for a disk, or for room, is not slow.
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

    /// It has its places from now on: what it waited for before, it did at nobody's cost.
    pub(super) fn has_places(&mut self, now: Duration) {
        (self.placed, self.progress, self.aside) = (now, now, false);
    }

    /// Whether it has had its places for long and brought next to nothing.
    pub(super) fn is_slow(&self, seen: Seen) -> bool {
        seen.octets < SOMETHING && seen.now.saturating_sub(self.placed) >= LONG
    }

    /// It was found a place aside.
    pub(super) fn stands_aside(&mut self) {
        self.aside = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What follows for a poll second by second: the verdicts other than to go on, with their seconds.
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
        // A disk that is slow, and answers.
        let slow =
            |second: u64| Seen { waits_for_disk: Some(Duration::from_secs(second % 14)), in_the_way: false, ..IDLE };
        assert_eq!(verdicts(1000, slow), []);
    }
}
