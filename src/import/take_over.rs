//! Writes what was found: passwords, states, and last the configuration, which puts them into effect. A failure before
//! that leaves everything as it was.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Found;
use super::draft::{Draft, Note, Password};
use crate::account::AccountName;
use crate::config::write::{self, CannotAdd};
use crate::config::{Config, ConfigError, Environment};
use crate::new_account::writing::{self, NewAccount, NewConfig, Surroundings, WriteError, io_error};
use crate::new_account::{NEW_FILE, free_name};
use crate::secret::Secret;
use crate::state::adopt::{Known, KnownBy};

/// An account that will be created.
#[derive(Debug)]
pub(crate) struct Planned {
    /// Its name.
    pub name: AccountName,
    /// The account as the other program has it.
    pub draft: Draft,
    /// The file that will hold its password, or that the user has to write it to.
    pub password_file: Option<PathBuf>,
    /// The contents of that file, if it has to be written.
    secret: Option<Secret>,
}

/// What will be written.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The configuration.
    pub path: PathBuf,
    /// Whether the file exists already.
    pub exists: bool,
    /// The accounts to be created.
    pub accounts: Vec<Planned>,
    /// Maildrops that have an account already.
    pub here_already: Vec<Note>,
    /// The new text of the configuration.
    pub text: String,
    /// The new configuration, validated. None if there is nothing to add.
    pub config: Option<Config>,
}

/// Why nothing was written.
#[derive(Debug)]
pub(crate) enum TakeOverError {
    /// The new configuration would be invalid.
    Config(ConfigError),
    /// The configuration cannot be added to.
    CannotAdd(CannotAddTo),
    /// Something cannot be read or written.
    Write(WriteError),
}

/// Why a configuration cannot be added to, in words.
#[derive(Debug)]
pub(crate) struct CannotAddTo(String);

impl std::fmt::Display for CannotAddTo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<CannotAddTo> for TakeOverError {
    fn from(e: CannotAddTo) -> Self {
        Self::CannotAdd(e)
    }
}

impl From<WriteError> for TakeOverError {
    fn from(e: WriteError) -> Self {
        Self::Write(e)
    }
}

/// Chooses names and decides what is written. Writes nothing.
///
/// # Errors
/// [`TakeOverError`].
pub(crate) fn plan(found: &mut Found, path: &Path, environment: &Environment) -> Result<Plan, TakeOverError> {
    let before = write::text_before(path, environment).map_err(TakeOverError::Config)?;
    let base = before.as_deref().unwrap_or(NEW_FILE);
    let mut text = base.to_owned();
    let mut names = write::account_names(&text);
    let configured = write::check(path, &text, environment).map(|config| config.accounts).unwrap_or_default();
    let mut maildrops: Vec<(String, u16, String, String)> = configured
        .iter()
        .map(|account| {
            let endpoint = &account.endpoint;
            (endpoint.host.to_ascii_lowercase(), endpoint.port, account.username.clone(), account.name.to_string())
        })
        .collect();
    let (mut accounts, mut here_already) = (Vec::new(), Vec::new());
    for mut draft in found.drafts.drain(..) {
        if matches!(&draft.password, Password::InClear(secret) if secret.expose().is_empty()) {
            draft.password = Password::Missing("it is empty in the old file".to_owned());
        }
        let maildrop = (draft.host.to_ascii_lowercase(), draft.port, draft.username.clone());
        let same = maildrops
            .iter()
            .find(|(host, port, user, _)| (host, *port, user) == (&maildrop.0, maildrop.1, &maildrop.2));
        if let Some((.., name)) = same {
            let planned = accounts.iter().find(|planned: &&Planned| planned.name.as_str() == name);
            let advice = match planned {
                Some(planned) => twice(&planned.draft, &draft, name),
                None => {
                    format!("the account `{name}` is the same maildrop: it was left as it is, and so was its state")
                }
            };
            here_already.push(Note::new(draft.origin, advice));
            continue;
        }
        let name = free_name(&draft.names, &names).ok_or_else(|| CannotAddTo("there is no free name".to_owned()))?;
        let (password_file, secret) = password_file(path, &name, &draft)?;
        let mut table = draft.table(&name, password_file.as_deref());
        let origin = crate::text::value(&format!("{}: {}", found.program.name(), draft.origin));
        table.decor_mut().set_prefix(format!("# From {origin}\n"));
        let cannot_add = |e: CannotAdd| {
            TakeOverError::CannotAdd(CannotAddTo(format!("{}: {e}", crate::text::value(&path.to_string_lossy()))))
        };
        let alone = write::add_account(base, &name, &table).map_err(cannot_add)?;
        if let Some(e) = write::check(path, &alone, environment).err().filter(|e| e.is_behind(base.len())) {
            found.left.push(Note::new(draft.origin, impossible(&e)));
            continue;
        }
        text = write::add_account(&text, &name, &table).map_err(cannot_add)?;
        names.push(name.to_string());
        maildrops.push((maildrop.0, maildrop.1, maildrop.2, name.to_string()));
        accounts.push(Planned { name, draft, password_file, secret });
    }
    let config = match accounts.is_empty() {
        true => None,
        false => Some(write::check(path, &text, environment).map_err(TakeOverError::Config)?),
    };
    Ok(Plan { path: path.to_owned(), exists: before.is_some(), accounts, here_already, text, config })
}

