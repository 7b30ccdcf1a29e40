//! The one task that makes decisions: when each account is polled, what follows a poll, and how requests are answered.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use rustix::system::uname;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::accounts::AccountState;
use super::configured::Configured;
use super::forwarders::{Aftermath, Done, Forwarders};
use super::log::{log, log_back_off, log_warnings};
use super::outside::{Found, Login, Outside, Recalled};
use super::polls::{self, After, Ended, Polled, Polls};
use super::{Load, SignalRequest, systemd};
use crate::account::{Account, AccountName, NotifySettings};
use crate::account_record::Failure;
use crate::clock::alarm::Alarm;
use crate::config::Config;
use crate::control::status::UnclaimedSpool;
use crate::control::{Control, Pending};
use crate::exit::ExitStatus;
use crate::http;
use crate::metrics::PollMetrics;
use crate::notify::CommandRunner;
use crate::notify::grouping::Grouping;
use crate::poll::PollContext;
use crate::schedule::login_pace::LoginPace;
use crate::schedule::queue::{Begin, Limits, Queue};
use crate::schedule::{Cause, End, installation};
use crate::state::saved::Files;
use crate::text::Count;
use notifying::tell;
use reload::Reload;

mod answers;
mod notifying;
mod reload;

/// How often to look at what changes without notice: files of refused passwords, and the line for `systemctl status`.
const LOOK_AROUND: Duration = Duration::from_secs(30);

/// How often to check the running polls.
const LOOK_AT_POLLS: Duration = Duration::from_secs(1);

/// How long the status page may take to be there before the daemon says that it is ready.
const PAGE: Duration = Duration::from_secs(1);

/// How long polls may take to finish after a request to stop. A session drains for 10 s, then come the disk writes.
pub(super) const ENDING: Duration = Duration::from_secs(25);

/// How long notification commands may take to finish.
pub(super) const NOTIFYING: Duration = Duration::from_secs(3);

/// The state of the daemon between two events.
pub(super) struct Supervisor {
    context: Arc<PollContext>,
    load: Arc<Load>,
    config: std::path::PathBuf,
    /// The stamp of its file, taken when it was read.
    config_stamp: String,
    /// Why the last reload of the configuration was refused, if it was.
    config_problem: Option<String>,
    /// Spools whose accounts are not configured any more, at the last look.
    unclaimed: Vec<UnclaimedSpool>,
    /// Makes this installation's schedule differ from others'.
    installation: u64,
    accounts: BTreeMap<AccountName, Box<AccountState>>,
    /// Accounts whose saved state is not read yet; true: the user asked for a poll meanwhile.
    unrecalled: BTreeMap<AccountName, bool>,
    /// Accounts that are no longer configured.
    gone: BTreeMap<AccountName, Box<AccountState>>,
    queue: Queue,
    polls: Polls,
    forwarders: Forwarders,
    outside: Outside,
    reload: Reload,
    alarm: Alarm,
    control: Control,
    signals: mpsc::UnboundedReceiver<SignalRequest>,
    /// When the daemon started, in seconds since 1970.
    started: i64,
    /// The stamps of the files whose passwords were refused.
    refused: HashMap<AccountName, String>,
    /// How the user is notified.
    notify: NotifySettings,
    /// Notifications held back to be sent together with others of their kind.
    grouping: Grouping,
    /// When it was last checked whether more may join them, since boot.
    looked_at_groups: Duration,
    /// Runs the notification commands.
    command_runner: CommandRunner,
    /// Slows down logins at servers that refused some.
    login_pace: LoginPace,
    /// Totals over all polls.
    metrics: PollMetrics,
    /// Serves the status page.
    http: http::Listener,
}

/// What the supervisor reacts to.
enum Event {
    Due,
    Forwarded(Option<Done>),
    Polls(Box<polls::TaskReport>),
    Pending(Pending),
    Signal(SignalRequest),
    Reload,
    Found(Found),
    Alive,
    LookAtPolls,
    LookAround,
    Page(http::Done),
}

/// What the supervisor does at regular intervals.
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

