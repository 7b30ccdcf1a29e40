//! `mailferry import`: takes over another program's accounts and its record of what was fetched.

use std::path::PathBuf;
use std::sync::Arc;

use super::arguments::{Arguments, Import, ProgramName};
use super::output::stderr_line;
use super::wrapped::say_wrapped;
use super::{prepare, uids};
use crate::advice;
use crate::advice::commands::common::GIVE_CONFIG;
use crate::command_line::this_command_without;
use crate::config::{Config, ConfigError, Environment, state_dir};
use crate::exit::ExitStatus;
use crate::import::report::{NextSteps, Report};
use crate::import::take_over::{self, Plan, TakeOverError, carry_out, plan};
use crate::import::{Program, SearchPaths, read};
use crate::new_account::writing::{Surroundings, WriteError};
use crate::poll::PollContext;
use crate::text;
use crate::user;

/// Runs the command.
pub(super) async fn run(arguments: &Arguments, import: &Import) -> ExitStatus {
    let environment = Environment::from_process();
    let Some(path) = configuration(arguments, &environment) else {
        stderr_line(format_args!("mailferry: there is no place for the configuration: {GIVE_CONFIG}"));
        return ExitStatus::Config;
    };
    let mut found = match read(program(import.program), &search_paths(import, &environment)) {
        Ok(found) => found,
        Err(e) => {
            stderr_line(format_args!("mailferry: {e}"));
            return ExitStatus::Config;
        }
    };
    let planned = match plan(&mut found, &path, &environment) {
        Ok(planned) => planned,
        Err(e) => return failed(e),
    };
    let context = match planned.config.as_ref().map(|config| context(arguments, &environment, config)).transpose() {
        Ok(context) => context,
        Err(e) => return failed(TakeOverError::Config(e)),
    };
    let write = if import.dry_run { look } else { write };
    if let Some(Err(e)) = context.as_ref().map(|context| write(&planned, context, import)) {
        return failed(e);
    }
    let nothing_new = planned.accounts.is_empty();
    let command = this_command_without("--dry-run");
    let report = Report {
        found: &found,
        plan: &planned,
        dry_run: import.dry_run,
        trust: import.trust_deliveries,
        mark_existing: import.mark_existing,
        command: &command,
    };
    let quiet = arguments.quiet;
    if !quiet {
        tell(&report.to_string());
    }
    let status = match (context, import.mark_existing && !import.dry_run && !nothing_new) {
        (Some(context), true) => mark_existing(&planned, context, quiet).await,
        _ => ExitStatus::Ok,
    };
    if !quiet && !nothing_new {
        tell(&format!("\n{}", NextSteps(&report)));
    }
    status
}

/// Prints lines, wrapped to the terminal.
fn tell(text: &str) {
    text.lines().for_each(|line| {
        let blanks = line.len() - line.trim_start_matches(' ').len();
        say_wrapped(line, blanks + 2);
    });
}

/// Returns the configuration to write: by default the user's own, even if it does not exist yet.
pub(super) fn configuration(arguments: &Arguments, environment: &Environment) -> Option<PathBuf> {
    let given = arguments.config.clone().or_else(|| environment.mailferry_config.clone().map(PathBuf::from));
    let own = || environment.config_home.as_ref().map(|dir| dir.join("mailferry/config.toml"));
    std::path::absolute(given.or_else(own)?).ok()
}

fn program(name: ProgramName) -> Program {
    match name {
        ProgramName::Fetchmail => Program::Fetchmail,
        ProgramName::Getmail => Program::Getmail,
        ProgramName::Mpop => Program::Mpop,
        ProgramName::Fdm => Program::Fdm,
        ProgramName::Thunderbird => Program::Thunderbird,
    }
}

fn search_paths(import: &Import, environment: &Environment) -> SearchPaths {
    let absolute = |path: &PathBuf| std::path::absolute(path).ok();
    SearchPaths {
        path: import.path.as_ref().and_then(absolute),
        fetched: import.fetched.as_ref().and_then(absolute),
        home: environment.home.clone(),
        config_home: environment.config_home.clone(),
        fetchmail_home: std::env::var_os("FETCHMAILHOME").filter(|value| !value.is_empty()).map(PathBuf::from),
        user: user::known_name(user::effective()),
    }
}

fn context(arguments: &Arguments, environment: &Environment, config: &Config) -> Result<PollContext, ConfigError> {
    state_dir(arguments.state_dir.as_deref(), config, environment)?;
    prepare::context(arguments, environment, config, "import")
}

fn surroundings(context: &PollContext) -> Surroundings<'_> {
    Surroundings {
        disk: Arc::clone(&context.disk),
        state_dir: &context.state_dir,
        open_options: Box::new(|| uids::open_options(context)),
    }
}

fn look(planned: &Plan, context: &PollContext, _: &Import) -> Result<(), TakeOverError> {
    take_over::look(planned, &surroundings(context))
}

fn write(planned: &Plan, context: &PollContext, import: &Import) -> Result<(), TakeOverError> {
    carry_out(planned, &surroundings(context), import.trust_deliveries).map(drop)
}

/// Marks what is on the server now as fetched, for accounts whose record of what was fetched is lost.
async fn mark_existing(planned: &Plan, context: PollContext, quiet: bool) -> ExitStatus {
    let context = Arc::new(context);
    let mut worst = ExitStatus::Ok;
    let accounts = planned.config.iter().flat_map(|config| &config.accounts);
    for account in accounts {
        let is_lost = planned.accounts.iter().any(|one| one.name == account.name && one.draft.is_record_lost());
        if is_lost {
            worst = worst.worst(uids::adopt_all(&context, account, quiet).await);
        }
    }
    worst
}

fn failed(error: TakeOverError) -> ExitStatus {
    match error {
        TakeOverError::Config(e) => {
            stderr_line(super::rendered(&e));
            stderr_line("mailferry: nothing was written");
            ExitStatus::Config
        }
        TakeOverError::CannotAdd(why) => {
            stderr_line(format_args!("mailferry: {why}. Nothing was written"));
            ExitStatus::Config
        }
        TakeOverError::Write(e) => not_written(&e),
    }
}

/// Reports why nothing was written.
pub(super) fn not_written(error: &WriteError) -> ExitStatus {
    match error {
        WriteError::State(e) => {
            let told = advice::told_of_directory(e);
            stderr_line(format_args!("mailferry: nothing was written: {told}"));
            e.exit_status()
        }
        WriteError::Io { doing, path, source } => {
            let path = text::value(&path.to_string_lossy());
            stderr_line(format_args!(
                "mailferry: nothing was written: cannot {doing} {path}: {}",
                text::system(source)
            ));
            ExitStatus::Local
        }
    }
}
