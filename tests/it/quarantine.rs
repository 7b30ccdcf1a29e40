//! A message that fails repeatedly is quarantined, longer each time, and tried again afterwards. The library runs in
//! the tests' own process here, because a clock has to be set.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mailferry::account::CredentialSource;
use mailferry::account::{Account, AccountName, AuthChoice, Endpoint, MaildirMode, RemovalPolicy, TlsMode};
use mailferry::clock::Clock;
use mailferry::clock::trusted_time::ClockReading;
use mailferry::credential::CredentialEnvironment;
use mailferry::disk::RealDisk;
use mailferry::maildir::names::NameSource;
use mailferry::net::{Dialer, NetLimits};
use mailferry::poll::events::Observers;
use mailferry::poll::{PollContext, PollOptions, PollReport, poll};
use mailferry::secret::Secret;
use mailferry::state::store::ConfiguredAccounts;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::delivered::files;
use crate::mail::small_ones;
use crate::scripted::maildrop::{Maildrop, Message, PASSWORD, USER};

/// A clock that only advances when told to.
#[derive(Debug, Default)]
struct SetClock(Mutex<u64>);

impl Clock for SetClock {
    fn read(&self) -> ClockReading {
        let now = self.since_1970().as_secs();
        ClockReading { wall: i64::try_from(now).unwrap(), boot: 1, since_boot: self.since_boot().as_secs() }
    }

    fn since_boot(&self) -> Duration {
        self.since_1970()
    }

    fn since_1970(&self) -> Duration {
        Duration::from_secs(1_000_000 + *self.0.lock().unwrap())
    }
}

/// An account with its home and its clock.
pub(crate) struct Bench {
    home: TempDir,
    clock: Arc<SetClock>,
    pub(crate) account: Account,
}

impl Bench {
    pub(crate) fn at(maildrop: &Maildrop) -> Self {
        let home = tempfile::tempdir().unwrap();
        let account = Account {
            name: AccountName::new("a").unwrap(),
            enabled: true,
            endpoint: Arc::new(Endpoint {
                host: "127.0.0.1".to_owned(),
                port: maildrop.server.address.port(),
                tls: TlsMode::None,
                tls_ca_file: None,
                key_exchange: Default::default(),
                allow_cleartext_password: false,
                route: Default::default(),
                tls_options: Default::default(),
            }),
            username: USER.to_owned(),
            credential: CredentialSource::Inline(Secret::new(PASSWORD.as_bytes().to_vec())),
            auth: AuthChoice::Auto,
            uses_token: false,
            maildir: home.path().join("Maildir"),
            maildir_mode: MaildirMode::PRIVATE,
            removal: RemovalPolicy::Keep,
            interval: mailferry::account::Interval::fixed(Duration::from_secs(300)),
            timeout: Duration::from_secs(20),
            max_message_size: None,
            max_messages_per_session: None,
            sizes_are_estimates: false,
            on_new_mail: None,
            forward: None,
            routing: Default::default(),
        };
        Self { home, clock: Arc::default(), account }
    }

