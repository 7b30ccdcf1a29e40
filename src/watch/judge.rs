//! Looks at a running poll about every second, and passes on what others wait for: the one judge of the daemon's polls
//! and of those of `fetch`.

use std::time::Duration;

use super::conduct::{Conduct, Seen, Verdict, WINDOW};
use super::hang::MOST_HUNG;
use super::{Needed, Watch};
use crate::account::AccountName;
use crate::schedule::queue::Queue;

/// Since when polls have waited for memory, of each kind ([`Needed::ALL`]). None: none waits.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted([Option<Duration>; 2]);

impl Wanted {
    /// Looks at what these polls wait for now.
    pub(crate) fn look<'a>(&mut self, watches: impl Iterator<Item = &'a Watch> + Clone, now: Duration) {
        for (since, needed) in self.0.iter_mut().zip(Needed::ALL) {
            *since = watches.clone().any(|watch| watch.waits_for(needed)).then(|| since.unwrap_or(now));
        }
    }

    /// Returns since when, at the longest, others have waited for what this poll holds.
    fn of(&self, watch: &Watch) -> Option<Duration> {
        self.0.iter().zip(Needed::ALL).filter_map(|(since, needed)| since.filter(|_| watch.holds(needed))).min()
    }
}

/// What all polls that are judged together have in common. Times are since boot, or since any other moment that they
/// share with the queue.
#[derive(Debug)]
pub(crate) struct Judge<'a> {
    queue: &'a mut Queue,
    now: Duration,
    wanted: Wanted,
    /// How many polls hang.
    hung: usize,
    /// Whether each account is polled once: then nobody polls soon again for the rest.
    is_once: bool,
}

impl<'a> Judge<'a> {
    /// Judges polls that have their places from this queue; `hung` of them hang.
    pub(crate) fn new(queue: &'a mut Queue, now: Duration, wanted: Wanted, hung: usize) -> Self {
        Self { queue, now, wanted, hung, is_once: false }
    }

    /// Judges the polls of a run in which each account is polled once: one that gets on well brings all of its mail,
    /// although others wait.
    pub(crate) fn once(self) -> Self {
        Self { is_once: true, ..self }
    }

