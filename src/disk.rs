//! The only file that creates, syncs, renames and removes.
//!
//! Everything that a message or the state needs of a file system goes through [`Disk`], so that a test can stop the
//! world at any operation, fail it, or cut the power. [`RealDisk`] is the one that ships.
//!
//! What the rest of the program relies on, and `docs/durability.md` explains: a file's bytes are safe after
//! [`DiskFile::sync`]; a directory's entries are safe after [`Disk::sync_dir`]; a rename is seen whole or not at all.

mod sync_pool;

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, RenameFlags, renameat_with, statvfs};
use rustix::io::Errno;

/// The operations that delivery and state are built of. All of them block.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Makes one directory, mode 0700. The entry is safe only after the parent's [`Disk::sync_dir`].
    ///
    /// # Errors
    /// Those of `mkdir(2)`; `AlreadyExists` if anything is there.
    fn make_dir(&self, path: &Path) -> io::Result<()>;

    /// Gives a directory these permission bits, whatever the umask is. An implementation without permissions does
    /// nothing.
    ///
    /// # Errors
    /// Those of `open(2)` and `fchmod(2)`; a symbolic link is not followed, and anything but a directory is refused.
    fn set_mode(&self, _dir: &Path, _mode: u32) -> io::Result<()> {
        Ok(())
    }

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

    /// A number that tells the file system of a directory from all others.
    ///
    /// # Errors
    /// Those of `stat(2)`.
    fn file_system(&self, _path: &Path) -> io::Result<u64> {
        Ok(0)
    }

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

    /// Gives a file another name, which must be free.
    ///
    /// # Errors
    /// Those of `renameat2(2)`; `AlreadyExists` if the name is taken.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

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

    /// The room on the file system that holds `path`.
    ///
    /// # Errors
    /// Those of `statvfs(3)`.
    fn space(&self, path: &Path) -> io::Result<Space>;

    /// Takes an exclusive lock that ends with this process, creating the file if need be, and leaves `holder` in it
    /// for others to read.
    ///
    /// # Errors
    /// Those of `open(2)` and `flock(2)`; that somebody holds the lock is not an error. A symbolic link is not followed,
    /// and anything but a regular file is refused.
    fn lock(&self, path: &Path, holder: &str) -> io::Result<Lock>;

    /// The permission bits of a directory if every user may put files into it and rename those of others.
    ///
    /// # Errors
    /// Those of `stat(2)`.
    fn mode_open_to_all(&self, _path: &Path) -> io::Result<Option<u32>> {
        Ok(None)
    }

    /// Makes the bytes of several files durable; answers in the same order. One by one, unless an implementation
    /// knows better.
    fn sync_files(&self, files: Vec<Box<dyn DiskFile>>) -> Vec<io::Result<()>> {
        files.into_iter().map(|mut file| file.sync()).collect()
    }
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

    /// Gives the file these permission bits, whatever the umask is. An implementation without permissions does nothing.
    ///
    /// # Errors
    /// Those of `fchmod(2)`.
    fn set_mode(&mut self, _mode: u32) -> io::Result<()> {
        Ok(())
    }

    /// The number of the file's device, which tells its file system from all others; None if that is not known.
    fn device(&self) -> Option<u64> {
        None
    }

    /// Asks for what was written to be written back soon, without waiting: a later [`DiskFile::sync`] has less to do.
    fn begin_sync(&mut self) {}

    /// Cuts the file off at `length` bytes and goes on writing there.
    ///
    /// # Errors
    /// Those of `ftruncate(2)`.
    fn truncate(&mut self, length: u64) -> io::Result<()>;

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

/// Ends its lock when it is dropped. Closing the file is not enough: a process that is just being started somewhere else
/// in this one has a copy of it for a moment, and with it the lock.
struct Unlocking(File);

impl Drop for Unlocking {
    fn drop(&mut self) {
        // If that fails, closing it ends the lock a moment later.
        let _ = self.0.unlock();
    }
}

