//! What `fetch --scheduled` adds to `fetch`: it saves the back-off of an account between runs, which the daemon keeps
//! in memory, and reports a failure when it begins, changes and ends instead of in each run. What a person has to mend
//! is reported the first time: the exit status alone would not say what it is. If nothing can be saved, each run
//! reports everything, as `fetch` does.

pub(super) mod destination;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::system::uname;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::account::{Account, CredentialSource, NotifySettings};
use crate::account_history::History;
use crate::account_record::{Standing, past_poll};
use crate::advice::{self, Class};
use crate::clock::trusted_time::ClockReading;
use crate::disk::Disk;
use crate::notify::Notification;
use crate::oauth::store;
use crate::poll::{PollContext, PollReport};
use crate::schedule::{Next, Reason, installation, seed};
use crate::state::hints::{HintsFile, keep_outcome};
use crate::state::ownership;
use crate::state::saved::{Files, Saved};
use crate::text::Span;
use crate::watch;

/// The maximum number of warnings reported for one poll.
const MOST_WARNINGS: usize = 20;

/// The settings that all accounts of a run share.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// The notification settings.
    pub(super) notify: NotifySettings,
    /// The stamp of the configuration file, which changes with the file.
    pub(super) config_stamp: String,
}

/// The saved standing of an account, before its poll.
pub(super) struct Recalled {
    standing: Standing,
    /// The digest of what is saved.
    kept: Option<u64>,
    /// Whether something is saved about forwarding.
    has_forwarding: bool,
    files: Files,
}

/// When a poll ended and what follows.
struct EndOfPoll {
    /// The time of its end, since boot.
    now: Duration,
    /// The clocks at its end.
    clock: ClockReading,
    /// The time of the next poll, and the reason for it.
    next: Next,
}

/// Reads the saved standing of an account; None if the process is to end.
pub(super) async fn recall(
    context: &Arc<PollContext>,
    account: &Account,
    settings: &Settings,
    stop: &CancellationToken,
) -> Option<Recalled> {
    let (context, account, config) = (Arc::clone(context), account.clone(), settings.config_stamp.clone());
    let read = watch::blocking(move || {
        let (disk, dir) = (&*context.disk, &*context.state_dir);
        let saved = saved(disk, dir, &account);
        Recalled::new(&context, saved.as_ref(), files_of(disk, dir, &account, &config))
    });
    tokio::select! {
        recalled = read => recalled.ok(),
        () = stop.cancelled() => None,
    }
}

/// Reads what is saved of an account. Blocks.
fn saved(disk: &dyn Disk, state_dir: &Path, account: &Account) -> Option<Saved> {
    // If somebody else could have written there, nothing is read; the poll itself refuses such a directory.
    let usable = ownership::check_place(disk, state_dir, account.name.as_str()).is_ok();
    usable.then(|| HintsFile::read(disk, state_dir, &account.name).hints.standing).flatten()
}

/// Returns the state of the files that an account is configured by. Blocks.
fn files_of(disk: &dyn Disk, state_dir: &Path, account: &Account, config_stamp: &str) -> Files {
    // systemd creates a credential anew for each run of a service, so a change would mean nothing.
    let directory = None;
    let password = match &account.credential {
        CredentialSource::OAuth(_) => store::sign_in_stamp(disk, state_dir, &account.name),
        source => Files::password_of(source, directory),
    };
    Files { config: config_stamp.to_owned(), password }
}

impl Recalled {
    fn new(context: &PollContext, saved: Option<&Saved>, files: Files) -> Self {
        let clock = context.clock.read();
        let Some(saved) = saved else {
            return Self { standing: Standing::default(), kept: None, has_forwarding: false, files };
        };
        let mut standing = Standing::restore(saved, Duration::from_secs(clock.since_boot), clock);
        if *saved.files() != files {
            // The user may have fixed the problem.
            standing.history.begin_anew();
            standing.forwarding = None;
            if let Some(failure) = &mut standing.failure {
                failure.due = Duration::ZERO;
            }
        }
        Self { standing, kept: Some(saved.digest()), has_forwarding: saved.forwarding.is_some(), files }
    }

    /// Whether the account is in back-off; then this run skips it.
    pub(super) fn is_to_wait(&self, context: &PollContext, account: &Account) -> bool {
        let now = Duration::from_secs(context.clock.read().since_boot);
        let Some(failure) = self.standing.failure.as_ref().filter(|failure| failure.due > now) else { return false };
        let (left, reason) = (Span(failure.due.saturating_sub(now)), failure.reason());
        let sooner = advice::instead_of_waiting_for_a_run(&reason, &account.name);
        debug!("{}: left out for another {left}{reason}{sooner}", account.name);
        true
    }

    /// Records the end of a poll that began at `begun` (since boot), saves the standing, and returns what is to be
    /// reported.
    pub(super) async fn on_poll_end(
        mut self,
        context: &Arc<PollContext>,
        account: &Account,
        settings: &Settings,
        report: &PollReport,
        begun: Duration,
    ) -> Vec<String> {
        let Some(at) = self.take_in(context, account, report, begun) else { return Vec::new() };
        let told = self.notifications(account, settings, report, &at);
        if self.keep(context, account, at.now, at.clock).await { told } else { all_of(report) }
    }

    /// Returns what is to be reported about a failure that is being waited out: a poll by hand may have found it, and
    /// no scheduled run has reported it. It is returned once.
    pub(super) async fn news_while_waiting(mut self, context: &Arc<PollContext>, account: &Account) -> Vec<String> {
        let clock = context.clock.read();
        let now = Duration::from_secs(clock.since_boot);
        let Standing { failure, told, .. } = &mut self.standing;
        let news = failure.as_ref().and_then(|failure| told.remembered(failure.reason(), &failure.text, now));
        let Some(news) = news else { return Vec::new() };
        self.keep(context, account, now, clock).await;
        vec![news.text(account)]
    }

