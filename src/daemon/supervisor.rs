//! The one task that decides: which account is polled when, what is made of its end, and what is answered to whom.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use rustix::system::uname;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, error, info, warn};

use super::accounts::AccountState;
use super::forwarders::{Aftermath, Forwarders};
use super::outside::{Found, Load, Outside, Recalled};
use super::polls::{After, Ended, Polled, Polls};
use super::{SignalRequest, systemd};
use crate::account::{Account, AccountName};
use crate::account_record::Trouble;
use crate::advice;
use crate::clock::alarm::{Alarm, since_boot};
use crate::config::{Config, ConfigError, NotifySettings};
use crate::control::status::{AccountStatus, Status, VERSION};
use crate::control::{Control, LONGEST_OFTEN, Pending, Request, Response};
use crate::credential::CredentialSource;
use crate::exit::ExitStatus;
use crate::forward::ForwardReport;
use crate::http;
use crate::metrics::PollMetrics;
use crate::notify::CommandRunner;
use crate::poll::{PollContext, PollError, PollReport};
use crate::schedule::queue::{Doing, Limits, Queue};
use crate::schedule::{Cause, Reason, installation};
use crate::state::saved::Files;
use crate::state::store::ConfiguredAccounts;
use crate::text::Count;

/// How often what only changes outside is looked at: the file of a refused password, the line for `systemctl status`.
const LOOK_AROUND: Duration = Duration::from_secs(30);

/// How often the polls that run are looked at.
const LOOK_AT_POLLS: Duration = Duration::from_secs(1);

/// How long polls may take to end in order once the end was asked for. A session drains for 10 s, then the disk.
pub(super) const ENDING: Duration = Duration::from_secs(25);

/// How long commands that tell people something may take to end.
pub(super) const TELLING: Duration = Duration::from_secs(3);

/// A reload begins when nobody has asked for one for so long: scripts may ask for many in a row.
const RELOAD_QUIET: Duration = Duration::from_millis(100);

/// But no later than so long after the first one was asked for.
const RELOAD_LATEST: Duration = Duration::from_secs(2);

/// So many complaints of one poll are written to the log.
const MOST_COMPLAINTS: usize = 20;

/// So many accounts that are not configured any more are remembered: they may come back.
const MOST_GONE: usize = 10_000;

/// Everything there is to know between two events.
pub(super) struct Supervisor {
    context: Arc<PollContext>,
    load: Arc<Load>,
    config: std::path::PathBuf,
    /// What its file looked like when it was read.
    config_stamp: String,
    /// Why the configuration was refused when it was read last.
    config_problem: Option<String>,
    /// Makes this installation's schedule differ from others'.
    installation: u64,
    accounts: BTreeMap<AccountName, AccountState>,
    /// Those of which is not known yet where they stood; true: somebody asked for a poll meanwhile.
    unrecalled: BTreeMap<AccountName, bool>,
    /// Those that are not configured any more.
    gone: BTreeMap<AccountName, AccountState>,
    queue: Queue,
    polls: Polls,
    forwarders: Forwarders,
    outside: Outside,
    reload: Reload,
    alarm: Alarm,
    control: Control,
    signals: mpsc::UnboundedReceiver<SignalRequest>,
    /// When it began, in seconds since 1970.
    started: i64,
    /// What the files looked like whose passwords did not do.
    refused: HashMap<AccountName, String>,
    /// What is told to people, and how.
    notify: NotifySettings,
    /// Runs the commands that tell it.
    command_runner: CommandRunner,
    /// What all polls add up to.
    metrics: PollMetrics,
    /// Serves the status page.
    http: http::Listener,
}

/// The reloads that were asked for.
#[derive(Debug, Default)]
struct Reload {
    /// When the first one was asked for that is not under way, and when the last one.
    asked: Option<(Instant, Instant)>,
    /// The configuration is being read.
    under_way: bool,
}

impl Reload {
    fn ask(&mut self) {
        let now = Instant::now();
        self.asked = Some((self.asked.map_or(now, |(first, _)| first), now));
    }

