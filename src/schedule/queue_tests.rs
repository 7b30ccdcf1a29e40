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
    accounts.iter().for_each(|&(account, host, due)| queue.insert(name(account), host, at(due)));
    queue
}

/// Everything that may begin now.
fn begin(queue: &mut Queue, now: Duration) -> Vec<String> {
    let mut begun = Vec::new();
    while let Some(account) = queue.take_startable(now) {
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
    // While it runs: its listing may be older than what is wanted. Asking twice makes no difference.
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
    assert_eq!((queue.accounts.len(), queue.hosts.len(), queue.next_wake()), (1, 0, Some(at(9000))));
}

#[test]
fn a_reload_may_give_an_account_another_server_and_another_time() {
    let mut queue = queue(limits(9, 1), &[("runs", "old", 0), ("ready", "old", 1), ("waits", "old", 500)]);
    assert_eq!(begin(&mut queue, at(2)), ["runs"]);
    queue.insert(name("ready"), "new", at(3));
    queue.insert(name("waits"), "old", at(4));
    queue.insert(name("runs"), "new", at(6));
    assert_eq!(begin(&mut queue, at(4)), ["ready"], "the old server's place is still taken");
    queue.finished(&name("runs"), at(300));
    assert_eq!(begin(&mut queue, at(5)), ["waits"]);
    assert_eq!(queue.doing(&name("runs")), Some(Doing::Waiting(at(6))));
    assert_eq!(begin(&mut queue, at(6)), [""; 0], "the new server's place is taken");
    // Removed and back again while its poll runs: it never runs twice.
    queue.remove(&name("ready"));
    queue.insert(name("ready"), "third", at(7));
    assert_eq!(begin(&mut queue, at(8)), [""; 0]);
    queue.finished(&name("ready"), at(300));
    assert_eq!(begin(&mut queue, at(9)), ["runs", "ready"]);
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
        queue.insert(name(&format!("a{n}")), "h", at(n));
    }
    assert_eq!(begin(&mut queue, at(9)).len(), 10);
    let woken = at(8 * 3600);
    let mut begun = vec![begin(&mut queue, woken).len()];
    for step in 1..=10 {
        let wake = queue.next_wake().unwrap_or(woken);
        assert!(wake <= woken + SPREAD, "{wake:?}");
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
/// many more than it has places for.
#[test]
fn a_slow_server_does_not_delay_the_accounts_of_the_others() {
    let host = |n: u32| if n < 10_000 { format!("host-{}", n % 100) } else { "slow".to_owned() };
    let names: Vec<AccountName> = (0..10_200).map(|n| name(&format!("account-{n}"))).collect();
    let number: HashMap<&AccountName, u32> = names.iter().zip(0..).collect();
    let timing = PollTiming::new(crate::account::Interval::fixed(Duration::from_secs(300)), "pop.example.org");
    let outcome = Outcome { logged_in: true, new: 0, login_delay: None, end: End::Dealt { more: false } };

    let mut queue = Queue::new(limits(32, 4), 5);
    for (account, n) in names.iter().zip(0..) {
        queue.insert(account.clone(), &host(n), first(&timing, names.len(), seed(1, account), START).at);
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
            let front = queue.startable.first_key_value().map(|(turn, _)| turn.0);
            let Some(account) = queue.take_startable(now) else { break };
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
        (0..20_u64).prop_map(Step::Pass),
        (1..5_usize, 1..4_usize).prop_map(|(all, host)| Step::Limits(all, host)),
    ];
    proptest::collection::vec(step, 1..120)
}

impl Queue {
    /// Every account is in one place, and what is offered is what could begin.
    fn check(&self) {
        let is_running = |place: &&Place| matches!(place.stage, Stage::Running { .. });
        let ready: usize = self.hosts.values().map(|host| host.ready.len()).sum();
        assert_eq!(self.accounts.len(), self.waiting.len() + ready + self.running());
        assert_eq!(self.ready(), ready);
        assert_eq!(self.accounts.values().filter(is_running).count(), self.running());
        assert_eq!(self.hosts.values().map(|host| host.running).sum::<usize>(), self.running + self.aside);
        let hold = |one: fn(&Holds) -> bool| self.accounts.keys().filter(|a| self.holds(a).is_some_and(one)).count();
        assert_eq!(hold(|holds| matches!(holds, Holds::Both(_))), self.running);
        assert_eq!(hold(|holds| matches!(holds, Holds::Server(_))), self.aside);
        for (account, place) in &self.accounts {
            let stands = match &place.stage {
                Stage::Waiting { turn, .. } => self.waiting.get(turn),
                Stage::Ready { turn } => self.hosts[&place.host].ready.get(turn),
                Stage::Running { holds: Holds::Both(at) | Holds::Server(at), .. } => {
                    self.hosts.get(at).map(|_| account)
                }
                Stage::Running { holds: Holds::Nothing, .. } => Some(account),
            };
            assert_eq!(stands, Some(account));
        }
        assert!(self.hosts.values().all(|host| host.running > 0 || !host.ready.is_empty()));
        let offers = self.hosts.iter().filter_map(|(name, host)| Some((host.offer(self.limits)?, Arc::clone(name))));
        assert_eq!(self.startable, offers.collect());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_limits_hold_and_nobody_is_forgotten(steps in steps()) {
        let mut queue = Queue::new(limits(2, 1), 5);
        let mut now = START;
        // Those that run, with the server whose place they take.
        let mut running: Vec<(AccountName, Option<Arc<str>>)> = Vec::new();
        for step in steps {
            match step {
                Step::Insert(n, host, due) => {
                    queue.insert(name(&n.to_string()), &host.to_string(), now + SECOND * u32::try_from(due).unwrap());
                }
                Step::Remove(n) => queue.remove(&name(&n.to_string())),
                Step::PollNow(n) => {
                    let known = queue.doing(&name(&n.to_string())).is_some();
                    prop_assert_eq!(queue.poll_now(&name(&n.to_string()), now), known);
                }
                Step::Begin => {
                    while let Some(account) = queue.take_startable(now) {
                        let Some(Holds::Both(at)) = queue.holds(&account).cloned() else { panic!("it runs") };
                        prop_assert!(running.iter().all(|(other, _)| *other != account), "{:?} twice", account);
                        running.push((account, Some(Arc::clone(&at))));
                        let here = running.iter().filter(|(_, host)| host.as_ref() == Some(&at)).count();
                        prop_assert!(here <= queue.limits.per_host.get());
                        prop_assert!(queue.running <= queue.limits.concurrency.get());
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
                Step::Aside(_) | Step::Hang(_) => {}
                Step::End(..) => queue.finished(&name("nobody"), now),
                Step::Pass(seconds) => now += SECOND * u32::try_from(seconds).unwrap(),
                Step::Limits(all, host) => queue.set_limits(limits(all, host)),
            }
            queue.check();
            prop_assert_eq!(running.len(), queue.running());
        }
        // Then, with a place at a time, everybody has a turn.
        for (account, _) in running.drain(..) {
            queue.finished(&account, now + SECOND * 40);
        }
        queue.set_limits(limits(1, 1));
        let mut left: std::collections::HashSet<AccountName> = queue.accounts.keys().cloned().collect();
        for _ in 0..200 {
            now += SECOND;
            if let Some(account) = queue.take_startable(now) {
                left.remove(&account);
                queue.finished(&account, now + SECOND);
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
