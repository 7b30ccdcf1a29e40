//! The configuration that an account is added to.

use std::path::{Path, PathBuf};

use toml_edit::Table;

use crate::account::{Account, AccountName};
use crate::config::write::{self, CannotAdd};
use crate::config::{Config, ConfigError, Environment};
use crate::new_account::NEW_FILE;

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
    /// It is wrong as it is.
    Config(ConfigError),
    /// It would be wrong, by what is to be written.
    Account(ConfigError),
    /// It cannot be added to.
    CannotAdd(CannotAdd),
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
    /// [`TargetError::Config`].
    pub(crate) fn read(path: &Path, environment: &Environment) -> Result<Self, TargetError> {
        let before = write::text_before(path, environment)?;
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
    /// [`TargetError`]: [`TargetError::Config`] only where what is wrong is there already.
    pub(crate) fn with(&self, name: &AccountName, table: &Table) -> Result<Extended, TargetError> {
        let text = write::add_account(&self.text, name, table)?;
        let config = write::check(&self.path, &text, &self.environment).map_err(|e| {
            // No octet of what is there changes, and the account comes behind it.
            if e.is_behind(self.text.len()) { TargetError::Account(e) } else { TargetError::Config(e) }
        })?;
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

impl TargetError {
    /// Why, to somebody who has just typed what is wrong: without the lines of a file that is not written yet.
    pub(crate) fn in_short(&self) -> String {
        match self {
            Self::Config(e) | Self::Account(e) => e.in_short(),
            Self::CannotAdd(e) => e.to_string(),
        }
    }
}

impl std::fmt::Display for TargetError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Config(e) => e.fmt(f),
            Self::Account(e) => f.write_str(&e.sentences().join(". ")),
            Self::CannotAdd(e) => e.fmt(f),
        }
    }
}
