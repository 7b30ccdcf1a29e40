//! Judges how a running poll behaves and what that means for its places, in the daemon and in `fetch`. PURE.
//!
//! Places are for polls that make progress. Progress is what is of use: the octets of a message up to about its listed
//! size, lines of a listing that can be used, headers, and complete answers about single messages. A poll that takes
//! long stands aside, so that its place in the total goes to an account that waits. If others still wait, it is asked to
//! give way, which it does between two messages. If others wait, a poll that makes next to no progress is stopped, and
//! one that makes little is cut short after some minutes; sooner if it owes its place to an account that is not slow. So
//! is one that gets nothing but the same listing or header for as long, whatever its pace, and in the end one that has
//! been at a single message for longer still. A poll that waits for a disk that hangs cannot be stopped, and gives up
//! all places.

use std::time::Duration;

use super::hang::{Change, Hang};

/// After running this long, a poll stands aside if others wait.
const LONG: Duration = Duration::from_secs(10);

/// A poll that only waits, for the server or for a disk, does so sooner, as waiting is no load; and so does one whose
/// account is known to be slow.
const SHORT: Duration = Duration::from_secs(3);

/// After running this long, a poll gives way if others still wait.
const TURN: Duration = Duration::from_secs(60);

/// If others wait, a poll has to make progress within this time.
pub(crate) const WINDOW: Duration = Duration::from_secs(60);

/// How many octets of listings, headers and messages count as progress. The same rate as the client requires of a
/// single answer.
const SOMETHING: u64 = 6000;

/// The least pace of a poll that is not slow, in octets a second: less than a modem's.
const SLOWEST: u64 = 4 << 10;

/// A poll that brings less than this in a second is no load: others may run beside it.
const LOAD: u64 = 4 * SLOWEST;

/// A poll that brings less than [`LOAD`] for this long, and completes nothing meanwhile, is slow.
const SLOW: Duration = Duration::from_secs(30);

/// A poll that has been at a single message for this long is not counted among those whose number is small: small mail
/// of others must not wait for it.
const LARGE: Duration = Duration::from_secs(30);

/// If it owes its place, it is cut short after this long at a single message, whatever its pace; after twice as long if
/// it only has a place that others wait for. Each time in a row the next poll has twice as long.
const TOO_LARGE: Duration = Duration::from_secs(300);

/// How often that doubles at most: in the end any message comes.
const DOUBLINGS_IF_LARGE: u32 = 10;

/// What a complete answer about one message (a message, its header, its unique-id or its size) is worth besides its
/// octets, in octets. Without PIPELINING each takes a round trip, however short it is: a poll that gets one a second is
/// not slow, and any line allows that. One that drips completes none.
const ANSWER: u64 = SLOWEST;

/// If somebody has waited for a turn and it was asked to give way, a poll below that pace is cut short after this long.
/// Each time in a row the next poll has twice as long, so that a large message over a slow line comes some time.
const GIVES_WAY_AFTER: Duration = Duration::from_secs(180);

/// If an account that is not slow has waited this long for a place that slow polls owe it, one of these is asked to give
/// way.
const OWED: Duration = Duration::from_secs(15);

/// It is cut short if it has then been below that pace for this long, or below the second one, in octets a second, for
/// the second time. The next poll of its account begins in a place for slow ones, and owes it to nobody.
const LEAVES_AFTER: [(Duration, u64); 2] = [(Duration::from_secs(45), SLOWEST), (Duration::from_secs(120), LOAD)];

/// How often that doubles at most: no poll is then cut short that the throughput of a session lets go on.
const DOUBLINGS: u32 = 4;

