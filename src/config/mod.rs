//! The configuration file: finds it, reads it, reports every problem with its line, and builds the accounts.
//!
//! Only this module reads the configuration's TOML: the rest of the program sees [`Account`]s and plain values.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::account::{Account, AccountName, NotifySettings};
use crate::text;

mod account;
mod duration;
mod find;
mod foreign;
mod forward;
mod host;
mod http;
mod keys;
mod line;
mod mailbox_name;
mod multidrop;
mod network;
mod notify;
mod oauth;
mod parse;
mod path;
mod problem;
mod read;
mod redaction;
mod rules;
mod secret_source;
mod settings;
mod sharing;
mod syntax;
mod tables;
mod tangled;
#[cfg(test)]
mod tests;
mod tls;
mod unknown;
mod value;
pub(crate) mod write;

pub(crate) use duration::{in_words as duration_in_words, size_in_words};
pub use find::{Environment, control_dirs, control_dirs_to_ask, find, state_dir, state_dir_by_top, state_dir_without};
pub(crate) use keys::nearest;
pub use problem::ConfigError;
pub(crate) use settings::{AGE_LEAST, AGE_MOST};

/// A range of bytes in the file.
type Span = Range<usize>;

/// A valid configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from, absolute.
    pub path: PathBuf,
    /// The `[daemon]` table; `fetch` obeys the limits, too.
    pub daemon: DaemonSettings,
    /// The `[notify]` table: what the daemon notifies of, and how.
    pub notify: NotifySettings,
    /// `state_dir` as written in the file; the function [`state_dir`] decides which directory is used.
    pub state_dir: Option<PathBuf>,
    /// All accounts in the order of the file, including disabled ones. Never empty.
    pub accounts: Vec<Account>,
    /// What is allowed but looks like a mistake: one message each, with file and line.
    pub warnings: Vec<String>,
}

/// The `[daemon]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonSettings {
    /// How many accounts are polled at the same time.
    pub concurrency: NonZeroUsize,
    /// How many of those polls may be at one server.
    pub per_host: NonZeroUsize,
    /// Where the status page is served. None: it is not served.
    pub http: Option<HttpAddress>,
}

/// Where the status page is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpAddress {
    /// At an address and a port.
    Tcp(SocketAddr),
    /// At a Unix socket with this path.
    Unix(PathBuf),
}

impl fmt::Display for HttpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}/"),
            Self::Unix(path) => write!(f, "the socket {}", path.display()),
        }
    }
}

/// Reads a configuration file.
///
/// # Errors
/// [`ConfigError`] contains all problems of the file, each with its line, or why the file cannot be read.
pub fn load(path: &Path, env: &Environment) -> Result<Config, ConfigError> {
    let (config, accounts) = load_each(path, env, std::convert::identity)?;
    Ok(Config { accounts, ..config })
}

/// Like [`load`], for very many accounts: passes each account to `make` as soon as it is read, some of them twice if
/// the file must be read again in one go. The list of accounts in the returned configuration is empty.
///
/// # Errors
/// Those of [`load`].
pub(crate) fn load_each<T>(
    path: &Path,
    env: &Environment,
    make: impl Fn(Account) -> T,
) -> Result<(Config, Vec<T>), ConfigError> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    read::load(&path, env, make)
}

/// The settings above the tables of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Top {
    /// The file, absolute.
    pub path: PathBuf,
    /// `state_dir`.
    pub state_dir: Option<PathBuf>,
}

/// Reads only the settings above the tables, because reading a hundred thousand accounts takes seconds. Returns None if
/// that part cannot be read on its own.
#[must_use]
pub fn top(path: &Path, env: &Environment) -> Option<Top> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let state_dir = read::state_dir_at_top(&path, env)?;
    Some(Top { path, state_dir })
}

impl Config {
    /// Returns the accounts that a command is to use: all enabled ones if none is named, else the named ones in the
    /// order of their first mention, disabled or not.
    ///
    /// # Errors
    /// [`UnknownAccount`] if a name is not in the configuration; it suggests the nearest.
    pub fn select(&self, names: &[String]) -> Result<Vec<&Account>, UnknownAccount> {
        if names.is_empty() {
            return Ok(self.accounts.iter().filter(|account| account.enabled).collect());
        }
        let mut selected: Vec<&Account> = Vec::new();
        for name in names {
            let Some(account) = self.accounts.iter().find(|account| account.name.as_str() == name) else {
                return Err(self.unknown(name));
            };
            if !selected.iter().any(|known| known.name == account.name) {
                selected.push(account);
            }
        }
        Ok(selected)
    }

    fn unknown(&self, name: &str) -> UnknownAccount {
        let known: Vec<AccountName> = self.accounts.iter().map(|account| account.name.clone()).collect();
        let nearest = nearest(name, known.iter().map(AccountName::as_str));
        let nearest = known.iter().find(|known| Some(known.as_str()) == nearest).cloned();
        UnknownAccount { name: name.to_owned(), nearest, known, path: self.path.clone() }
    }
}

/// The configuration has no account of the given name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownAccount {
    /// The name as given.
    pub name: String,
    /// The account that was probably meant.
    pub nearest: Option<AccountName>,
    /// All accounts in the configuration.
    pub known: Vec<AccountName>,
    /// The configuration file.
    pub path: PathBuf,
}

impl fmt::Display for UnknownAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = text::path(&self.path);
        write!(f, "there is no account `{}` in {path}; ", text::value(&self.name))?;
        if let Some(nearest) = &self.nearest {
            return write!(f, "did you mean `{nearest}`?");
        }
        f.write_str("it has ")?;
        for (i, name) in self.known.iter().take(SHOWN_ACCOUNTS).enumerate() {
            write!(f, "{}`{name}`", if i == 0 { "" } else { ", " })?;
        }
        match self.known.len().saturating_sub(SHOWN_ACCOUNTS) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// How many accounts an error lists: about two lines of a terminal.
const SHOWN_ACCOUNTS: usize = 12;

impl std::error::Error for UnknownAccount {}