    /// Waits until it is time to read; never, if nobody asked.
    async fn is_due(&self) {
        match self.asked.filter(|_| !self.under_way) {
            Some((first, last)) => sleep_until((first + RELOAD_LATEST).min(last + RELOAD_QUIET)).await,
            None => std::future::pending().await,
        }
    }
}

/// What happened.
enum Event {
    Due,
    Forwarded(Option<Box<(AccountName, ForwardReport)>>),
    Ended(Box<Ended>),
    Pending(Pending),
    Signal(SignalRequest),
    Reload,
    Found(Found),
    Alive,
    LookAtPolls,
    LookAround,
}

/// The clocks that ring again and again.
struct Rhythms {
    alive: Option<tokio::time::Interval>,
    polls: tokio::time::Interval,
    around: tokio::time::Interval,
}

impl Rhythms {
    fn begin() -> Self {
        let every = |period| {
            let mut interval = tokio::time::interval(period);
            interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            interval
        };
        let alive = systemd::watchdog().map(tokio::time::interval);
        Self { alive, polls: every(LOOK_AT_POLLS), around: every(LOOK_AROUND) }
    }
}

/// What a supervisor is made of.
pub(super) struct Parts {
    pub(super) config: Config,
    /// What its file looked like before it was read.
    pub(super) config_stamp: String,
    pub(super) context: Arc<PollContext>,
    pub(super) load: Load,
    pub(super) alarm: Alarm,
    pub(super) control: Control,
    pub(super) signals: mpsc::UnboundedReceiver<SignalRequest>,
    /// Where polls run.
    pub(super) polls: Handle,
}

impl Supervisor {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { config, config_stamp, context, load, alarm, control, signals, polls } = parts;
        let installation = installation(&context.state_dir, uname().nodename().to_bytes());
        let command_runner = {
            // To start a command may take long, too.
            let _there = polls.enter();
            CommandRunner::new()
        };
        let metrics = PollMetrics::default();
        let mut page = http::Listener::new(control.sender(), metrics.clone(), polls.clone());
        page.listen(config.daemon.http.clone());
        let mut supervisor = Self {
            started: context.clock.read().wall,
            context,
            load: Arc::new(load),
            config: config.path,
            config_stamp,
            config_problem: None,
            installation,
            accounts: BTreeMap::new(),
            unrecalled: BTreeMap::new(),
            gone: BTreeMap::new(),
            queue: Queue::new(
                Limits { concurrency: config.daemon.concurrency, per_host: config.daemon.per_host },
                installation,
            ),
            forwarders: Forwarders::new(polls.clone()),
            polls: Polls::new(polls),
            outside: Outside::new(),
            reload: Reload::default(),
            alarm,
            control,
            signals,
            refused: HashMap::new(),
            notify: config.notify,
            command_runner,
            metrics,
            http: page,
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
        let mut rhythms = Rhythms::begin();
        loop {
            self.begin_polls();
            match self.next_event(&mut rhythms).await {
                Event::Due => {}
                Event::Alive => {
                    // It is the work that has to go on, so it is said from there.
                    let _there = self.polls.runtime().enter();
                    systemd::alive();
                }
                Event::LookAtPolls => self.polls.look(&mut self.queue, since_boot()),
                Event::LookAround => self.look_around(),
                Event::Ended(ended) => self.after(*ended),
                Event::Forwarded(ended) => {
                    self.on_forwarded(ended.map(|ended| *ended));
                }
                Event::Found(found) => self.take_note(found),
                Event::Pending(Pending { request, answer }) => {
                    // Who asked may have gone.
                    let _ = answer.send(self.answer(request));
                }
                Event::Signal(SignalRequest::PollNow) => {
                    info!(event = "poll-now", "a signal asks for all accounts");
                    self.poll_now(&self.accounts.keys().cloned().collect::<Vec<_>>());
                }
                Event::Signal(SignalRequest::Reload) => {
                    systemd::reloading();
                    self.reload.ask();
                }
                Event::Reload => {
                    self.reload = Reload { asked: None, under_way: true };
                    self.control.restore();
                    self.context.dialer.read_trust_anew();
                    self.outside.read_config(&self.load, &self.config);
                }
                Event::Signal(SignalRequest::Stop(status)) => {
                    self.end().await;
                    return status;
                }
            }
        }
    }

