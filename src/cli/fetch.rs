//! `mailferry fetch`: polls once, several accounts concurrently, and prints one line for each.

mod places;
mod polls;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::arguments::{Arguments, Fetch};
use super::output::stderr_line;
use super::prepare::{self, Prepared};
use super::progress::{self, Display};
use super::reporter::{Failures, Reporter};
use super::scheduled::destination::{Destination, Shown};
use super::scheduled::{Settings, keep_history, recall};
use super::signals::{Listener, survive_limit_on_files};
use crate::account::Account;
use crate::account_record::stamp;
use crate::advice::commands::common::NAME_OR_ENABLE;
use crate::advice::fetchmail;
use crate::config::Config;
use crate::control::Request;
use crate::delivery::recovery::OtherMaildirPolicy;
use crate::exit::ExitStatus;
use crate::forward::{ForwardOptions, look_into_spool};
use crate::poll::{PollContext, PollError, PollOptions, PollReport, forward_spool, poll};
use crate::schedule::queue::Limits;
use crate::schedule::{Cause, End as EndOfPoll};
use crate::state::error::StateError;
use crate::threads;
use crate::watch;
use places::{PlaceGiver, Seat};
use polls::{End, HangLimits, Polls};

/// How many threads are needed besides those that poll: one waits for signals, one is for blocking calls.
const BESIDE: usize = 2;

/// How often `--wait` retries an account that another process is polling.
const WAIT: Duration = Duration::from_millis(250);

/// How long forwarding may take; then a message in transit is abandoned.
const FORWARDING: Duration = Duration::from_secs(120);

/// Runs the command; returns the exit code.
pub(super) fn run(arguments: &Arguments, fetch: &Fetch) -> u8 {
    let Prepared { config, context, accounts } = match prepare::accounts(arguments, &fetch.accounts, "fetch") {
        Ok(prepared) => prepared,
        Err(status) => return failed_before_polling(status, fetch.fetchmail_exit_codes),
    };
    if accounts.is_empty() && !arguments.quiet {
        stderr_line(format_args!("mailferry: no account is enabled; {NAME_OR_ENABLE}"));
    }
    // For a single poll the main thread is enough, except for blocking calls. Threads would be the largest cost of an
    // idle poll.
    let runtime = match if accounts.len() > 1 { threads::runtime(BESIDE) } else { threads::small_runtime() } {
        Ok(runtime) => runtime,
        Err(e) => return super::no_thread(&e).code(),
    };
    let code = runtime.block_on(poll_all(arguments, fetch, &config, context, accounts));
    // A name lookup that hangs must not keep the process alive.
    runtime.shutdown_background();
    code
}

/// Polls the accounts.
async fn poll_all(
    arguments: &Arguments,
    fetch: &Fetch,
    config: &Config,
    context: Arc<PollContext>,
    accounts: Vec<Account>,
) -> u8 {
    let stop = CancellationToken::new();
    let signals = match Listener::begin_to_end_in_order(stop.clone(), arguments.quiet) {
        Ok(signals) => signals,
        Err(e) => return super::no_thread(&e).code(),
    };
    survive_limit_on_files();
    super::orphans::reap();
    let reporter = Reporter::new(arguments, fetch, accounts.len());
    // With the dialogue, lines come too fast for a display drawn in place.
    let wanted = !arguments.quiet && arguments.verbose == 0;
    let (display, shown) = Display::begin(wanted, accounts.len());
    let mut polls = begin_polls(context, config, accounts, fetch, &stop, &display);
    let reports = print_each(&mut polls, &reporter, &display).await;
    drop(shown);
    progress::above(|| {});
    reporter.print_end(&reports, if fetch.scheduled { Failures::None } else { Failures::All });
    tell_daemon(arguments, &reports).await;
    if let Some(status) = signals.status() {
        return status.code();
    }
    if fetch.fetchmail_exit_codes {
        return fetchmail::code(reports.iter().map(Option::as_ref));
    }
    let status = |report: &Option<PollReport>| report.as_ref().map_or(ExitStatus::Temporary, PollReport::exit_status);
    reports.iter().map(status).fold(ExitStatus::Ok, ExitStatus::worst).code()
}

