//! What the polls of an account have left in the state directory, where its state is lost.

use std::path::{Path, PathBuf};

use super::error::StateError;
use super::hints::HintsFile;
use crate::account::AccountName;
use crate::disk::Disk;

/// There is no state, and nothing tells which messages it was about. If there are traces of one, downloading everything again
/// in silence would be wrong.
pub(super) fn refuse_traces(disk: &dyn Disk, dir: &Path, account: &AccountName) -> Result<(), StateError> {
    match trace(disk, dir, account) {
        Some(trace) => Err(StateError::Traces { account: account.clone(), trace, dir: dir.to_owned() }),
        None => Ok(()),
    }
}

/// What shows that an account has fetched mail: the journal of what it forwarded, its spool, or its hints.
fn trace(disk: &dyn Disk, dir: &Path, account: &AccountName) -> Option<PathBuf> {
    let left = ["forward", "spool"].map(|ending| dir.join(format!("{account}.{ending}")));
    let left = left.into_iter().find(|path| disk.status(path).is_ok());
    left.or_else(|| {
        let hints = HintsFile::read(disk, dir, account);
        (hints.hints.past.messages > 0).then(|| hints.path().to_owned())
    })
}
