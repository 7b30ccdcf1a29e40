//! `mailferry check`: checks everything that a poll needs, and says what to do about what is wrong.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::arguments::{Arguments, Check};
use super::forward::unclaimed;
use super::output::{say, stderr_line};
use super::wrapped::{is_narrow, say_wrapped, stderr_sentence};
use super::{prepare, signals};
use crate::account::Account;
use crate::advice;
use crate::check::{AccountCheck, CheckContext, Mark, Step, check, habits, multidrop};
use crate::clock::RealClock;
use crate::config::{self, Config, ConfigError, Environment};
use crate::credential::CredentialEnvironment;
use crate::disk::RealDisk;
use crate::exit::ExitStatus;
use crate::net::{Dialer, NetLimits};
use crate::state::store::ConfiguredAccounts;
use crate::text;

/// The document of `--json`. Fields are added, never changed.
#[derive(Debug, Serialize)]
struct Report {
    /// The path of the configuration; none if it was not found.
    configuration: Option<String>,
    /// The exit status of the command.
    status: u8,
    /// What is wrong with the configuration: whole sentences, with line numbers, for people.
    error: Option<String>,
    /// What is valid in the configuration but looks like a mistake.
    warnings: Vec<String>,
    /// In the order of the configuration.
    accounts: Vec<AccountCheck>,
    /// What waits in spools whose accounts are not configured any more, and what to do about it.
    unclaimed_spools: Vec<String>,
}

impl Report {
    /// Begins with what the configuration shows.
    fn begin(config: &Config, options: &Check, environment: &Environment) -> Self {
        let habits = habits::warnings(config, &options.accounts, &environment.etc, options.offline);
        Self {
            configuration: Some(text::value(&config.path.to_string_lossy())),
            status: 0,
            error: None,
            warnings: config.warnings.iter().cloned().chain(habits).collect(),
            accounts: Vec::new(),
            unclaimed_spools: Vec::new(),
        }
    }
}

/// Runs the command.
pub(super) async fn run(arguments: &Arguments, options: &Check) -> ExitStatus {
    let environment = Environment::from_process();
    let loaded = prepare::configuration(arguments, &environment).and_then(|config| {
        let state_dir = config::state_dir(arguments.state_dir.as_deref(), &config, &environment)?;
        Ok((config, state_dir))
    });
    let (config, state_dir) = match loaded {
        Ok(loaded) => loaded,
        Err(e) => return wrong(&e, options.json),
    };
    let selected: Vec<Account> = match config.select(&options.accounts) {
        Ok(accounts) => accounts.into_iter().cloned().collect(),
        Err(e) => {
            stderr_sentence(format_args!("mailferry: {e}"));
            return ExitStatus::Usage;
        }
    };
    let mut report = Report::begin(&config, options, &environment);
    if !options.json && !arguments.quiet {
        tell_configuration(&config, &report.warnings, options.offline || arguments.verbose > 0);
    }
    if options.offline {
        if options.json {
            print_json(&report);
        }
        return ExitStatus::Ok;
    }
    let unclaimed_dir = state_dir.clone();
    let context = CheckContext {
        dialer: Arc::new(Dialer::new(NetLimits::default())),
        disk: Arc::new(RealDisk),
        clock: Arc::new(RealClock::new()),
        credentials: CredentialEnvironment::from_process(),
        state_dir,
        configured_accounts: Arc::new(ConfiguredAccounts::new(
            config.accounts.iter().map(|account| account.name.clone()),
        )),
    };
    signals::survive_limit_on_files();
    report.accounts = check_all(context, &config, selected, arguments, options).await;
    let status = report.accounts.iter().map(AccountCheck::exit_status).fold(ExitStatus::Ok, ExitStatus::worst);
    if options.accounts.is_empty() {
        report.unclaimed_spools = unclaimed(&config, &unclaimed_dir);
    }
    let status = if report.unclaimed_spools.is_empty() { status } else { status.worst(ExitStatus::Partial) };
    report.status = status.code();
    if options.json {
        print_json(&report);
    } else {
        let told = |text: &String| say_wrapped(&format!("{:4}  spool of {text}", Mark::Fail), 6);
        report.unclaimed_spools.iter().for_each(told);
        if !arguments.quiet && report.accounts.len() > 1 {
            say(total(&report.accounts));
        }
    }
    status
}

