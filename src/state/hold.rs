//! The lock of an account, for who is with its server and does not touch its state.

use std::path::Path;

use super::error::StateError;
use super::orphans::lock_file;
use super::ownership;
use crate::account::AccountName;
use crate::disk::{Disk, HeldLock, Lock};

/// Takes the lock, so that nobody polls the account meanwhile. None where no account has a state yet: then nothing is made.
/// Blocks.
///
/// # Errors
/// [`StateError`]: somebody polls the account, or the state is another user's.
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
