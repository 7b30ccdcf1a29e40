//! Root delivers only into what belongs to root. Any other user who owns a directory on the way could replace it by a
//! link, and root would write wherever that leads.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::Maildir;
use crate::disk::{Disk, FileStatus};
use crate::user;

/// A directory on the way to a Maildir belongs to another user or is world-writable. The inner error of an
/// [`io::Error`].
#[derive(Debug)]
pub(crate) struct Foreign {
    /// The directory.
    pub(crate) path: PathBuf,
    /// It is the Maildir itself, which the error names anyway.
    pub(crate) is_itself: bool,
    /// Its owner; None if it belongs to root, but is world-writable.
    pub(crate) owner: Option<u32>,
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.is_itself { "it".into() } else { self.path.to_string_lossy() };
        match self.owner {
            None => write!(
                f,
                "every user may rename what is in {path}, and root delivers only where nobody else could put a link"
            ),
            Some(owner) => write!(
                f,
                "{path} belongs to {}, and root delivers only into what belongs to root: whoever owns the place could \
                 lead the mail elsewhere",
                user::name(owner)
            ),
        }
    }
}

impl std::error::Error for Foreign {}

/// In a world-writable directory others may replace entries, unless it is sticky like `/tmp`.
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// The bits of a mode that tell what kind of file it is.
const KIND: u32 = 0o170_000;

fn judge(path: &Path, status: FileStatus, maildir: &Path) -> io::Result<()> {
    let open_to_all = status.mode & (OTHERS_WRITE | STICKY) == OTHERS_WRITE && !is_link(status);
    let owner = Some(status.owner).filter(|owner| *owner != 0);
    if owner.is_none() && !open_to_all {
        return Ok(());
    }
    // Such as /dev/null: its permissions are as they should be.
    if let Some(what) = instead_of_a_directory(status) {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, what));
    }
    Err(io::Error::other(Foreign { path: path.to_owned(), is_itself: path == maildir, owner }))
}

/// Returns what is there, if it is no directory and no link to one.
fn instead_of_a_directory(status: FileStatus) -> Option<&'static str> {
    match status.mode & KIND {
        0o040_000 | 0o120_000 => None,
        0o020_000 | 0o060_000 => Some("it is a device"),
        _ => Some("it is not a directory"),
    }
}

/// Links have no permissions of their own.
fn is_link(status: FileStatus) -> bool {
    status.mode & KIND == 0o120_000
}

/// For root: checks that an open Maildir, and everything that leads to it, belongs to root.
pub(super) fn check(disk: &dyn Disk, path: &Path, maildir: &Maildir) -> io::Result<()> {
    if !user::is_root() {
        return Ok(());
    }
    for dir in [maildir.path(), maildir.tmp.path(), maildir.new.path(), maildir.cur.path()] {
        judge(dir, disk.status(dir)?, path)?;
    }
    check_place(disk, path)?;
    check_place(disk, maildir.path())
}

/// For root: checks that the existing part of a path belongs to root. Not in a user namespace: there the real root
/// counts as another user, but its directories endanger nobody.
pub(super) fn check_place(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    if !user::is_root() || user::is_mapped() {
        return Ok(());
    }
    let mut above: Vec<&Path> = path.ancestors().collect();
    above.reverse();
    for dir in above {
        match disk.status(dir) {
            Ok(status) => judge(dir, status, path)?,
            // We create what is missing, in a directory that has been checked.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::FileId;

    fn status(owner: u32, mode: u32) -> FileStatus {
        FileStatus { id: FileId { device: 1, inode: 1 }, links: 1, owner, mode, changed: 0, size: 0 }
    }

    #[test]
    fn a_place_is_good_for_root_if_nobody_else_can_change_it() {
        for (owner, mode, good) in [
            (0, 0o040_755, true),
            (0, 0o041_777, true),
            (0, 0o120_777, true),
            (0, 0o040_777, false),
            (1000, 0o040_700, false),
            (1000, 0o120_777, false),
        ] {
            assert_eq!(
                judge(Path::new("/x"), status(owner, mode), Path::new("/x/y")).is_ok(),
                good,
                "{owner} {mode:o}"
            );
        }
    }

    #[test]
    fn what_is_no_directory_is_called_so_and_nobody_is_told_to_change_its_permissions() {
        for (mode, words) in [(0o020_666, "it is a device"), (0o100_666, "it is not a directory")] {
            let error = judge(Path::new("/dev/null"), status(0, mode), Path::new("/dev/null")).unwrap_err();
            assert_eq!((error.kind(), error.to_string().as_str()), (io::ErrorKind::NotADirectory, words));
        }
    }

    #[test]
    fn the_owner_is_named() {
        let words = |maildir: &str| {
            let dir = Path::new("/home/jo/Maildir");
            judge(dir, status(4_294_967_290, 0o040_700), Path::new(maildir)).unwrap_err().to_string()
        };
        assert!(words("/home/jo/Maildir/.Lists").contains("/home/jo/Maildir belongs to #4294967290"));
        assert!(words("/home/jo/Maildir").starts_with("it belongs to #4294967290"), "the error names it already");
    }
}
