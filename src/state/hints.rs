//! Hints, which may be lost: what earlier sessions showed about an account's server, and how much mail came. Kept in
//! the file `ACCOUNT.hints`.
//!
//! A missing or wrong hint costs round trips, never a message: whatever relies on one is checked in a session that
//! takes place anyway, and no deletion relies on one. So the file is replaced without a sync, and counts as empty if it
//! cannot be read.

mod beyond_limits;
mod past;
mod server;
mod term;

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::clean_listing::CleanListing;
use super::error::StateError;
use super::orphans::lock_file;
use super::ownership;
use super::saved::Saved;
use crate::account::AccountName;
use crate::account_history::History;
use crate::disk::{Disk, FileLocation, Lock, replace_whole};
pub use beyond_limits::BeyondLimits;
pub use past::Past;
pub use server::{Listing, ServerHints};

/// A larger file is not ours. In bytes.
const MOST: u64 = 256 << 10;

/// An account's hints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hints {
    /// The server that was last talked to.
    pub server: Option<ServerHints>,
    /// How much mail came.
    pub past: Past,
    /// The account's standing after the last poll that changed it.
    pub standing: Option<Saved>,
    /// The last listing that left nothing to do.
    pub clean: Option<CleanListing>,
    /// What the polls of the last weeks brought.
    pub history: History,
}

/// An account's hints and their file.
#[derive(Debug)]
pub struct HintsFile {
    path: PathBuf,
    /// The hints in the file.
    written: Hints,
    /// The current hints.
    pub hints: Hints,
}

impl HintsFile {
    /// Reads an account's hints; they are empty if there is no file or if it makes no sense. Blocks.
    #[must_use]
    pub fn read(disk: &dyn Disk, dir: &Path, account: &AccountName) -> Self {
        let path = dir.join(format!("{account}.hints"));
        let parse = |bytes: Vec<u8>| toml::from_slice(&bytes).ok();
        let written: Hints = disk.read(&path, MOST).ok().and_then(parse).unwrap_or_default();
        Self { path, hints: written.clone(), written }
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the hints differ from those in the file.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.hints != self.written
    }

    /// Writes the hints if they have changed. Blocks.
    ///
    /// # Errors
    /// Disk errors; only the hints are lost.
    pub fn write(&mut self, disk: &dyn Disk) -> io::Result<()> {
        if !self.has_changed() {
            return Ok(());
        }
        let text = toml::to_string(&self.hints).map_err(io::Error::other)?;
        replace_whole(disk, FileLocation::At(&self.path), |file| file.write_all(text.as_bytes()))?;
        self.written.clone_from(&self.hints);
        Ok(())
    }
}

/// Writes an account's standing, if given, and results of its polls that are not in its history yet, under the
/// account's lock. `holder` is what others who want the lock get to read meanwhile. If the lock is taken, the account
/// is being polled; that poll's end will be newer, so nothing is written. Nothing is written either where no poll may
/// use the state: its owner could not read a file that another user leaves there. Blocks.
///
/// # Errors
/// The directory is refused, or disk errors; only the hint is lost.
pub fn keep_outcome(
    disk: &dyn Disk,
    dir: &Path,
    account: &AccountName,
    holder: &str,
    standing: Option<&Saved>,
    brought: &History,
) -> Result<(), StateError> {
    ownership::check_place(disk, dir, account.as_str())?;
    let path = lock_file(dir, account.as_str());
    let lock = disk.lock(&path, holder).map_err(|e| StateError::io("lock", &path, e))?;
    let Lock::Acquired(_lock) = lock else { return Ok(()) };
    let mut file = HintsFile::read(disk, dir, account);
    if let Some(standing) = standing
        && !file.hints.standing.as_ref().is_some_and(|known| known.says_the_same(standing))
    {
        file.hints.standing = Some(standing.clone());
    }
    file.hints.history.absorb(brought);
    file.write(disk).map_err(|e| StateError::io("write", &file.path, e))
}

#[cfg(test)]
mod tests {
    use super::server::tests::endpoint;
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn what_was_written_is_read_and_garbage_counts_as_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let account = AccountName::new("work").unwrap();
        let mut file = HintsFile::read(&RealDisk, dir.path(), &account);
        assert_eq!(file.hints, Hints::default());
        let mut server = ServerHints::new(&endpoint());
        server.before_login = Some(vec!["SASL PLAIN".into(), "odd \"]\\n".into()]);
        server.listing = Listing::Portions;
        file.hints.server = Some(server);
        file.write(&RealDisk).unwrap();
        let mut again = HintsFile::read(&RealDisk, dir.path(), &account);
        assert_eq!(again.hints, file.hints);
        std::fs::write(dir.path().join("work.hints.new"), "left by a crash").unwrap();
        again.hints.server = None;
        again.write(&RealDisk).unwrap();
        assert_eq!(HintsFile::read(&RealDisk, dir.path(), &account).hints, Hints::default());
        for garbage in [&b"\0\0\0"[..], b"server = 1", b"[server]\nport = -1\n", b"\xff"] {
            std::fs::write(dir.path().join("work.hints"), garbage).unwrap();
            assert_eq!(HintsFile::read(&RealDisk, dir.path(), &account).hints, Hints::default());
        }
    }
}
