//! The one task that decides: which account is polled when, what is made of its end, and what is answered to whom.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, error, info, warn};

use super::accounts::Kept;
use super::alarm::{Alarm, since_boot};
use super::control::{Answer, Asked, Control, Question};
use super::status::{Status, VERSION};
use super::{Request, systemd};
use crate::account::{Account, AccountName};
use crate::config::{Config, ConfigError, NotifySettings};
use crate::exit::ExitStatus;
use crate::poll::{Ferry, PollError, PollReport, Wishes, poll};
use crate::schedule::queue::{Doing, Limits, Queue};
use crate::schedule::{Cause, Why};
use crate::state::hints::HintsFile;
use crate::state::store::Neighbours;
use crate::summary::Count;
use crate::telling::Teller;
use crate::threads::blocking;

/// How often what only changes outside is looked at: the file of a refused password, the line for `systemctl status`.
const LOOK_AROUND: Duration = Duration::from_secs(30);

/// How long polls may take to end in order once the end was asked for. A session drains for 10 s, then the disk.
const ENDING: Duration = Duration::from_secs(25);

/// How long commands that tell people something may take to end.
const TELLING: Duration = Duration::from_secs(3);

/// Reads the configuration again.
pub(super) type Load = Box<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>;

/// A poll that runs.
#[derive(Debug)]
struct Running {
    account: AccountName,
    /// When it began, since boot.
    begun: Duration,
}

/// Everything there is to know between two events.
pub(super) struct Supervisor {
    ferry: Arc<Ferry>,
    load: Load,
    config: Arc<str>,
    /// Why the configuration was refused when it was read last.
    config_problem: Option<String>,
    /// Makes this installation's schedule differ from others'.
    installation: u64,
    accounts: BTreeMap<AccountName, Kept>,
    queue: Queue,
    polls: JoinSet<PollReport>,
    running: HashMap<Id, Running>,
    /// Tells all polls to end.
    stop: CancellationToken,
    alarm: Alarm,
    control: Control,
    signals: mpsc::UnboundedReceiver<Request>,
    /// When it began, in seconds since 1970.
    started: i64,
    /// The stamps of files whose password was refused.
    refused: HashMap<AccountName, Stamp>,
    /// What is told to people, and how.
    notify: NotifySettings,
    /// Runs the commands that tell it.
    teller: Teller,
}

/// What changes when a file is replaced or written: inode, length, modification time.
type Stamp = Option<(u64, u64, i64, i64)>;

/// A poll that has ended, or panicked.
type Ended = Result<(Id, PollReport), JoinError>;

/// What happened.
enum Event {
    Due,
    Ended(Box<Ended>),
    Asked(Asked),
    Signal(Request),
    Alive,
    LookAround,
}

impl Supervisor {
    pub(super) fn new(
        config: Config,
        ferry: Arc<Ferry>,
        load: Load,
        alarm: Alarm,
        control: Control,
        signals: mpsc::UnboundedReceiver<Request>,
    ) -> Self {
        let limits = limits(&config);
        // The same after a restart, and another one on another machine or for another user.
        let place = ferry.state_dir.as_os_str().as_encoded_bytes();
        let host = rustix::system::uname();
        let installation = u64::from(crc32fast::hash(&[place, host.nodename().to_bytes()].concat()));
        let mut supervisor = Self {
            started: ferry.clock.read().wall,
            ferry,
            load,
            config: config.path.display().to_string().into(),
            config_problem: None,
            installation,
            accounts: BTreeMap::new(),
            queue: Queue::new(limits, installation),
            polls: JoinSet::new(),
            running: HashMap::new(),
            stop: CancellationToken::new(),
            alarm,
            control,
            signals,
            refused: HashMap::new(),
            notify: config.notify,
            teller: Teller::new(),
        };
        supervisor.take_in(config.accounts);
        supervisor
    }

