//! Accounts whose server drips, beside accounts at the same server whose polls take no time.

use std::collections::{BTreeMap, HashMap};

use super::*;
use crate::account::AccountName;
use crate::schedule::queue::{Limits, MANY, Queue, most_polls};

/// How many of the accounts drip, and how many take no time.
const EACH: usize = 6;

/// How long an account rests after a poll.
const INTERVAL: Duration = Duration::from_secs(10);

/// How long it rests after a poll that was cut short.
const BACK_OFF: Duration = Duration::from_secs(60);

/// How much those that drip send in a second, in each poll.
type Drip = fn(u32) -> u64;

/// What a poll that takes no time sends.
const AT_ONCE: u64 = u64::MAX;

/// What came of it.
#[derive(Debug)]
struct Outcome {
    /// The longest that an account that takes no time waited for a place, in seconds, in the first ten minutes.
    at_first: u64,
    /// The same in the hours after these.
    later: u64,
    /// How many polls the account that drips had that had the fewest.
    fewest: u32,
    /// The longest poll of one that drips, in seconds.
    longest: u64,
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A poll that drips.
struct Poll {
    conduct: Conduct,
    /// When it began, in seconds.
    begun: u64,
    /// How much its server sends in a second.
    pace: u64,
}

/// A daemon with these accounts.
struct Daemon {
    queue: Queue,
    drip: Drip,
    running: BTreeMap<String, Poll>,
    /// How many polls each account has had.
    polls: HashMap<String, u32>,
    /// How many in a row were cut short.
    in_a_row: HashMap<String, u32>,
    /// When each account is due, in seconds.
    due: HashMap<String, u64>,
    /// Until when accounts are not known yet, in seconds.
    first: u64,
    outcome: Outcome,
}

impl Daemon {
    /// A daemon with accounts at one server.
    fn new(places: usize, drip: Drip) -> Self {
        let limits = Limits { concurrency: 32.try_into().unwrap(), per_host: places.try_into().unwrap() };
        Self::with(limits, EACH, drip, |_| "h".to_owned())
    }

    /// A daemon with so many accounts that drip, and [`EACH`] that do not, each at this server.
    fn with(limits: Limits, drips: usize, drip: Drip, server: fn(&str) -> String) -> Self {
        let (mut queue, mut due) = (Queue::new(limits, 5), HashMap::new());
        // Those that drip are due first.
        let drips = (0..drips).map(|n| (format!("drips{n}"), 1));
        for (n, second) in drips.chain((0..EACH).map(|n| (format!("good{n}"), 2))) {
            queue.insert(name(&n), &server(&n), false, seconds(second));
            due.insert(n, second);
        }
        let outcome = Outcome { at_first: 0, later: 0, fewest: 0, longest: 0 };
        let (running, polls, in_a_row) = Default::default();
        Self { queue, drip, running, polls, in_a_row, due, first: 600, outcome }
    }

    /// Judges the running polls, as the daemon does each second, and ends those that are cut short.
    fn look(&mut self, second: u64) {
        let now = seconds(second);
        let mut ended = Vec::new();
        for (account, Poll { conduct, begun, pace }) in &mut self.running {
            let (queue, name) = (&mut self.queue, name(account));
            let for_long = |since: Option<Duration>| since.map(|since| now.saturating_sub(since));
            let seen = Seen {
                now,
                octets: (second - *begun) * *pace,
                listed: 0,
                answers: 0,
                began_slow: queue.began_slow(&name),
                waits_for_disk: None,
                waits_for_room: false,
                waited_for: for_long(queue.in_the_way_since(&name)),
                owed_for: for_long(queue.owes_its_place_since(&name)),
            };
            queue.gets_on(&name, conduct.is_slow(seen), conduct.is_one_of_many(seen));
            match conduct.judge(seen) {
                Verdict::StandAside if queue.stand_aside(&name) => conduct.stands_aside(),
                Verdict::CutShort | Verdict::End => {
                    queue.leaves(&name);
                    self.outcome.longest = self.outcome.longest.max(second - *begun);
                    ended.push(account.clone());
                }
                _ => {}
            }
        }
        for account in ended {
            self.running.remove(&account);
            *self.in_a_row.entry(account.clone()).or_default() += 1;
            self.queue.finished(&name(&account), now + BACK_OFF);
        }
    }

