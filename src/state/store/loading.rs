//! Opens a state: takes its lock, reads its file, and refuses a wrong one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{AccountLock, Finished, OpenOptions, Store};
use crate::account::Account;
use crate::disk::{Dir, Disk, FileStatus, Lock, make_dirs};
use crate::state::case::refuse_twins;
use crate::state::entries::{Identity, UidState};
use crate::state::error::StateError;
use crate::state::journal::{Journal, LockedFile};
use crate::state::opening_time::OpeningTime;
use crate::state::orphans::{lock_file, refuse_lost_state, uids_file};
use crate::state::ownership;
use crate::state::reading::{Loaded, read};
use crate::state::record::Record;
use crate::state::shown::{Shown, Unshown};
use crate::state::traces::refuse_traces;

/// A state that is locked against other writers.
struct Locked {
    lock: AccountLock,
    /// The state directory.
    dir: Dir,
    /// The file. None if it does not exist yet.
    file: Option<LockedFile>,
}

/// An account's state, locked but not read.
pub struct LockedState {
    disk: Arc<dyn Disk>,
    /// The state directory as given.
    dir: PathBuf,
    /// The file.
    path: PathBuf,
    locked: Locked,
}

impl std::fmt::Debug for LockedState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("LockedState").field(&self.path).finish()
    }
}

impl LockedState {
    /// The size of the file in octets; 0 if there is none.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.locked.file.as_ref().map_or(0, LockedFile::size)
    }

    /// Returns the status of the file without reading it. None if there is none.
    #[must_use]
    pub fn status(&self) -> Option<FileStatus> {
        self.locked.file.as_ref()?;
        self.disk.status(&self.path).ok()
    }

    /// Reads the state. Blocks.
    ///
    /// # Errors
    /// [`StateError`]: the state cannot be used as it is.
    pub fn read(self, account: &Account, open_options: &OpenOptions) -> Result<Store, StateError> {
        let Self { disk, dir, locked, .. } = self;
        Store::load(disk, &dir, account, open_options, Some(locked))
    }
}

impl Store {
    /// Takes the account's lock and reads the state. Blocks.
    ///
    /// # Errors
    /// [`StateError`]: another process polls the account, or the state cannot be used as it is.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        account: &Account,
        open_options: &OpenOptions,
    ) -> Result<Self, StateError> {
        Self::lock(disk, dir, account, open_options)?.read(account, open_options)
    }

    /// Takes the account's lock without reading anything. Blocks.
    ///
    /// # Errors
    /// [`StateError`]: another process polls the account, or the state cannot be used as it is.
    pub fn lock(
        disk: Arc<dyn Disk>,
        dir: &Path,
        account: &Account,
        open_options: &OpenOptions,
    ) -> Result<LockedState, StateError> {
        ownership::check(&*disk, dir, account.name.as_str())?;
        make_dirs(&*disk, dir).map_err(|e| StateError::io("make the state directory", dir, e))?;
        ownership::check_open_to_all(&*disk, dir)?;
        let path = lock_file(dir, account.name.as_str());
        let held = |holder| StateError::Locked { account: account.name.clone(), holder };
        let locked = disk.lock(&path, &open_options.holder);
        // Checked after locking, so that there is a file to detect it by; the holder of the lock may be the twin.
        refuse_twins(&*disk, dir, &account.name, &open_options.configured_accounts)?;
        let lock = match locked {
            Ok(Lock::Acquired(lock)) => AccountLock { path, lock },
            Ok(Lock::Held(holder)) => return Err(held(holder)),
            Err(e) => return Err(StateError::io("lock", &path, e)),
        };
        // The file has a lock of its own: a process that knows it by another name may be writing to it.
        let uids = uids_file(dir, account.name.as_str());
        let file = match LockedFile::open(&*disk, &uids) {
            Ok(Some(file)) => Some(file),
            Ok(None) => return Err(held("another mailferry, under another name of its state".to_owned())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(StateError::io("open", &uids, e)),
        };
        // Rewritten files go into the directory with the lock, even if it is replaced meanwhile.
        let opened = disk.resolve(dir).and_then(|dir| disk.open_dir(&dir));
        let opened = opened.map_err(|e| StateError::io("open", dir, e))?;
        Ok(LockedState { disk, dir: dir.to_owned(), path: uids, locked: Locked { lock, dir: opened, file } })
    }

    /// Reads the state without taking the lock or writing anything. Blocks.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn look(
        disk: Arc<dyn Disk>,
        dir: &Path,
        account: &Account,
        open_options: &OpenOptions,
    ) -> Result<Self, StateError> {
        refuse_twins(&*disk, dir, &account.name, &open_options.configured_accounts)?;
        Self::load(disk, dir, account, open_options, None)
    }

    fn load(
        disk: Arc<dyn Disk>,
        dir: &Path,
        account: &Account,
        open_options: &OpenOptions,
        locked: Option<Locked>,
    ) -> Result<Self, StateError> {
        let (lock, opened, file) = match locked {
            Some(Locked { lock, dir, file }) => (Some(lock), Some(dir), file),
            None => (None, None, None),
        };
        let path = uids_file(dir, account.name.as_str());
        let loaded = read(&*disk, &path)?;
        let (state, journal, settled) = match loaded {
            Some(Loaded { state, contents, settled }) => {
                check_user(&state, account, &path)?;
                (state, Journal::open(Arc::clone(&disk), path, opened, &contents, file), settled)
            }
            None => {
                if !open_options.new_state {
                    if open_options.must_exist {
                        return Err(StateError::Vanished { account: account.name.clone(), path });
                    }
                    let OpenOptions { configured_accounts, delivered_by, .. } = open_options;
                    refuse_lost_state(&*disk, dir, account, configured_accounts, *delivered_by)?;
                    refuse_traces(&*disk, dir, &account.name)?;
                }
                let identity = Identity {
                    instance: open_options.instance,
                    host: account.endpoint.host.clone(),
                    user: account.username.clone(),
                    created: open_options.now.wall,
                };
                (UidState::new(identity), Journal::absent(Arc::clone(&disk), path, opened), 0)
            }
        };
        let mark = state.mark(open_options.now);
        let (pending, written, finished) = (Vec::new(), false, Finished::default());
        let mut unshown = Unshown::default();
        unshown.begin(Shown::default(), state.unshown());
        let opened = OpeningTime::of(open_options.since_1970);
        let mut store = Self { disk, journal, state, mark, pending, written, settled, finished, unshown, opened, lock };
        if store.state.clock().is_none_or(|written| written.is_stale(&mark)) {
            store.pend(Record::Clock(mark))?;
        }
        // A new state, or one that an earlier version wrote.
        if store.state.lacks_port_of(&account.endpoint.host) {
            let host = store.state.identity().host.clone();
            store.pend(Record::Port { host, port: account.endpoint.port })?;
        }
        Ok(store)
    }
}

fn check_user(state: &UidState, account: &Account, path: &Path) -> Result<(), StateError> {
    if state.identity().user == account.username {
        return Ok(());
    }
    Err(StateError::OtherUser {
        account: account.name.clone(),
        path: path.to_owned(),
        remembered: state.identity().user.clone(),
        configured: account.username.clone(),
    })
}