/// What came of asking for a lock.
pub enum Lock {
    /// It is ours until this value is dropped or the process ends.
    Acquired(Box<dyn Send + Sync>),
    /// Another process holds it and left these words, which may be anything.
    Held(String),
}

/// Room on a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// What this process may still write.
    pub available: u64,
    /// The size of the whole file system.
    pub total: u64,
}

/// Makes a directory with all its missing parents, and tells which ones it made, the outermost first. They are safe only
/// after [`sync_dirs_above`].
///
/// # Errors
/// Those of [`Disk::make_dir`].
pub fn make_dirs(disk: &dyn Disk, path: &Path) -> io::Result<Vec<PathBuf>> {
    match disk.dir_inode(path) {
        Ok(_) => return Ok(Vec::new()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let Some(parent) = path.parent() else { return Err(io::ErrorKind::NotFound.into()) };
    let mut made = make_dirs(disk, parent)?;
    match disk.make_dir(path) {
        Ok(()) => made.push(path.to_owned()),
        // Somebody else, a mail reader or another account, may have been quicker.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(e),
    }
    Ok(made)
}

/// Makes the name of a directory or file durable, up to the root of its file system. That a directory exists proves
/// nothing: whoever made it may have been killed before it was synced.
///
/// # Errors
/// Those of [`Disk::sync_dir`]. A directory that we may not open is not one in which we made anything.
pub fn sync_dirs_above(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    for dir in dirs_above(disk, path)? {
        match disk.sync_dir(&dir) {
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {}
            synced => {
                synced?;
            }
        }
    }
    Ok(())
}

/// The directories in which the name of a directory or file is, the nearest first, up to the root of its file system.
fn dirs_above(disk: &dyn Disk, path: &Path) -> io::Result<Vec<PathBuf>> {
    let Some(parent) = path.parent() else { return Ok(Vec::new()) };
    // Links in the path lead elsewhere: what lies above it then is not what holds its name.
    let parent = disk.resolve(parent)?;
    let ours = disk.file_system(&parent)?;
    let mut dirs = Vec::new();
    for dir in parent.ancestors() {
        // Above a mount point is another file system, in which nothing is ours.
        if disk.file_system(dir)? != ours {
            break;
        }
        dirs.push(dir.to_owned());
    }
    Ok(dirs)
}

/// The file systems of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

struct RealFile(File);

/// Opens a file of ours. Where others may put something in its place, no link leads us elsewhere, and no pipe makes us
/// wait for its other end.
fn open_regular(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => File::from(file),
        Err(Errno::LOOP) => return Err(io::Error::other("it is a symbolic link. Put the file itself there")),
        Err(e) => return Err(e.into()),
    };
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file. Move it away")) }
}

/// What `fsync(2)` says of a directory.
fn dir_sync(answer: io::Result<()>) -> io::Result<DirSync> {
    match answer {
        Ok(()) => Ok(DirSync::Synced),
        Err(e) => match Errno::from_io_error(&e) {
            Some(Errno::INVAL | Errno::NOTSUP | Errno::NOSYS) => Ok(DirSync::Unsupported),
            _ => Err(e),
        },
    }
}

impl DiskFile for RealFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn set_mode(&mut self, mode: u32) -> io::Result<()> {
        Ok(rustix::fs::fchmod(&self.0, Mode::from_raw_mode(mode))?)
    }

    fn device(&self) -> Option<u64> {
        self.0.metadata().ok().map(|metadata| metadata.dev())
    }

    fn begin_sync(&mut self) {
        // The pages are dirty, so what this advice does on Linux is to begin writing them. It is no more than advice.
        let _ = rustix::fs::fadvise(&self.0, 0, None, rustix::fs::Advice::DontNeed);
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.set_len(length)?;
        self.0.seek(SeekFrom::Start(length)).map(|_| ())
    }
}

