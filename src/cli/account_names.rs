//! Names of accounts, for a shell that completes a word.

use std::ffi::OsStr;
use std::path::PathBuf;

use clap_complete::CompletionCandidate;

use crate::config::{self, Environment};

/// The maximum number of accounts that are offered.
const MOST: usize = 500;

/// Returns the configured accounts whose names begin with `begun`. Empty if the configuration cannot be read, as a
/// completion has nowhere to report an error.
pub(super) fn accounts(begun: &OsStr) -> Vec<CompletionCandidate> {
    let environment = Environment::from_process();
    let given = given_config(std::env::args_os().map(PathBuf::from));
    let path = config::find(given.as_deref(), &environment);
    let Ok(config) = path.and_then(|path| config::load(&path, &environment)) else { return Vec::new() };
    let begun = begun.to_string_lossy();
    let names = config.accounts.iter().map(|account| account.name.as_str()).filter(|name| name.starts_with(&*begun));
    names.take(MOST).map(CompletionCandidate::new).collect()
}

/// Returns the file given with `--config` on the line being typed.
fn given_config(words: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    let mut words = words.skip_while(|word| word.as_os_str() != "--config");
    words.nth(1)
}
