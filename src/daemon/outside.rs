//! Looks at things outside that may hang: the configuration, the saved state of accounts, password files. Each look
//! runs on a thread of its own and reports when it is done; nothing waits for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::debug;

use crate::account::{Account, AccountName, CredentialSource};
use crate::account_history::History;
use crate::account_record::stamp;
use crate::advice;
use crate::config::ConfigError;
use crate::control::status::UnclaimedSpool;
use crate::daemon::Load;
use crate::daemon::configuration_reader::ConfigurationReader;
use crate::daemon::configured::{Configured, as_it_was};
use crate::forward::unclaimed_spools;
use crate::oauth::store;
use crate::poll::PollContext;
use crate::state::hints::{HintsFile, Past, keep_outcome};
use crate::state::saved::{Files, Saved};
use crate::threads::{self, NotDone};

/// How many directories with password files are looked into at once: some may hang forever.
const MOST_LOOKS: usize = 64;

/// How many results may wait to be handled; further looks wait, too.
const WAITING: usize = 16;

/// How many looks for spools without an account may be in progress: the disk may hang.
const MOST_UNCLAIMED: usize = 4;

/// What a daemon does first at its start or at a reload comes before such a look: where few threads can be had, those
/// are for polls.
const BEHIND_THE_REST: Duration = Duration::from_secs(2);

/// How many of these spools are told at most.
const MOST_TOLD: usize = 20;

/// How many accounts' states are passed on in one batch.
const GO: usize = 256;

/// If the system has no thread for a look, retry after this time.
const AGAIN: Duration = Duration::from_secs(1);

/// What a look found.
pub(super) enum Found {
    /// The configuration, and the stamp of its file.
    Config(Box<Result<Configured, ConfigError>>, String),
    /// The saved states of accounts.
    AccountState(Vec<Recalled>),
    /// The stamps of the password files in a directory.
    Passwords(PathBuf, Vec<(Login, String)>),
    /// Spools whose accounts are not configured.
    Unclaimed(Vec<UnclaimedSpool>),
}

/// A login whose password may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Login {
    /// At its POP3 server.
    Source(AccountName),
    /// At the destination to which its mail is forwarded.
    Destination(AccountName),
}

/// The saved state of an account.
pub(super) struct Recalled {
    pub(super) account: AccountName,
    /// What was retrieved so far.
    pub(super) past: Past,
    /// Its schedule and its problems, if saved.
    pub(super) saved: Option<Saved>,
    /// The history of its polls.
    pub(super) history: History,
    /// The stamp of its systemd credential or of its sign-in, if it has one.
    pub(super) credential: Option<String>,
}

/// The looks in progress.
pub(super) struct Outside {
    sender: mpsc::Sender<Found>,
    found: mpsc::Receiver<Found>,
    /// The directories that are being looked into.
    looks: BTreeSet<PathBuf>,
    /// The thread that reads the configuration.
    reader: ConfigurationReader,
    /// How many looks for spools without an account are in progress. Only the result of the last one counts.
    unclaimed: usize,
}

impl Outside {
    pub(super) fn new() -> Self {
        let (sender, found) = mpsc::channel(WAITING);
        Self { sender, found, looks: BTreeSet::new(), reader: ConfigurationReader::default(), unclaimed: 0 }
    }

    /// Waits for the next result.
    pub(super) async fn next(&mut self) -> Found {
        loop {
            match self.found.recv().await {
                Some(Found::Unclaimed(spools)) => {
                    self.unclaimed = self.unclaimed.saturating_sub(1);
                    if self.unclaimed == 0 {
                        return Found::Unclaimed(spools);
                    }
                }
                Some(found) => {
                    if let Found::Passwords(directory, _) = &found {
                        self.looks.remove(directory);
                    }
                    return found;
                }
                // Never reached, as `self` holds a sender.
                None => std::future::pending().await,
            }
        }
    }

    /// Looks for spools whose accounts are not configured any more.
    pub(super) fn look_for_unclaimed(&mut self, context: &Arc<PollContext>) {
        if self.unclaimed >= MOST_UNCLAIMED {
            return;
        }
        self.unclaimed += 1;
        let (context, sender) = (Arc::clone(context), self.sender.clone());
        let look = move || {
            let spools =
                unclaimed_spools(&*context.disk, &context.state_dir, |name| context.configured_accounts.has(name));
            let spools = spools.into_iter().take(MOST_TOLD).map(|(account, stranded)| UnclaimedSpool {
                text: advice::told_of_unclaimed(&stranded, &account),
                account: account.to_string(),
                messages: stranded.messages,
            });
            let _ = sender.blocking_send(Found::Unclaimed(spools.collect()));
        };
        tokio::spawn(async move {
            tokio::time::sleep(BEHIND_THE_REST).await;
            begin(look);
        });
    }

    /// Reads the configuration; `in_force` are the current accounts, ordered by name.
    pub(super) fn read_config(&mut self, load: &Arc<Load>, path: &Path, in_force: Vec<Arc<Account>>, state_dir: &Path) {
        let (load, sender) = (Arc::clone(load), self.sender.clone());
        let (path, state_dir) = (path.to_owned(), state_dir.to_owned());
        let reading = Arc::new(move || {
            // Taken before reading, so that a change meanwhile is noticed.
            let stamp = stamp(&path);
            // The supervisor may have ended.
            let loaded = load(&|account| as_it_was(account, &in_force, &state_dir));
            let configured = loaded.map(|(config, accounts)| Configured::new(config, accounts));
            let _ = sender.blocking_send(Found::Config(Box::new(configured), stamp));
        });
        let first = Arc::clone(&reading);
        if self.reader.read(Box::new(move || first())).is_err() {
            begin(move || reading());
        }
    }

    /// Reads the saved states of these accounts.
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

    /// Saves the state of an account that waits for its next poll, and what is new in its history.
    pub(super) fn keep(&self, context: &Arc<PollContext>, account: &AccountName, (saved, brought): (Saved, History)) {
        let (context, name) = (Arc::clone(context), account.clone());
        begin(move || {
            let kept = keep_outcome(&*context.disk, &context.state_dir, &name, &context.holder, Some(&saved), &brought);
            if let Err(e) = kept {
                debug!("{name}: cannot save its state between polls: {e}. A restart forgets it");
            }
        });
    }

    /// Takes the stamps of these password files, with one look at a time per directory.
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

/// Begins work that may hang. If the system has no thread for it, retries until it has.
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
    // The credentials directory is in memory, not on a disk that may hang.
    let is_credential = hints.standing.is_some() && matches!(source, CredentialSource::Credential(_));
    let directory = context.credentials.credentials_directory.as_deref();
    let mut credential = is_credential.then(|| Files::password_of(source, directory));
    if hints.standing.is_some() && matches!(source, CredentialSource::OAuth(_)) {
        credential = Some(store::sign_in_stamp(&*context.disk, &context.state_dir, account));
    }
    Recalled { account: account.clone(), past: hints.past, saved: hints.standing, history: hints.history, credential }
}
