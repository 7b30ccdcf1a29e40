//! What commands have in common: they read the configuration and set up what all polls share.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::arguments::Arguments;
use super::limits;
use super::output::stderr_line;
use super::wrapped::wrapped;
use crate::account::Account;
use crate::advice::by_request::{NotThere, not_there};
use crate::advice::{self, Class};
use crate::clock::RealClock;
use crate::config::{self, Config, ConfigError, Environment};
use crate::control::{self, Request, Response, StatusReader, ask};
use crate::credential::CredentialEnvironment;
use crate::daemon;
use crate::daemon_error::AskError;
use crate::disk::RealDisk;
use crate::exit::ExitStatus;
use crate::maildir::names::NameSource;
use crate::net::{Dialer, NetLimits};
use crate::poll::PollContext;
use crate::schedule::queue::most_polls;
use crate::state::store::ConfiguredAccounts;

/// Finds and reads the configuration.
pub(super) fn configuration(arguments: &Arguments, environment: &Environment) -> Result<Config, ConfigError> {
    let path = config::find(arguments.config.as_deref(), environment)?;
    config::load(&path, environment)
}

/// What a command on accounts needs.
pub(super) struct Prepared {
    /// The configuration.
    pub(super) config: Config,
    /// What all polls share.
    pub(super) context: Arc<PollContext>,
    /// The named accounts; without names all that are enabled.
    pub(super) accounts: Vec<Account>,
}

/// Prepares a command on accounts; `command` is recorded as the holder of locks.
///
/// # Errors
/// The exit status; the problem has been printed.
pub(super) fn accounts(arguments: &Arguments, names: &[String], command: &str) -> Result<Prepared, ExitStatus> {
    let environment = Environment::from_process();
    let prepared = configuration(arguments, &environment)
        .and_then(|config| context(arguments, &environment, &config, command).map(|context| (config, context)));
    let (config, context) = prepared.map_err(|e| {
        stderr_line(super::rendered(&e));
        ExitStatus::Config
    })?;
    print_warnings(&config, arguments.quiet);
    let accounts = config.select(names).map(|accounts| accounts.into_iter().cloned().collect());
    let accounts = accounts.map_err(|e| {
        stderr_line(format_args!("mailferry: {e}"));
        ExitStatus::Usage
    })?;
    Ok(Prepared { config, context: Arc::new(context), accounts })
}

/// Prints what is valid in the configuration but looks like a mistake.
pub(super) fn print_warnings(config: &Config, quiet: bool) {
    if !quiet {
        config.warnings.iter().for_each(|warning| stderr_line(format_args!("mailferry: {warning}")));
    }
}

/// Returns what all polls of this process share; `command` is recorded as the holder of locks.
pub(super) fn context(
    arguments: &Arguments,
    environment: &Environment,
    config: &Config,
    command: &str,
) -> Result<PollContext, ConfigError> {
    let state_dir = config::state_dir(arguments.state_dir.as_deref(), config, environment)?;
    let pid = std::process::id();
    let host = rustix::system::uname();
    Ok(PollContext {
        dialer: Arc::new(Dialer::new(NetLimits::default())),
        disk: Arc::new(RealDisk),
        clock: Arc::new(RealClock::new()),
        names: Arc::new(NameSource::new(pid, host.nodename().to_bytes())),
        state_dir,
        credentials: CredentialEnvironment::from_process(),
        holder: format!("process {pid} (mailferry {command})"),
        most_files: limits::for_each(most_polls(config.daemon.concurrency)),
        promised_space: Arc::default(),
        shared: Arc::default(),
        configured_accounts: Arc::new(ConfiguredAccounts::new(
            config.accounts.iter().map(|account| account.name.clone()),
        )),
    })
}

/// Sends a request to the running daemon, which is found even if its configuration has become invalid since it started.
///
/// # Errors
/// The text to print, and the exit status.
pub(super) async fn ask_daemon(arguments: &Arguments, request: &Request) -> Result<Response, (String, ExitStatus)> {
    asked(arguments, async |dirs| ask(dirs, request).await).await
}

/// Asks the running daemon for the status of these accounts, or of all if none is named, and reads it as it arrives.
/// Returns the response if it is not a status.
///
/// # Errors
/// The text to print, and the exit status.
pub(super) async fn ask_status(
    arguments: &Arguments,
    accounts: &[String],
    reader: &mut impl StatusReader,
) -> Result<Option<Response>, (String, ExitStatus)> {
    asked(arguments, async |dirs| control::ask_status(dirs, accounts, reader).await).await
}