/// A running poll as last judged. Times are since boot.
#[derive(Debug)]
pub(crate) struct Conduct {
    /// When its task began, maybe before it had places.
    pub(crate) begun: Duration,
    /// Since when it has had its places.
    placed: Duration,
    /// When it last made progress.
    progress: Duration,
    /// How many octets had arrived by then.
    octets: u64,
    /// The worth of what had arrived at the last look, in octets.
    worth: u64,
    /// Whether it stands aside.
    aside: bool,
    /// When it was asked to give way.
    gives_way: Option<Duration>,
    /// Since when and from what on its pace is measured: octets, and answers at [`ANSWER`] octets each.
    measured: (Duration, u64),
    /// What had arrived at the last look.
    arrived: Arrived,
    /// Since when nothing has arrived but parts of a listing or of one header.
    lists: Option<Duration>,
    /// Whether some of it arrived since the look before.
    is_listing: bool,
    /// When the last answer about a single message was completed, and how many there were then.
    answered: (Duration, u64),
    /// Whether part of a message arrived since the look before.
    is_receiving: bool,
    /// How often in a row its account was too slow before.
    times: u32,
    /// Whether it was cut short. If the server then sends nothing more, it is stopped as one that makes no progress.
    pub(crate) is_cut_short: bool,
    /// If it was told to stop: how many octets had arrived in the last [`WINDOW`].
    pub(crate) too_slow: Option<u64>,
    /// Whether it waits for a disk that hangs.
    hang: Hang,
}

/// What has arrived so far.
#[derive(Debug, Clone, Copy, Default)]
struct Arrived {
    /// Octets of listings and headers.
    listed: u64,
    /// Octets of messages, and answers about single messages.
    other: u64,
}

/// An observation of a poll.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// The time, since boot.
    pub(crate) now: Duration,
    /// How many useful octets have arrived so far, of listings, headers and messages.
    pub(crate) octets: u64,
    /// How many of these were of listings and headers.
    pub(crate) listed: u64,
    /// How many answers about single messages were completed so far.
    pub(crate) answers: u64,
    /// Whether its account was slow when it began.
    pub(crate) began_slow: bool,
    /// How long it has been waiting for a disk.
    pub(crate) waits_for_disk: Option<Duration>,
    /// Whether its state waits for memory.
    pub(crate) waits_for_room: bool,
    /// How long others have waited for something that it holds.
    pub(crate) waited_for: Option<Duration>,
    /// How long an account that is not slow has waited for the place that it owes it.
    pub(crate) owed_for: Option<Duration>,
}

impl Seen {
    /// Returns the worth of what has arrived so far, in octets, by which the pace is judged.
    fn worth(&self) -> u64 {
        self.octets.saturating_add(self.answers.saturating_mul(ANSWER))
    }

    /// Whether it has retrieved next to nothing yet or waits for the disk.
    fn only_waits(&self) -> bool {
        self.octets < SOMETHING || self.waits_for_disk.is_some_and(|waited| waited >= SHORT)
    }

    /// Whether somebody has waited for its place long enough.
    fn owes_its_place(&self) -> bool {
        self.owed_for.is_some_and(|waited| waited >= OWED)
    }
}

/// What to do with a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Let it go on.
    GoOn,
    /// Let it go on, and pass on its place in the total.
    StandAside,
    /// Ask it to end between two messages.
    GiveWay,
    /// Stop its task: it makes no progress.
    End,
    /// End its session as too slow, so that the message under way is known.
    CutShort,
    /// It hangs: take its places.
    Hangs,
    /// It no longer hangs.
    HangsNoMore,
}

impl Conduct {
    /// Begins; `times` says how often in a row that was too slow.
    pub(crate) fn new(begun: Duration, times: u32) -> Self {
        Self {
            begun,
            placed: begun,
            progress: begun,
            octets: 0,
            worth: 0,
            aside: false,
            gives_way: None,
            measured: (begun, 0),
            arrived: Arrived::default(),
            lists: None,
            is_listing: false,
            answered: (begun, 0),
            is_receiving: false,
            times,
            is_cut_short: false,
            too_slow: None,
            hang: Hang::default(),
        }
    }

