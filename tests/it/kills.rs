//! Exactly once, whenever the program is killed: SIGKILL at random moments, again and again, while mail keeps arriving.
//!
//! The normal run has few kills. For many:
//!
//! ```sh
//! MAILFERRY_KILLS=200 MAILFERRY_KILL_MESSAGES=2000 cargo test --test it kills -- --nocapture
//! ```
//!
//! Each run prints its seed; `MAILFERRY_KILL_SEED` repeats the same moments (what the program is doing at each of them
//! still depends on the machine).

use std::fs;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::process::Signal;

use crate::delivered::{assert_same_mail, files};
use crate::dovecot::{User, shared};
use crate::program::{Account, Outcome, Running, TestEnv};
use crate::raw::stored;
use crate::scripted::maildrop::{Maildrop, Message};

/// How often to check how far the program has come.
const LOOK: Duration = Duration::from_millis(1);

/// What a run of the test does.
struct Orders {
    /// The number of kills.
    kills: usize,
    /// The number of messages that arrive in total, evenly spread over the kills.
    messages: usize,
    /// The seed of the random moments.
    seed: u64,
}

impl Orders {
    /// Reads the orders from the environment.
    fn from_environment() -> Self {
        let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().expect(name));
        let count = |name: &str, or: u64| usize::try_from(number(name).unwrap_or(or)).unwrap();
        let seed = number("MAILFERRY_KILL_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
        Self { kills: count("MAILFERRY_KILLS", 20), messages: count("MAILFERRY_KILL_MESSAGES", 300), seed }
    }
}

/// The server that is polled.
enum Server<'a> {
    /// A user of Dovecot.
    Dovecot(User<'a>),
    /// A scripted maildrop that deletes at QUIT whatever was retrieved.
    Expiring(Maildrop),
}

impl Server<'_> {
    /// Returns the account there.
    fn account(&self, delete: bool) -> Account {
        let account = match self {
            Self::Dovecot(user) => user.in_clear(),
            Self::Expiring(maildrop) => Account::at(maildrop.server.address),
        };
        // A busy machine may stall for long, which is not what is tested here.
        let account = account.text("timeout", "50s");
        if delete { account.deleting() } else { account }
    }

    /// Adds the messages with these numbers.
    fn add(&self, numbers: std::ops::Range<usize>) {
        match self {
            Self::Dovecot(user) => {
                let messages: Vec<_> = numbers.clone().map(|number| stored(&message(number))).collect();
                user.add(numbers.start, &messages);
            }
            Self::Expiring(maildrop) => maildrop.change(|contents| {
                contents.messages.extend(numbers.map(|number| Message::new(&format!("u{number}"), &message(number))));
            }),
        }
    }

    /// How many messages it has left. When this returns, nothing that was acknowledged is still to be carried out, as
    /// far as the server can tell.
    fn left(&self) -> usize {
        match self {
            Self::Dovecot(user) => user.left(),
            Self::Expiring(maildrop) => {
                maildrop.server.wait_until_idle();
                maildrop.left().len()
            }
        }
    }
}

/// Message `number`: different from all others, of mixed size. One in ten is so large that it is received and written
/// in several pieces.
fn message(number: usize) -> Vec<u8> {
    let lines = if number % 10 == 7 { 4000 } else { [1, 30, 4, 100, 12][number % 5] };
    let line = format!("..A line of message {number}, longer than others.\r\n");
    format!("Message-ID: <{number}@example.org>\r\nSubject: {number}\r\n\r\n{}", line.repeat(lines)).into_bytes()
}

/// How long an undisturbed fetch takes.
struct FetchTime {
    /// The time without any message.
    idle: Duration,
    /// The additional time per message.
    each: Duration,
}

impl FetchTime {
    /// Measures the pace.
    fn measure(server: &Server<'_>, delete: bool) -> Self {
        const MESSAGES: u32 = 40;
        let env = TestEnv::new(&[server.account(delete)]);
        server.add(0..MESSAGES as usize);
        let busy = env.fetch().expect(0).elapsed;
        let idle = env.fetch().expect(0).elapsed;
        Self { idle, each: busy.saturating_sub(idle) / MESSAGES }
    }

    /// How long a fetch of this many messages takes.
    fn of(&self, messages: usize) -> Duration {
        self.idle + self.each * u32::try_from(messages).unwrap()
    }

    /// A fetch was killed: the moments may be a little later.
    fn later(&mut self) {
        self.change(1.05);
    }

