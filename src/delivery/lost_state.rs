//! Finds out who has delivered into a Maildir: this shows that an account without a state has lost it.

use std::io;
use std::path::Path;

use crate::disk::Disk;
use crate::ids::InstanceId;
use crate::maildir::Maildir;
use crate::state::error::StateError;

/// Returns the instance ids of the states that have delivered into the Maildir at this path; none if there is no
/// Maildir. Blocks.
///
/// # Errors
/// Disk errors.
pub fn delivered_by(disk: &dyn Disk, configured: &Path) -> Result<Vec<InstanceId>, StateError> {
    match Maildir::open(disk, configured) {
        Ok(maildir) => maildir.instances(disk).map_err(|e| StateError::io("read", maildir.path(), e)),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(e) => Err(StateError::io("look at the Maildir", configured, e)),
    }
}
