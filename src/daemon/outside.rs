//! Looks at what is outside and may hang: the configuration, the hints of accounts, the files of passwords. Each look is
//! made on a thread of its own, and says what it found when it comes to that; nobody waits for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::debug;

use crate::account::{Account, AccountName, CredentialSource};
use crate::account_history::History;
use crate::account_record::stamp;
use crate::config::ConfigError;
use crate::daemon::Load;
use crate::daemon::configuration_reader::ConfigurationReader;
use crate::daemon::configured::{Configured, as_it_was};
use crate::oauth::store;
use crate::poll::PollContext;
use crate::state::hints::{HintsFile, Past, keep_outcome};
use crate::state::saved::{Files, Saved};
use crate::threads::{self, NotDone};

/// So many directories with password files are looked into at the same time: some may hang for ever.
const MOST_LOOKS: usize = 64;

/// So much of what was found waits to be noted; who finds more waits as well.
const WAITING: usize = 16;

/// So many accounts are recalled in one go.
const GO: usize = 256;

/// Where the system had no thread for a look, it is asked again after so long.
const AGAIN: Duration = Duration::from_secs(1);

/// What was found.
pub(super) enum Found {
    /// The configuration, and what its file looks like.
    Config(Box<Result<Configured, ConfigError>>, String),
    /// What is kept of accounts.
    AccountState(Vec<Recalled>),
    /// What the files of passwords in a directory look like.
    Passwords(PathBuf, Vec<(Login, String)>),
}

/// A login of an account, whose password may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Login {
    /// At its POP3 server.
    Source(AccountName),
    /// Where its mail goes on to.
    Destination(AccountName),
}

/// What is kept of an account.
pub(super) struct Recalled {
    pub(super) account: AccountName,
    /// What came.
    pub(super) past: Past,
    /// Where it stood.
    pub(super) saved: Option<Saved>,
    /// What its polls brought.
    pub(super) history: History,
    /// What its credential of systemd looks like, if it has one.
    pub(super) credential: Option<String>,
}

/// Those who look.
pub(super) struct Outside {
    sender: mpsc::Sender<Found>,
    found: mpsc::Receiver<Found>,
    /// The directories that are being looked into.
    looks: BTreeSet<PathBuf>,
    /// Who reads the configuration.
    reader: ConfigurationReader,
}

impl Outside {
    pub(super) fn new() -> Self {
        let (sender, found) = mpsc::channel(WAITING);
        Self { sender, found, looks: BTreeSet::new(), reader: ConfigurationReader::default() }
    }

    /// What was found next.
    pub(super) async fn next(&mut self) -> Found {
        match self.found.recv().await {
            Some(found) => {
                if let Found::Passwords(directory, _) = &found {
                    self.looks.remove(directory);
                }
                found
            }
            // There is a sender here.
            None => std::future::pending().await,
        }
    }

    /// Reads the configuration; `in_force` are the accounts that are in force, in the order of their names.
    pub(super) fn read_config(&mut self, load: &Arc<Load>, path: &Path, in_force: Vec<Arc<Account>>, state_dir: &Path) {
        let (load, sender) = (Arc::clone(load), self.sender.clone());
        let (path, state_dir) = (path.to_owned(), state_dir.to_owned());
        let reading = Arc::new(move || {
            // Before it is read: what is changed meanwhile is seen as a change.
            let stamp = stamp(&path);
            // Who wanted it may have ended.
            let loaded = load(&|account| as_it_was(account, &in_force, &state_dir));
            let configured = loaded.map(|(config, accounts)| Configured::new(config, accounts));
            let _ = sender.blocking_send(Found::Config(Box::new(configured), stamp));
        });
        let first = Arc::clone(&reading);
        if self.reader.read(Box::new(move || first())).is_err() {
            begin(move || reading());
        }
    }

    /// Reads what is kept of these accounts.
    pub(super) fn recall(&self, context: &Arc<PollContext>, accounts: Vec<Arc<Account>>) {
        let (context, sender) = (Arc::clone(context), self.sender.clone());
        begin(move || {
            for some in accounts.chunks(GO) {
                let recalled = some.iter().map(|account| recall(&context, account)).collect();
                if sender.blocking_send(Found::AccountState(recalled)).is_err() {
                    return;
                }
            }
        });
    }

    /// Keeps where an account stands that waits for its next poll, and what is new in its history.
    pub(super) fn keep(&self, context: &Arc<PollContext>, account: &AccountName, (saved, brought): (Saved, History)) {
        let (context, name) = (Arc::clone(context), account.clone());
        begin(move || {
            let kept = keep_outcome(&*context.disk, &context.state_dir, &name, &context.holder, Some(&saved), &brought);
            if let Err(e) = kept {
                debug!("{name}: cannot save its state between polls: {e}. A restart forgets it");
            }
        });
    }

    /// Looks at the files of these passwords; those of one directory by one look at a time.
    pub(super) fn look_at_passwords<'a>(&mut self, passwords: impl Iterator<Item = (Login, &'a Path)>) {
        let mut directories: BTreeMap<PathBuf, Vec<(Login, PathBuf)>> = BTreeMap::new();
        for (login, file) in passwords {
            let directory = file.parent().unwrap_or(file).to_owned();
            directories.entry(directory).or_default().push((login, file.to_owned()));
        }
        for (directory, files) in directories {
            if self.looks.len() >= MOST_LOOKS || !self.looks.insert(directory.clone()) {
                continue;
            }
            let sender = self.sender.clone();
            begin(move || {
                let stamps = files.iter().map(|(login, file)| (login.clone(), stamp(file))).collect();
                let _ = sender.blocking_send(Found::Passwords(directory.clone(), stamps));
            });
        }
    }
}

/// Begins work that may hang; where the system has no thread for it, as soon as it has one.
fn begin(work: impl Fn() + Send + Sync + 'static) {
    let work = Arc::new(work);
    tokio::spawn(async move {
        loop {
            let work = Arc::clone(&work);
            match threads::blocking(move || work()).await {
                Err(NotDone::NoThread) => tokio::time::sleep(AGAIN).await,
                _ => return,
            }
        }
    });
}

fn recall(context: &PollContext, account: &Account) -> Recalled {
    let (account, source) = (&account.name, &account.credential);
    let hints = HintsFile::read(&*context.disk, &context.state_dir, account).hints;
    // The directory of credentials is in memory, and not on a disk that may hang.
    let is_credential = hints.standing.is_some() && matches!(source, CredentialSource::Credential(_));
    let directory = context.credentials.credentials_directory.as_deref();
    let mut credential = is_credential.then(|| Files::password_of(source, directory));
    if hints.standing.is_some() && matches!(source, CredentialSource::OAuth(_)) {
        credential = Some(store::sign_in_stamp(&*context.disk, &context.state_dir, account));
    }
    Recalled { account: account.clone(), past: hints.past, saved: hints.standing, history: hints.history, credential }
}
