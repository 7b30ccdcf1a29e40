//! A state has one owner. Anything that another user, root included, writes into it would lock the owner out, and the
//! mail would go into that other user's home.

use std::io;
use std::path::Path;

use super::error::StateError;
use super::orphans::{lock_file, uids_file};
use crate::disk::Disk;
use crate::user;

/// Refuses the state of an account that belongs to another user, before anything is created or written.
///
/// # Errors
/// [`StateError::OtherOwner`], and disk errors.
pub fn check(disk: &dyn Disk, dir: &Path, account: &str) -> Result<(), StateError> {
    let ours = user::effective();
    for file in [uids_file(dir, account), lock_file(dir, account)] {
        if let Some(owner) = owner(disk, &file)?
            && owner != ours
        {
            return Err(StateError::OtherOwner { path: file, owner });
        }
    }
    check_directory(disk, dir)
}

/// Refuses an unsuitable state directory exactly as a poll does that opens the state: for other code that writes there.
///
/// # Errors
/// [`StateError::OtherOwner`], [`StateError::OpenToAll`], and disk errors.
pub fn check_place(disk: &dyn Disk, dir: &Path, account: &str) -> Result<(), StateError> {
    check(disk, dir, account)?;
    check_open_to_all(disk, dir)
}

/// Refuses what a poll would refuse, without making the directory: for code that only looks.
///
/// # Errors
/// As [`check_place`].
pub fn check_for_look(disk: &dyn Disk, dir: &Path, account: &str) -> Result<(), StateError> {
    if dir.exists() { check_place(disk, dir, account) } else { check(disk, dir, account) }
}

/// Refuses a world-writable state directory.
///
/// # Errors
/// [`StateError::OpenToAll`], and disk errors.
pub(super) fn check_open_to_all(disk: &dyn Disk, dir: &Path) -> Result<(), StateError> {
    match disk.mode_open_to_all(dir) {
        Ok(None) => Ok(()),
        Ok(Some(mode)) => Err(StateError::OpenToAll { dir: dir.to_owned(), mode }),
        Err(e) => Err(StateError::io("look at", dir, e)),
    }
}

/// Does the same for the directory, or for its nearest existing parent.
///
/// # Errors
/// As [`check`].
pub fn check_directory(disk: &dyn Disk, dir: &Path) -> Result<(), StateError> {
    let ours = user::effective();
    for above in dir.ancestors() {
        let Some(owner) = owner(disk, above)? else { continue };
        // A volume that root created for us is fine; if we cannot write there, that fails by itself. The owner of the
        // parent of a directory still to be created matters only to root, who would create one that its user could not
        // use.
        let is_good = owner == ours || (ours != 0 && (owner == 0 || above != dir));
        return if is_good { Ok(()) } else { Err(StateError::OtherOwner { path: above.to_owned(), owner }) };
    }
    Ok(())
}

fn owner(disk: &dyn Disk, path: &Path) -> Result<Option<u32>, StateError> {
    match disk.owner(path) {
        Ok(owner) => Ok(Some(owner)),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(StateError::io("look at", path, e)),
    }
}