/// Returns what to say about an account that would make the configuration invalid; the others are taken over without
/// it.
fn impossible(error: &ConfigError) -> String {
    format!("{}. Mend it there and import once more, or write the account by hand", error.sentences().join(". "))
}

/// Returns what to say about another of their accounts for the same maildrop: two of ours would fetch each message
/// twice.
fn twice(taken: &Draft, left: &Draft, name: &str) -> String {
    let advice = format!("the same maildrop as the account `{name}` above, so it is not taken over a second time");
    let said = |draft: &Draft| -> Vec<String> {
        let notes = draft.notes.iter().map(|note| note.what.clone());
        draft.became.iter().map(|(theirs, ours)| format!("{theirs} -> {ours}")).chain(notes).collect()
    };
    let known = said(taken);
    let only_here: Vec<String> = said(left).into_iter().filter(|line| !known.contains(line)).collect();
    if only_here.is_empty() {
        return advice;
    }
    format!("{advice}. What it says otherwise is left out: {}", only_here.join("; "))
}

/// Chooses the file for a password that comes from nowhere else, and returns what has to be written there.
fn password_file(
    config: &Path,
    name: &AccountName,
    draft: &Draft,
) -> Result<(Option<PathBuf>, Option<Secret>), WriteError> {
    let config = std::path::absolute(config).map_err(io_error("find", config))?;
    let names = (1_u32..1000).map(|n| if n == 1 { format!("{name}.password") } else { format!("{name}-{n}.password") });
    let mut paths = names.map(|file| config.with_file_name(file));
    match &draft.password {
        Password::Command(_) | Password::TokenCommand(_) => Ok((None, None)),
        Password::Missing(_) => Ok((paths.next(), None)),
        Password::InClear(secret) => {
            let mut contents = secret.expose().to_vec();
            contents.push(b'\n');
            for path in paths {
                match fs::read(&path) {
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {
                        return Ok((Some(path), Some(Secret::new(contents))));
                    }
                    // Left by an interrupted import.
                    Ok(there) if there == contents => return Ok((Some(path), None)),
                    Ok(_) => {}
                    Err(e) => return Err(io_error("look at", &path)(e)),
                }
            }
            Err(io_error("find a free name for", &config)(io::ErrorKind::AlreadyExists.into()))
        }
    }
}

/// Writes everything, the configuration last. With `trust` the user vouches for what the other program delivered.
/// Returns for each account how many messages were newly recorded as known.
///
/// # Errors
/// [`TakeOverError`]: then nothing was written, or it has been removed again.
pub(crate) fn carry_out(
    plan: &Plan,
    surroundings: &Surroundings<'_>,
    trust: bool,
) -> Result<Vec<usize>, TakeOverError> {
    let Some(config) = &plan.config else { return Ok(Vec::new()) };
    let known_by = if trust { KnownBy::TrustedImport } else { KnownBy::Import };
    let accounts: Vec<NewAccount> = plan.accounts.iter().map(|planned| planned.new_account(known_by)).collect();
    let new = NewConfig { path: &plan.path, text: &plan.text, config };
    Ok(writing::write(&new, &accounts, surroundings)?)
}

/// Looks for what would keep the plan from being carried out, and writes nothing. Blocks.
///
/// # Errors
/// The state of an account cannot be used.
pub(crate) fn look(plan: &Plan, surroundings: &Surroundings<'_>) -> Result<(), TakeOverError> {
    let is_new = |name: &AccountName| plan.accounts.iter().any(|planned| planned.name == *name);
    let accounts = plan.config.iter().flat_map(|config| &config.accounts).filter(|account| is_new(&account.name));
    for account in accounts {
        writing::refuse_other_user(account, surroundings).map_err(WriteError::from)?;
    }
    Ok(())
}

impl Planned {
    fn new_account(&self, known_by: KnownBy) -> NewAccount {
        let fetched = self.draft.record.fetched.iter();
        NewAccount {
            name: self.name.clone(),
            secret_files: self.password_file.clone().zip(self.secret.clone()).into_iter().collect(),
            known: fetched.map(|one| Known::by_name(one.unique_id.clone(), known_by, one.at)).collect(),
        }
    }
}

#[cfg(test)]
#[path = "take_over_tests.rs"]
mod tests;
