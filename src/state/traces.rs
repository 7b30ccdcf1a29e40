//! Finds traces that an account's polls left in the state directory, when its state is lost.

use std::io;
use std::path::{Path, PathBuf};

use super::error::StateError;
use super::hints::HintsFile;
use crate::account::AccountName;
use crate::disk::Disk;

/// Called where there is no state, and nothing shows which messages it was about. Refuses if there are traces of one:
/// silently downloading everything again would be wrong.
pub(super) fn refuse_traces(disk: &dyn Disk, dir: &Path, account: &AccountName) -> Result<(), StateError> {
    match trace(disk, dir, account)? {
        Some(trace) => Err(StateError::Traces { account: account.clone(), trace, dir: dir.to_owned() }),
        None => Ok(()),
    }
}

/// Finds evidence that an account has fetched mail: the journal of its forwarder, mail in its spool, or its hints. An
/// empty spool is no evidence: it is created before the first state.
fn trace(disk: &dyn Disk, dir: &Path, account: &AccountName) -> Result<Option<PathBuf>, StateError> {
    let journal = dir.join(format!("{account}.forward"));
    match disk.status(&journal) {
        Ok(_) => return Ok(Some(journal)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(StateError::io("look at", &journal, e)),
    }
    let spool = dir.join(format!("{account}.spool"));
    for part in ["new", "cur"].map(|part| spool.join(part)) {
        match disk.list(&part) {
            Ok(names) if names.is_empty() => {}
            Ok(_) => return Ok(Some(spool)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(StateError::io("read", &part, e)),
        }
    }
    let hints = HintsFile::read(disk, dir, account);
    Ok((hints.hints.past.messages > 0).then(|| hints.path().to_owned()))
}
