//! What the polls of an account have left in the state directory, where its state is lost.

use std::io;
use std::path::{Path, PathBuf};

use super::error::StateError;
use super::hints::HintsFile;
use crate::account::AccountName;
use crate::disk::Disk;

/// There is no state, and nothing tells which messages it was about. If there are traces of one, downloading everything again
/// in silence would be wrong.
pub(super) fn refuse_traces(disk: &dyn Disk, dir: &Path, account: &AccountName) -> Result<(), StateError> {
    match trace(disk, dir, account)? {
        Some(trace) => Err(StateError::Traces { account: account.clone(), trace, dir: dir.to_owned() }),
        None => Ok(()),
    }
}

/// What shows that an account has fetched mail: the journal of what it forwarded, its spool, or its hints.
fn trace(disk: &dyn Disk, dir: &Path, account: &AccountName) -> Result<Option<PathBuf>, StateError> {
    for ending in ["forward", "spool"] {
        let path = dir.join(format!("{account}.{ending}"));
        match disk.status(&path) {
            Ok(_) => return Ok(Some(path)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(StateError::io("look at", &path, e)),
        }
    }
    let hints = HintsFile::read(disk, dir, account);
    Ok((hints.hints.past.messages > 0).then(|| hints.path().to_owned()))
}
