//! The names of accounts, for a shell that completes a word.

use std::ffi::OsStr;
use std::path::PathBuf;

use clap_complete::CompletionCandidate;

use crate::config::{self, Environment};

/// So many accounts are offered.
const MOST: usize = 500;

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