    /// Looks at the poll of an account and does what follows for its places. What is left to the caller is to tell of
    /// it, and to stop the task after [`Verdict::End`].
    pub(crate) fn look(&mut self, account: &AccountName, watch: &Watch, conduct: &mut Conduct) -> Verdict {
        let Self { queue, now, wanted, hung, is_once } = self;
        conduct.was_too_slow(watch.times_too_slow());
        if !queue.has_place(account) {
            // It waits at nobody's cost.
            conduct.has_places(*now);
        }
        let since = [wanted.of(watch), queue.in_the_way_since(account)];
        let for_long = |since: Duration| now.saturating_sub(since);
        let seen = Seen {
            now: *now,
            octets: watch.octets(),
            listed: watch.listed(),
            answers: watch.answers(),
            began_slow: queue.began_slow(account),
            waits_for_disk: watch.waiting_for_disk().map(|since| since.elapsed()),
            waits_for_room: Needed::ALL.into_iter().any(|needed| watch.waits_for(needed)),
            waited_for: since.into_iter().flatten().min().map(for_long),
            owed_for: queue.owes_its_place_since(account).map(for_long),
        };
        let is_slow = conduct.is_slow(seen);
        queue.gets_on(account, is_slow, conduct.is_one_of_many(seen));
        let verdict = conduct.judge(seen);
        match verdict {
            Verdict::GoOn | Verdict::HangsNoMore => {}
            Verdict::StandAside if queue.stand_aside(account) => conduct.stands_aside(),
            Verdict::StandAside => return Verdict::GoOn,
            Verdict::GiveWay if *is_once && !is_slow => return Verdict::GoOn,
            Verdict::GiveWay => watch.ask_to_give_way(),
            Verdict::End => {
                queue.leaves(account);
                watch.end_as_too_slow(conduct.too_slow.unwrap_or_default(), WINDOW);
            }
            Verdict::CutShort => {
                queue.leaves(account);
                watch.cut_short();
            }
            Verdict::Hangs => {
                *hung += 1;
                watch.hangs();
                if *hung <= MOST_HUNG {
                    queue.give_up_places(account);
                }
            }
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::schedule::queue::Limits;

    fn name(name: &str) -> AccountName {
        AccountName::new(name).unwrap()
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Returns the queue of two accounts, of which a has the only place, for its credential if it `needs` one first, and b
    /// waits.
    fn one_waits_for_the_other(needs: bool) -> Queue {
        let one = 1.try_into().unwrap();
        let mut queue = Queue::new(Limits { concurrency: one, per_host: one }, 0);
        queue.insert(name("a"), "h", needs, at(0));
        queue.insert(name("b"), "h", false, at(1));
        assert!(queue.take_startable(at(1)).is_some());
        queue
    }

    /// Judges a poll of one account each second while another one waits for the only place. Returns the verdicts other
    /// than to go on, and whether the other one has had a place.
    fn verdicts(seconds: u64, comes: impl Fn(&Watch)) -> (Vec<Verdict>, bool) {
        let mut queue = one_waits_for_the_other(false);
        let (watch, mut conduct) = (Watch::default(), Conduct::new(at(1), 0));
        let mut verdicts = Vec::new();
        for second in 2..2 + seconds {
            comes(&watch);
            let verdict =
                Judge::new(&mut queue, at(second), Wanted::default(), 0).look(&name("a"), &watch, &mut conduct);
            verdicts.extend(Some(verdict).filter(|verdict| *verdict != Verdict::GoOn));
            if verdict == Verdict::End {
                assert!(watch.stopped_with().is_some());
                break;
            }
        }
        (verdicts, queue.take_startable(at(seconds)).is_some())
    }

    #[test]
    fn what_comes_and_is_of_no_use_keeps_no_place() {
        let (ends, _) = verdicts(100, |_| ());
        assert_eq!(ends, [Verdict::StandAside, Verdict::End]);
        let add = |watch: &Watch| _ = watch.octets.fetch_add(20_000, Ordering::Relaxed);
        let (goes_on, _) = verdicts(100, add);
        assert_eq!(goes_on, [Verdict::StandAside, Verdict::GiveWay], "its server has one place, and it brings much");
    }

    #[test]
    fn where_each_account_is_polled_once_a_poll_that_gets_on_well_brings_everything() {
        for (pace, is_asked) in [(20_000, false), (200, true)] {
            let mut queue = one_waits_for_the_other(false);
            let (watch, mut conduct) = (Watch::default(), Conduct::new(at(1), 0));
            for second in 2..2000 {
                watch.octets.fetch_add(pace, Ordering::Relaxed);
                watch.answers.fetch_add(u64::from(!is_asked), Ordering::Relaxed);
                let mut judge = Judge::new(&mut queue, at(second), Wanted::default(), 0).once();
                let verdict = judge.look(&name("a"), &watch, &mut conduct);
                assert!(is_asked || verdict != Verdict::CutShort, "{second}");
            }
            assert_eq!(watch.give_way.load(Ordering::Relaxed), is_asked, "{pace}");
        }
    }

    #[test]
    fn memory_for_a_listing_is_held_in_the_way_of_those_that_wait_for_some() {
        let few = 9.try_into().unwrap();
        let mut queue = Queue::new(Limits { concurrency: few, per_host: few }, 0);
        queue.insert(name("a"), "h", false, at(0));
        assert!(queue.take_startable(at(1)).is_some());
        for holds in [true, false] {
            let [watch, waits] = [(); 2].map(|()| Watch::default());
            watch.holds[1].store(holds, Ordering::Relaxed);
            waits.waits_for[1].store(true, Ordering::Relaxed);
            let (mut conduct, mut wanted) = (Conduct::new(at(1), 0), Wanted::default());
            let cut = (2..2000).find(|second| {
                watch.octets.fetch_add(200, Ordering::Relaxed);
                wanted.look([&watch, &waits].into_iter(), at(*second));
                let verdict = Judge::new(&mut queue, at(*second), wanted, 0).look(&name("a"), &watch, &mut conduct);
                verdict == Verdict::CutShort
            });
            assert_eq!(cut.is_some(), holds, "{cut:?}");
        }
    }

    #[test]
    fn a_poll_without_a_place_is_not_slow() {
        let mut queue = one_waits_for_the_other(true);
        let (watch, mut conduct) = (Watch::default(), Conduct::new(at(1), 0));
        for second in 2..500 {
            let verdict =
                Judge::new(&mut queue, at(second), Wanted::default(), 0).look(&name("a"), &watch, &mut conduct);
            assert_eq!(verdict, Verdict::GoOn, "{second}");
        }
    }

    #[test]
    fn a_poll_whose_account_was_too_slow_has_twice_as_long() {
        for (times, most) in [(0, 182), (1, 362)] {
            let mut queue = one_waits_for_the_other(false);
            let (watch, mut conduct) = (Arc::new(Watch::default()), Conduct::new(at(1), 0));
            // Whoever polls knows that once it has read the account's record.
            watch.times_too_slow.store(times, Ordering::Relaxed);
            let cut = (2..2000).find(|second| {
                watch.octets.fetch_add(620, Ordering::Relaxed);
                Judge::new(&mut queue, at(*second), Wanted::default(), 0).look(&name("a"), &watch, &mut conduct)
                    == Verdict::CutShort
            });
            assert!(cut.is_some_and(|seconds| (most - 4..=most).contains(&seconds)), "{times}: {cut:?}");
        }
    }
}