/// Tells the daemon, if one runs, which spools have changed since it looked.
async fn tell_daemon(arguments: &Arguments, reports: &[Option<PollReport>]) {
    let did = |report: &&PollReport| {
        report
            .forwarded
            .as_ref()
            .is_some_and(|forwarded| report.retrieved > 0 || forwarded.forwarded > 0 || forwarded.newly_set_aside > 0)
    };
    let accounts: Vec<String> = reports.iter().flatten().filter(did).map(|report| report.account.to_string()).collect();
    let messages = reports.iter().flatten().filter_map(|report| report.forwarded.as_deref()?.count_for_daemon());
    let messages = messages.collect();
    if !accounts.is_empty() {
        // If no daemon runs, nobody needs to know.
        let _ = prepare::ask_daemon(arguments, &Request::Fetched { accounts, messages }).await;
    }
}

/// Prints the result of each poll as it ends.
async fn print_each(polls: &mut Polls<Ended>, reporter: &Reporter, display: &Display) -> Vec<Option<PollReport>> {
    let mut reports = Vec::new();
    while let Some(end) = polls.next().await {
        match end {
            End::Done(Ended::LeftOut(news)) => news.iter().for_each(stderr_line),
            End::Done(Ended::Polled(report)) => {
                reporter.print(&report);
                reports.push(Some(*report));
            }
            End::Done(Ended::Scheduled(report, notifications)) => {
                reporter.print_notifications(&report, &notifications);
                reports.push(Some(*report));
            }
            End::GivenUp(report) => {
                display.ended(report.account.as_str(), true);
                reporter.print(&report);
                reports.push(Some(*report));
            }
            // The other accounts are not affected.
            End::Panicked => reports.push(None),
        }
    }
    reports
}

/// fetchmail has a single exit code for everything that is wrong with the invocation.
pub(super) fn failed_before_polling(status: ExitStatus, fetchmail_codes: bool) -> u8 {
    if fetchmail_codes { fetchmail::SYNTAX } else { status.code() }
}

/// Starts a poll of each account, within the configured limits in total and per server.
fn begin_polls(
    context: Arc<PollContext>,
    config: &Config,
    accounts: Vec<Account>,
    fetch: &Fetch,
    stop: &CancellationToken,
    display: &Display,
) -> Polls<Ended> {
    let giver = PlaceGiver::new(Limits { concurrency: config.daemon.concurrency, per_host: config.daemon.per_host });
    let options = PollOptions {
        dry_run: fetch.dry_run,
        new_state: fetch.new_state,
        must_exist: false,
        other_maildir: if fetch.accept_maildir { OtherMaildirPolicy::Accept } else { OtherMaildirPolicy::Refuse },
        fetch_again: fetch.fetch_again,
    };
    let (wait, scheduled) = (fetch.wait, fetch.scheduled);
    let settings = Settings { notify: config.notify.clone(), config_stamp: stamp(&config.path) };
    let mut polls = Polls::new(HangLimits::default(), stop.clone());
    for account in accounts {
        let (seat, context, stop) = (Seat::of(&account, &giver), Arc::clone(&context), stop.clone());
        let stop_poll = stop.child_token();
        // At the error level, so that every log line names its account.
        let span = tracing::error_span!("poll", account = %account.name);
        let places = Places { seat: seat.clone(), display: display.clone(), stop: stop_poll.clone() };
        let name = account.name.clone();
        let settings = settings.clone();
        let work = async move {
            let ended = if scheduled {
                poll_if_due(&context, &account, &settings, options, &places, &stop).await
            } else {
                let begun = since_boot(&context);
                let report = if wait {
                    poll_patiently(&context, &account, options, &places, &stop).await
                } else {
                    poll_in_turn(&context, &account, options, &places).await
                };
                let destination = Destination::recall(&context, &account, &settings, &stop).await;
                let report = take_on(&context, &account, report, options, &stop).await;
                if !options.dry_run {
                    keep_back_off(&context, &account, &settings, &report, begun, &stop).await;
                    keep_history(&context, &account, &report).await;
                    keep_pause(&context, &account, &settings, destination, &report, &stop).await;
                }
                Ended::Polled(Box::new(report))
            };
            places.display.ended(account.name.as_str(), ended.is_failure());
            ended
        };
        polls.begin(name, seat, stop_poll, work.instrument(span));
    }
    polls
}

/// How the work on an account ended.
enum Ended {
    /// It was polled, and everything is to be printed.
    Polled(Box<PollReport>),
    /// It was polled, and only these lines are news.
    Scheduled(Box<PollReport>, Vec<String>),
    /// Its back-off is not over; these lines are news.
    LeftOut(Vec<String>),
}

impl Ended {
    fn is_failure(&self) -> bool {
        match self {
            Self::Polled(report) | Self::Scheduled(report, _) => report.end.is_err(),
            Self::LeftOut(_) => false,
        }
    }
}

