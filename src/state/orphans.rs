//! States without an account, and accounts without a state that should have one.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::error::StateError;
use super::journal;
use super::reading::read;
use crate::account::{Account, AccountName, MaildirOf};
use crate::disk::{Disk, Lock};
use crate::ids::InstanceId;

/// Tells the instance ids of the states that have delivered into the Maildir at a path. Blocks.
pub type DeliveredBy = fn(&dyn Disk, &Path) -> Result<Vec<InstanceId>, StateError>;

/// The accounts that share a state directory.
#[derive(Debug, Default)]
pub struct ConfiguredAccounts {
    /// Those that are configured: a file of any other name is an orphan.
    configured: HashSet<AccountName>,
    /// Of each name that differs from another one only in case: all that do, and itself. Looked for once, because every
    /// poll asks for its account's.
    twins: HashMap<AccountName, Arc<[AccountName]>>,
    /// The names of the orphans. Looked up once, because every account without a state asks.
    orphans: OnceLock<Vec<String>>,
    /// One look at a lock at a time: to look is to take it, and two looks would take each other for a poll.
    looking: Mutex<()>,
}

impl ConfiguredAccounts {
    /// These accounts are configured.
    #[must_use]
    pub fn new(configured: impl IntoIterator<Item = AccountName>) -> Self {
        let configured: HashSet<AccountName> = configured.into_iter().collect();
        Self { twins: twins(&configured), configured, ..Self::default() }
    }

    /// The other configured accounts whose names differ from this one only in case: on some file systems their files are
    /// the same.
    pub(super) fn twins<'a>(&'a self, name: &'a AccountName) -> impl Iterator<Item = &'a AccountName> {
        self.twins.get(name).into_iter().flat_map(|alike| alike.iter()).filter(move |other| *other != name)
    }

    fn orphans(&self, disk: &dyn Disk, dir: &Path) -> Result<&[String], StateError> {
        if let Some(orphans) = self.orphans.get() {
            return Ok(orphans);
        }
        let is_orphan = |name: &String| !AccountName::new(name).is_ok_and(|name| self.configured.contains(&name));
        let orphans = states_in(disk, dir)?.into_iter().filter(is_orphan).collect();
        Ok(self.orphans.get_or_init(|| orphans))
    }

    /// Who holds the lock of an orphan now, in the holder's words; None if nobody does.
    fn holder(&self, disk: &dyn Disk, dir: &Path, name: &str) -> Result<Option<String>, StateError> {
        let _alone = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        holder(disk, dir, name)
    }
}

/// The names that differ only in case.
fn twins(names: &HashSet<AccountName>) -> HashMap<AccountName, Arc<[AccountName]>> {
    fn folded(name: &AccountName) -> impl Iterator<Item = u8> {
        name.as_str().bytes().map(|octet| octet.to_ascii_lowercase())
    }
    let mut sorted: Vec<&AccountName> = names.iter().collect();
    sorted.sort_unstable_by(|one, other| folded(one).cmp(folded(other)));
    let mut twins = HashMap::new();
    let alike = sorted.chunk_by(|one, other| one.as_str().eq_ignore_ascii_case(other.as_str()));
    for alike in alike.filter(|alike| alike.len() > 1) {
        let shared: Arc<[AccountName]> = alike.iter().copied().cloned().collect();
        twins.extend(alike.iter().map(|&name| (name.clone(), Arc::clone(&shared))));
    }
    twins
}