    /// The same, with this limit on how long a disk may take.
    pub(crate) fn with_limit_on_disks(self, limit: Duration) -> Self {
        Self { hang: Hang::after(limit), ..self }
    }

    /// Records how often in a row its account was too slow before, if that becomes known only now.
    pub(crate) fn was_too_slow(&mut self, times: u32) {
        self.times = self.times.max(times);
    }

    /// Returns since when it has been waiting for a disk that hangs.
    pub(crate) fn hung(&self) -> Option<Duration> {
        self.hang.since()
    }

    /// Records that the poll has ended; the work after it does not hang yet. Returns whether the poll hung.
    pub(crate) fn ends(&mut self) -> bool {
        self.hang.end()
    }

    /// Decides what to do with the poll, which is observed about every second, and remembers its progress.
    pub(crate) fn judge(&mut self, seen: Seen) -> Verdict {
        if seen.waits_for_disk.is_some() || seen.waits_for_room || seen.octets >= self.octets.saturating_add(SOMETHING)
        {
            // A poll that waits for a disk or for memory is not slow.
            (self.progress, self.octets) = (seen.now, seen.octets);
        }
        if seen.waits_for_room || seen.waits_for_disk.is_some_and(|waited| waited >= SHORT) {
            self.measured = (seen.now, seen.worth());
            self.answered.0 = seen.now;
        }
        if seen.answers > self.answered.1 {
            self.answered = (seen.now, seen.answers);
        }
        self.worth = seen.worth();
        self.note_arrivals(seen);
        match self.hang.judge(seen.now, seen.waits_for_disk) {
            Some(Change::Hangs) => return Verdict::Hangs,
            Some(Change::HangsNoMore) => return Verdict::HangsNoMore,
            None if self.hang.since().is_some() => return Verdict::GoOn,
            None => {}
        }
        let Some(waited_for) = seen.waited_for.filter(|_| self.too_slow.is_none()) else { return Verdict::GoOn };
        let runs = seen.now.saturating_sub(self.placed);
        if seen.now.saturating_sub(self.progress) >= WINDOW {
            self.too_slow = Some(seen.octets.saturating_sub(self.octets));
            Verdict::End
        } else if self.is_cut_short {
            Verdict::GoOn
        } else if self.gives_way.is_none() && (runs >= TURN || seen.owes_its_place()) {
            self.gives_way = Some(seen.now);
            Verdict::GiveWay
        } else if self.gives_way.is_some() && self.is_too_slow(waited_for, seen) {
            self.is_cut_short = true;
            Verdict::CutShort
        } else if !self.aside
            && (runs >= LONG || runs >= SHORT && (seen.only_waits() || seen.began_slow || self.is_no_load(seen)))
        {
            Verdict::StandAside
        } else {
            Verdict::GoOn
        }
    }

    /// Notes what arrives: nothing but a listing or a header, or a message.
    fn note_arrivals(&mut self, seen: Seen) {
        let other = seen.octets.saturating_sub(seen.listed).saturating_add(seen.answers);
        let arrived = Arrived { listed: seen.listed, other };
        let before = std::mem::replace(&mut self.arrived, arrived);
        self.is_receiving = arrived.other > before.other;
        self.is_listing = arrived.listed > before.listed && arrived.other == before.other;
        if arrived.other > before.other || self.measured.0 == seen.now {
            self.lists = None;
        } else if self.is_listing {
            self.lists.get_or_insert(seen.now);
        }
    }

    /// Records that it has its places from now on: before that it waited at nobody's cost.
    pub(crate) fn has_places(&mut self, now: Duration) {
        (self.placed, self.progress, self.aside, self.lists) = (now, now, false, None);
        self.measured = (now, self.worth);
        self.answered.0 = now;
    }

    /// Whether it has had its places for long and retrieved little, or has not given way for a turn.
    pub(crate) fn is_slow(&self, seen: Seen) -> bool {
        let does_not_give_way = self.gives_way.is_some_and(|asked| seen.now.saturating_sub(asked) >= TURN);
        does_not_give_way
            || self.crawls_for(LONG, SLOWEST, seen)
            || self.crawls_for(SLOW, LOAD, seen) && self.is_at_one_answer_for(LONG, seen)
    }