    async fn next_event(&mut self, rhythms: &mut Rhythms) -> Event {
        let wake = [self.queue.next_wake(), self.forwarders.next_wake()].into_iter().flatten().min();
        let has_polls = self.polls.count() > 0;
        tokio::select! {
            biased;
            Some(request) = self.signals.recv() => Event::Signal(request),
            () = tick(&mut rhythms.alive) => Event::Alive,
            ended = self.polls.next() => Event::Ended(Box::new(ended)),
            ended = self.forwarders.next() => Event::Forwarded(ended.map(Box::new)),
            asked = self.control.next() => Event::Pending(asked),
            found = self.outside.next() => Event::Found(found),
            () = self.reload.is_due() => Event::Reload,
            _ = rhythms.polls.tick(), if has_polls => Event::LookAtPolls,
            () = self.alarm.wait_until(wake) => Event::Due,
            _ = rhythms.around.tick() => Event::LookAround,
        }
    }

    /// Begins as many polls as are due and have a place.
    fn begin_polls(&mut self) {
        let now = since_boot();
        while let Some(name) = self.queue.take_startable(now) {
            match self.accounts.get(&name) {
                Some(kept) => self.polls.begin(&self.context, &kept.account, now),
                None => self.queue.finished(&name, now),
            }
        }
        let accounts = &self.accounts;
        self.forwarders.begin_due(&self.context, |name| accounts.get(name).map(|kept| &kept.account), now);
    }

    /// A task for an account has ended.
    fn after(&mut self, ended: Ended) {
        match self.polls.after(ended) {
            After::Nothing => {}
            After::Polled(polled) => self.on_poll_end(*polled),
            After::Rests(account, due) => self.queue.finished(&account, due),
        }
    }

    /// A poll has ended.
    fn on_poll_end(&mut self, polled: Polled) {
        let (now, clock) = (since_boot(), self.context.clock.read());
        let (name, report) = (&polled.account, &polled.report);
        let Some(kept) = self.accounts.get_mut(name).or_else(|| self.gone.get_mut(name)) else {
            return self.queue.finished(name, now);
        };
        let before = kept.trouble().map(Trouble::cause);
        kept.on_poll_end(report, polled.begun..now, clock.wall, self.context.clock.time_of_week());
        self.metrics.on_poll_end(report, kept.trouble().map(Trouble::cause));
        log(kept, report, before, now);
        log_complaints(kept, report);
        self.forwarders.on_poll_end(name, report.retrieved, report.spool_is_full, now);
        for notifications in kept.notifications(&self.notify, report, now, clock.wall) {
            self.command_runner.tell_news(&notifications, &kept.account, &self.notify);
        }
        if kept.wants_password() {
            self.refused.insert(name.clone(), polled.password.clone());
        } else {
            self.refused.remove(name);
        }
        let due = kept.next.at;
        let files = Files { config: self.config_stamp.clone(), password: polled.password.clone() };
        match kept.unwritten(&files, now, clock) {
            // One that was stopped says nothing new, and whoever polls the account meanwhile keeps it itself.
            Some(unwritten) if is_worth_keeping(&report.end) => self.polls.keep(&self.context, polled, due, unwritten),
            _ => self.queue.finished(name, due),
        }
    }

    /// A pass of a forwarder has ended.
    fn on_forwarded(&mut self, ended: Option<(AccountName, ForwardReport)>) {
        let wall = self.context.clock.read().wall;
        let Aftermath { account, has_room, news } = self.forwarders.after(ended, since_boot(), wall);
        let Some(name) = account else { return };
        if let Some(kept) = self.accounts.get(&name) {
            for one in news {
                self.command_runner.tell_news(&one, &kept.account, &self.notify);
            }
        }
        if has_room {
            info!(event = "poll-now", "{name}: there is room in the spool again");
            self.poll_now(&[name]);
        }
    }

