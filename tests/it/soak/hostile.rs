//! A daemon among enemies: servers that waste time, memory and log in every way at once, beside five honest accounts.
//! The honest accounts are polled on time and get each message once, and the daemon stays small and answers at once.
//!
//! By default it runs for a minute. For an hour:
//!
//! ```text
//! MAILFERRY_SOAK_SECONDS=3600 cargo test --release --test it soak::hostile -- --nocapture
//! ```

mod servers;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mailferry::control::status::Status;
use rustix::process::Signal;

use super::life::{Life, last_words};
use crate::daemon::hung::Disk;
use crate::delivered::assert_same_mail;
use crate::mail::small;
use crate::program::{Account, TestEnv};
use crate::scripted::maildrop::{Maildrop, Message};

/// How often the honest accounts are polled.
const INTERVAL: Duration = Duration::from_secs(10);

/// The number of honest accounts.
const HONEST: usize = 5;

/// How long `status` may take.
const ANSWER: Duration = Duration::from_secs(1);

/// One in this many answers may take longer, up to [`LATEST`]: the machine may be busy with something else.
const LATE_EVERY: usize = 100;

/// The longest time that any answer may take.
const LATEST: Duration = Duration::from_secs(5);

/// The limit for resident memory without the program's text, in KiB.
const MEMORY_KIB: u64 = 128 << 10;

/// The limit for the log, in octets per hour.
const LOG_PER_HOUR: u64 = 10 << 20;

/// What is logged once for each account, however short the run is, in octets.
const LOG_ONCE: u64 = 256 << 10;

/// When each honest account was polled.
#[derive(Default)]
struct Watch {
    /// By account: the last poll that was seen, and when.
    last: BTreeMap<String, (i64, Instant)>,
    /// The longest time between two polls of an account.
    longest: Duration,
    /// How long each answer to `status` took.
    answers: Vec<Duration>,
}

impl Watch {
    fn look(&mut self, status: &Status) {
        let now = Instant::now();
        for account in status.accounts.iter().filter(|account| account.account.starts_with("honest")) {
            let Some(polled) = account.last_success else { continue };
            let last = self.last.entry(account.account.clone()).or_insert((polled, now));
            if last.0 != polled {
                *last = (polled, now);
            }
            self.longest = self.longest.max(last.1.elapsed());
        }
    }
}

#[test]
fn enemies_harm_nobody_else() {
    let seconds = std::env::var("MAILFERRY_SOAK_SECONDS").map_or(60, |text| text.parse().expect("a whole number"));
    let length = Duration::from_secs(seconds);
    let env = TestEnv::new(&[]);
    let (enemies, mut accounts) = servers::all(&env);
    let honest: Vec<Maildrop> = (0..HONEST).map(|_| Maildrop::new(Vec::new())).collect();
    accounts.extend(honest.iter().enumerate().map(|(n, maildrop)| {
        let account = Account::at(maildrop.server.address).named(&format!("honest{n}"));
        let account = if n % 2 == 0 { account.deleting() } else { account };
        account.text("interval", &format!("{}s", INTERVAL.as_secs()))
    }));
    env.configure(&accounts);
    // All servers have the same address, so only `concurrency` limits how many are polled at a time.
    env.configure_more("\n[daemon]\nconcurrency = 4\nper_host = 64\n");
    let disk = Disk::make(&env);
    disk.as_ref().into_iter().for_each(Disk::hang);
    let environment = disk.as_ref().map(|disk| disk.environment("/vault/").to_vec()).unwrap_or_default();
    let mut life = Life::start_with(&env, &environment).unwrap();
    let (mut watch, mut sent) = (Watch::default(), 0);
    let begun = Instant::now();
    while begun.elapsed() < length {
        let due = usize::try_from(begun.elapsed().as_millis() / 500).unwrap();
        while sent < due {
            let message = Message::new(&format!("u{sent}"), &small(sent));
            honest[sent % HONEST].change(|contents| contents.messages.push(message));
            sent += 1;
        }
        let asked = Instant::now();
        let status = life.status().unwrap();
        watch.answers.push(asked.elapsed());
        watch.look(&status);
        std::thread::sleep(Duration::from_millis(100)); // how often to check
    }
    // The next polls fetch what arrived last.
    std::thread::sleep(2 * INTERVAL);
    let status = life.status().unwrap();
    let memory = memory(life.pid());
    let ended = life.end(Signal::TERM).expect(143);
    drop(enemies);
    watch.answers.sort();
    let slowest = watch.answers[watch.answers.len() - 1];
    let slow = watch.answers[watch.answers.len() - 1 - watch.answers.len() / LATE_EVERY];
    let log = u64::try_from(ended.output().len()).unwrap();
    println!(
        "{} s: {sent} messages, at most {:?} between two polls, the slowest status {:?}, {memory} KiB, {log} octets of log",
        begun.elapsed().as_secs(),
        watch.longest,
        slowest
    );
    for account in &status.accounts {
        println!("  {:10} {:?} {:?}", account.account, account.state, account.failure.as_ref().map(|one| &one.cause));
    }
    for n in 0..HONEST {
        let numbers = (0..sent).filter(|number| number % HONEST == n);
        let mut expected: Vec<Vec<u8>> = numbers.map(|number| crate::raw::stored(&small(number))).collect();
        expected.sort();
        assert_same_mail(&env.mail_of(&format!("honest{n}")), &expected);
    }
    assert!(watch.longest <= 2 * INTERVAL, "{:?} between two polls; {}", watch.longest, last_words(&ended));
    assert!(slow <= ANSWER && slowest <= LATEST, "status took {slow:?}, at most {slowest:?}");
    assert!(memory <= MEMORY_KIB, "{memory} KiB");
    assert!(log <= LOG_PER_HOUR * begun.elapsed().as_secs() / 3600 + LOG_ONCE, "{log} octets of log");
    assert!(!ended.output().contains("panicked"), "{}", last_words(&ended));
}

/// Returns the peak of resident memory, without the program's text, in KiB.
fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    field("VmHWM:") - field("RssFile:")
}
