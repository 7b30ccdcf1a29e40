//! The file `ACCOUNT.token` in the state directory: who may write it, and how it is replaced so that after a power cut
//! either the old file or the new one is there. Everything here blocks.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use secrecy::zeroize::Zeroizing;

use super::error::OAuthError;
use super::tokens::{BadTokens, MOST, Tokens};
use crate::account::AccountName;
use crate::disk::{Disk, HeldLock, Lock, make_dirs, sync_dirs_above};
use crate::state::error::StateError;
use crate::state::ownership;

/// How long to wait for another process that is refreshing the same token. Its requests have time limits of their own.
const TIMEOUT: Duration = Duration::from_secs(100);

/// How often to try the lock.
const LOOK: Duration = Duration::from_millis(50);

/// Returns the path of an account's token file.
#[must_use]
pub fn path(dir: &Path, account: &AccountName) -> PathBuf {
    dir.join(format!("{account}.token"))
}

/// Reads the tokens of an account. Returns None if there are none.
///
/// # Errors
/// If the file cannot be read, is damaged, or was written by a newer version.
pub fn read(disk: &dyn Disk, dir: &Path, account: &AccountName) -> Result<Option<Tokens>, OAuthError> {
    let path = path(dir, account);
    let file = |source| OAuthError::File { doing: "read", path: path.clone(), source };
    let json = match disk.read(&path, u64::try_from(MOST).unwrap_or(u64::MAX)) {
        Ok(json) => Zeroizing::new(json),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
        Err(e) => return Err(file(e)),
    };
    Tokens::from_json(&json).map(Some).map_err(|bad| match bad {
        BadTokens::Newer => StateError::Newer { path }.into(),
        BadTokens::Damaged { line } => {
            let why = format!("{} is damaged in line {line}", path.display());
            OAuthError::SignInAgain { account: account.clone(), why }
        }
    })
}

/// Returns a stamp that changes with each sign-in but not with a refresh. Empty if there are no tokens.
#[must_use]
pub fn sign_in_stamp(disk: &dyn Disk, dir: &Path, account: &AccountName) -> String {
    match read(disk, dir, account) {
        Ok(Some(tokens)) => format!("signed in {}", tokens.signed_in),
        _ => String::new(),
    }
}

/// Replaces the tokens of an account. They are durable when this returns.
///
/// # Errors
/// Those of the disk. The file then has the old tokens, or the new ones if only syncing the directory failed.
pub fn write(disk: &dyn Disk, dir: &Path, account: &AccountName, tokens: &Tokens) -> Result<(), OAuthError> {
    let path = path(dir, account);
    let file = |source| OAuthError::File { doing: "write", path: path.clone(), source };
    let json = tokens.to_json().map_err(|e| file(io::Error::other(e)))?;
    let new = dir.join(format!("{account}.token.new"));
    match disk.remove(&new) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(file(e)),
        _ => {}
    }
    let replace = || {
        let mut file = disk.create(&new)?;
        file.write_all(&json)?;
        file.sync()?;
        disk.replace(&new, &path)?;
        disk.sync_dir(dir).map(|_| ())
    };
    replace().map_err(|e| {
        let _ = disk.remove(&new);
        file(e)
    })
}

/// The lock on an account's tokens, without which they are not written.
pub struct TokenLock {
    _lock: Box<dyn HeldLock>,
}

/// Waits for the lock on an account's tokens, creating the state directory if necessary. Only one process may refresh
/// at a time: when a refresh token is used twice, servers take the second use for theft.
///
/// # Errors
/// If the directory belongs to another user or cannot be used; [`OAuthError::Busy`].
pub fn lock(disk: &dyn Disk, dir: &Path, account: &AccountName, holder: &str) -> Result<TokenLock, OAuthError> {
    ownership::check(disk, dir, account.as_str())?;
    let directory = |source| OAuthError::File { doing: "make", path: dir.to_owned(), source };
    if !make_dirs(disk, dir).map_err(directory)?.is_empty() {
        sync_dirs_above(disk, dir).map_err(directory)?;
    }
    ownership::check_place(disk, dir, account.as_str())?;
    let path = dir.join(format!("{account}.token.lock"));
    let begun = Instant::now();
    loop {
        match disk.lock(&path, holder) {
            Ok(Lock::Acquired(lock)) => return Ok(TokenLock { _lock: lock }),
            Ok(Lock::Held(holder)) if begun.elapsed() >= TIMEOUT => return Err(OAuthError::Busy { holder }),
            Ok(Lock::Held(_)) => std::thread::sleep(LOOK),
            Err(source) => return Err(OAuthError::File { doing: "lock", path, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::disk::RealDisk;
    use crate::oauth::tokens::tests::tokens;
    use crate::secret::Secret;

    #[test]
    fn tokens_are_replaced_in_one_step_and_are_nobody_elses_to_read() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let account = AccountName::new("work").unwrap();
        assert_eq!(read(&RealDisk, &state, &account).unwrap(), None);
        let lock = lock(&RealDisk, &state, &account, "a test").unwrap();
        write(&RealDisk, &state, &account, &tokens()).unwrap();
        // A leftover from a crash does no harm.
        std::fs::write(state.join("work.token.new"), "half").unwrap();
        let second = Tokens { access: Secret::new(b"access-2".to_vec()), ..tokens() };
        write(&RealDisk, &state, &account, &second).unwrap();
        assert_eq!(read(&RealDisk, &state, &account).unwrap(), Some(second));
        assert!(!state.join("work.token.new").exists());
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&state), mode(&state.join("work.token"))), (0o700, 0o600));
        drop(lock);
    }

    #[test]
    fn a_file_of_a_newer_version_is_refused_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let account = AccountName::new("work").unwrap();
        let file = dir.path().join("work.token");
        let json = String::from_utf8(tokens().to_json().unwrap().to_vec()).unwrap();
        std::fs::write(&file, json.replacen("\"version\": 1", "\"version\": 2", 1)).unwrap();
        let told = crate::advice::told_of_sign_in(&read(&RealDisk, dir.path(), &account).unwrap_err(), &account);
        assert!(told.contains("work.token was written by a newer mailferry. Use that version"), "{told}");
        assert_eq!(sign_in_stamp(&RealDisk, dir.path(), &account), "");
    }

    #[test]
    fn a_damaged_file_is_told_of_without_what_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let account = AccountName::new("work").unwrap();
        std::fs::write(dir.path().join("work.token"), "{\n\"access_token\": sesame\n").unwrap();
        let told = crate::advice::told_of_sign_in(&read(&RealDisk, dir.path(), &account).unwrap_err(), &account);
        assert!(
            told.contains("damaged in line 2") && told.contains("login work") && !told.contains("sesame"),
            "{told}"
        );
    }
}
