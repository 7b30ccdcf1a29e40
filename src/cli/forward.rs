//! `mailferry forward`: forwards what waits in spools now, and prints one line per account.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::arguments::{Arguments, Forward};
use super::output::{say, stderr_line};
use super::prepare::{self, Prepared};
use super::scheduled::Settings;
use super::scheduled::destination::{Destination, Shown};
use super::signals::{Listener, survive_limit_on_files};
use crate::account::Account;
use crate::account_record::stamp;
use crate::advice;
use crate::advice::commands::common::{HOW_TO_FORWARD, not_configured_to_forward};
use crate::config::Config;
use crate::control::Request;
use crate::disk::RealDisk;
use crate::exit::ExitStatus;
use crate::forward::{ForwardOptions, ForwardReport, look_into_spool, unclaimed_spools};
use crate::poll::{PollContext, forward_spool};
use crate::state::store::ConfiguredAccounts;
use crate::summary::{Forwarded, in_the_spool};

/// The user has asked for it, so even a large spool is waited for.
const AS_LONG_AS_IT_TAKES: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long to wait for another process that is forwarding.
const OTHER: Duration = Duration::from_secs(60);

/// How often to check whether it has finished.
const LOOK: Duration = Duration::from_millis(250);

/// Runs the command; returns the exit code.
pub(super) async fn run(arguments: &Arguments, forward: &Forward) -> u8 {
    let Prepared { config, context, accounts } = match prepare::accounts(arguments, &forward.accounts, "forward") {
        Ok(prepared) => prepared,
        Err(status) => return status.code(),
    };
    let (forwarding, others): (Vec<Account>, Vec<Account>) =
        accounts.into_iter().partition(|account| account.forward.is_some());
    let is_for_all = forward.accounts.is_empty();
    let left = left_behind(&config, &context.state_dir, &others, is_for_all);
    if !is_for_all && !others.is_empty() {
        let names: Vec<&str> = others.iter().map(|account| account.name.as_str()).collect();
        stderr_line(format_args!("mailferry: {}", not_configured_to_forward(&names)));
        left.iter().for_each(stderr_line);
        return ExitStatus::Usage.code();
    }
    left.iter().for_each(stderr_line);
    if forwarding.is_empty() && left.is_empty() && !arguments.quiet {
        stderr_line(format_args!("mailferry: no account forwards its mail: {HOW_TO_FORWARD}"));
    }
    let stop = CancellationToken::new();
    let signals = match Listener::begin(stop.clone()) {
        Ok(signals) => signals,
        Err(e) => return super::no_thread(&e).code(),
    };
    survive_limit_on_files();
    super::orphans::reap();
    let settings = Settings { notify: config.notify.clone(), config_stamp: stamp(&config.path) };
    let how = How { again: forward.again, quiet: arguments.quiet, settings };
    let (status, Touched { accounts, messages }) = forward_all(&context, forwarding, &how, &stop).await;
    let status = if left.is_empty() { status } else { status.worst(ExitStatus::Partial) };
    if !accounts.is_empty() {
        // If no daemon runs, nobody needs to know.
        let _ = prepare::ask_daemon(arguments, &Request::Forwarded { accounts, messages }).await;
    }
    signals.status().unwrap_or(status).code()
}

/// Tells what waits in spools whose accounts are not configured any more: a text each.
pub(super) fn unclaimed(config: &Config, state_dir: &Path) -> Vec<String> {
    let configured = ConfiguredAccounts::new(config.accounts.iter().map(|account| account.name.clone()));
    let spools = unclaimed_spools(&RealDisk, state_dir, |name| configured.has(name));
    let told = |(account, stranded)| format!("{account}: {}", advice::told_of_unclaimed(&stranded, &account));
    spools.into_iter().map(told).collect()
}

