use std::cmp::Reverse;
use std::collections::BinaryHeap;

use proptest::prelude::*;

use super::*;
use crate::schedule::{End, History, Outcome, PollTiming, first, next, seed};

const SECOND: Duration = Duration::from_secs(1);
const START: Duration = Duration::from_secs(1_000_000);

fn at(seconds: u64) -> Duration {
    START + SECOND * u32::try_from(seconds).unwrap()
}

fn name(name: &str) -> AccountName {
    AccountName::new(name).unwrap()
}

fn limits(concurrency: usize, per_host: usize) -> Limits {
    Limits { concurrency: concurrency.try_into().unwrap(), per_host: per_host.try_into().unwrap() }
}

/// A queue with these accounts: name, host, seconds until due.
fn queue(limits: Limits, accounts: &[(&str, &str, u64)]) -> Queue {
    let mut queue = Queue::new(limits, 5);
    accounts.iter().for_each(|&(account, host, due)| queue.insert(name(account), host, false, at(due)));
    queue
}

/// Takes every account that may begin now.
fn begin(queue: &mut Queue, now: Duration) -> Vec<String> {
    let mut begun = Vec::new();
    while let Some((account, _)) = queue.take_startable(now) {
        begun.push(account.as_str().to_owned());
    }
    begun
}

#[test]
fn accounts_begin_when_they_are_due_and_in_that_order() {
    let mut queue = queue(limits(9, 9), &[("late", "h", 9), ("b", "h", 3), ("a", "i", 2), ("c", "h", 3)]);
    assert_eq!(queue.next_wake(), Some(at(2)));
    assert_eq!(begin(&mut queue, at(1)), [""; 0]);
    assert_eq!(begin(&mut queue, at(3)), ["a", "b", "c"]);
    assert_eq!(queue.next_wake(), Some(at(9)));
    assert_eq!(begin(&mut queue, at(8)), [""; 0]);
    queue.finished(&name("a"), at(5));
    assert_eq!(queue.doing(&name("a")), Some(Doing::Waiting(at(5))));
    assert_eq!(queue.doing(&name("b")), Some(Doing::Running));
    assert_eq!(begin(&mut queue, at(9)), ["a", "late"]);
    assert_eq!((queue.next_wake(), queue.running()), (None, 4));
}

#[test]
fn a_server_has_so_many_places() {
    let accounts = [("a", "slow.org", 0), ("b", "slow.org", 1), ("c", "slow.org", 2), ("d", "fast.org", 3)];
    let mut queue = queue(limits(9, 2), &accounts);
    assert_eq!(begin(&mut queue, at(4)), ["a", "b", "d"]);
    assert_eq!(queue.doing(&name("c")), Some(Doing::Ready(at(2))));
    assert_eq!(queue.next_wake(), None, "only the end of a poll helps");
    queue.finished(&name("d"), at(90));
    assert_eq!(begin(&mut queue, at(4)), [""; 0]);
    queue.finished(&name("b"), at(90));
    assert_eq!(queue.next_wake(), Some(at(2)));
    assert_eq!(begin(&mut queue, at(5)), ["c"]);
}

#[test]
fn there_are_only_so_many_places_in_all_and_who_was_due_first_gets_the_next_one() {
    let accounts = [("a", "h", 0), ("b", "h", 1), ("c", "h", 4), ("x", "i", 3), ("y", "i", 2)];
    let mut queue = queue(limits(2, 2), &accounts);
    assert_eq!(begin(&mut queue, at(5)), ["a", "b"]);
    for (ended, expected) in [("a", "y"), ("b", "x"), ("y", "c")] {
        queue.finished(&name(ended), at(900));
        assert_eq!(begin(&mut queue, at(6)), [expected]);
    }
}

#[test]
fn who_asks_for_a_poll_gets_one_that_begins_after_the_question() {
    let mut queue = queue(limits(9, 9), &[("a", "h", 500), ("b", "h", 500)]);
    assert!(queue.poll_now(&name("a"), at(1)));
    assert_eq!(queue.next_wake(), Some(at(1)));
    assert_eq!(begin(&mut queue, at(1)), ["a"]);
    // A poll in progress may have listed before the wanted mail arrived. Asking twice makes no difference.
    assert!(queue.poll_now(&name("a"), at(2)) && queue.poll_now(&name("a"), at(3)));
    assert_eq!(begin(&mut queue, at(3)), [""; 0], "never twice at the same time");
    queue.finished(&name("a"), at(400));
    assert_eq!(begin(&mut queue, at(60)), ["a"], "and not taken for one that was slept through");
    queue.finished(&name("a"), at(400));
    assert_eq!(queue.doing(&name("a")), Some(Doing::Waiting(at(400))));
    assert!(!queue.poll_now(&name("nobody"), at(4)));
}

#[test]
fn who_asks_all_the_time_keeps_nobody_else_out() {
    let mut queue = queue(limits(1, 1), &[("greedy", "h", 0), ("modest", "h", 2), ("other", "i", 2)]);
    let mut begun = Vec::new();
    for round in 0..6 {
        begun.extend(begin(&mut queue, at(10 * round)));
        queue.poll_now(&name("greedy"), at(10 * round));
        let running = begun.last().unwrap().clone();
        queue.finished(&name(&running), at(10 * round + 300));
    }
    assert_eq!(begun[..4], ["greedy", "greedy", "modest", "other"], "{begun:?}");
}