    /// A fetch of this many messages ended by itself after `took`: the moments must be earlier. On an evenly busy
    /// machine one in eight ends by itself, so that the end of a fetch is hit as well.
    fn earlier(&mut self, messages: usize, took: Duration) {
        self.change(0.7 * (took.as_secs_f64() / self.of(messages).as_secs_f64()).min(1.0));
    }

    /// Multiplies all times.
    fn change(&mut self, factor: f64) {
        self.idle = self.idle.mul_f64(factor);
        self.each = self.each.mul_f64(factor);
    }
}

/// Draws a random moment of a fetch: after how many delivered messages, and how long after that. Half of the moments
/// are a share of the whole time, which mostly hits the login and the first messages; a quarter are among the delivered
/// messages; a quarter are after the last one, during the DELEs, QUIT and the look for more.
fn moment(dice: &mut Rng, pace: &FetchTime, waiting: usize, missing: usize) -> (usize, Duration) {
    let share = dice.f64();
    match dice.u8(..4) {
        0 | 1 => (0, pace.of(waiting).mul_f64(share)),
        2 => (dice.usize(1..=missing.max(1)), pace.each.mul_f64(share)),
        _ => (missing, pace.idle.mul_f64(share / 2.0)),
    }
}

/// What the program had done when it was killed.
#[derive(Debug, Default)]
struct Tally {
    /// Nothing new was in `new/`.
    nothing_arrived: usize,
    /// Something new was, but not everything.
    some_arrived: usize,
    /// Everything was: it was deleting, ending the session, or looking for more.
    all_arrived: usize,
    /// In how many of these something was left in `tmp/`.
    remains: usize,
    /// It had already ended.
    ended: usize,
}

impl Tally {
    /// Records a kill. `arrived` has the number of messages in the Maildir before and after, and in total.
    fn note(&mut self, outcome: &Outcome, arrived: [usize; 3], remains: bool) {
        let [before, after, all] = arrived;
        self.remains += usize::from(remains);
        *match outcome.status {
            0 => &mut self.ended,
            _ if after == all && before < all => &mut self.all_arrived,
            _ if after > before => &mut self.some_arrived,
            _ => &mut self.nothing_arrived,
        } += 1;
    }
}

/// An account whose fetches are killed.
struct Trial<'a> {
    /// The server of the account.
    server: &'a Server<'a>,
    /// What all messages look like in a Maildir, sorted.
    expected: &'a [Vec<u8>],
    /// Whether messages are deleted on the server after delivery.
    delete: bool,
    /// The program's home.
    env: TestEnv,
}

