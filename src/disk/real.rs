//! The file systems of this machine.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fd::BorrowedFd;
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, StatxFlags, fstatvfs, renameat_with};
use rustix::io::Errno;

use super::{
    Dir, DirSync, Disk, DiskFile, FileId, FileStatus, HeldLock, Lock, NotAFile, Space, lock_holder, sync_pool,
};

/// A lock, held until its file is dropped.
struct Unlocking {
    _file: RealFile,
    id: FileId,
}

impl HeldLock for Unlocking {
    fn file(&self) -> FileId {
        self.id
    }
}

/// The file systems of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

struct RealFile {
    file: File,
    /// Whether we have locked it.
    locked: bool,
}

impl From<File> for RealFile {
    fn from(file: File) -> Self {
        Self { file, locked: false }
    }
}

impl Drop for RealFile {
    fn drop(&mut self) {
        if self.locked {
            // Closing the file is not enough: a child process that is just being started elsewhere in this process
            // briefly has a copy of the descriptor, and with it the lock. If unlocking fails, the lock ends a moment
            // later.
            let _ = self.file.unlock();
        }
    }
}

/// Files are read in pieces of this many octets.
const PIECE: usize = 64 << 10;

/// Opens a file of ours. Where others may replace it, this follows no link and does not wait for the other end of a
/// pipe.
fn open_regular(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let not_regular = || io::Error::other(NotAFile::Special);
    let file = match rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => File::from(file),
        Err(Errno::LOOP) => return Err(io::Error::other(NotAFile::Link)),
        // A pipe that nobody reads, or a socket.
        Err(Errno::NXIO) => return Err(not_regular()),
        Err(e) => return Err(e.into()),
    };
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_regular()) }
}

/// Converts the result of `fsync(2)` on a directory.
fn dir_sync(answer: io::Result<()>) -> io::Result<DirSync> {
    match answer {
        Ok(()) => Ok(DirSync::Synced),
        Err(e) => match Errno::from_io_error(&e) {
            Some(Errno::INVAL | Errno::NOTSUP | Errno::NOSYS) => Ok(DirSync::Unsupported),
            _ => Err(e),
        },
    }
}

/// The types, as reported by `statfs(2)`, of file systems that keep inode numbers across mounts: ext2 to ext4, XFS,
/// btrfs, ZFS, F2FS, JFS, ReiserFS, bcachefs, and NFS, whose file ids are the server's.
const KEEPS_INODE_NUMBERS: [i64; 9] =
    [0xef53, 0x5846_5342, 0x9123_683e, 0x2fc1_2fc1, 0xf2f5_2010, 0x3153_464a, 0x5265_4973, 0xca45_1a4e, 0x6969];

/// The type of tmpfs. It does not outlive its mount, but the next one gives the same numbers: those of directories that
/// were created at another time.
const TMPFS: i64 = 0x0102_1994;

#[allow(clippy::useless_conversion, reason = "on other processors the type is a smaller one")]
fn file_status(stat: &rustix::fs::Stat) -> FileStatus {
    FileStatus {
        id: FileId { device: stat.st_dev, inode: stat.st_ino },
        links: u64::from(stat.st_nlink),
        owner: stat.st_uid,
        mode: stat.st_mode,
        changed: stat.st_ctime.saturating_mul(1_000_000_000).saturating_add_unsigned(stat.st_ctime_nsec),
        size: u64::try_from(stat.st_size).unwrap_or_default(),
    }
}

fn status_at(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<FileStatus> {
    Ok(file_status(&rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?))
}

impl DiskFile for RealFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn set_mode(&mut self, mode: u32) -> io::Result<()> {
        Ok(rustix::fs::fchmod(&self.file, Mode::from_raw_mode(mode))?)
    }

    #[allow(clippy::useless_conversion, reason = "on other processors the type is a smaller one")]
    fn device(&self) -> Option<u64> {
        let in_memory = rustix::fs::fstatfs(&self.file).is_ok_and(|status| i64::from(status.f_type) == TMPFS);
        self.id().ok().filter(|_| !in_memory).map(|id| id.device)
    }

    fn begin_sync(&mut self) {
        // On Linux this advice starts writing back dirty pages. It is only advice.
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed);
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.file.seek(SeekFrom::Start(length)).map(|_| ())
    }

    fn id(&self) -> io::Result<FileId> {
        Ok(file_status(&rustix::fs::fstat(&self.file)?).id)
    }

    fn try_lock(&mut self) -> io::Result<bool> {
        match self.file.try_lock() {
            Ok(()) => {
                self.locked = true;
                Ok(true)
            }
            Err(fs::TryLockError::WouldBlock) => Ok(false),
            Err(fs::TryLockError::Error(e)) => Err(e),
        }
    }
}