    /// Whether it may stand aside beside many others: it is no load, or has been at a single message for long.
    pub(crate) fn is_one_of_many(&self, seen: Seen) -> bool {
        self.is_no_load(seen) || self.is_at_one_answer_for(LARGE, seen) || self.is_slow(seen)
    }

    fn is_no_load(&self, seen: Seen) -> bool {
        self.crawls_for(SHORT, LOAD, seen)
    }

    /// Whether it is so slow that it is cut short for others, who have waited for this long.
    fn is_too_slow(&self, waited_for: Duration, seen: Seen) -> bool {
        let (patience, if_large) = (1 << self.times.min(DOUBLINGS), 1 << self.times.min(DOUBLINGS_IF_LARGE));
        let gives_way_after = GIVES_WAY_AFTER * patience;
        let lists = self.lists.filter(|_| self.is_listing).map(|since| seen.now.saturating_sub(since));
        let lists_on = lists.is_some_and(|time| time >= gives_way_after);
        let is_waited_for = || {
            lists_on
                || self.crawls_for(gives_way_after, SLOWEST, seen)
                || self.is_receiving && self.is_at_one_answer_for(TOO_LARGE * 2 * if_large, seen)
        };
        // One that began as slow owes its place only because all places are taken, by others that are slow, too.
        let (patience, if_large) = if seen.began_slow { (patience, if_large) } else { (1, 1) };
        let owes = || {
            LEAVES_AFTER.iter().any(|(time, pace)| self.crawls_for(*time * patience, *pace, seen))
                || self.is_receiving && self.is_at_one_answer_for(TOO_LARGE * if_large, seen)
        };
        waited_for >= TURN && is_waited_for() || seen.owes_its_place() && owes()
    }

    /// Whether no answer about a single message has been completed for this long.
    fn is_at_one_answer_for(&self, time: Duration, seen: Seen) -> bool {
        seen.answers <= self.answered.1 && seen.now.saturating_sub(self.answered.0) >= time
    }

    /// Whether it has brought less than `pace` octets a second on average, over this time at least.
    fn crawls_for(&self, time: Duration, pace: u64, seen: Seen) -> bool {
        let (since, worth) = self.measured;
        let measured = seen.now.saturating_sub(since);
        measured >= time && seen.worth().saturating_sub(worth) < pace.saturating_mul(measured.as_secs())
    }

    /// Records that it stands aside.
    pub(crate) fn stands_aside(&mut self) {
        self.aside = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Judges a poll each second. Returns the verdicts other than to go on, each with its second.
    fn verdicts(seconds: u64, seen: impl Fn(u64) -> Seen) -> Vec<(u64, Verdict)> {
        let mut conduct = Conduct::new(Duration::ZERO, 0);
        let judge = |second| {
            let verdict = conduct.judge(Seen { now: Duration::from_secs(second), ..seen(second) });
            if verdict == Verdict::StandAside {
                conduct.stands_aside();
            }
            (verdict != Verdict::GoOn).then_some((second, verdict))
        };
        (1..=seconds).filter_map(judge).collect()
    }

    const IDLE: Seen = Seen {
        now: Duration::ZERO,
        octets: 0,
        listed: 0,
        answers: 0,
        began_slow: false,
        waits_for_disk: None,
        waits_for_room: false,
        waited_for: Some(Duration::ZERO),
        owed_for: None,
    };

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
        assert_eq!(verdicts(5000, |_| Seen { waited_for: None, ..IDLE }), []);
        let later = |second| Seen { waited_for: (second >= 300).then_some(Duration::ZERO), ..IDLE };
        assert_eq!(verdicts(500, later), [(300, Verdict::End)]);
    }