impl Disk for RealDisk {
    fn sync_files(&self, files: Vec<Box<dyn DiskFile>>) -> Vec<io::Result<()>> {
        // Those of one batch are in one directory.
        let device = files.first().and_then(|file| file.device()).unwrap_or(0);
        sync_pool::sync_files(device, files)
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        fs::DirBuilder::new().mode(0o700).create(path)
    }

    fn set_mode(&self, dir: &Path, mode: u32) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::open(dir, flags, Mode::empty())?;
        Ok(rustix::fs::fchmod(dir, Mode::from_raw_mode(mode))?)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<DirSync> {
        dir_sync(File::open(path)?.sync_all())
    }

    fn dir_inode(&self, path: &Path) -> io::Result<u64> {
        let metadata = fs::metadata(path)?;
        if metadata.is_dir() { Ok(metadata.ino()) } else { Err(io::ErrorKind::NotADirectory.into()) }
    }

    fn file_system(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.dev())
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(path)?.map(|entry| entry.map(|e| e.file_name())).collect()
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut file = open_regular(path, OFlags::WRONLY)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Box::new(RealFile(file)))
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let file = open_regular(path, OFlags::RDONLY)?;
        let length = file.metadata()?.len().min(limit);
        let mut bytes = Vec::new();
        // At once, if there is so much memory; growing would copy it again and again.
        let _ = bytes.try_reserve_exact(usize::try_from(length).unwrap_or(0).saturating_add(1));
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        use rustix::fs::CWD;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // A file system without RENAME_NOREPLACE (NFS, some FUSE): names are unique by construction, the look
            // before the rename is a second line.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                if fs::symlink_metadata(to).is_ok() {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                fs::rename(from, to)
            }
            renamed => Ok(renamed?),
        }
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let answer = statvfs(path)?;
        let unit = answer.f_frsize;
        Ok(Space { available: answer.f_bavail.saturating_mul(unit), total: answer.f_blocks.saturating_mul(unit) })
    }

    fn mode_open_to_all(&self, path: &Path) -> io::Result<Option<u32>> {
        const OTHERS_WRITE: u32 = 0o002;
        // In a directory like /tmp only the owner of a file can rename it.
        const STICKY: u32 = 0o1000;
        let mode = fs::metadata(path)?.mode() & 0o7777;
        Ok(Some(mode).filter(|mode| mode & (OTHERS_WRITE | STICKY) == OTHERS_WRITE))
    }

    fn lock(&self, path: &Path, holder: &str) -> io::Result<Lock> {
        let mut file = open_regular(path, OFlags::RDWR | OFlags::CREATE)?;
        let mut words = Vec::new();
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                file.take(1000).read_to_end(&mut words)?;
                return Ok(Lock::Held(String::from_utf8_lossy(&words).into_owned()));
            }
            Err(fs::TryLockError::Error(e)) => return Err(e),
        }
        // Only for people: who holds the lock is decided by the lock alone. So neither synced nor fatal, and not
        // written again by a daemon that takes the same lock at every poll.
        if (&file).take(1000).read_to_end(&mut words).is_err() || words != holder.as_bytes() {
            let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(holder.as_bytes()));
        }
        Ok(Lock::Acquired(Box::new(Unlocking(file))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rename_never_replaces() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&a, "a").unwrap();
        fs::write(&b, "b").unwrap();
        assert_eq!(RealDisk.rename(&a, &b).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&b).unwrap(), b"b");
    }

    #[test]
    fn files_and_directories_are_private() {
        let dir = tempfile::tempdir().unwrap();
        make_dirs(&RealDisk, &dir.path().join("x/y")).unwrap();
        RealDisk.create(&dir.path().join("x/y/f")).unwrap().write_all(b"1").unwrap();
        let mode = |p: &str| fs::metadata(dir.path().join(p)).unwrap().mode() & 0o777;
        assert_eq!((mode("x"), mode("x/y"), mode("x/y/f")), (0o700, 0o700, 0o600));
    }

    #[test]
    fn a_lock_ends_at_once_although_a_copy_of_its_file_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lock");
        let file = File::create(&path).unwrap();
        file.try_lock().unwrap();
        let _copy = file.try_clone().unwrap();
        drop(Unlocking(file));
        assert!(matches!(RealDisk.lock(&path, "pid 2").unwrap(), Lock::Acquired(_)));
    }

    #[test]
    fn a_lock_names_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lock");
        let first = RealDisk.lock(&path, "pid 1").unwrap();
        let Lock::Held(words) = RealDisk.lock(&path, "pid 2").unwrap() else { panic!("locked twice") };
        assert_eq!(words, "pid 1");
        drop(first);
        assert!(matches!(RealDisk.lock(&path, "pid 2").unwrap(), Lock::Acquired(_)));
    }

    #[test]
    fn the_holder_of_a_lock_may_have_left_any_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lock");
        let _first = RealDisk.lock(&path, "pid 1").unwrap();
        fs::write(&path, b"\xff\xfe").unwrap();
        let Lock::Held(words) = RealDisk.lock(&path, "pid 2").unwrap() else { panic!("locked twice") };
        assert_eq!(words, "\u{fffd}\u{fffd}");
    }

    #[test]
    fn nothing_but_a_regular_file_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let (victim, link, pipe) = (dir.path().join("victim"), dir.path().join("a.lock"), dir.path().join("a.uids"));
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [&link, &pipe] {
            assert!(RealDisk.lock(path, "pid 1").is_err(), "{}", path.display());
            assert!(RealDisk.append(path).is_err(), "{}", path.display());
            assert!(RealDisk.read(path, 10).is_err(), "{}", path.display());
        }
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
    }

    #[test]
    fn a_directory_that_cannot_be_synced_is_told_from_one_whose_sync_failed() {
        for errno in [Errno::INVAL, Errno::NOTSUP, Errno::NOSYS] {
            assert_eq!(dir_sync(Err(errno.into())).unwrap(), DirSync::Unsupported, "{errno}");
        }
        for errno in [Errno::IO, Errno::NOSPC, Errno::DQUOT, Errno::ROFS, Errno::BADF] {
            assert_eq!(dir_sync(Err(errno.into())).unwrap_err().raw_os_error(), Some(errno.raw_os_error()), "{errno}");
        }
        assert_eq!(dir_sync(Err(io::Error::other("odd"))).unwrap_err().kind(), io::ErrorKind::Other);
        assert_eq!(RealDisk.sync_dir(tempfile::tempdir().unwrap().path()).unwrap(), DirSync::Synced);
    }

    #[test]
    fn a_name_is_in_the_directories_to_which_a_link_leads() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        make_dirs(&RealDisk, &root.join("mail/deep")).unwrap();
        make_dirs(&RealDisk, &root.join("home")).unwrap();
        std::os::unix::fs::symlink("../mail/deep", root.join("home/link")).unwrap();
        let dirs = dirs_above(&RealDisk, &root.join("home/link/new")).unwrap();
        assert_eq!(dirs[..3], [root.join("mail/deep"), root.join("mail"), root]);
    }

    #[test]
    fn a_directory_is_open_to_all_if_they_may_rename_in_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        for (mode, open) in [(0o700, false), (0o775, false), (0o777, true), (0o702, true), (0o1777, false)] {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(RealDisk.mode_open_to_all(dir.path()).unwrap(), Some(mode).filter(|_| open), "{mode:o}");
        }
    }

    #[test]
    fn truncating_goes_on_writing_at_the_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let mut file = RealDisk.create(&path).unwrap();
        file.write_all(b"abcdef").unwrap();
        file.truncate(2).unwrap();
        file.write_all(b"X").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"abX");
    }
}