/// Tells what waits in the spools of accounts that do not forward any more (`others`); and, if no account is named, of
/// those that are disabled or gone. This command does not forward it.
fn left_behind(config: &Config, state_dir: &Path, others: &[Account], is_for_all: bool) -> Vec<String> {
    let waiting =
        |account: &Account| look_into_spool(&RealDisk, state_dir, &account.name).filter(|waiting| waiting.in_all() > 0);
    let told = |account: &Account| {
        let stranded = waiting(account)?.stranded(state_dir, &account.name);
        Some(format!("{}: {}", account.name, advice::told_of_stranded(&stranded, &account.name)))
    };
    let disabled = |account: &Account| {
        let waits = in_the_spool(waiting(account)?.in_all());
        Some(format!("{}: the account is disabled, and {waits}", account.name))
    };
    let are_disabled = config.accounts.iter().filter(|account| is_for_all && !account.enabled);
    let gone = if is_for_all { unclaimed(config, state_dir) } else { Vec::new() };
    others.iter().filter_map(told).chain(are_disabled.filter_map(disabled)).chain(gone).collect()
}

/// The options that all accounts share.
#[derive(Debug, Clone)]
struct How {
    /// Whether messages that were refused for good are retried.
    again: bool,
    /// Whether only problems are printed.
    quiet: bool,
    settings: Settings,
}

/// What a daemon does not know yet.
#[derive(Default)]
struct Touched {
    /// The accounts whose spools have changed.
    accounts: Vec<String>,
    /// How many messages were forwarded, by account.
    messages: BTreeMap<String, u64>,
}

/// Forwards. Also returns which spools have changed.
async fn forward_all(
    context: &Arc<PollContext>,
    accounts: Vec<Account>,
    how: &How,
    stop: &CancellationToken,
) -> (ExitStatus, Touched) {
    let mut passes = JoinSet::new();
    for account in accounts {
        let (context, how, stop) = (Arc::clone(context), how.clone(), stop.clone());
        let span = tracing::error_span!("forward", account = %account.name);
        passes.spawn(async move { pass(&context, &account, &how, &stop).await }.instrument(span));
    }
    let (mut worst, mut touched) = (ExitStatus::Ok, Touched::default());
    while let Some(ended) = passes.join_next().await {
        // A panic in one account's work has been printed; the others are not affected.
        let Ok(Some(report)) = ended else {
            worst = worst.worst(ExitStatus::Temporary);
            continue;
        };
        print(&report, how.quiet);
        if how.again || report.forwarded > 0 || report.newly_set_aside > 0 {
            touched.accounts.push(report.account.to_string());
            touched.messages.extend(report.count_for_daemon());
        }
        worst = worst.worst(report.exit_status());
    }
    (worst, touched)
}

/// Runs a pass, once no other process is running one.
async fn pass(
    context: &Arc<PollContext>,
    account: &Account,
    how: &How,
    stop: &CancellationToken,
) -> Option<ForwardReport> {
    let destination = Destination::recall(context, account, &how.settings, stop).await;
    let report = pass_in_turn(context, account, how, stop).await?;
    if let Some(destination) = destination {
        let shown = Shown { pass: Some(&report), is_spool_full: None };
        destination.keep(context, account, &how.settings, &shown, stop).await;
    }
    Some(report)
}

async fn pass_in_turn(
    context: &PollContext,
    account: &Account,
    how: &How,
    stop: &CancellationToken,
) -> Option<ForwardReport> {
    let options = ForwardOptions { again: how.again };
    let begun = std::time::Instant::now();
    let mut is_told = how.quiet;
    loop {
        let report = forward_spool(context, account, options, AS_LONG_AS_IT_TAKES, stop).await?;
        let Some(busy) = report.end.as_ref().err().filter(|e| e.is_busy_elsewhere()) else { return Some(report) };
        if stop.is_cancelled() || begun.elapsed() > OTHER {
            return Some(report);
        }
        if !is_told {
            stderr_line(format_args!("{}: {busy}; waiting up to {} s for it", account.name, OTHER.as_secs()));
            is_told = true;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => {}
        }
    }
}

fn print(report: &ForwardReport, quiet: bool) {
    if !quiet {
        say(format_args!("{}: to {}: {}", report.account, report.to, Forwarded(report)));
    }
    for warning in report.warnings() {
        stderr_line(format_args!("{}: {warning}", report.account));
    }
}