/// Checks several accounts concurrently, and prints each result as soon as those before it are printed.
async fn check_all(
    context: CheckContext,
    config: &Config,
    selected: Vec<Account>,
    arguments: &Arguments,
    options: &Check,
) -> Vec<AccountCheck> {
    let width = selected.iter().map(|account| account.name.as_str().len()).max().unwrap_or(0).min(NAME);
    let all = Arc::new(Semaphore::new(config.daemon.concurrency.get()));
    let mut hosts: HashMap<String, Arc<Semaphore>> = HashMap::new();
    let mut checks = JoinSet::new();
    for (place, account) in selected.iter().cloned().enumerate() {
        let host = account.endpoint.host.to_ascii_lowercase();
        let at_host = hosts.entry(host).or_insert_with(|| Arc::new(Semaphore::new(config.daemon.per_host.get())));
        let (all, at_host, context) = (Arc::clone(&all), Arc::clone(at_host), context.clone());
        checks.spawn(async move {
            let _at_host = at_host.acquire().await;
            let _of_all = all.acquire().await;
            (place, check(&context, &account).await)
        });
    }
    let mut waiting: HashMap<usize, AccountCheck> = HashMap::new();
    let mut told = Vec::new();
    while let Some(ended) = checks.join_next().await {
        // A panic in one account's check has been printed; the account itself is reported below.
        let Ok((place, found)) = ended else { continue };
        waiting.insert(place, found);
        while let Some(found) = waiting.remove(&told.len()) {
            tell(&found, width, arguments, options);
            told.push(found);
        }
    }
    for (place, account) in selected.iter().enumerate().skip(told.len()) {
        let found = waiting.remove(&place).unwrap_or_else(|| failed(account));
        tell(&found, width, arguments, options);
        told.push(found);
    }
    told
}

fn failed(account: &Account) -> AccountCheck {
    let text = advice::told_of_bug("mailferry had an internal error");
    let step = Step { step: "check", mark: Mark::Fail, text, status: ExitStatus::Temporary };
    let server = format!("{}:{}", account.endpoint.host, account.endpoint.port);
    AccountCheck {
        account: account.name.to_string(),
        server,
        steps: vec![step],
        seconds: 0.0,
        messages: None,
        in_short: Vec::new(),
    }
}

/// Reports a configuration that cannot be used.
fn wrong(error: &ConfigError, json: bool) -> ExitStatus {
    if json {
        let report = Report {
            configuration: error.path().map(|path| text::value(&path.to_string_lossy())),
            status: ExitStatus::Config.code(),
            error: Some(error.to_string()),
            warnings: Vec::new(),
            accounts: Vec::new(),
            unclaimed_spools: Vec::new(),
        };
        print_json(&report);
    } else {
        stderr_line(super::rendered(error));
    }
    ExitStatus::Config
}

fn print_json(report: &Report) {
    match serde_json::to_string_pretty(report) {
        Ok(text) => say(text),
        Err(e) => stderr_line(advice::told_of_bug(format_args!("mailferry: cannot write this as JSON: {e}"))),
    }
}

/// Prints the path of the configuration and its warnings.
fn tell_configuration(config: &Config, warnings: &[String], always: bool) {
    if always {
        let enabled = config.accounts.iter().filter(|account| account.enabled).count();
        let path = text::value(&config.path.to_string_lossy());
        let accounts = text::Count::of(config.accounts.len(), "account");
        match enabled == config.accounts.len() {
            true => say_wrapped(&format!("{path} is good: {accounts}"), 2),
            false => say_wrapped(&format!("{path} is good: {accounts}, {enabled} of them enabled"), 2),
        }
    }
    warnings.iter().for_each(|warning| say_wrapped(&format!("{:4}  {warning}", Mark::Warn), 6));
}

/// Longer names of accounts are not aligned.
const NAME: usize = 30;

/// The length of the longest name of a step.
const STEP: usize = 24;

/// Prints one line if all is well; otherwise the steps that failed, or all of them with `-v`.
fn tell(found: &AccountCheck, width: usize, arguments: &Arguments, options: &Check) {
    let status = found.exit_status();
    if options.json || (arguments.quiet && status == ExitStatus::Ok) {
        return;
    }
    let name = &found.account;
    let verdict = if status == ExitStatus::Ok { "ok" } else { "FAIL" };
    let mut line = format!("{name:width$}  {verdict:4}  {}", text::value(&found.server));
    for words in &found.in_short {
        line.push_str(", ");
        line.push_str(words);
    }
    line.push_str(&match found.seconds {
        seconds if seconds < 0.05 => ", under 0.1 s".to_owned(),
        seconds => format!(", {seconds:.1} s"),
    });
    say_wrapped(&line, 4);
    for step in &found.steps {
        let to_be_seen =
            matches!(step.mark, Mark::Warn | Mark::Fail) || step.step == multidrop::STEP || arguments.verbose > 0;
        if to_be_seen && !(arguments.quiet && step.mark != Mark::Fail) {
            // A narrow terminal has no room for columns.
            let (step_width, hanging) = if is_narrow() { (0, 8) } else { (STEP, STEP + 10) };
            let line = format!("  {:4}  {:step_width$}  {}", step.mark, step.step, step.text);
            say_wrapped(&line, hanging);
        }
    }
}

fn total(accounts: &[AccountCheck]) -> String {
    let failed = accounts.iter().filter(|account| account.exit_status() != ExitStatus::Ok).count();
    match failed {
        0 => format!("{} accounts, all well", accounts.len()),
        _ => format!("{} accounts checked, {failed} failed", accounts.len()),
    }
}