#[test]
fn a_removed_account_takes_its_place_until_its_poll_has_ended() {
    let mut queue = queue(limits(9, 1), &[("a", "h", 0), ("b", "h", 1), ("c", "h", 2), ("d", "h", 900)]);
    assert_eq!(begin(&mut queue, at(3)), ["a"]);
    for account in ["a", "b", "d", "nobody"] {
        queue.remove(&name(account));
        assert_eq!(queue.doing(&name(account)), None);
    }
    assert!(!queue.poll_now(&name("a"), at(3)));
    assert_eq!((begin(&mut queue, at(4)), queue.running()), (vec![], 1));
    queue.finished(&name("a"), at(5));
    assert_eq!(begin(&mut queue, at(5)), ["c"]);
    queue.finished(&name("c"), at(9000));
    assert_eq!((queue.accounts.len(), queue.hosts.len(), queue.next_wake()), (1, 1, Some(at(9000))));
    queue.remove(&name("c"));
    assert!(queue.hosts.is_empty());
}

#[test]
fn a_reload_may_give_an_account_another_server_and_another_time() {
    let mut queue = queue(limits(9, 1), &[("runs", "old", 0), ("ready", "old", 1), ("waits", "old", 500)]);
    assert_eq!(begin(&mut queue, at(2)), ["runs"]);
    queue.insert(name("ready"), "new", false, at(3));
    queue.insert(name("waits"), "old", false, at(4));
    queue.insert(name("runs"), "new", false, at(3));
    assert_eq!(begin(&mut queue, at(4)), ["ready"], "the old server's place is still taken");
    queue.finished(&name("runs"), at(6));
    assert_eq!(begin(&mut queue, at(5)), ["waits"]);
    assert_eq!(queue.doing(&name("runs")), Some(Doing::Waiting(at(6))));
    assert_eq!(begin(&mut queue, at(6)), [""; 0], "the new server's place is taken");
    // Removed and added again while its poll runs: it never runs twice.
    queue.remove(&name("ready"));
    queue.insert(name("ready"), "third", false, at(7));
    assert_eq!(begin(&mut queue, at(8)), [""; 0]);
    queue.finished(&name("ready"), at(9));
    assert_eq!(begin(&mut queue, at(8)), ["runs"], "its server wants a pause after the poll that ran");
    assert_eq!(begin(&mut queue, at(9)), ["ready"]);
}

#[test]
fn who_waits_in_vain_is_hastened_and_nobody_else() {
    let mut queue = queue(limits(9, 1), &[("waits", "h", 30), ("other", "i", 40), ("runs", "j", 0)]);
    assert_eq!(begin(&mut queue, at(1)), ["runs"]);
    queue.hasten(&name("other"), at(30), at(2));
    queue.hasten(&name("runs"), at(0), at(2));
    assert_eq!(begin(&mut queue, at(2)), [""; 0]);
    queue.hasten(&name("waits"), at(30), at(3));
    assert_eq!(begin(&mut queue, at(3)), ["waits"]);
    queue.finished(&name("runs"), at(50));
    assert_eq!(queue.doing(&name("runs")), Some(Doing::Waiting(at(50))));
}

#[test]
fn other_limits_hold_from_the_next_poll_on() {
    let mut queue = queue(limits(2, 1), &[("a", "h", 0), ("b", "h", 1), ("c", "h", 2), ("d", "i", 3)]);
    assert_eq!(begin(&mut queue, at(4)), ["a", "d"]);
    queue.set_limits(limits(4, 2));
    assert_eq!(begin(&mut queue, at(4)), ["b"]);
    queue.set_limits(limits(1, 1));
    assert_eq!((queue.running(), queue.next_wake()), (3, None));
    queue.finished(&name("a"), at(900));
    queue.finished(&name("b"), at(900));
    assert_eq!(begin(&mut queue, at(4)), [""; 0]);
    queue.finished(&name("d"), at(900));
    assert_eq!(begin(&mut queue, at(4)), ["c"]);
}

#[test]
fn after_a_suspension_the_accounts_come_soon_and_not_all_at_once() {
    let mut queue = Queue::new(limits(1000, 1000), 5);
    for n in 0..600_u64 {
        queue.insert(name(&format!("a{n}")), "h", false, at(n));
    }
    assert_eq!(begin(&mut queue, at(9)).len(), 10);
    let woken = at(8 * 3600);
    let mut begun = vec![begin(&mut queue, woken).len()];
    for step in 1..=10 {
        let wake = queue.next_wake().unwrap_or(woken);
        assert!(wake <= woken + WAKE_JITTER, "{wake:?}");
        begun.push(begin(&mut queue, woken + SECOND * step).len());
    }
    assert_eq!(begun.iter().sum::<usize>(), 590, "{begun:?}");
    assert!(begun[1..].iter().all(|&n| (30..90).contains(&n)), "{begun:?}");
}

#[test]
fn who_waits_for_a_place_has_not_slept() {
    let mut queue = queue(limits(1, 1), &[("a", "h", 0), ("b", "h", 1)]);
    assert_eq!(begin(&mut queue, at(1)), ["a"]);
    queue.finished(&name("a"), at(300));
    assert_eq!(begin(&mut queue, at(200)), ["b"]);
}

