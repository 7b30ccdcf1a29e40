//! `mailferry completions` and `mailferry man`: what shells and readers ask the program itself for.

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::CommandFactory as _;
use clap_complete::CompletionCandidate;
use clap_complete::env::{CompleteEnv, Shells};

use super::arguments::{Arguments, Completions, Man};
use super::output::stderr_line;
use crate::config::{self, Environment};
use crate::exit::ExitStatus;

/// The variable by which the script of a shell asks for candidates.
const VARIABLE: &str = "MAILFERRY_COMPLETE";

/// So many accounts are offered.
const MOST: usize = 500;

/// Answers the script of a shell, if it is that which asks: true if there is nothing else to do.
pub(super) fn answer() -> bool {
    if std::env::var_os(VARIABLE).is_none() {
        return false;
    }
    let asked = CompleteEnv::with_factory(Arguments::command).var(VARIABLE).bin("mailferry");
    asked.try_complete(std::env::args_os(), std::env::current_dir().ok().as_deref()).unwrap_or(true)
}

/// The accounts of the configuration, for a word that begins so. A configuration that cannot be read has none: there is
/// nobody to tell.
pub(super) fn accounts(begun: &OsStr) -> Vec<CompletionCandidate> {
    let environment = Environment::from_process();
    let given = given_config(std::env::args_os().map(PathBuf::from));
    let path = config::find(given.as_deref(), &environment);
    let Ok(config) = path.and_then(|path| config::load(&path, &environment)) else { return Vec::new() };
    let begun = begun.to_string_lossy();
    let names = config.accounts.iter().map(|account| account.name.as_str()).filter(|name| name.starts_with(&*begun));
    names.take(MOST).map(CompletionCandidate::new).collect()
}

/// The file behind `--config` on the line that is being typed.
fn given_config(words: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    let mut words = words.skip_while(|word| word.as_os_str() != "--config");
    words.nth(1)
}

/// Prints the script for a shell.
pub(super) fn run(options: &Completions) -> ExitStatus {
    let name = options.shell.name();
    let mut script = Vec::new();
    let written = Shells::builtins()
        .completer(name)
        .ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))
        .and_then(|shell| shell.write_registration(VARIABLE, "mailferry", "mailferry", "mailferry", &mut script));
    match written.and_then(|()| io::stdout().lock().write_all(&script)) {
        Ok(()) => ExitStatus::Ok,
        Err(e) => {
            stderr_line(format_args!("mailferry: cannot write the script: {e}"));
            ExitStatus::Temporary
        }
    }
}

/// Prints a manual page.
pub(super) fn man(options: &Man) -> ExitStatus {
    let page = match options.section {
        1 => include_str!("../../docs/man/mailferry.1"),
        _ => include_str!("../../docs/man/mailferry.toml.5"),
    };
    // Who reads it page by page may have enough.
    let _ = io::stdout().lock().write_all(page.as_bytes());
    ExitStatus::Ok
}