    /// Begins the polls that may begin. Those that take no time end at once.
    fn begin(&mut self, second: u64) {
        let now = seconds(second);
        while let Some((begun, _)) = self.queue.take_startable(now) {
            let account = begun.as_str().to_owned();
            let number = self.polls.entry(account.clone()).or_default();
            *number += 1;
            let pace = if account.starts_with("drips") { (self.drip)(*number) } else { AT_ONCE };
            if pace != AT_ONCE {
                let times = self.in_a_row.get(&account).copied().unwrap_or(0);
                self.running.insert(account, Poll { conduct: Conduct::new(now, times), begun: second, pace });
                continue;
            }
            self.in_a_row.remove(&account);
            self.queue.finished(&begun, now + INTERVAL);
            if account.starts_with("good") {
                let longest = if second < self.first { &mut self.outcome.at_first } else { &mut self.outcome.later };
                let was_due = self.due.insert(account, second + INTERVAL.as_secs()).unwrap();
                *longest = (second - was_due).max(*longest);
            }
        }
    }
}

fn name(account: &str) -> AccountName {
    AccountName::new(account).unwrap()
}

/// Polls the accounts for three hours at a server with this many places.
fn polled(places: usize, drip: Drip) -> Outcome {
    let mut daemon = Daemon::new(places, drip);
    for second in 3..3 * 3600 {
        daemon.look(second);
        daemon.begin(second);
        assert!(daemon.running.len() <= places, "more sessions than the server allows");
    }
    let polls = |n| daemon.polls.get(&format!("drips{n}")).copied().unwrap_or(0);
    let fewest = (0..EACH).map(polls).min().unwrap();
    Outcome { fewest, ..daemon.outcome }
}

#[test]
fn accounts_that_drip_do_not_keep_the_last_place_of_their_server() {
    for places in [2, 4] {
        let outcome = polled(places, |_| 600);
        assert!(outcome.at_first <= 46 * 6 && outcome.later <= 1, "{places} places: {outcome:?}");
        assert!(outcome.fewest >= 2 && outcome.longest >= 600, "they have the other places: {outcome:?}");
    }
}

#[test]
fn nor_do_accounts_that_drip_now_and_then() {
    // The more seldom they do, the longer it takes until that is known of all of them, and the less it matters.
    let drips: [(Drip, u64); 4] = [
        (|poll| if poll.is_multiple_of(2) { 600 } else { AT_ONCE }, 46),
        (|poll| if poll.is_multiple_of(3) { 600 } else { AT_ONCE }, 46),
        (|poll| if poll.is_multiple_of(20) { 600 } else { AT_ONCE }, 46 * 3),
        (|poll| if poll.is_multiple_of(2) { 4500 } else { AT_ONCE }, 121 * 6),
    ];
    for (drip, most) in drips {
        let outcome = polled(2, drip);
        assert!(outcome.later <= most, "{most} s: {outcome:?}");
    }
}

/// Accounts at servers of their own, more than may ever run at the same time.
fn at_servers_of_their_own(concurrency: usize, drip: Drip) -> Outcome {
    let limits = Limits { concurrency: concurrency.try_into().unwrap(), per_host: 2.try_into().unwrap() };
    let drips = most_polls(limits.concurrency) + 20;
    let mut daemon = Daemon { first: 1200, ..Daemon::with(limits, drips, drip, str::to_owned) };
    for second in 3..3600 {
        daemon.look(second);
        daemon.begin(second);
        assert!(daemon.running.len() <= most_polls(limits.concurrency), "more polls than there may be");
    }
    let polls = |n| daemon.polls.get(&format!("drips{n}")).copied().unwrap_or(0);
    Outcome { fewest: (0..drips).map(polls).min().unwrap(), ..daemon.outcome }
}

#[test]
fn accounts_that_drip_do_not_keep_all_places_however_many_they_are() {
    // Just above what a window requires, above the least throughput, and a fast line with a message of any size.
    let drips: [(Drip, u64); 4] = [(|_| 600, 60), (|_| 5500, 130), (|_| 20_000, 310), (|_| 1 << 20, 310)];
    for concurrency in [1, 4] {
        // A single place is not meant for fast lines.
        for (drip, cut_after) in drips.into_iter().take(if concurrency == 1 { 2 } else { 4 }) {
            let outcome = at_servers_of_their_own(concurrency, drip);
            let context = format!("{} octets/s, {concurrency} places: {outcome:?}", drip(0));
            // Until all are known: each holds its place for some seconds, before it stands aside.
            let begins = u64::try_from(MANY / concurrency * 10).unwrap();
            assert!(outcome.at_first <= begins.max(cut_after) + 200, "{context}");
            // A single place is not kept free: those that stand aside first are in front.
            assert!(outcome.later <= if concurrency == 1 { 90 } else { 1 }, "{context}");
            assert!(outcome.fewest >= 1, "each has its turn: {context}");
        }
    }
}
