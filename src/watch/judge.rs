//! Looks at a running poll about every second, and passes on what others wait for: the one judge of the daemon's polls
//! and of those of `fetch`.

use std::time::Duration;

use super::Watch;
use super::conduct::{Conduct, Seen, Verdict, WINDOW};
use super::hang::MOST_HUNG;
use crate::account::AccountName;
use crate::schedule::queue::Queue;

/// What all polls that are judged together have in common. Times are since boot, or since any other moment that they
/// share with the queue.
#[derive(Debug)]
pub(crate) struct Judge<'a> {
    queue: &'a mut Queue,
    now: Duration,
    /// Since when polls have waited for room in memory. None: none waits.
    room_wanted: Option<Duration>,
    /// How many polls hang.
    hung: usize,
}

impl<'a> Judge<'a> {
    /// Judges polls that have their places from this queue; `hung` of them hang.
    pub(crate) fn new(queue: &'a mut Queue, now: Duration, room_wanted: Option<Duration>, hung: usize) -> Self {
        Self { queue, now, room_wanted, hung }
    }

    /// Looks at the poll of an account and does what follows for its places. What is left to the caller is to tell of
    /// it, and to stop the task after [`Verdict::End`].
    pub(crate) fn look(&mut self, account: &AccountName, watch: &Watch, conduct: &mut Conduct) -> Verdict {
        let Self { queue, now, room_wanted, hung } = self;
        conduct.was_too_slow(watch.times_too_slow());
        if !queue.has_place(account) {
            // It waits at nobody's cost.
            conduct.has_places(*now);
        }
        let since = [room_wanted.filter(|_| watch.holds_room()), queue.in_the_way_since(account)];
        let for_long = |since: Duration| now.saturating_sub(since);
        let seen = Seen {
            now: *now,
            octets: watch.octets(),
            listed: watch.listed(),
            answers: watch.answers(),
            began_slow: queue.began_slow(account),
            waits_for_disk: watch.waiting_for_disk().map(|since| since.elapsed()),
            waits_for_room: watch.waits_for_room(),
            waited_for: since.into_iter().flatten().min().map(for_long),
            owed_for: queue.owes_its_place_since(account).map(for_long),
        };
        queue.gets_on(account, conduct.is_slow(seen), conduct.is_one_of_many(seen));
        let verdict = conduct.judge(seen);
        match verdict {
            Verdict::GoOn | Verdict::HangsNoMore => {}
            Verdict::StandAside if queue.stand_aside(account) => conduct.stands_aside(),
            Verdict::StandAside => return Verdict::GoOn,
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

    /// Judges a poll of one account each second while another one waits for the only place. Returns the verdicts other
    /// than to go on, and whether the other one has had a place.
    fn verdicts(seconds: u64, comes: impl Fn(&Watch)) -> (Vec<Verdict>, bool) {
        let one = 1.try_into().unwrap();
        let mut queue = Queue::new(Limits { concurrency: one, per_host: one }, 0);
        queue.insert(name("a"), "h", false, at(0));
        queue.insert(name("b"), "h", false, at(1));
        assert!(queue.take_startable(at(1)).is_some());
        let (watch, mut conduct) = (Watch::default(), Conduct::new(at(1), 0));
        let mut verdicts = Vec::new();
        for second in 2..2 + seconds {
            comes(&watch);
            let verdict = Judge::new(&mut queue, at(second), None, 0).look(&name("a"), &watch, &mut conduct);
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
    fn a_poll_without_a_place_is_not_slow() {
        let one = 1.try_into().unwrap();
        let mut queue = Queue::new(Limits { concurrency: one, per_host: one }, 0);
        queue.insert(name("a"), "h", true, at(0));
        queue.insert(name("b"), "h", false, at(1));
        assert!(queue.take_startable(at(1)).is_some(), "it has its place for its credential");
        let (watch, mut conduct) = (Watch::default(), Conduct::new(at(1), 0));
        for second in 2..500 {
            let verdict = Judge::new(&mut queue, at(second), None, 0).look(&name("a"), &watch, &mut conduct);
            assert_eq!(verdict, Verdict::GoOn, "{second}");
        }
    }

    #[test]
    fn a_poll_whose_account_was_too_slow_has_twice_as_long() {
        for (times, most) in [(0, 182), (1, 362)] {
            let one = 1.try_into().unwrap();
            let mut queue = Queue::new(Limits { concurrency: one, per_host: one }, 0);
            queue.insert(name("a"), "h", false, at(0));
            queue.insert(name("b"), "h", false, at(1));
            assert!(queue.take_startable(at(1)).is_some());
            let (watch, mut conduct) = (Arc::new(Watch::default()), Conduct::new(at(1), 0));
            // Whoever polls knows that once it has read the account's record.
            watch.times_too_slow.store(times, Ordering::Relaxed);
            let cut = (2..2000).find(|second| {
                watch.octets.fetch_add(620, Ordering::Relaxed);
                Judge::new(&mut queue, at(*second), None, 0).look(&name("a"), &watch, &mut conduct) == Verdict::CutShort
            });
            assert!(cut.is_some_and(|seconds| (most - 4..=most).contains(&seconds)), "{times}: {cut:?}");
        }
    }
}