impl Trial<'_> {
    /// Kills repeatedly while messages arrive, and checks after each kill.
    fn kill(&self, orders: &Orders, mut pace: FetchTime) {
        let mut dice = Rng::with_seed(orders.seed);
        let mut tally = Tally::default();
        let mut before = 0;
        for kill in 0..orders.kills {
            let share = |n: usize| orders.messages * n / orders.kills;
            self.server.add(share(kill)..share(kill + 1));
            let added = share(kill + 1);
            let waiting = if self.delete { self.server.left() } else { added - before };
            let mut running = self.env.spawn(&["fetch"]);
            let (moment, delay) = moment(&mut dice, &pace, waiting, added - before);
            if self.wait_for(before + moment, delay, &mut running) {
                running.signal(Signal::KILL);
            }
            let outcome = running.wait();
            assert!([-9, 0].contains(&outcome.status), "kill {kill}: {outcome:#?}");
            match outcome.status {
                0 => pace.earlier(waiting, outcome.elapsed),
                _ => pace.later(),
            }
            let left = self.server.left();
            let arrived = self.check_what_arrived(kill);
            // At no moment is a message on neither side.
            assert!(left + arrived >= added, "kill {kill}: {left} left and {arrived} delivered of {added}");
            tally.note(&outcome, [before, arrived, added], !self.env.tmp().is_empty());
            before = arrived;
        }
        println!("{tally:?}");
        assert!(tally.ended * 2 <= orders.kills, "most programs had ended before they were killed: {tally:?}");
    }

    /// Waits until this many messages have been delivered, and then for `delay`; returns whether the program still
    /// runs.
    fn wait_for(&self, arrived: usize, delay: Duration, running: &mut Running) -> bool {
        let new = self.env.maildir("a").join("new");
        let mut reached = None;
        while running.is_running() {
            if reached.is_none() && (arrived == 0 || files(&new).len() >= arrived) {
                reached = Some(Instant::now());
            }
            let left = reached.map(|since| delay.saturating_sub(since.elapsed()));
            if left == Some(Duration::ZERO) {
                return true;
            }
            std::thread::sleep(left.unwrap_or(LOOK).min(LOOK));
        }
        false
    }

    /// Checks that every file in `new/` is a complete message and that there are no duplicates. Returns how many there
    /// are.
    fn check_what_arrived(&self, kill: usize) -> usize {
        let mail = self.env.mail();
        for pair in mail.windows(2) {
            assert!(pair[0] != pair[1], "kill {kill}: {:?} arrived twice", brief(&pair[0]));
        }
        for message in &mail {
            let whole = self.expected.binary_search(message).is_ok();
            assert!(whole, "kill {kill}: new/ holds what no server sent: {:?}", brief(message));
        }
        mail.len()
    }

    /// An undisturbed run finishes everything, and another one finds nothing to do.
    fn finish(&self) {
        self.env.fetch().expect(0);
        self.check_end();
        if matches!(self.server, Server::Expiring(_)) {
            self.env.fetch().expect(0); // notices that what QUIT deleted is gone
        }
        let left = self.check_end();
        let state = fs::read(self.env.path("state/a.uids")).unwrap();
        let again = self.env.fetch().expect(0).says("nothing new");
        assert_eq!(self.check_end(), left, "left on the server");
        assert!(fs::read(self.env.path("state/a.uids")).unwrap() == state, "the state has changed: {again:#?}");
    }

    /// Checks that every message is there once and nothing else is, and that the server has what it should have.
    /// Returns how many it has left.
    fn check_end(&self) -> usize {
        assert_same_mail(&self.env.mail(), self.expected);
        assert!(self.env.tmp().is_empty(), "{:?} remain in tmp/", self.env.tmp());
        let left = self.server.left();
        match self.server {
            _ if self.delete => assert_eq!(left, 0, "left on the server"),
            Server::Dovecot(_) => assert_eq!(left, self.expected.len(), "left on the server"),
            // Messages delivered in a session that was killed are known and not retrieved again, so they may be left.
            Server::Expiring(_) => {}
        }
        left
    }
}

/// Returns the beginning of a message and its size.
fn brief(message: &[u8]) -> String {
    format!("{} bytes beginning {}", message.len(), String::from_utf8_lossy(&message[..message.len().min(60)]))
}

/// Kills fetches from Dovecot; `delete` says whether messages are deleted after delivery.
fn killed_at_dovecot(delete: bool) {
    let Some(dovecot) = shared() else { return };
    let orders = Orders::from_environment();
    println!("MAILFERRY_KILL_SEED={} (delete: {delete})", orders.seed);
    let all = Server::Dovecot(dovecot.user(&format!("kill-all-{delete}"), &[]));
    all.add(0..orders.messages);
    let Server::Dovecot(user) = &all else { return };
    let expected = user.served();
    let pace = FetchTime::measure(&Server::Dovecot(dovecot.user(&format!("kill-pace-{delete}"), &[])), delete);
    let server = Server::Dovecot(dovecot.user(&format!("kill-{delete}"), &[]));
    let env = TestEnv::new(&[server.account(delete)]);
    let trial = Trial { server: &server, expected: &expected, delete, env };
    trial.kill(&orders, pace);
    trial.finish();
}

#[test]
fn kills_at_dovecot_lose_and_double_nothing_when_messages_stay() {
    killed_at_dovecot(false);
}

#[test]
fn kills_at_dovecot_lose_and_double_nothing_when_messages_go() {
    killed_at_dovecot(true);
}

#[test]
fn kills_lose_nothing_at_a_server_that_takes_away_what_was_retrieved() {
    for delete in [false, true] {
        let orders = Orders::from_environment();
        println!("MAILFERRY_KILL_SEED={} (delete: {delete})", orders.seed);
        let expiring = || Server::Expiring(Maildrop::with(Vec::new(), |behaviour| behaviour.expire_0 = true));
        let mut expected: Vec<_> = (0..orders.messages).map(|number| stored(&message(number))).collect();
        expected.sort();
        let pace = FetchTime::measure(&expiring(), delete);
        let server = expiring();
        let env = TestEnv::new(&[server.account(delete)]);
        let trial = Trial { server: &server, expected: &expected, delete, env };
        trial.kill(&orders, pace);
        trial.finish();
    }
}
