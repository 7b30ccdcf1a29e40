//! Detects accounts whose names differ only in case: on a case-insensitive file system they share the same files.
//!
//! Comparing inode numbers is not enough. Some file systems (sshfs and others by FUSE) make one up for each name that
//! is looked up.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use super::error::StateError;
use super::orphans::{ConfiguredAccounts, lock_file};
use crate::account::AccountName;
use crate::disk::Disk;

/// Refuses an account that shares its files with another one.
pub(super) fn refuse_twins(
    disk: &dyn Disk,
    dir: &Path,
    account: &AccountName,
    configured_accounts: &ConfiguredAccounts,
) -> Result<(), StateError> {
    let mut twins = configured_accounts.twins(account).peekable();
    if twins.peek().is_none() {
        return Ok(());
    }
    let folds = folds_case(dir, |path| disk.list(path), |path| disk.status(path).is_ok());
    let lock = |name: &AccountName| disk.status(&lock_file(dir, name.as_str())).ok().map(|status| status.id);
    let own = lock(account);
    let same = twins.find(|other| folds || (own.is_some() && lock(other) == own));
    same.map_or(Ok(()), |other| {
        Err(StateError::SameFiles { account: account.clone(), other: other.clone(), dir: dir.to_owned() })
    })
}

/// Whether a directory is case-insensitive: a name that is not listed is found there. Where there is nothing yet, its
/// parent is tested.
fn folds_case(dir: &Path, list: impl Fn(&Path) -> io::Result<Vec<OsString>>, is_there: impl Fn(&Path) -> bool) -> bool {
    for place in dir.ancestors() {
        let Ok(names) = list(place) else { continue };
        if let Some(other) = names.iter().find_map(|name| in_other_letters(name)) {
            return !names.contains(&other) && is_there(&place.join(other));
        }
    }
    false
}

/// Swaps capitals and small letters in a name. None if it has no letters.
fn in_other_letters(name: &OsStr) -> Option<OsString> {
    let swap = |octet: &u8| if octet.is_ascii_alphabetic() { octet ^ 0x20 } else { *octet };
    let other = OsString::from_vec(name.as_bytes().iter().map(swap).collect());
    (other != name).then_some(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests `/state`, which holds these files, on a file system that is case-sensitive or not.
    fn folds(files: &[&str], tells_apart: bool) -> bool {
        let all: Vec<String> = files.iter().map(|name| format!("/state/{name}")).chain(["/state".to_owned()]).collect();
        let list = |path: &Path| {
            let below = all.iter().filter(|file| Path::new(file).parent() == Some(path));
            let names: Vec<OsString> =
                below.filter_map(|file| Path::new(file).file_name()).map(OsStr::to_owned).collect();
            if path == Path::new("/") || path == Path::new("/state") {
                Ok(names)
            } else {
                Err(io::ErrorKind::NotFound.into())
            }
        };
        let is_there = |path: &Path| {
            let asked = path.to_string_lossy();
            all.iter().any(|file| if tells_apart { *file == asked } else { file.eq_ignore_ascii_case(&asked) })
        };
        folds_case(Path::new("/state"), list, is_there)
    }

    #[test]
    fn what_is_found_under_a_name_that_is_not_listed_shows_it() {
        for files in [&["work.lock"][..], &["Work.lock", "work.uids"], &["4711", "A"], &["4711"], &[]] {
            assert!(folds(files, false), "{files:?}");
            assert!(!folds(files, true), "{files:?}");
        }
        assert!(!folds(&["jo.lock", "JO.LOCK"], true), "two files");
    }
}
