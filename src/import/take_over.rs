//! Writes what was found: passwords, states, and last the configuration, which makes them count. Whatever fails before that
//! leaves everything as it was.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Found;
use super::draft::{Draft, Note, Password, as_name};
use crate::account::{Account, AccountName};
use crate::config::write::{self, CannotAdd};
use crate::config::{Config, ConfigError, Environment};
use crate::disk::Disk;
use crate::ids::EntryId;
use crate::secret::Secret;
use crate::state::adopt::Known;
use crate::state::entries::Origin;
use crate::state::error::StateError;
use crate::state::ownership;
use crate::state::store::{OpenOptions, Store};

/// What a new configuration begins with.
const NEW_FILE: &str = "# The configuration of mailferry. All keys: man mailferry.toml\n\n";

/// An account that is going to be made.
#[derive(Debug)]
pub struct Planned {
    /// Its name.
    pub name: AccountName,
    /// What it was.
    pub draft: Draft,
    /// Where its password is going to be, or has to be written to by the user.
    pub password_file: Option<PathBuf>,
    /// The password, if it has to be written there.
    secret: Option<Secret>,
}

/// What is going to be written.
#[derive(Debug)]
pub struct Plan {
    /// The configuration.
    pub path: PathBuf,
    /// Whether there is one already.
    pub exists: bool,
    /// The accounts.
    pub accounts: Vec<Planned>,
    /// What is not taken over because it is here already.
    pub here_already: Vec<Note>,
    /// The new text of the configuration.
    pub text: String,
    /// The same, judged. None where there is nothing to add.
    pub config: Option<Config>,
}