    #[test]
    fn what_waits_for_a_disk_hangs_and_is_not_slow() {
        let hung = |second: u64| Seen {
            waits_for_disk: (second <= 400).then(|| Duration::from_secs(second)),
            waited_for: (second > 400).then_some(Duration::ZERO),
            ..IDLE
        };
        let expected =
            [(15, Verdict::Hangs), (401, Verdict::HangsNoMore), (402, Verdict::GiveWay), (403, Verdict::StandAside)];
        assert_eq!(verdicts(420, hung), expected);
        // A disk that is slow but responds.
        let slow =
            |second: u64| Seen { waits_for_disk: Some(Duration::from_secs(second % 14)), waited_for: None, ..IDLE };
        assert_eq!(verdicts(1000, slow), []);
    }

    /// A poll that brings so many octets a second while somebody has waited since the beginning.
    fn at_pace(pace: u64) -> impl Fn(u64) -> Seen {
        move |second| Seen { octets: second * pace, waited_for: Some(Duration::from_secs(second)), ..IDLE }
    }

    #[test]
    fn what_crawls_is_cut_short_if_somebody_has_waited_long() {
        let begins = [(3, Verdict::StandAside), (60, Verdict::GiveWay)];
        let cut = [begins[0], begins[1], (180, Verdict::CutShort)];
        assert_eq!(verdicts(5000, at_pace(620)), cut);
        let at_one = [begins[1], (600, Verdict::CutShort)];
        assert_eq!(verdicts(5000, at_pace(SLOWEST))[1..], at_one, "it is fast enough, but its message is too large");
        let several = |second| Seen { answers: second / 500, ..at_pace(SLOWEST)(second) };
        assert_eq!(verdicts(5000, several)[1..], [begins[1]]);
        let waits_little = |second| Seen { waited_for: Some(Duration::from_secs(59)), ..at_pace(620)(second) };
        assert_eq!(verdicts(5000, waits_little), begins);
        let later = |second| Seen { waited_for: (second > 1000).then_some(TURN), ..at_pace(1024)(second) };
        assert_eq!(verdicts(5000, later), [(1001, Verdict::GiveWay), (1002, Verdict::CutShort)]);
        let alone = |second| Seen { waited_for: None, ..at_pace(620)(second) };
        assert_eq!(verdicts(5000, alone), []);
    }

    /// A poll that gets an answer of so many octets every so many milliseconds, while somebody has waited since the
    /// beginning.
    fn answering(octets: u64, milliseconds: u64) -> impl Fn(u64) -> Seen {
        move |second| {
            let answers = second * 1000 / milliseconds;
            Seen { octets: answers * octets, answers, waited_for: Some(Duration::from_secs(second)), ..IDLE }
        }
    }

    #[test]
    fn small_answers_one_by_one_over_a_distant_line_are_not_slow() {
        // A header, a small message, a line of UIDL.
        for octets in [400, 900, 120] {
            for milliseconds in [200, 300, 900] {
                let verdicts = verdicts(5000, answering(octets, milliseconds));
                let verdicts: Vec<_> = verdicts.into_iter().map(|(_, verdict)| verdict).collect();
                let expected = [Verdict::StandAside, Verdict::GiveWay];
                assert_eq!(verdicts, expected, "{octets} octets each {milliseconds} ms");
            }
        }
        let conduct = Conduct::new(Duration::ZERO, 0);
        let seen = |second| Seen { now: Duration::from_secs(second), ..answering(400, 300)(second) };
        assert_eq!((1..5000).find(|second| conduct.is_slow(seen(*second))), None);
    }