    /// Works until the end is asked for.
    pub(super) async fn run(&mut self) -> ExitStatus {
        info!(
            event = "ready",
            "polling {}; ask me with `mailferry status` at {}",
            Count::of(self.accounts.len(), "account"),
            self.control.path.display()
        );
        systemd::ready(&self.line());
        let mut alive = systemd::watchdog().map(tokio::time::interval);
        let mut look_around = tokio::time::interval(LOOK_AROUND);
        look_around.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.begin_polls();
            match self.next_event(&mut alive, &mut look_around).await {
                Event::Due => {}
                Event::Alive => systemd::alive(),
                Event::LookAround => self.look_around().await,
                Event::Ended(ended) => self.note(*ended),
                Event::Asked(Asked { question, answer }) => {
                    // Who asked may have gone.
                    let _ = answer.send(self.answer(question));
                }
                Event::Signal(Request::PollNow) => {
                    info!(event = "poll-now", "a signal asks for all accounts");
                    self.poll_now(&self.accounts.keys().cloned().collect::<Vec<_>>());
                }
                Event::Signal(Request::Reload) => self.reload().await,
                Event::Signal(Request::Stop(status)) => {
                    self.end().await;
                    return status;
                }
            }
        }
    }

    async fn next_event(
        &mut self,
        alive: &mut Option<tokio::time::Interval>,
        look_around: &mut tokio::time::Interval,
    ) -> Event {
        let wake = self.queue.next_wake();
        tokio::select! {
            biased;
            Some(request) = self.signals.recv() => Event::Signal(request),
            () = tick(alive) => Event::Alive,
            Some(ended) = self.polls.join_next_with_id() => Event::Ended(Box::new(ended)),
            asked = self.control.next() => Event::Asked(asked),
            () = self.alarm.wait_until(wake) => Event::Due,
            _ = look_around.tick() => Event::LookAround,
        }
    }

    /// Begins as many polls as are due and have a place.
    fn begin_polls(&mut self) {
        let now = since_boot();
        while let Some(name) = self.queue.take_startable(now) {
            let Some(kept) = self.accounts.get(&name) else {
                self.queue.finished(&name, now);
                continue;
            };
            // At the highest level, so that every line of the log names its account.
            let span = tracing::error_span!("poll", account = %name, host = %kept.account.endpoint.host);
            let work = poll(Arc::clone(&self.ferry), kept.account.clone(), Wishes::default(), self.stop.clone());
            let id = self.polls.spawn(work.instrument(span)).id();
            self.running.insert(id, Running { account: name, begun: now });
        }
    }

    /// A poll has ended.
    fn note(&mut self, ended: Ended) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(Running { account: name, begun }) = self.running.remove(&id) else { return };
        let now = since_boot();
        let report = match ended {
            Ok((_, report)) => report,
            // A panic, which has been printed: that account's trouble, and nobody else's.
            Err(_) => {
                let mut report = PollReport::new(name.clone());
                report.end = Err(PollError::Fault);
                report
            }
        };
        let wall = self.ferry.clock.read().wall;
        if let Some(kept) = self.accounts.get_mut(&name) {
            let before = kept.trouble().map(|trouble| trouble.cause.clone());
            kept.note(&report, begun..now, wall);
            log(kept, &report, before.as_deref(), now);
            for news in kept.news(&self.notify, &report, now, wall) {
                self.teller.tell_news(&news, &kept.account, &self.notify);
            }
            if kept.is_refused() {
                self.refused.insert(name.clone(), stamp(&kept.account));
            } else {
                self.refused.remove(&name);
            }
        }
        let due = self.accounts.get(&name).map_or(now, |kept| kept.next.at);
        self.queue.finished(&name, due);
    }

    /// Polls these as soon as there are places; the names of those that are known.
    fn poll_now(&mut self, names: &[AccountName]) -> Vec<AccountName> {
        if !names.is_empty() {
            self.ferry.dialer.read_trust_anew();
        }
        let now = since_boot();
        let mut woken = Vec::new();
        for name in names {
            if let Some(kept) = self.accounts.get_mut(name)
                && self.queue.poll_now(name, now)
            {
                kept.history.begin_anew();
                woken.push(name.clone());
            }
        }
        woken
    }

    fn answer(&mut self, question: Question) -> Answer {
        match question {
            Question::Status => Answer::Status(Box::new(self.status())),
            Question::Poll { accounts } => {
                let all = || self.accounts.keys().map(ToString::to_string).collect();
                let named: Vec<String> = if accounts.is_empty() { all() } else { accounts };
                let known = |name: &String| AccountName::new(name).ok().filter(|n| self.accounts.contains_key(n));
                let unknown = named.iter().filter(|name| known(name).is_none()).cloned().collect();
                let wanted: Vec<AccountName> = named.iter().filter_map(known).collect();
                let woken = self.poll_now(&wanted);
                info!(event = "poll-now", "asked to poll {} now", Count::of(woken.len(), "account"));
                Answer::Poll { woken: woken.iter().map(ToString::to_string).collect(), unknown }
            }
        }
    }

    fn status(&self) -> Status {
        let (now, wall, today) = (since_boot(), self.ferry.clock.read().wall, self.ferry.clock.today());
        let doing = |name: &AccountName| self.queue.doing(name);
        let ready = |kept: &&Kept| matches!(doing(kept.name()), Some(Doing::Ready(_)));
        Status {
            version: VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: self.started,
            now: wall,
            config: self.config.to_string(),
            state_dir: self.ferry.state_dir.display().to_string(),
            config_problem: self.config_problem.clone(),
            polling: self.queue.running(),
            waiting_for_a_place: self.accounts.values().filter(ready).count(),
            accounts: self.accounts.values().map(|kept| kept.status(doing(kept.name()), now, wall, &today)).collect(),
        }
    }

    /// The line for `systemctl status`.
    fn line(&self) -> String {
        let troubled = self.accounts.values().filter(|kept| kept.trouble().is_some()).count();
        let mut line = format!("{}, {} being polled", Count::of(self.accounts.len(), "account"), self.queue.running());
        if troubled > 0 {
            line.push_str(&format!(", {troubled} in trouble: see `mailferry status`"));
        }
        if self.config_problem.is_some() {
            line.push_str("; the changed configuration is wrong and not in force");
        }
        line
    }

    /// Looks at what changes without telling us.
    async fn look_around(&mut self) {
        let files = self.refused.keys().filter_map(|name| self.accounts.get(name));
        let accounts: Vec<Account> = files.map(|kept| kept.account.clone()).collect();
        let look = move || accounts.iter().map(|account| (account.name.clone(), stamp(account))).collect::<Vec<_>>();
        let stamps = blocking(look).await.unwrap_or_default();
        let changed = |(name, now): &(AccountName, Stamp)| self.refused.get(name).is_some_and(|then| then != now);
        let changed: Vec<AccountName> = stamps.into_iter().filter(changed).map(|(name, _)| name).collect();
        for name in &changed {
            info!(account = %name, event = "credential", "{name}: the password's file has changed, so it is tried again");
            self.refused.remove(name);
        }
        self.poll_now(&changed);
        systemd::status(&self.line());
    }

    /// Reads the configuration anew. One with errors is refused as a whole.
    async fn reload(&mut self) {
        systemd::reloading();
        self.control.restore();
        self.ferry.dialer.read_trust_anew();
        match tokio::task::block_in_place(|| (self.load)()) {
            Err(e) => {
                let text = e.render(false).trim_end().to_owned();
                error!(event = "reload", "the configuration was not taken over, and the one before it stays:\n{text}");
                self.config_problem = Some(text);
            }
            Ok(config) => {
                config.warnings.iter().for_each(|warning| warn!(event = "reload", "{warning}"));
                self.config_problem = None;
                self.queue.set_limits(limits(&config));
                let names = config.accounts.iter().map(|account| account.name.clone());
                let neighbours = Arc::new(Neighbours::new(names));
                self.ferry = Arc::new(Ferry { neighbours, ..(*self.ferry).clone() });
                self.notify = config.notify;
                self.take_in(config.accounts);
                info!(
                    event = "reload",
                    "the configuration was read anew: {}",
                    Count::of(self.accounts.len(), "account")
                );
            }
        }
        systemd::ready(&self.line());
    }

    /// These accounts are configured from now on. Sessions that run go on.
    fn take_in(&mut self, configured: Vec<Account>) {
        let configured: BTreeMap<AccountName, Account> = configured
            .into_iter()
            .filter(|account| account.enabled)
            .map(|account| (account.name.clone(), account))
            .collect();
        let gone: Vec<AccountName> =
            self.accounts.keys().filter(|name| !configured.contains_key(*name)).cloned().collect();
        for name in gone {
            self.accounts.remove(&name);
            self.refused.remove(&name);
            self.queue.remove(&name);
        }
        let (now, count) = (since_boot(), configured.len());
        for (name, account) in configured {
            match self.accounts.get_mut(&name) {
                Some(kept) if kept.account == account && kept.trouble().is_none() => continue,
                Some(kept) => kept.reconfigure(account, count, now),
                None => {
                    let past = HintsFile::read(&*self.ferry.disk, &self.ferry.state_dir, &name).hints.past;
                    let kept = Kept::new(account, past, self.installation, count, now);
                    self.accounts.insert(name.clone(), kept);
                }
            }
            if let Some(kept) = self.accounts.get(&name) {
                self.queue.insert(name, &kept.account.endpoint.host, kept.next.at);
            }
        }
    }

    /// Ends in order: no further message is asked for, what is under way is delivered within a bound.
    async fn end(&mut self) {
        let under_way = format!("ending, {} under way", Count::of(self.running.len(), "poll"));
        info!(event = "stopping", "{under_way}");
        systemd::stopping(&under_way);
        self.stop.cancel();
        let all = async {
            while let Some(ended) = self.polls.join_next_with_id().await {
                self.note(ended);
            }
        };
        if tokio::time::timeout(ENDING, all).await.is_err() {
            warn!(event = "stopping", "{} did not end in time; nothing is lost", Count::of(self.running.len(), "poll"));
        }
        if !self.teller.finish(TELLING).await {
            warn!(event = "stopping", "commands of [notify] or on_new_mail were ended before their time");
        }
        info!(event = "stopped", "ended");
    }
}