    /// Like [`Self::on_poll_end`], for a poll by hand, whose user sees everything on the terminal. That does not count
    /// as reported: whoever gets the notifications still has to be told. What is over need not be reported any more.
    pub(super) async fn on_poll_shown(
        mut self,
        context: &Arc<PollContext>,
        account: &Account,
        report: &PollReport,
        begun: Duration,
    ) {
        let Some(at) = self.take_in(context, account, report, begun) else { return };
        if report.end.is_ok() {
            let in_part = account.forward.is_some() && report.forwarded.is_none();
            self.standing.told.shown(report, in_part, at.now);
        }
        self.keep(context, account, at.now, at.clock).await;
    }

    /// None if the end of the poll changes nothing.
    fn take_in(
        &mut self,
        context: &PollContext,
        account: &Account,
        report: &PollReport,
        begun: Duration,
    ) -> Option<EndOfPoll> {
        let clock = context.clock.read();
        let now = Duration::from_secs(clock.since_boot).max(begun);
        if report.says_nothing_of_the_account() {
            return None;
        }
        let seed = seed(installation(&context.state_dir, uname().nodename().to_bytes()), &account.name);
        let local = context.clock.time_of_week();
        let next = self.standing.on_poll_end(account, seed, report, begun..now, clock.wall, local);
        Some(EndOfPoll { now, clock, next })
    }

    /// Returns what is to be reported, and marks it as reported.
    fn notifications(
        &mut self,
        account: &Account,
        settings: &Settings,
        report: &PollReport,
        at: &EndOfPoll,
    ) -> Vec<String> {
        let EndOfPoll { now, clock, next } = at;
        let mut notifications = self.standing.notifications(&settings.notify, report, &next.reason, *now, clock.wall);
        notifications.extend(self.not_told_yet(report, &next.reason, *now));
        let notifications = notifications
            .iter()
            .filter(|notifications| !matches!(notifications, Notification::NewMail { .. }))
            .map(|notifications| notifications.text(account));
        let mut told: Vec<String> = notifications.collect();
        let ends = report.forwarded.as_ref().map(|forwarded| self.standing.told.ends_of_forwarding(forwarded));
        told.extend(ends.into_iter().flatten().map(|words| format!("{}: {words}", account.name)));
        let is_left_alone = account.forward.is_some() && report.forwarded.is_none();
        let warnings = match is_left_alone {
            true => self.standing.told.fresh_of_a_part(report.warnings()),
            false => self.standing.told.fresh(report.warnings()),
        };
        let more = warnings.len().saturating_sub(MOST_WARNINGS);
        told.extend(warnings.iter().take(MOST_WARNINGS).map(|words| format!("{}: {words}", account.name)));
        if more > 0 {
            told.push(format!("{}: and {more} more of this kind", account.name));
        }
        told
    }

    /// Saves the account's standing for the next run; false if that fails.
    async fn keep(self, context: &Arc<PollContext>, account: &Account, now: Duration, clock: ClockReading) -> bool {
        let saved = self.standing.save(&self.files, now, clock);
        if self.kept != Some(saved.digest()) {
            let (context, name) = (Arc::clone(context), account.name.clone());
            let keep = move || {
                let (disk, dir, holder) = (&*context.disk, &context.state_dir, &context.holder);
                keep_outcome(disk, dir, &name, holder, Some(&saved), &History::default())
            };
            if let Ok(Err(e)) = watch::blocking(keep).await {
                debug!("{}: cannot save its state between polls: {e}. The next run starts without it", account.name);
                return false;
            }
        }
        true
    }

    /// A problem that needs a person is reported at once: otherwise the reader of cron's mail would not learn why no
    /// mail comes.
    fn not_told_yet(&mut self, report: &PollReport, why: &Reason, now: Duration) -> Option<Notification> {
        let error = report.end.as_ref().err().filter(|error| Class::of(error).needs_a_person())?;
        // A refused login that may be a mistake is reported only if it is refused again.
        let &Reason::Failure { cause, .. } = why else { return None };
        let text = || advice::told(error, &report.account);
        self.standing.told.note_reported(cause, now).then(|| Notification::Failure { cause, text: text() })
    }

    /// Returns how often in a row the account's polls were too slow for others.
    pub(super) fn times_too_slow(&self) -> u32 {
        self.standing.history.times_too_slow()
    }

    /// Whether a standing is saved that a success would end.
    pub(super) fn is_kept(&self) -> bool {
        self.kept.is_some()
    }
}

/// Adds a poll that brought mail or failed to the account's history, which the daemon shows.
pub(super) async fn keep_history(context: &Arc<PollContext>, account: &Account, report: &PollReport) {
    let cause = report.failure().filter(|_| !report.says_nothing_of_the_account());
    let mut brought = History::default();
    if !brought.add(past_poll(report, context.clock.read().wall, cause)) {
        return;
    }
    let (context, name) = (Arc::clone(context), account.name.clone());
    let keep = move || {
        let (disk, dir, holder) = (&*context.disk, &context.state_dir, &context.holder);
        keep_outcome(disk, dir, &name, holder, None, &brought)
    };
    if let Ok(Err(e)) = watch::blocking(keep).await {
        debug!("{}: cannot add this poll to the history: {e}", account.name);
    }
}

/// Returns everything that is wrong, reported before or not.
fn all_of(report: &PollReport) -> Vec<String> {
    let words = report.warnings().into_iter().take(MOST_WARNINGS).chain(report.failure_text());
    words.map(|words| format!("{}: {words}", report.account)).collect()
}