    /// Polls these as soon as there are places; the names of those that are known.
    fn poll_now(&mut self, names: &[AccountName]) -> Vec<AccountName> {
        if !names.is_empty() {
            self.context.dialer.read_trust_anew();
        }
        let now = since_boot();
        let mut woken = Vec::new();
        for name in names {
            if let Some(asked) = self.unrecalled.get_mut(name) {
                *asked = true;
                woken.push(name.clone());
            } else if let Some(kept) = self.accounts.get_mut(name)
                && self.queue.poll_now(name, now)
            {
                self.forwarders.try_now(name, now);
                kept.standing.history.begin_anew();
                woken.push(name.clone());
            }
        }
        woken
    }

    /// Somebody waits for mail of these for a time; until when, in seconds since 1970.
    fn poll_often(&mut self, names: &[AccountName], time: Duration) -> i64 {
        let (time, now) = (time.min(LONGEST_OFTEN), since_boot());
        for name in names {
            if let Some(kept) = self.accounts.get_mut(name) {
                kept.standing.history.awaited_until = Some(now + time);
            }
        }
        let seconds = i64::try_from(time.as_secs()).unwrap_or(0);
        self.context.clock.read().wall.saturating_add(seconds)
    }

    fn answer(&mut self, request: Request) -> Response {
        match request {
            Request::Status => Response::Status(Box::new(self.status())),
            Request::Poll { accounts, often_for } => {
                let all = || self.accounts.keys().map(ToString::to_string).collect();
                let named: Vec<String> = if accounts.is_empty() { all() } else { accounts };
                let known = |name: &String| AccountName::new(name).ok().filter(|n| self.accounts.contains_key(n));
                let unknown = named.iter().filter(|name| known(name).is_none()).cloned().collect();
                let wanted: Vec<AccountName> = named.iter().filter_map(known).collect();
                let often_until = often_for.map(|seconds| self.poll_often(&wanted, Duration::from_secs(seconds)));
                let woken = self.poll_now(&wanted);
                info!(event = "poll-now", "asked to poll {} now", Count::of(woken.len(), "account"));
                Response::Poll { woken: woken.iter().map(ToString::to_string).collect(), unknown, often_until }
            }
        }
    }

