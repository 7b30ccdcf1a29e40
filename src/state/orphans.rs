//! States without an account, and accounts that should have a state but have none.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::error::StateError;
use super::journal;
use super::reading::read;
use crate::account::{Account, AccountName, MaildirOf};
use crate::disk::{Disk, Lock};
use crate::ids::InstanceId;

/// Returns the instance ids of the states that have delivered into the Maildir at a path. Blocks.
pub type DeliveredBy = fn(&dyn Disk, &Path) -> Result<Vec<InstanceId>, StateError>;

/// The accounts that share a state directory.
#[derive(Debug, Default)]
pub struct ConfiguredAccounts {
    /// The configured accounts. Any file of another name is an orphan.
    configured: HashSet<AccountName>,
    /// The names of the orphans. Looked up only once, because every account without a state needs them.
    orphans: OnceLock<Vec<String>>,
    /// Groups of accounts whose names differ only in case, in the order of [`folded`]. Computed only once: every poll
    /// needs them, and there may be a hundred thousand accounts.
    alike: OnceLock<Vec<Vec<AccountName>>>,
    /// Allows one look at a lock at a time: looking takes the lock, and two threads looking at once would mistake each
    /// other for a poll.
    looking: Mutex<()>,
}

impl ConfiguredAccounts {
    /// The set of these configured accounts.
    #[must_use]
    pub fn new(configured: impl IntoIterator<Item = AccountName>) -> Self {
        Self { configured: configured.into_iter().collect(), ..Self::default() }
    }

    /// Whether an account of this name is configured.
    #[must_use]
    pub fn has(&self, name: &AccountName) -> bool {
        self.configured.contains(name)
    }

    /// Returns the other configured accounts whose names differ from this one only in case: on some file systems they
    /// share their files.
    pub(super) fn twins<'a>(&'a self, name: &'a AccountName) -> impl Iterator<Item = &'a AccountName> {
        let alike = self.alike.get_or_init(|| alike(self.configured.iter().collect()));
        let of_group = |group: &'a Vec<AccountName>| group.iter().take(1).flat_map(|first| folded(first.as_str()));
        let place = alike.binary_search_by(|group| of_group(group).cmp(folded(name.as_str()))).ok();
        place.and_then(|place| alike.get(place)).into_iter().flatten().filter(move |other| *other != name)
    }

    fn orphans(&self, disk: &dyn Disk, dir: &Path) -> Result<&[String], StateError> {
        if let Some(orphans) = self.orphans.get() {
            return Ok(orphans);
        }
        let is_orphan = |name: &String| !AccountName::new(name).is_ok_and(|name| self.configured.contains(&name));
        let orphans = states_in(disk, dir)?.into_iter().filter(is_orphan).collect();
        Ok(self.orphans.get_or_init(|| orphans))
    }

    /// Returns who holds the lock of an orphan now, in the holder's words; None if nobody does.
    fn holder(&self, disk: &dyn Disk, dir: &Path, name: &str) -> Result<Option<String>, StateError> {
        let _alone = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        holder(disk, dir, name)
    }
}

/// Folds a name to lower case for comparison.
fn folded(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().map(|byte| byte.to_ascii_lowercase())
}

/// Groups the names that differ only in case.
fn alike(mut names: Vec<&AccountName>) -> Vec<Vec<AccountName>> {
    names.sort_unstable_by(|one, other| folded(one.as_str()).cmp(folded(other.as_str())));
    let same = |one: &&AccountName, other: &&AccountName| one.as_str().eq_ignore_ascii_case(other.as_str());
    let groups = names.chunk_by(same).filter(|group| group.len() > 1);
    groups.map(|group| group.iter().copied().cloned().collect()).collect()
}