    /// Polls once.
    pub(crate) fn poll(&self) -> PollReport {
        // A child process that another test is starting holds this process's locks until it calls exec.
        let is_locked = |report: &PollReport| format!("{:?}", report.end).contains("Locked");
        let mut tries = std::iter::repeat_with(|| self.observed(Observers::default()));
        for report in tries.by_ref().take(600) {
            if !is_locked(&report) {
                return report;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        tries.next().unwrap()
    }

    /// Polls once, with observers.
    pub(crate) fn observed(&self, observers: Observers) -> PollReport {
        let context = PollContext {
            dialer: Arc::new(Dialer::new(NetLimits::default())),
            disk: Arc::new(RealDisk),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            names: Arc::new(NameSource::new(std::process::id(), b"h")),
            state_dir: self.home.path().join("state"),
            credentials: CredentialEnvironment::default(),
            holder: "a test".to_owned(),
            most_files: 64,
            promised_space: Arc::default(),
            shared: Arc::default(),
            configured_accounts: Arc::new(ConfiguredAccounts::new([self.account.name.clone()])),
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let stop = CancellationToken::new();
        runtime.block_on(poll(Arc::new(context), self.account.clone(), PollOptions::default(), stop, observers))
    }

    pub(crate) fn wait(&self, seconds: u64) {
        *self.clock.0.lock().unwrap() += seconds;
    }

    /// Polls, checks that the message is tried and fails, and that it is left alone for this many seconds afterwards.
    fn fails_and_rests_for(&self, maildrop: &Maildrop, seconds: u64) {
        let before = tries(maildrop);
        let report = self.poll();
        assert!(!report.failed.is_empty() || report.end.is_err(), "{report:?}");
        assert_eq!(tries(maildrop), before + 1);
        if seconds == 0 {
            return;
        }
        for wait in [0, seconds - 1] {
            self.wait(wait);
            let report = self.poll();
            assert_eq!((report.quarantined.len(), report.failed.len()), (1, 0), "{seconds} s: {report:?}");
            assert!(report.end.is_ok());
            assert_eq!(tries(maildrop), before + 1, "it is tried too early");
        }
        self.wait(1);
    }
}

/// How often the second message was requested.
fn tries(maildrop: &Maildrop) -> usize {
    maildrop.server.wait_until_idle();
    let sessions = maildrop.server.sessions();
    sessions.iter().flat_map(|session| &session.lines).filter(|line| *line == "RETR 2").count()
}

/// How long the message is left alone after each failure, in seconds: from an hour to a week.
const RESTS: [u64; 12] = [0, 0, 3600, 7200, 14_400, 28_800, 57_600, 115_200, 230_400, 460_800, 7 * 86_400, 7 * 86_400];

#[test]
fn a_refused_message_is_quarantined_longer_each_time() {
    let mut messages = small_ones(3);
    messages[1].refusal = Some("-ERR cannot open it".to_owned());
    let maildrop = Maildrop::new(messages);
    let bench = Bench::at(&maildrop);
    for seconds in RESTS {
        bench.fails_and_rests_for(&maildrop, seconds);
    }
    maildrop.change(|contents| contents.messages[1].refusal = None);
    assert_eq!(bench.poll().retrieved, 1, "its time is over");
    assert_eq!(files(&bench.account.maildir.join("new")).len(), 3);
}

/// What a limit holds back on several days is larger than any day's limit, and must not hold back anything else.
#[test]
fn what_a_limit_for_the_day_keeps_back_day_after_day_is_quarantined() {
    const DAY: u64 = 86_400;
    let mut messages = small_ones(2);
    messages[1].refusal = Some("-ERR Download exceed".to_owned());
    let maildrop = Maildrop::new(messages);
    let bench = Bench::at(&maildrop);
    for rest in [DAY, DAY, 0] {
        // However often it is polled in a day.
        for _ in 0..5 {
            let before = tries(&maildrop);
            let report = bench.poll();
            assert!(report.end.is_err() && report.failed.is_empty(), "{report:?}");
            assert_eq!(tries(&maildrop), before + 1);
            if rest == 0 {
                break;
            }
            bench.wait(1000);
        }
        bench.wait(rest);
    }
    for rest in [DAY, 2 * DAY, 4 * DAY, 7 * DAY, 7 * DAY] {
        let before = tries(&maildrop);
        for wait in [0, rest - 1] {
            bench.wait(wait);
            let report = bench.poll();
            assert!(report.end.is_ok(), "{report:?}");
            assert_eq!((report.quarantined.len(), tries(&maildrop)), (1, before), "{rest} s");
        }
        bench.wait(1);
        assert!(bench.poll().end.is_err());
        assert_eq!(tries(&maildrop), before + 1);
    }
    maildrop.change(|contents| contents.messages.push(small_ones(3).pop().unwrap()));
    assert_eq!(bench.poll().retrieved, 1, "what is new comes meanwhile");
    bench.wait(7 * DAY);
    maildrop.change(|contents| contents.messages[1].refusal = None);
    assert_eq!(bench.poll().retrieved, 1, "its time is over");
}

/// If several are too large, they are found one after the other.
#[test]
fn all_that_a_limit_for_the_day_keeps_back_is_quarantined_in_the_end() {
    let mut messages = small_ones(2);
    messages.iter_mut().for_each(|message| message.refusal = Some("-ERR Download exceed".to_owned()));
    let maildrop = Maildrop::new(messages);
    let bench = Bench::at(&maildrop);
    let fails = |report: PollReport| report.end.is_err();
    let days = std::iter::repeat_with(|| {
        bench.wait(86_400);
        fails(bench.poll())
    });
    assert!(days.take(30).any(|failed| !failed), "it is waited for the limit without end");
}

#[test]
fn a_message_at_which_the_server_closes_the_connection_is_quarantined_longer_each_time() {
    let maildrop = Maildrop::with(small_ones(3), |behaviour| behaviour.closes_at = Some("RETR 2".to_owned()));
    let bench = Bench::at(&maildrop);
    for seconds in RESTS {
        bench.fails_and_rests_for(&maildrop, seconds);
        assert!(seconds == 0 || files(&bench.account.maildir.join("new")).len() == 2, "the others have come");
    }
    maildrop.change(|contents| contents.behaviour.closes_at = None);
    assert_eq!(bench.poll().retrieved, 1, "its time is over");
}

#[test]
fn a_message_that_is_gone_for_good_is_not_remembered_as_quarantined() {
    let mut messages = small_ones(3);
    messages[1].refusal = Some("-ERR cannot open it".to_owned());
    let maildrop = Maildrop::new(messages);
    let bench = Bench::at(&maildrop);
    for seconds in &RESTS[..3] {
        bench.fails_and_rests_for(&maildrop, *seconds);
    }
    bench.poll();
    let bad = maildrop.change(|contents| contents.messages.remove(1));
    bench.poll();
    maildrop.change(|contents| contents.messages.insert(1, bad));
    // It starts again: not quarantined, but tried.
    bench.fails_and_rests_for(&maildrop, 0);
    bench.fails_and_rests_for(&maildrop, 0);
}

/// A message of 1 MiB that is listed with 100 octets, at an account that takes 20,000, and its bench.
fn beyond_its_limit() -> (Maildrop, Bench) {
    let mut messages = small_ones(3);
    messages[1] = Message { reported_size: Some(100), ..Message::large("u2", 1 << 20) };
    let maildrop = Maildrop::new(messages);
    let mut bench = Bench::at(&maildrop);
    bench.account.max_message_size = Some(20_000);
    (maildrop, bench)
}

/// Gives the second message another unique-id.
fn rename(maildrop: &Maildrop) {
    maildrop.change(|contents| contents.messages[1].uid.push('x'));
}

#[test]
fn what_goes_beyond_its_limit_is_quarantined_longer_each_time_whatever_its_unique_id() {
    const DAY: u64 = 86_400;
    let (maildrop, bench) = beyond_its_limit();
    for rest in [0, 0, 3600, 7200, 14_400, 28_800, 57_600, DAY, DAY] {
        let before = tries(&maildrop);
        rename(&maildrop);
        let report = bench.poll();
        assert_eq!((report.failed.len(), tries(&maildrop)), (1, before + 1), "{report:?}");
        if rest == 0 {
            continue;
        }
        for wait in [0, rest - 1] {
            bench.wait(wait);
            rename(&maildrop);
            let report = bench.poll();
            assert_eq!((report.quarantined.len(), report.failed.len()), (1, 0), "{rest} s: {report:?}");
            assert!(report.end.is_ok());
            let line = report.line();
            assert!(line.contains("message 2 (unique-id u2x"), "it is named: {line}");
            assert_eq!(tries(&maildrop), before + 1, "it is tried too early");
        }
        bench.wait(1);
    }
    assert_eq!(files(&bench.account.maildir.join("new")).len(), 2);
    maildrop.change(|contents| contents.messages.push(small_ones(4).pop().unwrap()));
    assert_eq!(bench.poll().retrieved, 1, "what is new comes meanwhile");
}

#[test]
fn a_message_listed_like_one_that_went_beyond_its_limit_comes_all_the_same() {
    let honest = |uid: &str, octets: usize| {
        Message::new(uid, format!("Subject: 1\r\n\r\n{}\r\n", "y".repeat(octets - 16)).as_bytes())
    };
    let (maildrop, bench) = beyond_its_limit();
    for _ in 0..3 {
        rename(&maildrop);
        assert_eq!(bench.poll().failed.len(), 1);
    }
    // One with the same number and size has to wait, but not for long.
    maildrop.change(|contents| contents.messages[1] = honest("new", 100));
    assert_eq!((bench.poll().retrieved, tries(&maildrop)), (0, 3));
    bench.wait(3600);
    assert_eq!((bench.poll().retrieved, tries(&maildrop)), (1, 4));
    // The next one need not wait at all.
    maildrop.change(|contents| contents.messages[1] = honest("newer", 100));
    assert_eq!(bench.poll().retrieved, 1);
    // One that goes beyond its limit begins anew.
    let beyond = Message { reported_size: Some(100), ..Message::large("large", 1 << 20) };
    maildrop.change(|contents| contents.messages[1] = beyond);
    for _ in 0..3 {
        rename(&maildrop);
        assert_eq!(bench.poll().failed.len(), 1);
    }
    // Neither does one wait in another size, or in another place.
    let (maildrop, bench) = beyond_its_limit();
    for _ in 0..3 {
        rename(&maildrop);
        bench.poll();
    }
    maildrop.change(|contents| contents.messages.push(honest("elsewhere", 100)));
    assert_eq!(bench.poll().retrieved, 1);
    maildrop.change(|contents| contents.messages[1] = honest("another", 101));
    assert_eq!(bench.poll().retrieved, 1);
    // It is over with the message.
    maildrop.change(|contents| contents.messages[1] = honest("again", 100));
    assert_eq!(bench.poll().retrieved, 1);
}
