//! Writes accounts: passwords, states, and finally the configuration, which puts them into effect. If anything fails
//! before that, everything is left as it was.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::account::{Account, AccountName};
use crate::config::Config;
use crate::config::write::{create_private, make_private_dir, replace};
use crate::disk::Disk;
use crate::ids::EntryId;
use crate::secret::Secret;
use crate::state::adopt::Known;
use crate::state::error::StateError;
use crate::state::ownership;
use crate::state::store::{OpenOptions, Store};

/// A configuration that contains new accounts, already checked.
#[derive(Debug)]
pub(crate) struct NewConfig<'a> {
    /// The path to write it to.
    pub path: &'a Path,
    /// Its text.
    pub text: &'a str,
    /// The same, parsed.
    pub config: &'a Config,
}

/// What belongs to a new account besides its table.
#[derive(Debug)]
pub(crate) struct NewAccount {
    /// Its name.
    pub name: AccountName,
    /// Files to be created, and the secret for each.
    pub secret_files: Vec<(PathBuf, Secret)>,
    /// Messages that it knows from the start.
    pub known: Vec<Known>,
}

/// How the states are opened.
pub(crate) struct Surroundings<'a> {
    /// Where states are written.
    pub disk: Arc<dyn Disk>,
    /// The state directory.
    pub state_dir: &'a Path,
    /// Makes the options: clocks, instance and lock holder.
    pub open_options: Box<dyn Fn() -> OpenOptions + 'a>,
}

/// Why nothing was written.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// The state of an account cannot be used.
    State(StateError),
    /// A file cannot be read or written.
    Io {
        /// The operation, as a verb.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl From<StateError> for WriteError {
    fn from(e: StateError) -> Self {
        Self::State(e)
    }
}

/// Returns the error for a file operation.
pub(crate) fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WriteError {
    let path = path.to_owned();
    move |source| WriteError::Io { doing, path, source }
}

/// Writes everything, the configuration last. Returns for each account how many messages were new to its state. Blocks.
///
/// # Errors
/// [`WriteError`]; what had been written is removed again, as far as possible.
pub(crate) fn write(
    new: &NewConfig<'_>,
    accounts: &[NewAccount],
    surroundings: &Surroundings<'_>,
) -> Result<Vec<usize>, WriteError> {
    let mut undo = Undo::default();
    let done = write_all(new, accounts, surroundings, &mut undo);
    if done.is_err() {
        undo.carry_out();
    }
    done
}

/// What has been written so far.
#[derive(Default)]
struct Undo {
    files: Vec<PathBuf>,
    states: Vec<State>,
}

/// A state that was created or extended, still locked.
struct State {
    store: Store,
    is_new: bool,
    first: EntryId,
}

impl Undo {
    /// Reverts it, on a best-effort basis: the error that led here is reported.
    fn carry_out(self) {
        for file in self.files {
            let _ = fs::remove_file(file);
        }
        for State { mut store, is_new, first } in self.states {
            let path = store.path().to_owned();
            if is_new {
                let _ = fs::remove_file(path);
            } else {
                let ids = store.state().entries().map(|entry| entry.id).filter(|id| *id >= first).collect();
                let _ = store.record_forgotten(ids).and_then(|()| store.settle());
            }
        }
    }
}

/// Looks whether the state that is there under the name of an account was made for another user. Blocks.
///
/// # Errors
/// [`StateError::OtherUser`].
pub(crate) fn refuse_other_user(account: &Account, surroundings: &Surroundings<'_>) -> Result<(), StateError> {
    let disk = Arc::clone(&surroundings.disk);
    match Store::look(disk, surroundings.state_dir, account, &(surroundings.open_options)()) {
        Err(e @ StateError::OtherUser { .. }) => Err(e),
        // A poll says it, with a way on that needs the account in the configuration.
        Ok(_) | Err(_) => Ok(()),
    }
}

fn write_all(
    new: &NewConfig<'_>,
    accounts: &[NewAccount],
    surroundings: &Surroundings<'_>,
    undo: &mut Undo,
) -> Result<Vec<usize>, WriteError> {
    let dir = new.path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // First of all: another user's state directory is not ours to write to, whatever the account.
    ownership::check_directory(&*surroundings.disk, surroundings.state_dir)?;
    make_private_dir(dir).map_err(io_error("make", dir))?;
    let mut counts = Vec::new();
    let configured = |added: &NewAccount| new.config.accounts.iter().find(|account| account.name == added.name);
    accounts.iter().filter_map(configured).try_for_each(|account| refuse_other_user(account, surroundings))?;
    for added in accounts {
        for (path, secret) in &added.secret_files {
            let above = path.parent().unwrap_or(Path::new("/"));
            make_private_dir(above).map_err(io_error("make", above))?;
            create_private(path, secret.expose()).map_err(io_error("write", path))?;
            undo.files.push(path.clone());
        }
        counts.push(match configured(added) {
            Some(account) if !added.known.is_empty() => {
                remember(account, &added.known, surroundings, &mut undo.states)?
            }
            _ => 0,
        });
    }
    replace(new.path, new.text).map_err(io_error("write", new.path))?;
    Ok(counts)
}

fn remember(
    account: &Account,
    known: &[Known],
    surroundings: &Surroundings<'_>,
    states: &mut Vec<State>,
) -> Result<usize, WriteError> {
    let disk = Arc::clone(&surroundings.disk);
    let store = Store::open(disk, surroundings.state_dir, account, &(surroundings.open_options)())?;
    let is_new = !store.exists();
    let first = store.state().next_id();
    states.push(State { store, is_new, first });
    let Some(State { store, .. }) = states.last_mut() else { return Ok(0) };
    Ok(store.record_known(known.to_vec())?)
}