impl Disk for RealDisk {
    fn sync_files(&self, files: Vec<Box<dyn DiskFile>>) -> Vec<io::Result<()>> {
        let device = files.first().and_then(|file| file.device());
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

    fn open_dir(&self, path: &Path) -> io::Result<Dir> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())?;
        let id = file_status(&rustix::fs::fstat(&fd)?).id;
        Ok(Dir::new(path, id, Some(fd)))
    }

    fn status(&self, path: &Path) -> io::Result<FileStatus> {
        status_at(rustix::fs::CWD, path.as_os_str())
    }

    fn owner(&self, path: &Path) -> io::Result<u32> {
        Ok(fs::metadata(path)?.uid())
    }

    fn status_in(&self, dir: &Dir, name: &OsStr) -> io::Result<FileStatus> {
        status_at(dir.fd()?, name)
    }

    fn list_in(&self, dir: &Dir) -> io::Result<Vec<OsString>> {
        let names = rustix::fs::Dir::read_from(dir.fd()?)?.filter_map(|entry| match entry {
            Ok(entry) => {
                let name = entry.file_name().to_bytes();
                (name != b"." && name != b"..").then(|| Ok(OsStr::from_bytes(name).to_owned()))
            }
            Err(e) => Some(Err(e.into())),
        });
        names.collect()
    }

    fn create_in(&self, dir: &Dir, name: &OsStr) -> io::Result<Box<dyn DiskFile>> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(dir.fd()?, name, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(Box::new(RealFile::from(File::from(file))))
    }

    fn link(&self, from: &Dir, name: &OsStr, to: &Dir, new_name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::linkat(from.fd()?, name, to.fd()?, new_name, AtFlags::empty())?)
    }

    fn replace_in(&self, dir: &Dir, name: &OsStr, new_name: &OsStr) -> io::Result<()> {
        let dir = dir.fd()?;
        Ok(rustix::fs::renameat(dir, name, dir, new_name)?)
    }

    fn remove_in(&self, dir: &Dir, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(dir.fd()?, name, AtFlags::empty())?)
    }

    fn sync_open_dir(&self, dir: &Dir) -> io::Result<DirSync> {
        dir_sync(rustix::fs::fsync(dir.fd()?).map_err(io::Error::from))
    }

    #[allow(clippy::useless_conversion, reason = "on other processors the type is a smaller one")]
    fn keeps_inode_numbers(&self, dir: &Dir) -> io::Result<bool> {
        match i64::from(rustix::fs::fstatfs(dir.fd()?)?.f_type) {
            TMPFS => Ok(self.created(dir)?.is_some()),
            known => Ok(KEEPS_INODE_NUMBERS.contains(&known)),
        }
    }

    fn created(&self, dir: &Dir) -> io::Result<Option<u64>> {
        // A kernel or a filter of system calls may not know statx(2) at all.
        let statx = rustix::fs::statx(dir.fd()?, c"", AtFlags::EMPTY_PATH, StatxFlags::BTIME).ok();
        let created = statx.filter(|statx| StatxFlags::from_bits_retain(statx.stx_mask).contains(StatxFlags::BTIME));
        Ok(created.and_then(|statx| {
            let seconds = u64::try_from(statx.stx_btime.tv_sec).ok()?;
            seconds.checked_mul(1_000_000_000)?.checked_add(statx.stx_btime.tv_nsec.into())
        }))
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
        Ok(Box::new(RealFile::from(file)))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut file = open_regular(path, OFlags::WRONLY)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Box::new(RealFile::from(file)))
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let file = open_regular(path, OFlags::RDONLY)?;
        let length = file.metadata()?.len().min(limit);
        let mut bytes = Vec::new();
        // Allocated at once if there is enough memory; growing would copy the contents repeatedly.
        let _ = bytes.try_reserve_exact(usize::try_from(length).unwrap_or(0).saturating_add(1));
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn read_pieces(&self, path: &Path, take: &mut dyn FnMut(&[u8], u64) -> ControlFlow<()>) -> io::Result<()> {
        let mut file = open_regular(path, OFlags::RDONLY)?;
        let length = file.metadata()?.len();
        let mut piece = vec![0; PIECE];
        loop {
            match file.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(count) if take(piece.get(..count).unwrap_or_default(), length).is_break() => return Ok(()),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn read_at(&self, dir: &Dir, name: &OsStr, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::openat(dir.fd()?, name, flags, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut count = 0;
        while let Some(rest) = buffer.get_mut(count..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, offset.saturating_add(u64::try_from(count).unwrap_or(u64::MAX))) {
                Ok(0) => break,
                Ok(read) => count += read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(count)
    }

    fn rename_in(&self, from: &Dir, name: &OsStr, to: &Dir, new_name: &OsStr) -> io::Result<()> {
        let (from, to) = (from.fd()?, to.fd()?);
        match renameat_with(from, name, to, new_name, RenameFlags::NOREPLACE) {
            // The file system has no RENAME_NOREPLACE (NFS, some FUSE). Names are unique by construction, so this check
            // before the rename is only a second safeguard.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                if status_at(to, new_name).is_ok() {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                Ok(rustix::fs::renameat(from, name, to, new_name)?)
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

    fn space(&self, dir: &Dir) -> io::Result<Space> {
        let answer = fstatvfs(dir.fd()?)?;
        let unit = answer.f_frsize;
        Ok(Space { available: answer.f_bavail.saturating_mul(unit), total: answer.f_blocks.saturating_mul(unit) })
    }

    fn mode_open_to_all(&self, path: &Path) -> io::Result<Option<u32>> {
        const OTHERS_WRITE: u32 = 0o002;
        // In a sticky directory like /tmp only the owner of a file can rename it.
        const STICKY: u32 = 0o1000;
        let mode = fs::metadata(path)?.mode() & 0o7777;
        Ok(Some(mode).filter(|mode| mode & (OTHERS_WRITE | STICKY) == OTHERS_WRITE))
    }

    fn lock_holder(&self, path: &Path) -> Option<String> {
        lock_holder::of(path)
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
        // Only for people: the lock alone decides who holds it. So this is not synced, may fail, and is not rewritten
        // by a daemon that takes the same lock at every poll.
        if (&file).take(1000).read_to_end(&mut words).is_err() || words != holder.as_bytes() {
            let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(holder.as_bytes()));
        }
        let id = file_status(&rustix::fs::fstat(&file)?).id;
        Ok(Lock::Acquired(Box::new(Unlocking { _file: RealFile { file, locked: true }, id })))
    }
}

#[cfg(test)]
mod tests;
