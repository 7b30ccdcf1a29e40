//! The only module that creates, syncs, links, renames and removes files.
//!
//! Everything that messages and state need of a file system goes through [`Disk`], so that a test can stop the program
//! at any operation, make it fail, or cut the power. [`RealDisk`] is the one that ships.
//!
//! The rest of the program relies on this, which `docs/durability.md` explains: a file's bytes are durable after
//! [`DiskFile::sync`]; a directory's entries are durable after [`Disk::sync_dir`]; links and renames are atomic.

mod dir;
pub mod free_space;
#[cfg(test)]
pub(crate) mod limited;
mod lock_holder;
mod not_a_file;
mod paths;
pub mod promised_space;
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
pub(crate) use not_a_file::NotAFile;
pub use paths::{make_dirs, sync_dirs_above};
pub use real::RealDisk;
pub use replacing::{FileLocation, replace_whole};
pub use stamp::Stamp;

/// The operations that delivery and state consist of. All of them block.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Creates one directory with mode 0700. Its name is durable only after [`Disk::sync_dir`] of the parent.
    ///
    /// # Errors
    /// Those of `mkdir(2)`; `AlreadyExists` if anything is there.
    fn make_dir(&self, path: &Path) -> io::Result<()>;

    /// Sets the permission bits of a directory, regardless of the umask.
    ///
    /// # Errors
    /// Those of `open(2)` and `fchmod(2)`; a symbolic link is not followed, and anything but a directory is refused.
    fn set_mode(&self, dir: &Path, mode: u32) -> io::Result<()>;

    /// Makes the entries of a directory durable.
    ///
    /// # Errors
    /// Those of `fsync(2)`. If they mean that the file system does not support this at all, the result is
    /// [`DirSync::Unsupported`] instead.
    fn sync_dir(&self, path: &Path) -> io::Result<DirSync>;

    /// Returns the inode number of a directory, which distinguishes it from an unmounted or replaced one.
    ///
    /// # Errors
    /// Those of `stat(2)`; `NotADirectory` for anything else.
    fn dir_inode(&self, path: &Path) -> io::Result<u64>;

    /// Opens a directory, so that operations in it stay there whatever becomes of its path.
    ///
    /// # Errors
    /// Those of `open(2)`; a symbolic link is not followed, and anything but a directory is `NotADirectory`.
    fn open_dir(&self, path: &Path) -> io::Result<Dir>;

    /// Returns the status of what is at a path; of a symbolic link, that of the link itself.
    ///
    /// # Errors
    /// Those of `lstat(2)`.
    fn status(&self, path: &Path) -> io::Result<FileStatus>;

    /// Returns the user that owns a file or directory.
    ///
    /// # Errors
    /// Those of `stat(2)`.
    fn owner(&self, path: &Path) -> io::Result<u32>;

    /// Returns the status of a name in a directory; of a symbolic link, that of the link itself.
    ///
    /// # Errors
    /// Those of `fstatat(2)`.
    fn status_in(&self, dir: &Dir, name: &OsStr) -> io::Result<FileStatus>;

    /// Returns the names in a directory in no particular order, without `.` and `..`.
    ///
    /// # Errors
    /// Those of `readdir(3)`.
    fn list_in(&self, dir: &Dir) -> io::Result<Vec<OsString>>;

    /// Creates a file with mode 0600, which must not exist yet.
    ///
    /// # Errors
    /// Those of `openat(2)`; `AlreadyExists` if anything is there.
    fn create_in(&self, dir: &Dir, name: &OsStr) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file a second name (a hard link), which must be free.
    ///
    /// # Errors
    /// Those of `linkat(2)`: `AlreadyExists` if the name is taken, `NotFound` if the file is gone. On a file system
    /// without hard links, one that [`has_no_links`] recognises.
    fn link(&self, from: &Dir, name: &OsStr, to: &Dir, new_name: &OsStr) -> io::Result<()>;

    /// Renames a file; the new name must be free.
    ///
    /// # Errors
    /// Those of `renameat2(2)`; `AlreadyExists` if the name is taken.
    fn rename_in(&self, from: &Dir, name: &OsStr, to: &Dir, new_name: &OsStr) -> io::Result<()>;

    /// Renames a file within a directory, atomically replacing any file with the new name.
    ///
    /// # Errors
    /// Those of `renameat(2)`.
    fn replace_in(&self, dir: &Dir, name: &OsStr, new_name: &OsStr) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Those of `unlinkat(2)`.
    fn remove_in(&self, dir: &Dir, name: &OsStr) -> io::Result<()>;

    /// Does the same as [`Disk::sync_dir`] for an open directory.
    ///
    /// # Errors
    /// The same.
    fn sync_open_dir(&self, dir: &Dir) -> io::Result<DirSync>;

    /// Whether the file system is known to keep the inode number of a directory as long as it exists, even across
    /// mounts. Overlay, FUSE, FAT and some network file systems do not.
    ///
    /// # Errors
    /// Those of `fstatfs(2)`.
    fn keeps_inode_numbers(&self, dir: &Dir) -> io::Result<bool>;

    /// Returns when a directory was created, in nanoseconds since 1970. `None`: the file system does not remember it.
    ///
    /// # Errors
    /// That the directory cannot be used any more.
    fn created(&self, dir: &Dir) -> io::Result<Option<u64>>;

    /// Returns a number that identifies the file system of a directory.
    ///
    /// # Errors
    /// Those of `stat(2)`.
    fn file_system(&self, path: &Path) -> io::Result<u64>;

    /// Resolves all symbolic links in a path.
    ///
    /// # Errors
    /// Those of `realpath(3)`.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf>;

    /// Returns the names in a directory in no particular order, without `.` and `..`.
    ///
    /// # Errors
    /// Those of `readdir(3)`.
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;

    /// Creates a file with mode 0600, which must not exist yet.
    ///
    /// # Errors
    /// Those of `open(2)`; `AlreadyExists` if anything is there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens an existing file for appending.
    ///
    /// # Errors
    /// Those of `open(2)`; a symbolic link is not followed, and anything but a regular file is refused.
    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Reads a whole file, or the first `limit` bytes of it.
    ///
    /// # Errors
    /// Those of `open(2)` and `read(2)`; a symbolic link is not followed, and anything but a regular file is refused.
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;

    /// Reads a file in pieces until `take`, which gets each piece and the length of the file, wants no more.
    ///
    /// # Errors
    /// Those of [`Disk::read`].
    fn read_pieces(&self, path: &Path, take: &mut dyn FnMut(&[u8], u64) -> ControlFlow<()>) -> io::Result<()>;

    /// Reads from `offset` on in a file of a directory, as much as fits the buffer; 0 at the end of the file. So no
    /// whole message has to be held in memory.
    ///
    /// # Errors
    /// Those of `openat(2)` and `pread(2)`; a symbolic link is not followed, and anything but a regular file is refused.
    fn read_at(&self, dir: &Dir, name: &OsStr, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Renames a file, atomically replacing any file with the new name.
    ///
    /// # Errors
    /// Those of `rename(2)`.
    fn replace(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Those of `unlink(2)`.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Returns the space on the file system of a directory.
    ///
    /// # Errors
    /// Those of `fstatvfs(3)`.
    fn space(&self, dir: &Dir) -> io::Result<Space>;

    /// Takes an exclusive lock that ends with this process at the latest, creating the file if needed, and writes
    /// `holder` into it for others to read.
    ///
    /// # Errors
    /// Those of `open(2)` and `flock(2)`. A lock held by another process is not an error. A symbolic link is not
    /// followed, and anything but a regular file is refused.
    fn lock(&self, path: &Path, holder: &str) -> io::Result<Lock>;

    /// Returns which process holds the lock of a file, for people. None if unknown.
    fn lock_holder(&self, path: &Path) -> Option<String>;

    /// Returns the permission bits of a directory if every user may put files into it and rename those of others.
    ///
    /// # Errors
    /// Those of `stat(2)`.
    fn mode_open_to_all(&self, path: &Path) -> io::Result<Option<u32>>;

    /// Makes the bytes of several files on one file system durable, one after the other or concurrently; returns the
    /// results in the same order.
    fn sync_files(&self, files: Vec<Box<dyn DiskFile>>) -> Vec<io::Result<()>>;
}

/// A file being written.
pub trait DiskFile: Send + Sync {
    /// Appends some of `bytes`, possibly not all of them; returns how many.
    ///
    /// # Errors
    /// Those of `write(2)`.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Makes the file's bytes and size durable. If this fails, it is unknown what of the file is on disk, and a later
    /// success proves nothing.
    ///
    /// # Errors
    /// Those of `fsync(2)`.
    fn sync(&mut self) -> io::Result<()>;

    /// Sets the permission bits of the file, regardless of the umask.
    ///
    /// # Errors
    /// Those of `fchmod(2)`.
    fn set_mode(&mut self, mode: u32) -> io::Result<()>;

    /// Returns the number of the device, which identifies the file system. None if it is not known, or if the file is
    /// in memory, where a sync takes no time.
    fn device(&self) -> Option<u64>;

    /// Starts writeback without waiting for it, so that a later [`DiskFile::sync`] has less to do.
    fn begin_sync(&mut self);

    /// Truncates the file to `length` bytes and continues writing there.
    ///
    /// # Errors
    /// Those of `ftruncate(2)`.
    fn truncate(&mut self, length: u64) -> io::Result<()>;

    /// Returns what identifies the file, whatever becomes of its name.
    ///
    /// # Errors
    /// Those of `fstat(2)`.
    fn id(&self) -> io::Result<FileId>;

    /// Takes an exclusive lock on the file, released when this value is dropped. False if another process, or another
    /// value in this one, holds it.
    ///
    /// # Errors
    /// Those of `flock(2)`.
    fn try_lock(&mut self) -> io::Result<bool>;

    /// Writes all of `bytes`: continues short writes, and repeats interrupted ones.
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

/// The result of syncing a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirSync {
    /// Its entries are durable.
    Synced,
    /// The file system does not support this (some network and FUSE file systems).
    Unsupported,
}

/// The result of trying to take a lock.
pub enum Lock {
    /// The lock is ours until this value is dropped or the process ends.
    Acquired(Box<dyn HeldLock>),
    /// Another process holds it. The text is what it wrote there, which may be anything.
    Held(String),
}

/// A lock that we hold.
pub trait HeldLock: Send + Sync {
    /// Returns the locked file: if its path leads to another one, the lock does not cover that.
    fn file(&self) -> FileId;
}

/// Ignores that permissions cannot be set on a file system without any of its own (FAT, some network and FUSE file
/// systems): there the mount options decide.
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

/// Whether a failed [`Disk::link`] means that hard links are not supported: on FAT, on some FUSE and network file
/// systems, and by SELinux rules as on Android, which answer `EACCES`. If instead the directory is not writable, a
/// rename fails in the same way.
#[must_use]
pub fn has_no_links(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        Errno::from_io_error(error),
        Some(Errno::PERM | Errno::ACCESS | Errno::INVAL | Errno::NOTSUP | Errno::NOSYS | Errno::MLINK | Errno::XDEV)
    )
}

/// Space on a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// How much this process may still write.
    pub available: u64,
    /// The size of the whole file system.
    pub total: u64,
}