    fn status(&self) -> Status {
        let (now, wall, today) = (since_boot(), self.context.clock.read().wall, self.context.clock.today());
        let doing = |name: &AccountName| self.queue.doing(name);
        let ready = |kept: &&AccountState| matches!(doing(kept.name()), Some(Doing::Ready(_)));
        Status {
            version: VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: self.started,
            now: wall,
            config: self.config.display().to_string(),
            state_dir: self.context.state_dir.display().to_string(),
            config_problem: self.config_problem.clone(),
            polling: self.queue.running(),
            queued: self.accounts.values().filter(ready).count(),
            accounts: self
                .accounts
                .values()
                .map(|kept| {
                    let (name, polls) = (kept.name(), &self.polls);
                    let status =
                        kept.status(doing(name), polls.hung_since(name), polls.delivered(name), now, wall, &today);
                    AccountStatus { forward: self.forwarders.status(name, now, wall), ..status }
                })
                .collect(),
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
    fn look_around(&mut self) {
        let refused = self.refused.keys().filter_map(|name| self.accounts.get(name)).map(|kept| &kept.account);
        self.outside.look_at_passwords(refused);
        systemd::status(&self.line());
        self.http.try_again();
    }

    /// Something was found outside.
    fn take_note(&mut self, found: Found) {
        match found {
            Found::Config(config, stamp) => self.reloaded(*config, stamp),
            Found::AccountState(recalled) => recalled.into_iter().for_each(|one| self.recalled(one)),
            Found::Passwords(_, files) => self.saw_passwords(files),
        }
    }

    /// What the files of passwords look like now.
    fn saw_passwords(&mut self, files: Vec<(AccountName, String)>) {
        let changed = |(name, now): &(AccountName, String)| self.refused.get(name).is_some_and(|then| then != now);
        let changed: Vec<AccountName> = files.into_iter().filter(changed).map(|(name, _)| name).collect();
        for name in &changed {
            info!(account = %name, event = "credential", "{name}: the password's file has changed, so it is tried again");
            self.refused.remove(name);
        }
        self.poll_now(&changed);
    }

    /// What is kept of an account: from now on it is polled.
    fn recalled(&mut self, Recalled { account: name, past, saved, history, credential }: Recalled) {
        let Some(asked) = self.unrecalled.remove(&name) else { return };
        let Some(kept) = self.accounts.get_mut(&name) else { return };
        let now = since_boot();
        let password = saved.as_ref().map(|saved| saved.files().password.clone()).unwrap_or_default();
        let saved = saved.map(|saved| {
            let files = saved.files();
            let is_mended = files.config != self.config_stamp || credential.is_some_and(|now| now != files.password);
            (saved, is_mended || asked)
        });
        kept.recall(past, history, saved, now, self.context.clock.read());
        if kept.wants_password() && kept.account.credential.file().is_some() {
            // A changed one is noticed, and tried.
            self.refused.insert(name.clone(), password);
            self.outside.look_at_passwords(std::iter::once(&kept.account));
        }
        let due = if asked { now } else { kept.next.at };
        self.queue.insert(name, &kept.account.endpoint.host, due);
    }

    /// The configuration was read anew. One with errors is refused as a whole.
    fn reloaded(&mut self, config: Result<Config, ConfigError>, stamp: String) {
        self.reload.under_way = false;
        match config {
            Err(e) => {
                let text = e.render(false).trim_end().to_owned();
                error!(event = "reload", "the configuration was not taken over, and the one before it stays:\n{text}");
                self.config_problem = Some(text);
            }
            Ok(config) => {
                config.warnings.iter().for_each(|warning| warn!(event = "reload", "{warning}"));
                self.config_problem = None;
                self.config_stamp = stamp;
                let (concurrency, per_host) = (config.daemon.concurrency, config.daemon.per_host);
                self.queue.set_limits(Limits { concurrency, per_host });
                self.http.listen(config.daemon.http);
                let names = config.accounts.iter().map(|account| account.name.clone());
                let configured_accounts = Arc::new(ConfiguredAccounts::new(names));
                self.context = Arc::new(PollContext { configured_accounts, ..(*self.context).clone() });
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
            .map(|account| (account.name.clone(), account.with_spool(&self.context.state_dir)))
            .collect();
        self.let_go(|name| !configured.contains_key(name));
        let (now, count) = (since_boot(), configured.len());
        let mut unknown: Vec<(AccountName, CredentialSource)> = Vec::new();
        for (name, account) in configured {
            if let Some(back) = self.gone.remove(&name) {
                self.take_back(back, account, count, now);
                continue;
            }
            match self.accounts.get_mut(&name) {
                Some(kept) if kept.account == account && kept.trouble().is_none() => {}
                Some(kept) => {
                    kept.reconfigure(account, count, now);
                    if !self.unrecalled.contains_key(&name) {
                        self.queue.insert(name, &kept.account.endpoint.host, kept.next.at);
                    }
                }
                None => {
                    unknown.push((name.clone(), account.credential.clone()));
                    self.unrecalled.insert(name.clone(), false);
                    self.accounts.insert(name, AccountState::new(account, self.installation, count, now));
                }
            }
        }
        self.forwarders.take_in(self.accounts.values().map(|kept| &kept.account), now);
        if !unknown.is_empty() {
            self.outside.recall(&self.context, unknown);
        }
    }

    /// An account that was taken out of the configuration and put back: what was learned of it and told stays, and so does
    /// its back-off, unless it came back changed.
    fn take_back(&mut self, mut kept: AccountState, account: Account, count: usize, now: Duration) {
        if kept.account == account {
            kept.come_back(count, now);
        } else {
            kept.reconfigure(account, count, now);
        }
        let name = kept.name().clone();
        self.queue.insert(name.clone(), &kept.account.endpoint.host, kept.next.at);
        self.accounts.insert(name, kept);
    }

    /// These accounts are not configured any more.
    fn let_go(&mut self, is_gone: impl Fn(&AccountName) -> bool) {
        let gone: Vec<AccountName> = self.accounts.keys().filter(|name| is_gone(name)).cloned().collect();
        for name in gone {
            self.queue.remove(&name);
            let recalled = self.unrecalled.remove(&name).is_none();
            if let Some(kept) = self.accounts.remove(&name).filter(|_| recalled && self.gone.len() < MOST_GONE) {
                self.gone.insert(name, kept);
            }
        }
    }

    /// Ends in order: no further message is asked for, what is under way is delivered within a bound.
    async fn end(&mut self) {
        let under_way = format!("ending, {} under way", Count::of(self.polls.count(), "poll"));
        info!(event = "stopping", "{under_way}");
        systemd::stopping(&under_way);
        self.polls.stop();
        self.forwarders.stop();
        if timeout(ENDING, self.end_polls()).await.is_err() || self.polls.count() > 0 {
            warn!(event = "stopping", "{} did not end in time; nothing is lost", Count::of(self.polls.count(), "poll"));
        }
        // What an APPEND under way leaves, the next pass finds out.
        let _ = timeout(TELLING, self.forwarders.finish()).await;
        if !self.command_runner.finish(TELLING).await {
            warn!(event = "stopping", "commands of [notify] or on_new_mail were ended before their time");
        }
        info!(event = "stopped", "ended");
    }

    /// Waits for the polls, except for those that wait for a disk that hangs.
    async fn end_polls(&mut self) {
        let mut look = tokio::time::interval(LOOK_AT_POLLS);
        while self.polls.count() > 0 {
            tokio::select! {
                ended = self.polls.next() => self.after(ended),
                _ = look.tick() => {
                    self.polls.look(&mut self.queue, since_boot());
                    if self.polls.all_hang() {
                        return;
                    }
                }
            }
        }
    }
}

/// Whether an end says something about the account that should outlive the process.
fn is_worth_keeping(end: &Result<(), PollError>) -> bool {
    let is_locked = |e: &PollError| matches!(e, PollError::State(crate::state::error::StateError::Locked { .. }));
    !matches!(end, Err(PollError::Stopped)) && !end.as_ref().is_err_and(is_locked)
}

/// One line for a poll that did something or changed something; none for an idle one.
fn log(kept: &AccountState, report: &PollReport, before: Option<Cause>, now: Duration) {
    let (name, host) = (kept.name(), kept.account.endpoint.host.as_str());
    let next = advice::polled_next(&kept.next, now);
    let words = report.trouble().unwrap_or_default();
    match (&report.end, kept.trouble()) {
        (Err(PollError::Stopped), _) => debug!(account = %name, host, event = "stopped", "{name}: stopped"),
        (Err(_), _) if matches!(kept.next.reason, Reason::Trouble { cause: Cause::LockedByAnother, .. }) => {
            debug!(account = %name, host, event = "locked", "{name}: {words}; polled next {next}");
        }
        (Err(_), Some(trouble)) if before == Some(trouble.cause()) && !trouble.times().is_power_of_two() => {
            debug!(account = %name, host, event = "trouble", cause = trouble.cause().name(), "{name}: still: {words}");
        }
        // The first time, the second, the fourth and so on: nobody reads the same line a hundred times.
        (Err(_), trouble) => {
            let cause = trouble.map_or("", |trouble| trouble.cause().name());
            warn!(account = %name, host, event = "trouble", cause, "{name}: {words}. Polled next {next}");
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
}

/// What is complained of for the first time in a row, and not more than anybody reads.
fn log_complaints(kept: &mut AccountState, report: &PollReport) {
    let fresh = kept.standing.told.fresh(report.complaints());
    let (name, host) = (kept.name(), kept.account.endpoint.host.as_str());
    for words in fresh.iter().take(MOST_COMPLAINTS) {
        warn!(account = %name, host, event = "message", "{name}: {words}");
    }
    if let more @ 1.. = fresh.len().saturating_sub(MOST_COMPLAINTS) {
        warn!(account = %name, host, event = "message", "{name}: and {more} more of this kind");
    }
}

async fn tick(interval: &mut Option<tokio::time::Interval>) {
    match interval {
        Some(interval) => _ = interval.tick().await,
        None => std::future::pending().await,
    }
}