/// Ten thousand accounts on a hundred servers, and two hundred more on one that takes a minute for each poll, which is
/// far more than its places allow.
#[test]
fn a_slow_server_does_not_delay_the_accounts_of_the_others() {
    let host = |n: u32| if n < 10_000 { format!("host-{}", n % 100) } else { "slow".to_owned() };
    let names: Vec<AccountName> = (0..10_200).map(|n| name(&format!("account-{n}"))).collect();
    let number: HashMap<&AccountName, u32> = names.iter().zip(0..).collect();
    let timing = PollTiming::new(crate::account::Interval::fixed(Duration::from_secs(300)), "pop.example.org");
    let outcome = Outcome { logged_in: true, new: 0, login_delay: None, end: End::Dealt { more: false } };

    let mut queue = Queue::new(limits(32, 4), 5);
    for (account, n) in names.iter().zip(0..) {
        queue.insert(account.clone(), &host(n), false, first(&timing, names.len(), seed(1, account), START).at);
    }
    let mut ends: BinaryHeap<Reverse<(Duration, u32, Duration)>> = BinaryHeap::new();
    let (mut now, mut slow) = (START, 0);
    let (mut polls, mut latest) = (vec![0_u32; names.len()], Duration::ZERO);
    while now < at(1200) {
        let due = queue.next_wake();
        let ended = ends.peek().map(|Reverse((end, ..))| *end);
        now = [due, ended].into_iter().flatten().min().unwrap().max(now);
        while ends.peek().is_some_and(|Reverse((end, ..))| *end <= now) {
            let Reverse((end, n, began)) = ends.pop().unwrap();
            let account = &names[n as usize];
            slow -= u32::from(n >= 10_000);
            let next = next(
                &timing,
                &mut History::default(),
                &outcome,
                seed(1, account),
                began..end,
                crate::schedule::TimeOfWeek::new(0),
            );
            queue.finished(account, next.at);
        }
        queue.ready_those_due(now);
        loop {
            let front = queue.offers.of(Line::Places).first_key_value().map(|(turn, _)| turn.0);
            let Some((account, _)) = queue.take_startable(now) else { break };
            let n = number[&account];
            if n < 10_000 && now >= at(600) {
                latest = latest.max(now - front.unwrap());
                polls[n as usize] += 1;
            }
            slow += u32::from(n >= 10_000);
            assert!(slow <= 4 && queue.running() <= 32);
            let takes = if n < 10_000 { Duration::from_millis(200) } else { SECOND * 60 };
            ends.push(Reverse((now + takes, n, now)));
        }
    }
    assert!(latest < SECOND * 2, "somebody waited {latest:?} for a place");
    assert!(polls[..10_000].iter().all(|&n| (1..=3).contains(&n)), "two polls in ten minutes, more or less");
    assert_eq!(queue.accounts.len(), names.len());
}

#[derive(Debug, Clone)]
enum Step {
    Insert(u8, u8, u64),
    Remove(u8),
    PollNow(u8),
    Begin,
    End(usize, u64),
    Aside(usize),
    Hang(usize),
    Prepares(usize),
    IsPrepared(usize),
    LooksAt(usize),
    IsSlow(usize, bool),
    Leaves(usize),
    Pass(u64),
    Limits(usize, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..12_u8, 0..4_u8, 0..40_u64).prop_map(|(account, host, due)| Step::Insert(account, host, due)),
        (0..12_u8).prop_map(Step::Remove),
        (0..12_u8).prop_map(Step::PollNow),
        Just(Step::Begin),
        Just(Step::Begin),
        (0..12_usize, 0..40_u64).prop_map(|(which, due)| Step::End(which, due)),
        (0..12_usize, 0..40_u64).prop_map(|(which, due)| Step::End(which, due)),
        (0..12_usize).prop_map(Step::Aside),
        (0..12_usize).prop_map(Step::Hang),
        (0..12_usize).prop_map(Step::Prepares),
        (0..12_usize).prop_map(Step::IsPrepared),
        (0..12_usize).prop_map(Step::LooksAt),
        (0..12_usize, any::<bool>()).prop_map(|(which, slow)| Step::IsSlow(which, slow)),
        (0..12_usize).prop_map(Step::Leaves),
        (0..20_u64).prop_map(Step::Pass),
        (1..5_usize, 1..4_usize).prop_map(|(all, host)| Step::Limits(all, host)),
    ];
    proptest::collection::vec(step, 1..120)
}

