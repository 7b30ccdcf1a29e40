//! The configuration that an account is added to.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toml_edit::Table;

use crate::account::{Account, AccountName};
use crate::config::write::{self, CannotAdd};
use crate::config::{Config, ConfigError, Environment};
use crate::new_account::NEW_FILE;
use crate::text;

/// A configuration, and what it would be with one more account.
#[derive(Debug)]
pub(crate) struct Target {
    /// Where it is, absolute.
    pub path: PathBuf,
    /// Its text, or that of a new one.
    text: String,
    environment: Environment,
}

/// Why there is no such configuration.
#[derive(Debug)]
pub(crate) enum TargetError {
    /// It would be wrong, or is.
    Config(ConfigError),
    /// It cannot be added to.
    CannotAdd(CannotAdd),
    /// It cannot be read.
    Unreadable(PathBuf, io::Error),
}

impl From<CannotAdd> for TargetError {
    fn from(e: CannotAdd) -> Self {
        Self::CannotAdd(e)
    }
}

impl From<ConfigError> for TargetError {
    fn from(e: ConfigError) -> Self {
        Self::Config(e)
    }
}

/// A configuration with the new account in it.
#[derive(Debug)]
pub(crate) struct Extended {
    /// Its text.
    pub text: String,
    /// The same, judged.
    pub config: Config,
    /// The new account in it.
    pub account: Account,
}

impl Target {
    /// Reads what is there.
    ///
    /// # Errors
    /// [`TargetError::Unreadable`].
    pub(crate) fn read(path: &Path, environment: &Environment) -> Result<Self, TargetError> {
        let before = match fs::read_to_string(path) {
            Ok(text) => Some(text),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(TargetError::Unreadable(path.to_owned(), e)),
        };
        Ok(Self {
            path: path.to_owned(),
            text: before.unwrap_or_else(|| NEW_FILE.to_owned()),
            environment: environment.clone(),
        })
    }

    /// The names that are taken.
    pub(crate) fn names(&self) -> Vec<String> {
        write::account_names(&self.text)
    }

    /// What it would be with this account.
    ///
    /// # Errors
    /// [`TargetError`].
    pub(crate) fn with(&self, name: &AccountName, table: &Table) -> Result<Extended, TargetError> {
        let text = write::add_account(&self.text, name, table)?;
        let config = write::check(&self.path, &text, &self.environment)?;
        let account = config.accounts.iter().find(|account| account.name == *name).cloned();
        let account = account.ok_or(CannotAdd::NoTables)?;
        Ok(Extended { text, config, account })
    }
}

impl Extended {
    /// The account that is the same maildrop, if there is one already.
    pub(crate) fn twin(&self) -> Option<&AccountName> {
        let new = &self.account;
        let is_same = |other: &&Account| {
            other.name != new.name
                && other.endpoint.host.eq_ignore_ascii_case(&new.endpoint.host)
                && other.username == new.username
        };
        self.config.accounts.iter().find(is_same).map(|account| &account.name)
    }
}

impl std::fmt::Display for TargetError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Config(e) => e.fmt(f),
            Self::CannotAdd(e) => e.fmt(f),
            Self::Unreadable(path, e) => write!(f, "cannot read {}: {e}", text::value(&path.to_string_lossy())),
        }
    }
}