/// What a supervisor is made from.
pub(super) struct Parts {
    pub(super) config: Config,
    /// The stamp of its file, taken before it was read.
    pub(super) config_stamp: String,
    pub(super) context: Arc<PollContext>,
    /// How many passes of forwarders may run at the same time.
    pub(super) most_passes: usize,
    pub(super) load: Load,
    pub(super) alarm: Alarm,
    pub(super) control: Control,
    pub(super) signals: mpsc::UnboundedReceiver<SignalRequest>,
    /// The runtime for polls.
    pub(super) polls: Handle,
}

impl Supervisor {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { config, config_stamp, context, most_passes, load, alarm, control, signals, polls } = parts;
        let installation = installation(&context.state_dir, uname().nodename().to_bytes());
        let command_runner = {
            // Starting a command may take long, too.
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
            config: config.path.clone(),
            config_stamp,
            config_problem: None,
            unclaimed: Vec::new(),
            installation,
            accounts: BTreeMap::new(),
            unrecalled: BTreeMap::new(),
            gone: BTreeMap::new(),
            queue: Queue::new(
                Limits { concurrency: config.daemon.concurrency, per_host: config.daemon.per_host },
                installation,
            ),
            forwarders: Forwarders::new(polls.clone(), most_passes),
            polls: Polls::new(polls),
            outside: Outside::new(),
            reload: Reload::default(),
            alarm,
            control,
            signals,
            refused: HashMap::new(),
            notify: config.notify.clone(),
            grouping: Grouping::default(),
            looked_at_groups: Duration::ZERO,
            command_runner,
            login_pace: LoginPace::default(),
            metrics,
            http: page,
        };
        let configured = Configured::first(config, &supervisor.context.state_dir);
        supervisor.take_in(configured.accounts);
        supervisor
    }

    /// Works until it is asked to stop.
    pub(super) async fn run(&mut self) -> ExitStatus {
        let _ = timeout(PAGE, self.open_page()).await;
        info!(
            event = "ready",
            "polling {}; the control socket is at {}",
            Count::of(self.accounts.len(), "account"),
            self.control.path().display()
        );
        systemd::ready(&self.line());
        self.outside.look_for_unclaimed(&self.context);
        let mut rhythms = Rhythms::begin();
        loop {
            self.reply_to_one().await;
            self.begin_polls();
            self.tell_groups();
            match self.next_event(&mut rhythms).await {
                Event::Due => {}
                Event::Alive => {
                    // The polls' runtime is what has to stay alive, so the message comes from there.
                    let _there = self.polls.runtime().enter();
                    systemd::alive();
                }
                Event::LookAtPolls => self.look_at_polls(),
                Event::LookAround => self.look_around(),
                Event::Page(done) => self.http.take(done),
                Event::Polls(report) => self.on_task_report(*report),
                Event::Forwarded(done) => self.on_forwarded(done),
                Event::Found(found) => self.take_note(found),
                Event::Pending(question) => self.reply(question),
                Event::Signal(SignalRequest::PollNow) => {
                    info!(event = "poll-now", "polling all accounts, as a signal asks");
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
                    let in_force = self.accounts.values().map(|kept| Arc::clone(&kept.account)).collect();
                    self.outside.read_config(&self.load, &self.config, in_force, &self.context.state_dir);
                }
                Event::Signal(SignalRequest::Stop(status)) => {
                    self.end().await;
                    return status;
                }
            }
        }
    }

    /// Returns the time since boot.
    fn now(&self) -> Duration {
        self.context.clock.since_boot()
    }

    /// Checks whether a running poll is worth its place.
    fn look_at_polls(&mut self) {
        let now = self.context.clock.since_boot();
        self.polls.look(&mut self.queue, now);
        self.forwarders.end_turns(now);
    }

    /// Waits until the status page is there, or cannot be.
    async fn open_page(&mut self) {
        while self.http.is_at_work() {
            let done = self.http.next().await;
            self.http.take(done);
        }
    }

    async fn next_event(&mut self, rhythms: &mut Rhythms) -> Event {
        let wake =
            self.queue.next_wake().into_iter().chain(self.forwarders.next_wake()).chain(self.grouping.due()).min();
        let has_polls = self.polls.count() > 0;
        tokio::select! {
            biased;
            Some(request) = self.signals.recv() => Event::Signal(request),
            () = tick(&mut rhythms.alive) => Event::Alive,
            heard = self.polls.next() => Event::Polls(Box::new(heard)),
            done = self.forwarders.next() => Event::Forwarded(done),
            found = self.outside.next() => Event::Found(found),
            () = self.reload.is_due() => Event::Reload,
            _ = rhythms.polls.tick(), if has_polls => Event::LookAtPolls,
            () = self.alarm.wait_until(wake) => Event::Due,
            _ = rhythms.around.tick() => Event::LookAround,
            done = self.http.next() => Event::Page(done),
            // Last, so that endless requests keep the supervisor from nothing else.
            asked = self.control.next() => Event::Pending(asked),
        }
    }

    /// Starts all polls that are due and have a place.
    fn begin_polls(&mut self) {
        let now = self.now();
        while let Some((name, begin)) = self.queue.take_startable(now) {
            if begin == Begin::Poll && self.polls.goes_on(&name, now) {
                continue;
            }
            let Some(kept) = self.accounts.get_mut(&name) else {
                self.queue.finished(&name, now);
                continue;
            };
            match self.login_pace.wait(&kept.account.endpoint.server(), &name, kept.is_proven(), now) {
                Some(until) => {
                    debug!(account = %name, event = "slowed", "{name}: waits, because its server refused several logins");
                    self.queue.finished(&name, until);
                }
                None => {
                    kept.begins();
                    self.polls.begin(&self.context, &kept.account, kept.has_delivered(), kept.times_too_slow(), now);
                }
            }
        }
        let accounts = &self.accounts;
        self.forwarders.begin_due(&self.context, |name| accounts.get(name).map(|kept| &*kept.account), now);
    }

    /// Handles the end of an account's task, or a request of a poll about its places.
    fn on_task_report(&mut self, report: polls::TaskReport) {
        match report {
            polls::TaskReport::Places(request) => request.tell(&mut self.queue, self.context.clock.since_boot()),
            polls::TaskReport::Ended(ended) => self.after(ended),
        }
    }

    /// Handles the end of an account's task.
    fn after(&mut self, ended: Ended) {
        match self.polls.after(ended) {
            After::Nothing => {}
            After::Polled(polled) => self.on_poll_end(*polled),
            After::Rests(account, due) => {
                // A reload may have changed it meanwhile.
                let due = self.accounts.get(&account).map_or(due, |kept| kept.next.at);
                self.queue.finished(&account, due);
            }
        }
    }

    /// Handles the end of a poll.
    fn on_poll_end(&mut self, polled: Polled) {
        let (now, clock) = (self.now(), self.context.clock.read());
        let (name, report) = (&polled.account, &polled.report);
        self.queue.ends(name);
        let Some(kept) = self.accounts.get_mut(name).or_else(|| self.gone.get_mut(name)) else {
            return self.queue.finished(name, now);
        };
        let before = kept.failure_at(clock.wall).map(Failure::cause);
        kept.on_poll_end(report, polled.begun..now, clock.wall, self.context.clock.time_of_week());
        self.metrics.on_poll_end(report, kept.failure().map(Failure::cause));
        log(kept, report, before, now, clock.wall);
        log_warnings(kept, report);
        let spool_is_full = report.left.is_some_and(|left| left.why.is_for_spool());
        self.forwarders.on_poll_end(name, report.retrieved, spool_is_full, now);
        let server = kept.account.endpoint.server();
        match report.outcome().end {
            End::Refused { .. } | End::Failed(Cause::AccessRefused) => self.login_pace.refused(&server, now),
            _ if report.logged_in => {
                for (waiting, until) in self.login_pace.let_in(&server, now) {
                    self.queue.hasten(&waiting, until, now);
                }
            }
            _ => {}
        }
        for notification in kept.notifications(&self.notify, report, now, clock.wall) {
            let news = self.grouping.take(notification, &kept.account, now);
            news.into_iter().for_each(|news| tell(&self.command_runner, &self.notify, news));
        }
        if kept.wants_password() {
            self.refused.insert(name.clone(), polled.password.clone());
        } else {
            self.refused.remove(name);
        }
        let due = kept.next.at;
        let files = Files { config: self.config_stamp.clone(), password: polled.password.clone() };
        kept.note_forwarding(self.forwarders.to_save(name));
        match kept.unwritten(&files, now, clock) {
            // A stopped poll has nothing new to say; if another process polls the account, that process saves its
            // state.
            Some(unwritten) if !report.says_nothing_of_the_account() => {
                self.polls.keep(&self.context, polled, due, unwritten);
            }
            _ => self.queue.finished(name, due),
        }
    }

    /// Handles the end of a forwarder's pass, or of a look into a spool.
    fn on_forwarded(&mut self, done: Option<Done>) {
        let (now, wall) = (self.now(), self.context.clock.read().wall);
        let Aftermath { account, has_room, news } = self.forwarders.after(done, now, wall);
        let Some(name) = account else { return };
        if let Some(kept) = self.accounts.get(&name) {
            for one in news {
                self.command_runner.run_for(&one, &kept.account, &self.notify);
            }
        }
        if has_room {
            self.poll_for_room(&name, now);
        }
    }

    /// Polls an account whose spool has room again as soon as its server allows another login: nobody has asked for it.
    /// A poll that is running sees the room itself, or says at its end that it lacked some.
    fn poll_for_room(&mut self, name: &AccountName, now: Duration) {
        if self.polls.is_polling(name) {
            return;
        }
        if let Some(from) = self.accounts.get(name).and_then(|kept| kept.may_be_polled_from(now)) {
            info!(event = "poll-now", "{name}: there is room in the spool again");
            self.queue.poll_from(name, from.max(now));
        }
    }

    /// Looks at what changes without notice.
    fn look_around(&mut self) {
        let account = |name| self.accounts.get(name).map(|kept| &*kept.account);
        let source = |name| Some((Login::Source(AccountName::clone(name)), account(name)?.credential.file()?));
        let destination = |name| {
            let forward = account(name)?.forward.as_ref()?;
            Some((Login::Destination(AccountName::clone(name)), forward.password_file()?))
        };
        let sources = self.refused.keys().filter_map(source);
        let destinations = self.forwarders.refused().filter_map(destination);
        self.outside.look_at_passwords(sources.chain(destinations));
        systemd::status(&self.line());
        if !self.unclaimed.is_empty() {
            self.outside.look_for_unclaimed(&self.context);
        }
        self.http.try_again();
    }

    /// Handles what was found outside.
    fn take_note(&mut self, found: Found) {
        match found {
            Found::Config(config, stamp) => self.reloaded(*config, stamp),
            Found::AccountState(recalled) => recalled.into_iter().for_each(|one| self.recalled(one)),
            Found::Passwords(_, files) => self.saw_passwords(files),
            Found::Unclaimed(spools) => self.saw_unclaimed(spools),
        }
    }

    /// Tells of spools whose accounts are not configured any more: each once.
    fn saw_unclaimed(&mut self, spools: Vec<UnclaimedSpool>) {
        for spool in &spools {
            if !self.unclaimed.iter().any(|known| known.account == spool.account) {
                warn!(account = %spool.account, event = "unclaimed-spool", "{}: {}", spool.account, spool.text);
            }
        }
        self.unclaimed = spools;
    }

    /// Compares the stamps of password files with those of refused passwords.
    fn saw_passwords(&mut self, files: Vec<(Login, String)>) {
        let mut changed = Vec::new();
        for (login, now) in files {
            match login {
                Login::Source(name) if self.refused.get(&name).is_some_and(|then| *then != now) => {
                    info!(account = %name, event = "credential", "{name}: the password file has changed, so it is tried again");
                    self.refused.remove(&name);
                    changed.push(name);
                }
                Login::Destination(name) if self.forwarders.password_changed(&name, &now) => {
                    info!(
                        account = %name,
                        event = "credential",
                        "{name}: the password file of its destination has changed, so that is tried again"
                    );
                    self.forwarders.try_now(&name, self.context.clock.since_boot());
                }
                Login::Source(_) | Login::Destination(_) => {}
            }
        }
        self.poll_now(&changed);
    }

    /// Restores an account's saved state: from now on it is polled.
    fn recalled(&mut self, Recalled { account: name, past, saved, history, credential }: Recalled) {
        let Some(asked) = self.unrecalled.remove(&name) else { return };
        let (now, clock) = (self.now(), self.context.clock.read());
        let Some(kept) = self.accounts.get_mut(&name) else { return };
        let password = saved.as_ref().map(|saved| saved.files().password.clone()).unwrap_or_default();
        let saved = saved.map(|saved| {
            let files = saved.files();
            let is_mended = files.config != self.config_stamp || credential.is_some_and(|now| now != files.password);
            (saved, is_mended || asked)
        });
        let waits_on = kept.recall(past, history, saved, now, clock);
        if waits_on {
            log_back_off(kept, now);
            if let Some(notification) = kept.remembered(now) {
                let news = self.grouping.take(notification, &kept.account, now);
                news.into_iter().for_each(|news| tell(&self.command_runner, &self.notify, news));
                // Otherwise the next daemon would send the notification again.
                let files = Files { config: self.config_stamp.clone(), password: password.clone() };
                let unwritten = kept.unwritten(&files, now, clock);
                unwritten.into_iter().for_each(|unwritten| self.outside.keep(&self.context, &name, unwritten));
            }
        }
        if let Some(file) = kept.account.credential.file().filter(|_| kept.wants_password()) {
            // A changed password is noticed and tried.
            self.refused.insert(name.clone(), password);
            self.outside.look_at_passwords(std::iter::once((Login::Source(name.clone()), file)));
        }
        let due = if asked { now } else { kept.next.at };
        stand_in_line(&mut self.queue, &kept.account, due);
    }

    /// Shuts down in order: no further message is asked for, and what is in flight is delivered within a time limit.
    async fn end(&mut self) {
        let under_way = format!("ending, {} under way", Count::of(self.polls.count(), "poll"));
        info!(event = "stopping", "{under_way}");
        systemd::stopping(&under_way);
        self.polls.stop();
        self.forwarders.stop();
        if timeout(ENDING, self.end_polls()).await.is_err() || self.polls.count() > 0 {
            warn!(event = "stopping", "{} did not end in time; nothing is lost", Count::of(self.polls.count(), "poll"));
        }
        if timeout(NOTIFYING, self.forwarders.finish()).await.is_err() {
            let passes = Count::of(self.forwarders.count(), "destination");
            warn!(
                event = "stopping",
                "{passes} did not answer in time; what was under way is looked for at the next start"
            );
        }
        for news in self.grouping.all() {
            tell(&self.command_runner, &self.notify, news);
        }
        if !self.command_runner.finish(NOTIFYING).await {
            warn!(event = "stopping", "commands for notifications or new mail were killed before they had ended");
        }
        info!(event = "stopped", "ended");
    }

    /// Waits for the polls, except for those that wait for a disk that hangs.
    async fn end_polls(&mut self) {
        let mut look = tokio::time::interval(LOOK_AT_POLLS);
        while self.polls.count() > 0 {
            tokio::select! {
                report = self.polls.next() => self.on_task_report(report),
                _ = look.tick() => {
                    self.look_at_polls();
                    if self.polls.all_hang() {
                        return;
                    }
                }
            }
        }
    }
}

/// Queues an account to be polled when it is due.
fn stand_in_line(queue: &mut Queue, account: &Account, due: Duration) {
    queue.insert(account.name.clone(), &account.endpoint.server(), account.credential.may_take_long(), due);
}

async fn tick(interval: &mut Option<tokio::time::Interval>) {
    match interval {
        Some(interval) => _ = interval.tick().await,
        None => std::future::pending().await,
    }
}