/// Polls when there is a place, unless the account is in back-off.
async fn poll_if_due(
    context: &Arc<PollContext>,
    account: &Account,
    settings: &Settings,
    options: PollOptions,
    places: &Places,
    stop: &CancellationToken,
) -> Ended {
    let Some(recalled) = recall(context, account, settings, stop).await else { return Ended::LeftOut(Vec::new()) };
    if recalled.is_to_wait(context, account) {
        return Ended::LeftOut(recalled.news_while_waiting(context, account).await);
    }
    let begun = since_boot(context);
    watch::was_too_slow(recalled.times_too_slow());
    let report = poll_in_turn(context, account, options, places).await;
    let destination = Destination::recall(context, account, settings, stop).await;
    let report = match &destination {
        Some(destination) if destination.is_to_wait(context, account, report.retrieved > 0) => {
            let left = left_in_spool(context, account).await.zip(destination.rest(context));
            PollReport { left_in_spool: left, ..report }
        }
        _ => take_on(context, account, report, options, stop).await,
    };
    let notifications = recalled.on_poll_end(context, account, settings, &report, begun).await;
    keep_history(context, account, &report).await;
    keep_pause(context, account, settings, destination, &report, stop).await;
    Ended::Scheduled(Box::new(report), notifications)
}

/// Returns how many messages wait in the spool. None if there are none.
async fn left_in_spool(context: &Arc<PollContext>, account: &Account) -> Option<u64> {
    let (shared, name) = (Arc::clone(context), account.name.clone());
    let looked = watch::blocking(move || look_into_spool(&*shared.disk, &shared.state_dir, &name)).await;
    looked.ok().flatten().map(|waiting| waiting.messages).filter(|messages| *messages > 0)
}

/// Updates the back-off after a poll by hand: success ends it, and a refused login begins or extends it, so that cron's
/// next run does not offer the same password again.
async fn keep_back_off(
    context: &Arc<PollContext>,
    account: &Account,
    settings: &Settings,
    report: &PollReport,
    begun: Duration,
    stop: &CancellationToken,
) {
    let refused = matches!(report.outcome().end, EndOfPoll::Refused { .. } | EndOfPoll::Failed(Cause::AccessRefused));
    if !refused && report.end.is_err() {
        return;
    }
    if let Some(recalled) = recall(context, account, settings, stop).await.filter(|known| refused || known.is_kept()) {
        recalled.on_poll_shown(context, account, report, begun).await;
    }
}

/// Saves why mail waits, and for the next scheduled run how long the destination is to be left alone.
async fn keep_pause(
    context: &Arc<PollContext>,
    account: &Account,
    settings: &Settings,
    destination: Option<Destination>,
    report: &PollReport,
    stop: &CancellationToken,
) {
    if let Some(destination) = destination {
        destination.keep(context, account, settings, &Shown::of(report), stop).await;
    }
}

/// Forwards what is in the spool, within a time limit, if the account forwards.
async fn take_on(
    context: &PollContext,
    account: &Account,
    mut report: PollReport,
    options: PollOptions,
    stop: &CancellationToken,
) -> PollReport {
    if !options.dry_run && !stop.is_cancelled() {
        let forwarded = forward_spool(context, account, ForwardOptions::default(), FORWARDING, stop).await;
        report.forwarded = forwarded.map(Box::new);
    }
    report
}

fn since_boot(context: &PollContext) -> Duration {
    Duration::from_secs(context.clock.read().since_boot)
}

/// What a poll needs to wait for its places and to show its progress.
struct Places {
    seat: Seat,
    /// Shows the progress.
    display: Display,
    /// Stops the poll.
    stop: CancellationToken,
}

/// Polls when there is a place.
async fn poll_in_turn(
    context: &Arc<PollContext>,
    account: &Account,
    options: PollOptions,
    places: &Places,
) -> PollReport {
    let _taken = places.seat.take().await;
    let observers = places.display.observers(account);
    poll(Arc::clone(context), account.clone(), options, places.stop.clone(), observers).await
}

/// Polls again as long as another process holds the account. In between, others use the places.
async fn poll_patiently(
    context: &Arc<PollContext>,
    account: &Account,
    options: PollOptions,
    places: &Places,
    stop: &CancellationToken,
) -> PollReport {
    loop {
        let report = poll_in_turn(context, account, options, places).await;
        if !matches!(&report.end, Err(PollError::State(StateError::Locked { .. }))) {
            return report;
        }
        if stop.is_cancelled() {
            return report.because_of(PollError::Stopped);
        }
        tokio::select! {
            () = tokio::time::sleep(WAIT) => {}
            () = stop.cancelled() => {}
        }
    }
}