/// Called where there is no state. Refuses if there should be one: silently downloading everything again would be
/// wrong.
pub(super) fn refuse_lost_state(
    disk: &dyn Disk,
    dir: &Path,
    account: &Account,
    configured_accounts: &ConfiguredAccounts,
    delivered_by: DeliveredBy,
) -> Result<(), StateError> {
    for name in configured_accounts.orphans(disk, dir)? {
        // An unreadable file is no account's state.
        let Ok(Some(loaded)) = read(disk, &uids_file(dir, name)) else { continue };
        let is_of_server = loaded.state.is_of_server(&account.endpoint.host, account.endpoint.port);
        if is_of_server && loaded.state.identity().user == account.username {
            let (account, dir, other) = (account.name.clone(), dir.to_owned(), name.clone());
            // A process that polls under the old name is using this state: it must not be taken away.
            return Err(match configured_accounts.holder(disk, &dir, name)? {
                Some(holder) => StateError::RenamedAndPolled { account, other, holder },
                None => {
                    let files = files_of(disk, &dir, name);
                    StateError::Renamed { account, other, dir, files }
                }
            });
        }
    }
    let spool = dir.join(account.name.spool());
    // A spool shows nothing: what was forwarded has left it.
    for MaildirOf { path, .. } in account.maildirs().into_iter().filter(|maildir| maildir.path != spool) {
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

/// The files that an account may have in the state directory, by suffix, in the order of renaming. The state comes
/// last: once it is found under another name, the others must be there already.
const FILES: [&str; 6] = ["spool", "forward", "forward.token", "token", "hints", "uids"];

/// The files that an account has there, by suffix.
fn files_of(disk: &dyn Disk, dir: &Path, name: &str) -> Vec<&'static str> {
    FILES.into_iter().filter(|ending| disk.status(&dir.join(format!("{name}.{ending}"))).is_ok()).collect()
}

pub(super) fn uids_file(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.uids"))
}

/// Returns the instance ids of the other accounts' states in the state directory. Blocks.
///
/// # Errors
/// Disk errors.
pub(crate) fn instances_of_others(
    disk: &dyn Disk,
    dir: &Path,
    account: &AccountName,
) -> Result<HashSet<InstanceId>, StateError> {
    let others = states_in(disk, dir)?.into_iter().filter(|name| name != account.as_str());
    Ok(others.filter_map(|name| instance_in(disk, &uids_file(dir, &name))).collect())
}

/// Returns the instance id from the head of a state. A file that cannot be read is a matter for its own account.
fn instance_in(disk: &dyn Disk, path: &Path) -> Option<InstanceId> {
    const HEAD: u64 = 8 << 10;
    journal::identity(&disk.read(path, HEAD).ok()?).map(|identity| identity.instance)
}

/// Returns the names of the accounts that have a `.uids` file in the state directory.
fn states_in(disk: &dyn Disk, dir: &Path) -> Result<Vec<String>, StateError> {
    let names = match disk.list(dir) {
        Ok(names) => names,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(StateError::io("read", dir, e)),
    };
    Ok(names.into_iter().filter_map(|name| Some(name.to_str()?.strip_suffix(".uids")?.to_owned())).collect())
}

/// Returns the user that the state of this name was made for; None without a state, or if it cannot be read. Blocks.
pub(crate) fn user_of(disk: &dyn Disk, dir: &Path, name: &str) -> Option<String> {
    let loaded = read(disk, &uids_file(dir, name)).ok()??;
    Some(loaded.state.identity().user.clone())
}

/// The path of an account's lock file.
pub(super) fn lock_file(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.lock"))
}

/// Returns who holds the lock of an account now, in the holder's words; None if nobody does.
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
    fn twins_are_found_among_all_accounts() {
        let name = |name: &str| AccountName::new(name).unwrap();
        let accounts = ConfiguredAccounts::new(["b", "Work", "a_", "wORK", "A-", "work", "aB", "Ab", "c"].map(name));
        for (of, expected) in [("work", vec!["Work", "wORK"]), ("aB", vec!["Ab"]), ("a_", vec![]), ("c", vec![])] {
            let of = name(of);
            let mut twins: Vec<&str> = accounts.twins(&of).map(AccountName::as_str).collect();
            twins.sort_unstable();
            assert_eq!(twins, expected, "{of}");
        }
        assert_eq!(accounts.twins(&name("WORK")).count(), 3, "one that is not configured");
        assert_eq!(accounts.twins(&name("zebra")).count(), 0);
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
