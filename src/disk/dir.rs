//! The identity and status of files, and open directories.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};

/// Identifies a file or directory as long as it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// The device number of the file system. It may change when it is mounted again.
    pub device: u64,
    /// The inode number. On some file systems it only lasts as long as the mount.
    pub inode: u64,
}

/// The status of a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStatus {
    /// Which one it is.
    pub id: FileId,
    /// How many names (hard links) it has.
    pub links: u64,
    /// The user that owns it.
    pub owner: u32,
    /// Its type and permission bits, as in `st_mode`.
    pub mode: u32,
    /// The time of the last change of contents, names or attributes, in nanoseconds since 1970 by the file system's
    /// clock, which may advance in steps of milliseconds.
    pub changed: i64,
    /// The size in bytes.
    pub size: u64,
}

/// An open directory: operations in it stay there whatever becomes of its path. Cheap to clone.
#[derive(Clone)]
pub struct Dir(Arc<OpenDir>);

struct OpenDir {
    path: PathBuf,
    id: FileId,
    /// None on a disk without file descriptors.
    fd: Option<OwnedFd>,
}

impl Dir {
    /// A directory that a [`super::Disk`] opened.
    #[must_use]
    pub fn new(path: &Path, id: FileId, fd: Option<OwnedFd>) -> Self {
        Self(Arc::new(OpenDir { path: path.to_owned(), id, fd }))
    }

    /// The path by which it was opened: for messages, and to check whether it still leads here.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Which directory it is.
    #[must_use]
    pub fn id(&self) -> FileId {
        self.0.id
    }

    /// The file descriptor.
    pub(super) fn fd(&self) -> io::Result<BorrowedFd<'_>> {
        let fd = self.0.fd.as_ref().map(|fd| fd.as_fd());
        fd.ok_or_else(|| io::Error::other("a directory of another disk"))
    }
}

impl fmt::Debug for Dir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dir({})", self.0.path.display())
    }
}