    #[test]
    fn what_drips_within_an_answer_or_answers_once_in_a_while_still_loses_its_place() {
        // An octet a second, in one answer without end.
        assert_eq!(verdicts(500, at_pace(1)), [(3, Verdict::StandAside), (60, Verdict::End)]);
        // Answers of next to nothing, one a minute: what counts as progress at all are octets.
        assert_eq!(verdicts(500, answering(10, 60_000)), [(3, Verdict::StandAside), (60, Verdict::End)]);
        // As many octets as are progress, in answers that come one in three seconds.
        let crawls = [(3, Verdict::StandAside), (60, Verdict::GiveWay), (180, Verdict::CutShort)];
        assert_eq!(verdicts(500, answering(400, 3000)), crawls);
        // A poll that got many answers and then drips.
        let then_drips = |second: u64| Seen { answers: second.min(100) * 3, ..at_pace(200)(second) };
        let begins = [(3, Verdict::StandAside), (60, Verdict::GiveWay)];
        assert_eq!(verdicts(500, then_drips), [begins[0], begins[1], (316, Verdict::CutShort)]);
    }

    #[test]
    fn what_crawls_in_a_place_that_it_owes_is_cut_short_sooner() {
        let owes = |pace, from| {
            move |second: u64| Seen {
                owed_for: second.checked_sub(from).map(Duration::from_secs),
                ..at_pace(pace)(second)
            }
        };
        let asked = |second| (second, Verdict::GiveWay);
        let cut = |second| (second, Verdict::CutShort);
        assert_eq!(verdicts(5000, owes(620, 30))[1..], [asked(45), cut(46)]);
        assert_eq!(verdicts(5000, owes(620, 10))[1..], [asked(25), cut(45)]);
        assert_eq!(verdicts(5000, owes(2 * SLOWEST, 120))[1..], [asked(60), cut(135)]);
        assert_eq!(verdicts(299, owes(5 * SLOWEST, 120))[1..], [asked(60)], "it is fast enough");
        assert_eq!(verdicts(5000, owes(5 * SLOWEST, 120))[1..], [asked(60), cut(300)], "for a while");
        let several = |second| Seen { answers: second / 290, ..owes(5 * SLOWEST, 120)(second) };
        assert_eq!(verdicts(5000, several)[1..], [asked(60)]);
    }

    #[test]
    fn what_is_cut_short_and_then_sends_nothing_is_stopped() {
        let falls_silent =
            |second: u64| Seen { owed_for: Some(Duration::from_secs(second)), ..at_pace(620)(second.min(45)) };
        let expected = [(3, Verdict::StandAside), (15, Verdict::GiveWay), (45, Verdict::CutShort)];
        let all = verdicts(5000, falls_silent);
        assert_eq!(all[..3], expected);
        assert_eq!(all[3..], [(100, Verdict::End)]);
    }

    #[test]
    fn a_listing_without_end_is_cut_short_whatever_its_pace() {
        let lists = |second: u64| Seen { listed: second * 50_000, ..at_pace(50_000)(second) };
        let begins = [(10, Verdict::StandAside), (60, Verdict::GiveWay)];
        assert_eq!(verdicts(5000, lists), [begins[0], begins[1], (181, Verdict::CutShort)]);
        let ends = |last: u64| move |second: u64| Seen { listed: second.min(last) * 50_000, ..at_pace(50_000)(second) };
        assert_eq!(verdicts(599, ends(180)), begins, "messages come");
        let silent = |second: u64| Seen {
            listed: second.min(150) * 50_000,
            // Deletions, say, of which nothing is counted.
            waits_for_disk: (second > 150).then_some(Duration::ZERO),
            ..at_pace(50_000)(second.min(150))
        };
        let silent = |second| Seen { waited_for: Some(Duration::from_secs(second)), ..silent(second) };
        assert_eq!(verdicts(1800, silent), begins);
        let one_by_one = |second: u64| Seen { answers: second / 100, ..lists(second) };
        assert_eq!(verdicts(5000, one_by_one), begins, "each header is complete after a while");
        let waits_little = |second| Seen { waited_for: Some(Duration::from_secs(59)), ..lists(second) };
        assert_eq!(verdicts(5000, waits_little), begins);
        let mut conduct = Conduct::new(Duration::ZERO, 1);
        let seen = |second| Seen { now: Duration::from_secs(second), ..lists(second) };
        let cut = (1..9999).find(|second| conduct.judge(seen(*second)) == Verdict::CutShort);
        assert_eq!(cut, Some(361), "the next poll has twice as long");
    }