/// There is no state. If there should be one, downloading everything again in silence would be wrong.
pub(super) fn refuse_lost_state(
    disk: &dyn Disk,
    dir: &Path,
    account: &Account,
    configured_accounts: &ConfiguredAccounts,
    delivered_by: DeliveredBy,
) -> Result<(), StateError> {
    for name in configured_accounts.orphans(disk, dir)? {
        // A file that cannot be read is no account's state.
        let Ok(Some(loaded)) = read(disk, &uids_file(dir, name)) else { continue };
        let identity = loaded.state.identity();
        if identity.user == account.username && identity.host.eq_ignore_ascii_case(&account.endpoint.host) {
            let (account, dir, other) = (account.name.clone(), dir.to_owned(), name.clone());
            // Whoever polls under the old name goes on with a state that must not be taken away from it.
            return Err(match configured_accounts.holder(disk, &dir, name)? {
                Some(holder) => StateError::RenamedAndPolled { account, other, holder },
                None => {
                    let files = files_of(disk, &dir, name);
                    StateError::Renamed { account, other, dir, files }
                }
            });
        }
    }
    for MaildirOf { path, .. } in account.maildirs() {
        let mut delivered = delivered_by(disk, path)?;
        if delivered.is_empty() {
            continue;
        }
        // Some of those files may be another account's.
        for name in states_in(disk, dir)? {
            if let Some(instance) = instance_in(disk, &uids_file(dir, &name)) {
                delivered.retain(|ours| *ours != instance);
            }
        }
        if !delivered.is_empty() {
            let (account, maildir, dir) = (account.name.clone(), path.to_owned(), dir.to_owned());
            return Err(StateError::Lost { account, maildir, dir });
        }
    }
    Ok(())
}

/// What an account may have in the state directory, by the endings of the names. Its state comes last: once that is found under
/// another name, all else has to be.
const FILES: [&str; 6] = ["spool", "forward", "forward.token", "token", "hints", "uids"];

/// What an account has there.
fn files_of(disk: &dyn Disk, dir: &Path, name: &str) -> Vec<&'static str> {
    FILES.into_iter().filter(|ending| disk.status(&dir.join(format!("{name}.{ending}"))).is_ok()).collect()
}

pub(super) fn uids_file(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.uids"))
}

/// The instance id of a state, which stands at its beginning. A file that cannot be read is its own account's trouble.
fn instance_in(disk: &dyn Disk, path: &Path) -> Option<InstanceId> {
    const HEAD: u64 = 8 << 10;
    journal::identity(&disk.read(path, HEAD).ok()?).map(|identity| identity.instance)
}

/// The names of the accounts whose `.uids` files are in the state directory.
fn states_in(disk: &dyn Disk, dir: &Path) -> Result<Vec<String>, StateError> {
    let names = match disk.list(dir) {
        Ok(names) => names,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(StateError::io("read", dir, e)),
    };
    Ok(names.into_iter().filter_map(|name| Some(name.to_str()?.strip_suffix(".uids")?.to_owned())).collect())
}

/// The lock file of an account.
pub(super) fn lock_file(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.lock"))
}

/// Who holds the lock of an account now, in the holder's words; None if nobody does.
fn holder(disk: &dyn Disk, dir: &Path, name: &str) -> Result<Option<String>, StateError> {
    let path = lock_file(dir, name);
    match disk.status(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StateError::io("look at", &path, e)),
        Ok(_) => {}
    }
    match disk.lock(&path, "") {
        Ok(Lock::Held(holder)) => Ok(Some(holder)),
        Ok(Lock::Acquired(_)) => Ok(None),
        Err(e) => Err(StateError::io("lock", &path, e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn names_that_differ_only_in_case_are_each_others_twins() {
        let name = |text: &str| AccountName::new(text).unwrap();
        let accounts = ConfiguredAccounts::new(["work", "jo", "Work", "home", "WORK", "worker", "JO"].map(name));
        let twins_of = |text| {
            let own = name(text);
            let mut twins: Vec<String> = accounts.twins(&own).map(ToString::to_string).collect();
            twins.sort_unstable();
            twins
        };
        assert_eq!(twins_of("work"), ["WORK", "Work"]);
        assert_eq!(twins_of("Work"), ["WORK", "work"]);
        assert_eq!(twins_of("JO"), ["jo"]);
        for alone in ["home", "worker", "absent"] {
            assert!(twins_of(alone).is_empty(), "{alone}");
        }
    }

    #[test]
    fn who_looks_at_a_lock_is_no_holder_of_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(lock_file(dir.path(), "old"), "").unwrap();
        let accounts = ConfiguredAccounts::default();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        assert_eq!(accounts.holder(&RealDisk, dir.path(), "old").unwrap(), None);
                    }
                });
            }
        });
    }
}
