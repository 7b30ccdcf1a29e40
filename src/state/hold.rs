//! Holds an account's lock for code that talks to its server without using its state.

use std::path::Path;

use super::error::StateError;
use super::orphans::lock_file;
use super::ownership;
use crate::account::AccountName;
use crate::disk::{Disk, HeldLock, Lock};

/// Takes the lock, so that nobody polls the account meanwhile. None if there is no state directory yet: then nothing is
/// created. Blocks.
///
/// # Errors
/// [`StateError`]: the account is being polled, or the state belongs to another user.
pub fn hold(
    disk: &dyn Disk,
    dir: &Path,
    account: &AccountName,
    holder: &str,
) -> Result<Option<Box<dyn HeldLock>>, StateError> {
    if !dir.exists() {
        return Ok(None);
    }
    ownership::check_place(disk, dir, account.as_str())?;
    let path = lock_file(dir, account.as_str());
    match disk.lock(&path, holder) {
        Ok(Lock::Acquired(lock)) => Ok(Some(lock)),
        Ok(Lock::Held(holder)) => Err(StateError::Locked { account: account.clone(), holder }),
        Err(e) => Err(StateError::io("lock", &path, e)),
    }
}