    #[test]
    fn each_time_in_a_row_what_crawls_has_twice_as_long() {
        let cut_after = |times| {
            let mut conduct = Conduct::new(Duration::ZERO, times);
            let seen = |second| Seen { now: Duration::from_secs(second), ..at_pace(1024)(second) };
            (1..9999).find(|second| conduct.judge(seen(*second)) == Verdict::CutShort)
        };
        let after: Vec<_> = [0, 1, 3, 4, 1000].into_iter().map(cut_after).collect();
        assert_eq!(after, [180, 360, 1440, 2880, 2880].map(Some));
    }

    #[test]
    fn what_crawls_or_does_not_give_way_is_slow() {
        let slow = |seen: &dyn Fn(u64) -> Seen| {
            let mut conduct = Conduct::new(Duration::ZERO, 0);
            (1..9999).find(|second| {
                let seen = Seen { now: Duration::from_secs(*second), ..seen(*second) };
                conduct.judge(seen);
                conduct.is_slow(seen)
            })
        };
        assert_eq!(slow(&at_pace(10)), Some(10));
        assert_eq!(slow(&at_pace(620)), Some(10));
        assert_eq!(slow(&at_pace(SLOWEST)), Some(30));
        let small = |second| Seen { answers: second / 9, ..at_pace(SLOWEST)(second) };
        assert_eq!(slow(&|second| Seen { waited_for: None, ..small(second) }), None, "messages come");
        assert_eq!(slow(&at_pace(20_000)), Some(120), "it was asked to give way at 60 s");
        assert_eq!(slow(&|second| Seen { waited_for: None, ..at_pace(20_000)(second) }), None);
        // The pace is not that of the disk.
        let disk = |second| Seen {
            waits_for_disk: (second < 14).then(|| Duration::from_secs(second)),
            ..at_pace(620)(second)
        };
        assert_eq!(slow(&disk), Some(23));
    }

    #[test]
    fn a_large_message_has_twice_as_long_each_time_if_its_poll_began_as_slow() {
        let cut_after = |times, began_slow| {
            let mut conduct = Conduct::new(Duration::ZERO, times);
            let owes = |second| Seen { began_slow, owed_for: Some(TURN), ..at_pace(1 << 20)(second) };
            let seen = |second| Seen { now: Duration::from_secs(second), waited_for: Some(OWED), ..owes(second) };
            (1..99_999).find(|second| conduct.judge(seen(*second)) == Verdict::CutShort)
        };
        assert_eq!(cut_after(0, false), Some(300));
        assert_eq!(cut_after(3, false), Some(300), "it holds a place that is not for slow ones");
        assert_eq!([0, 3].map(|times| cut_after(times, true)), [300, 2400].map(Some));
        assert_eq!(cut_after(99, true), None, "in the end any message comes");
    }

    #[test]
    fn what_is_no_load_or_at_one_message_for_long_may_stand_aside_beside_many() {
        let one_of_many = |seen: &dyn Fn(u64) -> Seen| {
            let mut conduct = Conduct::new(Duration::ZERO, 0);
            (1..9999).find(|second| {
                let seen = Seen { now: Duration::from_secs(*second), waited_for: None, ..seen(*second) };
                conduct.judge(seen);
                conduct.is_one_of_many(seen)
            })
        };
        assert_eq!(one_of_many(&at_pace(LOAD - 1)), Some(3));
        assert_eq!(one_of_many(&at_pace(1 << 20)), Some(30), "a large message");
        let messages = |second| Seen { answers: second / 29, ..at_pace(1 << 20)(second) };
        assert_eq!(one_of_many(&messages), None, "that is load");
    }
}

#[cfg(test)]
mod hostile_tests;
