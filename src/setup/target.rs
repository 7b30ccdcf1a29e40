//! The configuration to which an account is added.

use std::path::{Path, PathBuf};

use toml_edit::Table;

use crate::account::{Account, AccountName};
use crate::config::write::{self, CannotAdd};
use crate::config::{Config, ConfigError, Environment};
use crate::new_account::NEW_FILE;

/// A configuration to which an account is to be added.
#[derive(Debug)]
pub(crate) struct Target {
    /// The file, absolute.
    pub path: PathBuf,
    /// Its present text, or the beginning of a new file.
    text: String,
    environment: Environment,
}

/// Why the account cannot be added.
#[derive(Debug)]
pub(crate) enum TargetError {
    /// The present configuration is invalid.
    Config(ConfigError),
    /// The new account is invalid.
    Account(ConfigError),
    /// No account can be added to the text.
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

/// A configuration with the new account.
#[derive(Debug)]
pub(crate) struct Extended {
    /// Its text.
    pub text: String,
    /// The same, checked.
    pub config: Config,
    /// The new account, as read from it.
    pub account: Account,
}

impl Target {
    /// Reads the present configuration.
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

    /// The names in use.
    pub(crate) fn names(&self) -> Vec<String> {
        write::account_names(&self.text)
    }

    /// Returns the configuration with this account added.
    ///
    /// # Errors
    /// [`TargetError`]: [`TargetError::Config`] only if the mistake is in the present text.
    pub(crate) fn with(&self, name: &AccountName, table: &Table) -> Result<Extended, TargetError> {
        let text = write::add_account(&self.text, name, table)?;
        let config = write::check(&self.path, &text, &self.environment).map_err(|e| {
            // The present text is unchanged, and the account comes after it.
            if e.is_behind(self.text.len()) { TargetError::Account(e) } else { TargetError::Config(e) }
        })?;
        let account = config.accounts.iter().find(|account| account.name == *name).cloned();
        let account = account.ok_or(CannotAdd::NoTables)?;
        Ok(Extended { text, config, account })
    }
}

impl Extended {
    /// Returns the account for the same maildrop, if there is one.
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
    /// Describes the error to a user who has just typed it, without quoting lines of a file that is not written yet.
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