/// One line for a poll that did something or changed something; none for an idle one.
fn log(kept: &Kept, report: &PollReport, before: Option<&str>, now: Duration) {
    let (name, host) = (kept.name(), kept.account.endpoint.host.as_str());
    let next = kept.next.told(now);
    match (&report.end, kept.trouble()) {
        (Err(PollError::Stopped), _) => debug!(account = %name, host, event = "stopped", "{name}: stopped"),
        (Err(e), _) if matches!(kept.next.why, Why::Trouble { cause: Cause::LockedByAnother, .. }) => {
            debug!(account = %name, host, event = "locked", "{name}: {e}; polled next {next}");
        }
        (Err(e), Some(trouble)) if before == Some(&trouble.cause) && !trouble.times.is_power_of_two() => {
            debug!(account = %name, host, event = "trouble", cause = trouble.cause, "{name}: still: {e}");
        }
        // The first time, the second, the fourth and so on: nobody reads the same line a hundred times.
        (Err(e), trouble) => {
            let cause = trouble.map_or("", |trouble| trouble.cause.as_str());
            warn!(account = %name, host, event = "trouble", cause, "{name}: {e}. Polled next {next}");
        }
        (Ok(()), _) => {
            if before.is_some() {
                info!(account = %name, host, event = "recovered", "{name}: works again");
            }
            let did_something = report.retrieved + report.removed + report.renumbered > 0 || !report.failed.is_empty();
            if did_something {
                let (new, removed) = (report.retrieved, report.removed);
                info!(account = %name, host, event = "polled", new, removed, "{name}: {}", report.line());
            } else {
                debug!(account = %name, host, event = "idle", "{name}: nothing new; polled next {next}");
            }
        }
    }
    for words in report.complaints() {
        warn!(account = %name, host, event = "message", "{name}: {words}");
    }
}

fn limits(config: &Config) -> Limits {
    Limits { concurrency: config.daemon.concurrency, per_host: config.daemon.per_host }
}

async fn tick(interval: &mut Option<tokio::time::Interval>) {
    match interval {
        Some(interval) => _ = interval.tick().await,
        None => std::future::pending().await,
    }
}

/// What the file of an account's password looks like; None where there is none. Blocks.
fn stamp(account: &Account) -> Stamp {
    use std::os::unix::fs::MetadataExt as _;
    let file = std::fs::metadata(account.credential.file()?).ok()?;
    Some((file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
}