impl Queue {
    /// Checks that every account is in exactly one place, and that what is offered is what could begin.
    fn check(&self) {
        let is_running = |place: &&Place| matches!(place.stage, Stage::Running { .. });
        for line in Line::ALL {
            let ready: usize = self.hosts.values().map(|host| *host.in_line().of(line)).sum();
            assert_eq!(*self.in_line.of(line), ready);
        }
        assert_eq!(self.accounts.len(), self.waiting.len() + self.ready() + self.running());
        let prepared = self.counts.prepared;
        assert_eq!(self.hosts.values().map(|host| host.prepared).sum::<usize>(), prepared);
        let quick = self.accounts.values().filter(|place| !place.slowness.is_slow).count();
        assert_eq!(self.hosts.values().map(|host| host.quick).sum::<usize>(), quick);
        assert!(self.hosts.values().all(Host::is_consistent));
        assert_eq!(self.accounts.values().filter(is_running).count(), self.running() + prepared);
        assert_eq!(self.hosts.values().map(|host| host.preparing).sum::<usize>(), self.counts.prompt);
        assert_eq!(
            self.hosts.values().map(|host| host.running).sum::<usize>(),
            self.counts.running + self.counts.aside + self.counts.aside_among_many
        );
        let hold = |one: fn(&Holds) -> bool| self.accounts.keys().filter(|a| self.holds(a).is_some_and(one)).count();
        assert_eq!(hold(|holds| matches!(holds, Holds::Both { .. })), self.counts.running);
        let aside = |is_slow: bool| {
            let is = |place: &&Place| match &place.stage {
                Stage::Running { holds: Holds::Server { course, .. }, .. } => course.stands_among_many() == is_slow,
                _ => false,
            };
            self.accounts.values().filter(is).count()
        };
        assert_eq!((aside(false), aside(true)), (self.counts.aside, self.counts.aside_among_many));
        assert_eq!(hold(|holds| matches!(holds, Holds::Room { late: false, .. })), self.counts.prompt);
        assert_eq!(hold(|holds| matches!(holds, Holds::Room { late: true, .. })), self.counts.late);
        assert_eq!(hold(|holds| matches!(holds, Holds::Queued { .. })), prepared);
        for (account, place) in &self.accounts {
            let stands = match &place.stage {
                Stage::Waiting { turn, .. } => self.waiting.get(turn),
                Stage::Ready { turn, line } => self.hosts[&place.host].stands(*line, *turn),
                Stage::Running { holds: Holds::Queued { at, line }, turn, .. } => self.hosts[at].stands(*line, *turn),
                Stage::Running {
                    holds: Holds::Both { at, .. } | Holds::Server { at, .. } | Holds::Room { at, late: false, .. },
                    ..
                } => self.hosts.get(at).map(|_| account),
                Stage::Running { holds: Holds::Room { late: true, .. } | Holds::Nothing, .. } => Some(account),
            };
            assert_eq!(stands, Some(account));
        }
        assert!(self.hosts.values().all(|host| !host.is_empty()));
        for line in Line::ALL {
            let offer =
                |(name, host): (&Arc<str>, &Host)| Some((host.offer(line, self.limits.per_host)?, Arc::clone(name)));
            assert_eq!(*self.offers.of(line), self.hosts.iter().filter_map(offer).collect());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_limits_hold_and_nobody_is_forgotten(steps in steps()) {
        let mut queue = Queue::new(limits(2, 1), 5);
        let mut now = START;
        // The running polls, each with the server whose place it holds.
        let mut running: Vec<(AccountName, Option<Arc<str>>)> = Vec::new();
        for step in steps {
            match step {
                Step::Insert(n, host, due) => {
                    let due = now + SECOND * u32::try_from(due).unwrap();
                    // Every other one has to prepare.
                    queue.insert(name(&n.to_string()), &host.to_string(), n % 2 == 1, due);
                }
                Step::Remove(n) => queue.remove(&name(&n.to_string())),
                Step::PollNow(n) => {
                    let known = queue.doing(&name(&n.to_string())).is_some();
                    prop_assert_eq!(queue.poll_now(&name(&n.to_string()), now), known);
                }
                Step::Begin => {
                    while let Some((account, begin)) = queue.take_startable(now) {
                        let known = running.iter().position(|(other, _)| *other == account);
                        let at = match queue.holds(&account).cloned() {
                            Some(Holds::Both { at, .. }) => Some(at),
                            Some(Holds::Room { .. }) => None,
                            holds => panic!("it has {holds:?}"),
                        };
                        prop_assert_eq!(at.is_some(), begin == Begin::Poll);
                        match known {
                            Some(prepared) => {
                                prop_assert!(at.is_some() && running[prepared].1.is_none(), "{:?} twice", account);
                                running[prepared].1 = at.clone();
                            }
                            None => running.push((account, at.clone())),
                        }
                        let here = running.iter().filter(|(_, host)| host.is_some() && *host == at).count();
                        prop_assert!(at.is_none() || here <= queue.limits.per_host.get());
                        prop_assert!(queue.counts.running <= queue.limits.concurrency.get());
                        prop_assert!(queue.counts.prompt <= queue.limits.concurrency.get() || begin == Begin::Poll);
                        queue.check();
                    }
                    prop_assert!(queue.next_wake().is_none_or(|wake| wake > now), "nothing is left that could begin");
                }
                Step::End(which, due) if !running.is_empty() => {
                    let (account, _) = running.swap_remove(which % running.len());
                    queue.finished(&account, now + SECOND * u32::try_from(due).unwrap());
                }
                Step::Aside(which) if !running.is_empty() => {
                    queue.stand_aside(&running[which % running.len()].0);
                }
                Step::Hang(which) if !running.is_empty() => {
                    let which = which % running.len();
                    queue.give_up_places(&running[which].0);
                    running[which].1 = None;
                }
                Step::Prepares(which) if !running.is_empty() => {
                    let which = which % running.len();
                    queue.prepares(&running[which].0, now);
                    running[which].1 = None;
                }
                Step::IsPrepared(which) if !running.is_empty() => {
                    queue.is_prepared(&running[which % running.len()].0, now);
                }
                Step::LooksAt(which) if !running.is_empty() => {
                    queue.has_waited_enough(&running[which % running.len()].0, now);
                }
                Step::IsSlow(which, slow) if !running.is_empty() => {
                    queue.gets_on(&running[which % running.len()].0, slow, false);
                }
                Step::Leaves(which) if !running.is_empty() => {
                    let (account, _) = &running[which % running.len()];
                    queue.leaves(account);
                    prop_assert_eq!(queue.owes_its_place_since(account), None);
                }
                Step::Aside(_) | Step::Hang(_) | Step::Prepares(_) | Step::IsPrepared(_) => {}
                Step::LooksAt(_) | Step::IsSlow(..) | Step::Leaves(_) => {}
                Step::End(..) => queue.finished(&name("nobody"), now),
                Step::Pass(seconds) => now += SECOND * u32::try_from(seconds).unwrap(),
                Step::Limits(all, host) => queue.set_limits(limits(all, host)),
            }
            queue.check();
            prop_assert_eq!(running.len(), queue.running() + queue.counts.prepared);
        }
        // Then, with one place at a time, every account has a turn.
        for (account, _) in running.drain(..) {
            queue.finished(&account, now + SECOND * 40);
        }
        queue.set_limits(limits(1, 1));
        let mut left: std::collections::HashSet<AccountName> = queue.accounts.keys().cloned().collect();
        for _ in 0..200 {
            now += SECOND;
            match queue.take_startable(now) {
                Some((account, Begin::Prepare)) => queue.is_prepared(&account, now),
                Some((account, Begin::Poll)) => {
                    left.remove(&account);
                    queue.finished(&account, now + SECOND);
                }
                None => {}
            }
        }
        prop_assert!(left.is_empty(), "{left:?} had no turn");
    }
}

#[test]
fn who_stands_aside_lets_others_begin_and_keeps_its_place_at_the_server() {
    let accounts = [("a", "slow", 0), ("b", "slow", 0), ("c", "slow", 1), ("d", "fast", 2)];
    let mut queue = queue(limits(2, 2), &accounts);
    assert_eq!(begin(&mut queue, at(0)), ["a", "b"]);
    assert!(!queue.is_in_the_way(&name("a")), "nobody else is due");
    assert_eq!(begin(&mut queue, at(2)), [""; 0]);
    assert!(queue.is_in_the_way(&name("a")) && !queue.is_in_the_way(&name("c")));
    assert!(queue.stand_aside(&name("a")) && !queue.stand_aside(&name("a")) && !queue.stand_aside(&name("c")));
    assert_eq!(begin(&mut queue, at(2)), ["d"]);
    assert_eq!((queue.running(), queue.doing(&name("a"))), (3, Some(Doing::Running)));
    assert!(queue.is_in_the_way(&name("a")), "of c, at its server");
    queue.finished(&name("a"), at(9));
    assert!(!queue.is_in_the_way(&name("d")) || begin(&mut queue, at(2)).is_empty());
    queue.finished(&name("d"), at(9));
    assert_eq!(begin(&mut queue, at(3)), ["c"]);
    assert_eq!(queue.running(), 2);
}

#[test]
fn who_hangs_has_no_place_and_is_not_begun_again() {
    let mut queue = queue(limits(1, 1), &[("a", "h", 0), ("b", "h", 1), ("c", "h", 2)]);
    assert_eq!(begin(&mut queue, at(2)), ["a"]);
    queue.give_up_places(&name("a"));
    queue.give_up_places(&name("a"));
    assert_eq!(begin(&mut queue, at(2)), ["b"]);
    assert!(queue.is_in_the_way(&name("b")) && !queue.is_in_the_way(&name("a")));
    assert!(queue.poll_now(&name("a"), at(3)), "it is known, and polled again once it has ended");
    queue.finished(&name("b"), at(90));
    assert_eq!(begin(&mut queue, at(4)), ["c"]);
    queue.finished(&name("a"), at(90));
    queue.finished(&name("c"), at(90));
    assert_eq!(begin(&mut queue, at(5)), ["a"]);
    assert_eq!(queue.running(), 1);
}

#[test]
fn only_so_many_stand_aside() {
    let names: Vec<String> = (0..20).map(|n| format!("a{n:02}")).collect();
    let accounts: Vec<_> = names.iter().map(|name| (name.as_str(), name.as_str(), 0)).collect();
    let mut queue = queue(limits(2, 2), &accounts);
    let mut aside = 0;
    loop {
        let begun = begin(&mut queue, at(0));
        if begun.is_empty() {
            break;
        }
        aside += begun.iter().filter(|account| queue.stand_aside(&name(account))).count();
    }
    assert_eq!((aside, queue.running()), (2 + FEW, 2 + 2 + FEW));
    queue.give_up_places(&name("a00"));
    assert!(queue.stand_aside(&name("a10")), "one that hangs does not stand aside any more");
}

/// Lets all accounts prepare that may, and returns them.
fn prepare(queue: &mut Queue, now: Duration) -> Vec<AccountName> {
    let mut begun = Vec::new();
    while let Some((account, begin)) = queue.take_startable(now) {
        assert_eq!(begin, Begin::Prepare);
        begun.push(account);
    }
    begun
}

#[test]
fn who_prepares_has_no_place_and_is_polled_in_the_turn_in_which_it_was_due() {
    let mut queue = Queue::new(limits(4, 1), 5);
    queue.insert(name("command"), "h", true, at(0));
    queue.insert(name("fixed"), "h", false, at(1));
    queue.insert(name("next"), "h", false, at(2));
    assert_eq!(prepare(&mut queue, at(0)), [name("command")]);
    assert_eq!(queue.doing(&name("command")), Some(Doing::Running));
    assert_eq!(begin(&mut queue, at(2)), ["fixed"], "the place at the server is free");
    queue.is_prepared(&name("command"), at(3));
    assert_eq!(queue.doing(&name("command")), Some(Doing::Ready(at(0))));
    assert_eq!(begin(&mut queue, at(3)), [""; 0]);
    queue.finished(&name("fixed"), at(900));
    assert_eq!(queue.take_startable(at(4)), Some((name("command"), Begin::Poll)));
    queue.finished(&name("command"), at(900));
    assert_eq!(begin(&mut queue, at(5)), ["next"]);
}

#[test]
fn a_poll_that_has_ended_before_it_had_a_place_waits_for_none() {
    let mut queue = Queue::new(limits(1, 1), 5);
    queue.insert(name("busy"), "h", false, at(0));
    assert_eq!(begin(&mut queue, at(0)), ["busy"]);
    queue.set_limits(limits(2, 1));
    queue.insert(name("a"), "h", true, at(1));
    assert_eq!(prepare(&mut queue, at(1)), [name("a")]);
    queue.is_prepared(&name("a"), at(1));
    queue.ends(&name("a"));
    queue.finished(&name("busy"), at(900));
    assert_eq!(queue.take_startable(at(2)), None, "it is not polled while its end is written down");
    queue.finished(&name("a"), at(3));
    assert_eq!(prepare(&mut queue, at(3)), [name("a")]);
    queue.ends(&name("a"));
    assert_eq!((queue.running(), queue.counts.prompt), (1, 0));
}

#[test]
fn who_needs_another_credential_lets_others_begin_meanwhile() {
    let mut queue = queue(limits(1, 1), &[("a", "h", 0), ("b", "h", 1)]);
    assert_eq!(begin(&mut queue, at(1)), ["a"]);
    queue.prepares(&name("a"), at(1));
    assert_eq!(begin(&mut queue, at(1)), ["b"]);
    queue.is_prepared(&name("a"), at(2));
    assert_eq!(begin(&mut queue, at(2)), [""; 0]);
    queue.finished(&name("b"), at(90));
    assert_eq!(begin(&mut queue, at(2)), ["a"]);
}

/// A server with any number of accounts whose passwords do not arrive.
#[test]
fn those_that_hang_wait_for_each_other_and_the_others_for_none_of_them() {
    let mut queue = Queue::new(limits(2, 2), 5);
    let hanging: Vec<AccountName> = (0..60).map(|n| name(&format!("stuck{n:02}"))).collect();
    let good: Vec<AccountName> = (0..4).map(|n| name(&format!("good{n}"))).collect();
    hanging.iter().for_each(|account| queue.insert(account.clone(), "h", true, at(0)));
    good.iter().for_each(|account| queue.insert(account.clone(), "h", true, at(0)));
    // Each hangs for a minute, if allowed, and is due again ten seconds later.
    let mut hangs: HashMap<AccountName, Duration> = HashMap::new();
    let (mut polls, mut most, mut last) = (0, 0, START);
    for second in 0..1200 {
        let now = at(second);
        let over = |(account, begun): (&AccountName, &Duration)| {
            (now >= *begun + 60 * SECOND || queue.has_waited_enough(account, now)).then(|| account.clone())
        };
        for account in hangs.iter().filter_map(over).collect::<Vec<_>>() {
            hangs.remove(&account);
            queue.finished(&account, now + 10 * SECOND);
        }
        while let Some((account, begin)) = queue.take_startable(now) {
            match begin {
                Begin::Prepare if good.contains(&account) => queue.is_prepared(&account, now),
                Begin::Prepare => _ = hangs.insert(account, now),
                Begin::Poll => {
                    assert!(good.contains(&account));
                    (polls, last) = (polls + 1, now);
                    queue.finished(&account, now + 10 * SECOND);
                }
            }
        }
        most = most.max(hangs.len());
        // At first it is not known which of them hang.
        assert!(second < 150 || now - last <= 11 * SECOND, "{second} s: nobody was polled for {:?}", now - last);
    }
    assert!((2 + FEW..=2 + 2 + FEW).contains(&most), "{most} commands at a time");
    assert!(polls >= 4 * 95, "{polls} polls of four accounts in 1200 s");
}

#[test]
fn who_comes_to_it_at_once_again_is_not_held_back_any_more() {
    let mut queue = Queue::new(limits(1, 1), 5);
    queue.insert(name("a"), "h", true, START);
    let credential = |queue: &Queue| queue.accounts[&name("a")].credential;
    for (seconds, expected) in [(5, Credential::Late), (1, Credential::Prompt), (2, Credential::Prompt)] {
        let begun = queue.next_wake().unwrap();
        assert_eq!(prepare(&mut queue, begun), [name("a")]);
        (1..=seconds).for_each(|second| assert!(!queue.has_waited_enough(&name("a"), begun + SECOND * second)));
        queue.is_prepared(&name("a"), begun + SECOND * seconds);
        assert_eq!(begin(&mut queue, begun + SECOND * seconds), ["a"]);
        queue.finished(&name("a"), begun + 300 * SECOND);
        assert_eq!(credential(&queue), expected);
    }
    // What was learnt survives a reload as long as it can apply.
    queue.accounts.get_mut(&name("a")).unwrap().credential = Credential::Late;
    queue.insert(name("a"), "other", true, START);
    assert_eq!(credential(&queue), Credential::Late);
    queue.insert(name("a"), "other", false, START);
    assert_eq!(credential(&queue), Credential::AtHand);
}

#[test]
fn a_busy_server_has_few_that_are_prepared_and_others_are_not_held_back_by_it() {
    let mut queue = Queue::new(limits(8, 2), 5);
    (0..20).for_each(|n| queue.insert(name(&format!("busy{n:02}")), "busy", true, at(0)));
    queue.insert(name("elsewhere"), "quiet", true, at(1));
    for _ in 0..10 {
        while let Some((account, begin)) = queue.take_startable(at(2)) {
            if begin == Begin::Prepare {
                queue.is_prepared(&account, at(2));
            }
        }
    }
    // Two are polled, and two more are prepared.
    assert_eq!(
        (queue.counts.running, queue.hosts["busy"].prepared, queue.hosts["busy"].in_line().of(Line::Prompt)),
        (3, 2, &16)
    );
    assert_eq!(queue.doing(&name("elsewhere")), Some(Doing::Running));
}

/// Thirty accounts whose logins take half a minute each, beside four that take no time.
fn slow_ones_beside_quick_ones(per_host: usize) -> (Duration, usize) {
    let mut queue = Queue::new(limits(32, per_host), 5);
    let (slow, quick) = (|n| name(&format!("slow{n:02}")), |n| name(&format!("quick{n}")));
    (0..30).for_each(|n| queue.insert(slow(n), "h", false, at(0)));
    (0..4).for_each(|n| queue.insert(quick(n), "h", false, at(0)));
    let mut running: HashMap<AccountName, Duration> = HashMap::new();
    let (mut longest, mut polls, mut last) = (Duration::ZERO, 0, HashMap::new());
    for second in 0..3000 {
        let now = at(second);
        for (account, begun) in running.clone() {
            // As the daemon does each second.
            queue.gets_on(&account, now >= begun + 10 * SECOND, false);
            if now >= begun + 30 * SECOND {
                running.remove(&account);
                queue.finished(&account, now + 60 * SECOND);
            }
        }
        while let Some((account, _)) = queue.take_startable(now) {
            if account.as_str().starts_with("slow") {
                running.insert(account, now);
                polls += 1;
                continue;
            }
            queue.finished(&account, now + 60 * SECOND);
            let before = last.insert(account, now);
            if let Some(before) = before.filter(|_| second > 600) {
                longest = longest.max(now - before);
            }
        }
    }
    (longest, polls)
}

#[test]
fn accounts_that_are_slow_leave_a_place_at_their_server_to_the_others() {
    let (longest, polls) = slow_ones_beside_quick_ones(4);
    assert!(longest <= 61 * SECOND, "{longest:?} between two polls of an account that takes no time");
    assert!(polls >= 290, "{polls} polls of slow ones: all of the other places are theirs");
    // With one place, the account that is due first gets it.
    assert!(slow_ones_beside_quick_ones(1).1 >= 95);
}

#[test]
fn a_server_where_all_are_slow_has_all_of_its_places() {
    let mut queue = queue(limits(9, 2), &[("a", "h", 0), ("b", "h", 1), ("c", "h", 2)]);
    for account in ["a", "b"] {
        assert_eq!(queue.take_startable(at(1)), Some((name(account), Begin::Poll)));
        queue.gets_on(&name(account), true, false);
        queue.finished(&name(account), at(9));
    }
    assert_eq!(begin(&mut queue, at(2)), ["c"]);
    queue.finished(&name("c"), at(900));
    assert_eq!(begin(&mut queue, at(9)), ["a"], "the other one is for c");
    assert!(queue.is_in_the_way(&name("a")), "of b");
    queue.remove(&name("c"));
    assert_eq!(begin(&mut queue, at(10)), ["b"]);
    // Once it retrieves something, it is no longer slow.
    queue.gets_on(&name("a"), false, false);
    queue.finished(&name("a"), at(20));
    queue.finished(&name("b"), at(20));
    assert_eq!(begin(&mut queue, at(20)), ["a", "b"]);
}

#[test]
fn polls_that_became_slow_owe_the_last_place_to_others_and_one_of_them_leaves_it() {
    let accounts = [("a", "h", 0), ("b", "h", 0), ("c", "h", 1), ("d", "h", 9), ("slow", "h", 900)];
    let mut queue = queue(limits(9, 3), &accounts);
    assert_eq!(begin(&mut queue, at(1)), ["a", "b", "c"]);
    let owe = |queue: &Queue| ["a", "b", "c"].map(|account| queue.owes_its_place_since(&name(account)));
    ["a", "b"].iter().for_each(|account| queue.gets_on(&name(account), true, false));
    assert_eq!(begin(&mut queue, at(9)), [""; 0]);
    assert_eq!(owe(&queue), [None; 3], "one place is not held by a slow one");
    queue.gets_on(&name("c"), true, false);
    assert_eq!(owe(&queue), [Some(at(9)); 3]);
    assert!(queue.stand_aside(&name("b")));
    assert_eq!(owe(&queue), [Some(at(9)); 3], "it keeps its place at the server");
    queue.leaves(&name("b"));
    assert_eq!(owe(&queue), [None; 3], "that is enough");
    queue.finished(&name("b"), at(10));
    assert_eq!(begin(&mut queue, at(10)), ["d"], "not b, which is slow");
    queue.gets_on(&name("d"), true, false);
    assert_eq!(owe(&queue), [None; 3], "who waits is slow, too");
    queue.finished(&name("a"), at(900));
    assert_eq!(begin(&mut queue, at(11)), [""; 0]);
    queue.finished(&name("c"), at(900));
    assert_eq!(begin(&mut queue, at(12)), ["b"]);
    // One that began as slow owes its place to nobody.
    queue.gets_on(&name("b"), true, false);
    queue.insert(name("e"), "h", false, at(12));
    queue.insert(name("f"), "h", false, at(13));
    assert_eq!(begin(&mut queue, at(13)), ["e"]);
    queue.gets_on(&name("e"), true, false);
    let since = |queue: &Queue, account| queue.owes_its_place_since(&name(account));
    assert_eq!(["b", "d", "e"].map(|account| since(&queue, account)), [None, Some(at(13)), Some(at(13))]);
}

#[test]
fn with_one_place_there_is_none_to_owe() {
    let mut queue = queue(limits(9, 1), &[("a", "h", 0), ("b", "h", 1)]);
    assert_eq!(begin(&mut queue, at(1)), ["a"]);
    queue.gets_on(&name("a"), true, false);
    assert_eq!(queue.owes_its_place_since(&name("a")), None);
}

#[test]
fn a_poll_that_began_as_slow_counts_as_slow_to_its_end_and_the_account_until_one_of_its_polls_is_not() {
    let accounts = [("a", "h", 0), ("b", "h", 0), ("other", "h", 9000)];
    let mut queue = queue(limits(9, 2), &accounts);
    assert_eq!(begin(&mut queue, at(0)), ["a", "b"]);
    for account in ["a", "b"] {
        queue.gets_on(&name(account), true, false);
        queue.finished(&name(account), at(10));
    }
    assert_eq!(begin(&mut queue, at(10)), ["a"]);
    queue.gets_on(&name("a"), false, false);
    assert_eq!(begin(&mut queue, at(11)), [""; 0], "it has only begun");
    // It ends before anybody looked at it again.
    queue.finished(&name("a"), at(20));
    assert_eq!(begin(&mut queue, at(20)), ["b", "a"], "a is not slow any more");
}

#[test]
fn an_account_that_is_slow_time_and_again_is_slow_for_an_hour() {
    let mut queue = queue(limits(9, 2), &[("a", "h", 0), ("other", "h", 90_000)]);
    let mut poll = |due: u64, slow: bool, next: u64| {
        assert_eq!(begin(&mut queue, at(due)), ["a"]);
        queue.gets_on(&name("a"), slow, false);
        queue.finished(&name("a"), at(next));
        queue.accounts[&name("a")].slowness.is_slow
    };
    assert!(poll(0, true, 10));
    assert!(!poll(10, false, 20));
    assert!(poll(20, true, 30));
    assert!(poll(30, false, 1830) && poll(1830, false, 3610));
    assert!(!poll(3610, false, 3630), "an hour after it was slow the last time");
    assert!(poll(3630, true, 3640));
    assert!(!poll(3640, false, 3650), "the time before was more than an hour ago");
    // What was learnt does not apply to another server.
    assert!(poll(3650, true, 3660));
    queue.insert(name("a"), "i", false, at(3660));
    assert_eq!(queue.accounts[&name("a")].slowness, Slowness::default());
}

#[test]
fn slow_ones_stand_aside_in_larger_numbers_and_are_in_the_way_behind_those() {
    let names: Vec<String> = (0..80).map(|n| format!("a{n:02}")).collect();
    let accounts: Vec<_> = names.iter().map(|name| (name.as_str(), name.as_str(), 0)).collect();
    let mut queue = queue(limits(2, 2), &accounts);
    let mut aside = Vec::new();
    loop {
        let begun = begin(&mut queue, at(0));
        if begun.is_empty() {
            break;
        }
        for account in begun {
            queue.gets_on(&name(&account), true, false);
            if queue.stand_aside(&name(&account)) {
                aside.push(account);
            }
        }
    }
    assert_eq!((aside.len(), queue.running()), (MANY, MANY + 2));
    assert_eq!(most_polls(limits(2, 2).concurrency), MANY + 2);
    assert_eq!(queue.in_the_way_since(&name(&aside[0])), Some(at(0)), "nobody more can stand aside");
    queue.finished(&name(&aside[1]), at(900));
    assert_eq!(queue.in_the_way_since(&name(&aside[0])), None);
    // One that is no longer slow counts again.
    for account in &aside[2..20] {
        queue.gets_on(&name(account), false, false);
    }
    assert_eq!(queue.running(), MANY + 1);
}

#[test]
fn it_is_known_since_when_others_wait() {
    let mut queue = queue(limits(4, 1), &[("a", "h", 0), ("b", "h", 5), ("c", "h", 3), ("d", "other", 1)]);
    assert_eq!(begin(&mut queue, at(1)), ["a", "d"]);
    assert_eq!(queue.in_the_way_since(&name("a")), None);
    assert_eq!(begin(&mut queue, at(6)), [""; 0]);
    assert_eq!(queue.in_the_way_since(&name("a")), Some(at(3)), "c waits longest");
    assert_eq!(queue.in_the_way_since(&name("d")), None);
}

#[test]
fn slow_accounts_leave_places_in_the_total_to_the_others() {
    let slow: Vec<String> = (0..9).map(|n| format!("slow{n}")).collect();
    let accounts: Vec<_> = slow.iter().map(|name| (name.as_str(), name.as_str(), 0)).collect();
    let mut queue = queue(limits(4, 2), &accounts);
    for _ in 0..3 {
        for account in begin(&mut queue, at(0)) {
            queue.gets_on(&name(&account), true, true);
            queue.finished(&name(&account), at(1));
        }
    }
    assert!(slow.iter().all(|account| queue.accounts[&name(account)].slowness.is_slow));
    let begun = begin(&mut queue, at(1));
    assert_eq!(begun.len(), 3, "one place of four is left to others");
    queue.insert(name("quick"), "h", false, at(2));
    assert_eq!(begin(&mut queue, at(2)), ["quick"]);
    // Whoever waits sees who is in the way: those that are slow, not the one that is not.
    assert!(queue.in_the_way_since(&name(&begun[0])).is_some());
    queue.finished(&name("quick"), at(900));
    assert!(queue.in_the_way_since(&name(&begun[0])).is_some(), "of other slow ones");
    queue.gets_on(&name(&begun[0]), true, true);
    assert!(queue.stand_aside(&name(&begun[0])));
    assert_eq!(begin(&mut queue, at(3)).len(), 1);
}

#[test]
fn where_a_single_one_may_run_a_slow_one_does_as_long_as_it_can_stand_aside() {
    let slow: Vec<String> = (0..MANY + 9).map(|n| format!("slow{n}")).collect();
    let accounts: Vec<_> = slow.iter().map(|name| (name.as_str(), name.as_str(), 0)).collect();
    let mut queue = queue(limits(1, 2), &accounts);
    while let Some(account) = begin(&mut queue, at(0)).first() {
        queue.gets_on(&name(account), true, true);
        queue.finished(&name(account), at(1));
    }
    let mut aside = 0;
    while let Some(account) = begin(&mut queue, at(1)).first() {
        assert!(queue.stand_aside(&name(account)));
        aside += 1;
    }
    assert_eq!(aside, MANY);
    queue.insert(name("quick"), "h", false, at(2));
    assert_eq!(begin(&mut queue, at(2)), ["quick"]);
}

#[test]
fn where_no_more_polls_may_stand_aside_the_slow_ones_owe_their_places() {
    let names: Vec<String> = (0..MANY + 2).map(|n| format!("a{n:03}")).collect();
    let accounts: Vec<_> = names.iter().map(|name| (name.as_str(), name.as_str(), 0)).collect();
    let mut queue = queue(limits(2, 2), &accounts);
    let mut first = String::new();
    loop {
        let begun = begin(&mut queue, at(0));
        let Some(account) = begun.first() else { break };
        first.clone_from(account);
        for account in &begun {
            queue.gets_on(&name(account), true, true);
            queue.stand_aside(&name(account));
        }
    }
    assert_eq!(queue.running(), MANY + 2);
    assert_eq!(queue.owes_its_place_since(&name(&first)), None, "nobody waits");
    queue.insert(name("quick"), "quick", false, at(1));
    assert!(begin(&mut queue, at(1)).is_empty());
    assert_eq!(queue.owes_its_place_since(&name(&first)), Some(at(1)));
    queue.leaves(&name(&first));
    assert!(names.iter().all(|account| queue.owes_its_place_since(&name(account)).is_none()), "one is enough");
    queue.finished(&name(&first), at(900));
}