/// Why nothing was written.
#[derive(Debug)]
pub enum TakeOverError {
    /// The new configuration would be wrong.
    Config(ConfigError),
    /// It cannot be added to.
    CannotAdd(CannotAddTo),
    /// A state.
    State(StateError),
    /// A file cannot be read or written.
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// A configuration that cannot be added to, in words.
#[derive(Debug)]
pub struct CannotAddTo(String);

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

impl From<StateError> for TakeOverError {
    fn from(e: StateError) -> Self {
        Self::State(e)
    }
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TakeOverError {
    let path = path.to_owned();
    move |source| TakeOverError::Io { doing, path, source }
}

/// Decides what the accounts are called and what is written, and writes nothing.
///
/// # Errors
/// [`TakeOverError`].
pub fn plan(found: &mut Found, path: &Path, environment: &Environment) -> Result<Plan, TakeOverError> {
    let before = match fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(io_error("read", path)(e)),
    };
    let mut text = before.clone().unwrap_or_else(|| NEW_FILE.to_owned());
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
    for draft in found.drafts.drain(..) {
        let maildrop = (draft.host.to_ascii_lowercase(), draft.port, draft.username.clone());
        let same = maildrops
            .iter()
            .find(|(host, port, user, _)| (host, *port, user) == (&maildrop.0, maildrop.1, &maildrop.2));
        if let Some((.., name)) = same {
            let advice =
                format!("the account `{name}` is the same maildrop: it was left as it is, and so was its state");
            here_already.push(Note::new(draft.origin, advice));
            continue;
        }
        let name = free_name(&draft, &names).ok_or_else(|| CannotAddTo("there is no free name".to_owned()))?;
        let (password_file, secret) = password_file(path, &name, &draft)?;
        let mut table = draft.table(&name, password_file.as_deref());
        let origin = crate::credential::printable(&format!("{}: {}", found.program.name(), draft.origin));
        table.decor_mut().set_prefix(format!("# From {origin}\n"));
        text = write::add_account(&text, &name, &table).map_err(|e: CannotAdd| {
            TakeOverError::CannotAdd(CannotAddTo(format!(
                "{}: {e}",
                crate::credential::printable(&path.to_string_lossy())
            )))
        })?;
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

/// The best name of a draft that no account has, in either case of letters: some file systems know only one.
fn free_name(draft: &Draft, taken: &[String]) -> Option<AccountName> {
    let is_free = |name: &AccountName| !taken.iter().any(|other| other.eq_ignore_ascii_case(name.as_str()));
    if let Some(name) = draft.names.iter().filter_map(|name| as_name(name)).find(|name| is_free(name)) {
        return Some(name);
    }
    let first = draft.names.iter().find_map(|name| as_name(name));
    let stem = first.map_or_else(|| "account".to_owned(), |name| name.as_str().chars().take(90).collect());
    (2_u64..10_000_000).filter_map(|n| AccountName::new(&format!("{stem}-{n}")).ok()).find(is_free)
}

/// Where a password goes that has no other place, and what has to be written there.
fn password_file(
    config: &Path,
    name: &AccountName,
    draft: &Draft,
) -> Result<(Option<PathBuf>, Option<Secret>), TakeOverError> {
    let config = std::path::absolute(config).map_err(io_error("find", config))?;
    let names = (1_u32..1000).map(|n| if n == 1 { format!("{name}.password") } else { format!("{name}-{n}.password") });
    let mut paths = names.map(|file| config.with_file_name(file));
    match &draft.password {
        Password::Command(_) => Ok((None, None)),
        Password::Missing(_) => Ok((paths.next(), None)),
        Password::InClear(secret) => {
            let mut contents = secret.expose().to_vec();
            contents.push(b'\n');
            for path in paths {
                match fs::read(&path) {
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {
                        return Ok((Some(path), Some(Secret::new(contents))));
                    }
                    // An import that was interrupted has left it.
                    Ok(there) if there == contents => return Ok((Some(path), None)),
                    Ok(_) => {}
                    Err(e) => return Err(io_error("look at", &path)(e)),
                }
            }
            Err(io_error("find a free name for", &config)(io::ErrorKind::AlreadyExists.into()))
        }
    }
}

/// How a state is opened that is made here.
pub struct Surroundings<'a> {
    /// Where states are written.
    pub disk: Arc<dyn Disk>,
    /// The state directory.
    pub state_dir: &'a Path,
    /// The clocks, the instance, the holder.
    pub open_options: Box<dyn Fn() -> OpenOptions + 'a>,
    /// The user vouches for what the other program delivered.
    pub trust: bool,
}

/// Writes it all, the configuration last. The answer is how many messages each account knows that it did not know.
///
/// # Errors
/// [`TakeOverError`]: then nothing was written, or what was is gone again.
pub fn carry_out(plan: &Plan, surroundings: &Surroundings<'_>) -> Result<Vec<usize>, TakeOverError> {
    let Some(config) = &plan.config else { return Ok(Vec::new()) };
    let mut undo = Undo::default();
    let done = write_all(plan, config, surroundings, &mut undo);
    if done.is_err() {
        undo.carry_out();
    }
    done
}

/// What was made so far.
#[derive(Default)]
struct Undo {
    files: Vec<PathBuf>,
    states: Vec<State>,
}

/// A state that was made or added to, still locked.
struct State {
    store: Store,
    is_new: bool,
    first: EntryId,
}

impl Undo {
    /// Best effort: what led here is told.
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

fn write_all(
    plan: &Plan,
    config: &Config,
    surroundings: &Surroundings<'_>,
    undo: &mut Undo,
) -> Result<Vec<usize>, TakeOverError> {
    let dir = plan.path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Before anything is made: another user's state would not be ours to write, whatever the account.
    ownership::check_directory(&*surroundings.disk, surroundings.state_dir)?;
    write::make_private_dir(dir).map_err(io_error("make", dir))?;
    let mut counts = Vec::new();
    for planned in &plan.accounts {
        if let (Some(path), Some(secret)) = (&planned.password_file, &planned.secret) {
            write::create_private(path, secret.expose()).map_err(io_error("write", path))?;
            undo.files.push(path.clone());
        }
        let account = config.accounts.iter().find(|account| account.name == planned.name);
        counts.push(match account {
            Some(account) if !planned.draft.record.fetched.is_empty() => {
                remember(account, planned, surroundings, &mut undo.states)?
            }
            _ => 0,
        });
    }
    write::replace(&plan.path, &plan.text).map_err(io_error("write", &plan.path))?;
    Ok(counts)
}

fn remember(
    account: &Account,
    planned: &Planned,
    surroundings: &Surroundings<'_>,
    states: &mut Vec<State>,
) -> Result<usize, TakeOverError> {
    let disk = Arc::clone(&surroundings.disk);
    let store = Store::open(disk, surroundings.state_dir, account, &(surroundings.open_options)())?;
    let is_new = !store.exists();
    let first = store.state().next_id();
    states.push(State { store, is_new, first });
    let Some(State { store, .. }) = states.last_mut() else { return Ok(0) };
    let origin = if surroundings.trust { Origin::Trusted } else { Origin::Imported };
    let fetched = planned.draft.record.fetched.iter();
    let known = fetched.map(|one| Known::by_name(one.unique_id.clone(), origin, one.at)).collect();
    Ok(store.record_known(known)?)
}

#[cfg(test)]
#[path = "take_over_tests.rs"]
mod tests;
