//! The only room that creates, syncs, links, renames and removes.
//!
//! Everything that a message or the state needs of a file system goes through [`Disk`], so that a test can stop the
//! world at any operation, fail it, or cut the power. [`RealDisk`] is the one that ships.
//!
//! What the rest of the program relies on, and `docs/durability.md` explains: a file's bytes are safe after
//! [`DiskFile::sync`]; a directory's entries are safe after [`Disk::sync_dir`]; a link or a rename is seen whole or not
//! at all.

mod dir;
pub mod free_space;
#[cfg(test)]
pub(crate) mod limited;
mod lock_holder;
mod paths;
mod real;
mod replacing;
mod stamp;
mod sync_pool;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

pub use dir::{Dir, FileId, FileStatus};
pub use paths::{make_dirs, sync_dirs_above};
pub use real::RealDisk;
pub use replacing::{Place, replace_whole};
pub use stamp::Stamp;

/// The operations that delivery and state are built of. All of them block.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Makes one directory, mode 0700. The entry is safe only after the parent's [`Disk::sync_dir`].
    ///
    /// # Errors
    /// Those of `mkdir(2)`; `AlreadyExists` if anything is there.
    fn make_dir(&self, path: &Path) -> io::Result<()>;

    /// Gives a directory these permission bits, whatever the umask is.
    ///
    /// # Errors
    /// Those of `open(2)` and `fchmod(2)`; a symbolic link is not followed, and anything but a directory is refused.
    fn set_mode(&self, dir: &Path, mode: u32) -> io::Result<()>;

    /// Makes the entries of a directory durable.
    ///
    /// # Errors
    /// Those of `fsync(2)`, except the ones that say that this file system cannot do it at all: they are the answer
    /// [`DirSync::Unsupported`].
    fn sync_dir(&self, path: &Path) -> io::Result<DirSync>;

    /// The inode number of a directory: tells an unmounted or replaced directory from the one we knew.
    ///
    /// # Errors
    /// Those of `stat(2)`; `NotADirectory` for anything else.
    fn dir_inode(&self, path: &Path) -> io::Result<u64>;

    /// Opens a directory, so that what is done in it is done there whatever becomes of its path.
    ///
    /// # Errors
    /// Those of `open(2)`; a symbolic link is not followed, and anything but a directory is `NotADirectory`.
    fn open_dir(&self, path: &Path) -> io::Result<Dir>;

    /// What is at a path; of a symbolic link, the link itself.
    ///
    /// # Errors
    /// Those of `lstat(2)`.
    fn status(&self, path: &Path) -> io::Result<FileStatus>;

    /// The user to whom a file or directory belongs.
    ///
    /// # Errors
    /// Those of `stat(2)`.
    fn owner(&self, path: &Path) -> io::Result<u32>;

    /// What has this name in a directory; of a symbolic link, the link itself.
    ///
    /// # Errors
    /// Those of `fstatat(2)`.
    fn status_in(&self, dir: &Dir, name: &OsStr) -> io::Result<FileStatus>;

    /// The names in a directory, in no order, without `.` and `..`.
    ///
    /// # Errors
    /// Those of `readdir(3)`.
    fn list_in(&self, dir: &Dir) -> io::Result<Vec<OsString>>;

    /// Creates a file that must not exist, mode 0600.
    ///
    /// # Errors
    /// Those of `openat(2)`; `AlreadyExists` if anything is there.
    fn create_in(&self, dir: &Dir, name: &OsStr) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file a second name, which must be free.
    ///
    /// # Errors
    /// Those of `linkat(2)`: `AlreadyExists` if the name is taken, `NotFound` if the file is gone; a file system without
    /// links answers by one of those that [`has_no_links`] knows.
    fn link(&self, from: &Dir, name: &OsStr, to: &Dir, new_name: &OsStr) -> io::Result<()>;

    /// Gives a file another name, which must be free.
    ///
    /// # Errors
    /// Those of `renameat2(2)`; `AlreadyExists` if the name is taken.
    fn rename_in(&self, from: &Dir, name: &OsStr, to: &Dir, new_name: &OsStr) -> io::Result<()>;

    /// Gives a file in a directory another name there; what had that name is gone in the same instant.
    ///
    /// # Errors
    /// Those of `renameat(2)`.
    fn replace_in(&self, dir: &Dir, name: &OsStr, new_name: &OsStr) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Those of `unlinkat(2)`.
    fn remove_in(&self, dir: &Dir, name: &OsStr) -> io::Result<()>;

    /// The same as [`Disk::sync_dir`] for a directory that is open.
    ///
    /// # Errors
    /// The same.
    fn sync_open_dir(&self, dir: &Dir) -> io::Result<DirSync>;

    /// Whether the file system is known to give a directory the same inode number for as long as it exists, mounted anew
    /// or not. Overlay, FUSE, FAT and some network file systems do not.
    ///
    /// # Errors
    /// Those of `fstatfs(2)`.
    fn keeps_inode_numbers(&self, dir: &Dir) -> io::Result<bool>;

    /// A number that tells the file system of a directory from all others.
    ///
    /// # Errors
    /// Those of `stat(2)`.
    fn file_system(&self, path: &Path) -> io::Result<u64>;

    /// The path without symbolic links.
    ///
    /// # Errors
    /// Those of `realpath(3)`.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf>;

    /// The names in a directory, in no order, without `.` and `..`.
    ///
    /// # Errors
    /// Those of `readdir(3)`.
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;

    /// Creates a file that must not exist, mode 0600.
    ///
    /// # Errors
    /// Those of `open(2)`; `AlreadyExists` if anything is there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file that exists, to write behind its end.
    ///
    /// # Errors
    /// Those of `open(2)`; a symbolic link is not followed, and anything but a regular file is refused.
    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Reads a whole file, or the first `limit` bytes of it.
    ///
    /// # Errors
    /// Those of `open(2)` and `read(2)`; a symbolic link is not followed, and anything but a regular file is refused.
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;

    /// Reads a whole file in pieces, as long as `take` wants another one; it is told each, and how long the file was.
    ///
    /// # Errors
    /// Those of [`Disk::read`].
    fn read_pieces(&self, path: &Path, take: &mut dyn FnMut(&[u8], u64) -> ControlFlow<()>) -> io::Result<()> {
        let bytes = self.read(path, u64::MAX)?;
        let _ = take(&bytes, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    /// Reads what stands behind `offset` in a file of a directory, as much as fits; 0 at its end. Nobody has to hold a
    /// whole message in memory.
    ///
    /// # Errors
    /// Those of `openat(2)` and `pread(2)`; a symbolic link is not followed, and anything but a regular file is refused.
    fn read_at(&self, dir: &Dir, name: &OsStr, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let end = offset.saturating_add(u64::try_from(buffer.len()).unwrap_or(u64::MAX));
        let bytes = self.read(&dir.path().join(name), end)?;
        let there = bytes.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
        let count = there.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), there.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }

    /// Gives a file another name; what had that name is gone in the same instant.
    ///
    /// # Errors
    /// Those of `rename(2)`.
    fn replace(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Those of `unlink(2)`.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The room on the file system that holds a directory.
    ///
    /// # Errors
    /// Those of `fstatvfs(3)`.
    fn space(&self, dir: &Dir) -> io::Result<Space>;

    /// Takes an exclusive lock that ends with this process, creating the file if need be, and leaves `holder` in it
    /// for others to read.
    ///
    /// # Errors
    /// Those of `open(2)` and `flock(2)`; that somebody holds the lock is not an error. A symbolic link is not followed,
    /// and anything but a regular file is refused.
    fn lock(&self, path: &Path, holder: &str) -> io::Result<Lock>;

    /// Which process holds the lock of a file, for people. None if that cannot be found out.
    fn lock_holder(&self, _path: &Path) -> Option<String> {
        None
    }

    /// The permission bits of a directory if every user may put files into it and rename those of others.
    ///
    /// # Errors
    /// Those of `stat(2)`.
    fn mode_open_to_all(&self, path: &Path) -> io::Result<Option<u32>>;

    /// Makes the bytes of several files durable, one by one or side by side; answers in the same order.
    fn sync_files(&self, files: Vec<Box<dyn DiskFile>>) -> Vec<io::Result<()>>;
}

/// A file being written.
pub trait DiskFile: Send + Sync {
    /// Writes some of `bytes` at the end; may write fewer.
    ///
    /// # Errors
    /// Those of `write(2)`.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Makes the file's bytes and size durable. When this fails the fate of everything written is unknown, and a
    /// later success proves nothing.
    ///
    /// # Errors
    /// Those of `fsync(2)`.
    fn sync(&mut self) -> io::Result<()>;

    /// Gives the file these permission bits, whatever the umask is.
    ///
    /// # Errors
    /// Those of `fchmod(2)`.
    fn set_mode(&mut self, mode: u32) -> io::Result<()>;

    /// The number of the file's device, which tells its file system from all others; None if that is not known, or where a
    /// sync has nothing to wait for because the file lies in memory.
    fn device(&self) -> Option<u64>;

    /// Asks for what was written to be written back soon, without waiting: a later [`DiskFile::sync`] has less to do.
    fn begin_sync(&mut self);

    /// Cuts the file off at `length` bytes and goes on writing there.
    ///
    /// # Errors
    /// Those of `ftruncate(2)`.
    fn truncate(&mut self, length: u64) -> io::Result<()>;

    /// What tells the file from all others, whatever becomes of its name.
    ///
    /// # Errors
    /// Those of `fstat(2)`.
    fn id(&self) -> io::Result<FileId>;

    /// Takes an exclusive lock on the file, which ends with this value. False if another process, or another value in
    /// this one, holds it.
    ///
    /// # Errors
    /// Those of `flock(2)`.
    fn try_lock(&mut self) -> io::Result<bool>;

    /// Writes all of `bytes`: short writes are continued, interrupted ones repeated.
    ///
    /// # Errors
    /// The first error that is not an interruption; `WriteZero` if nothing can be written.
    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// What came of syncing a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirSync {
    /// Its entries are durable.
    Synced,
    /// This file system has no such operation (some network and FUSE file systems).
    Unsupported,
}

/// What came of asking for a lock.
pub enum Lock {
    /// It is ours until this value is dropped or the process ends.
    Acquired(Box<dyn HeldLock>),
    /// Another process holds it and left these words, which may be anything.
    Held(String),
}

/// A lock that is ours.
pub trait HeldLock: Send + Sync {
    /// The file that is locked: a path that leads to another one is not this lock's any more.
    fn file(&self) -> FileId;
}

/// What came of setting permissions, where a file system that has none of its own (FAT, some network and FUSE file systems)
/// is no trouble: what it shows is decided by whoever mounted it.
///
/// # Errors
/// All others.
pub fn unless_it_has_none(set: io::Result<()>) -> io::Result<()> {
    use rustix::io::Errno;
    match set {
        Err(e) if matches!(Errno::from_io_error(&e), Some(Errno::PERM | Errno::NOTSUP | Errno::NOSYS)) => Ok(()),
        set => set,
    }
}

/// Whether a failed [`Disk::link`] means that there are no links: FAT, some FUSE and network file systems, and rules of
/// SELinux as on Android, which answer `EACCES`. Where a directory may not be written to, a rename fails in the same way.
#[must_use]
pub fn has_no_links(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        Errno::from_io_error(error),
        Some(Errno::PERM | Errno::ACCESS | Errno::INVAL | Errno::NOTSUP | Errno::NOSYS | Errno::MLINK | Errno::XDEV)
    )
}

/// Room on a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// What this process may still write.
    pub available: u64,
    /// The size of the whole file system.
    pub total: u64,
}