/// Sends a request to the daemon whose socket may be in one of several directories.
async fn asked<T>(
    arguments: &Arguments,
    question: impl AsyncFnOnce(&[PathBuf]) -> Result<T, AskError>,
) -> Result<T, (String, ExitStatus)> {
    let environment = Environment::from_process();
    let path = config::find(arguments.config.as_deref(), &environment);
    let top = path.ok().and_then(|path| config::top(&path, &environment));
    let state_dir = match &top {
        Some(top) => config::state_dir_by_top(arguments.state_dir.as_deref(), top, &environment),
        None => config::state_dir_without(arguments.state_dir.as_deref(), &environment),
    };
    let configured = || configuration(arguments, &environment);
    let wrong = |e: &ConfigError| (super::rendered(e), ExitStatus::Config);
    let state_dir = state_dir.map_err(|e| wrong(configured().as_ref().err().unwrap_or(&e)))?;
    let given = arguments.state_dir.is_some() || top.is_some_and(|top| top.state_dir.is_some());
    let user = rustix::process::geteuid().as_raw();
    let dirs = config::control_dirs_to_ask(&state_dir, given, user, &environment);
    match question(&dirs).await {
        Ok(answer) => Ok(answer),
        Err(AskError::NoDaemon { looked }) => match (daemon::holder(&state_dir), configured()) {
            (Some(holder), _) => {
                let restored_within = control::LOOK;
                Err(unanswered(&AskError::NoSocket { holder, state_dir, looked, restored_within }))
            }
            (None, Err(e)) => Err(wrong(&e)),
            (None, Ok(_)) => Err(unanswered(&AskError::NoDaemon { looked })),
        },
        Err(e) => Err(unanswered(&e)),
    }
}

/// Returns what to print about a daemon that gave an answer to another question, and the exit status.
pub(super) fn not_understood(answer: Response) -> (String, ExitStatus) {
    let why = if let Response::NotUnderstood { why } = answer { Some(why) } else { None };
    unanswered(&AskError::NotUnderstood { why })
}

/// Returns what to print about a daemon that did not answer, and the exit status.
pub(super) fn unanswered(error: &AskError) -> (String, ExitStatus) {
    (wrapped(&format!("mailferry: {}", advice::told_of_asking(error))), Class::of_asking(error).exit_status())
}

/// A configuration whose daemon is not running.
pub(super) struct Alone {
    pub(super) config: Config,
    pub(super) state_dir: PathBuf,
}

/// Returns the configuration if no daemon runs. None if one runs, or if the configuration cannot be used.
pub(super) fn alone(arguments: &Arguments) -> Option<Alone> {
    let environment = Environment::from_process();
    let config = configuration(arguments, &environment).ok()?;
    let state_dir = config::state_dir(arguments.state_dir.as_deref(), &config, &environment).ok()?;
    daemon::holder(&state_dir).is_none().then_some(Alone { config, state_dir })
}

/// Says why the running daemon does not have these accounts: a line each.
pub(super) async fn why_unknown(arguments: &Arguments, names: &[String]) -> Vec<String> {
    let config = configuration(arguments, &Environment::from_process());
    let other = match &config {
        Ok(config) => other_configuration(arguments, names, &config.path).await,
        Err(_) => None,
    };
    let why = |name: &String| match &config {
        Err(_) => not_there(name, NotThere::NoConfiguration),
        Ok(config) => match (config.select(std::slice::from_ref(name)), &other) {
            (Err(unknown), _) => unknown.to_string(),
            (Ok(_), Some(other)) => not_there(name, NotThere::OtherConfiguration(other)),
            (Ok(found), None) if found.iter().any(|account| account.enabled) => {
                not_there(name, NotThere::NotReloaded(&config.path))
            }
            (Ok(_), None) => not_there(name, NotThere::Disabled(&config.path)),
        },
    };
    names.iter().map(|name| wrapped(&format!("mailferry: {}", why(name)))).collect()
}

/// Returns the path of the configuration that the running daemon has read, unless it is `ours`; `names` are accounts
/// that it does not have.
async fn other_configuration(arguments: &Arguments, names: &[String], ours: &Path) -> Option<PathBuf> {
    let Ok(Response::Status(status)) = ask_daemon(arguments, &Request::status_of(names)).await else { return None };
    let theirs = PathBuf::from(status.config);
    let is_ours = |theirs: &Path| theirs == ours || fs::canonicalize(theirs).ok() == fs::canonicalize(ours).ok();
    (!is_ours(&theirs)).then_some(theirs)
}

/// Returns the possible paths of the daemon's control socket, the most likely first.
pub(super) fn sockets(
    arguments: &Arguments,
    environment: &Environment,
    config: &Config,
    state_dir: &Path,
) -> Vec<PathBuf> {
    let given = arguments.state_dir.is_some() || config.state_dir.is_some();
    config::control_dirs(state_dir, given, environment)
}
