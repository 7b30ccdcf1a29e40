//! For tests: a real file system with limited abilities.

use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{Dir, DirSync, Disk, DiskFile, FileStatus, Lock, RealDisk, Space};

/// The real disk, restricted.
#[derive(Debug, Clone)]
pub(crate) struct LimitedDisk {
    /// Whether a file can have a second name.
    pub(crate) links: bool,
    /// Whether inode numbers survive a remount.
    pub(crate) keeps_inode_numbers: bool,
    /// When directories were created, if not as the disk says.
    pub(crate) created: Option<u64>,
    /// A directory that cannot be synced.
    pub(crate) unsyncable: Option<PathBuf>,
    /// A directory in which no name can be created.
    pub(crate) closed: Option<PathBuf>,
    /// Whether the last of several files that are synced together gets no result.
    pub(crate) loses_last_sync: bool,
}

impl Default for LimitedDisk {
    /// No limits.
    fn default() -> Self {
        Self {
            links: true,
            keeps_inode_numbers: true,
            created: None,
            unsyncable: None,
            closed: None,
            loses_last_sync: false,
        }
    }
}

macro_rules! as_it_is {
    ($($name:ident($($arg:ident: $kind:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self, $($arg: $kind),*) -> io::Result<$answer> {
            RealDisk.$name($($arg),*)
        })*
    };
}

impl Disk for LimitedDisk {
    fn link(&self, from: &Dir, name: &OsStr, to: &Dir, new_name: &OsStr) -> io::Result<()> {
        if self.closed.as_deref() == Some(to.path()) {
            return Err(Errno::ACCESS.into());
        }
        if self.links { RealDisk.link(from, name, to, new_name) } else { Err(Errno::PERM.into()) }
    }

    fn rename_in(&self, from: &Dir, name: &OsStr, to: &Dir, new_name: &OsStr) -> io::Result<()> {
        if self.closed.as_deref() == Some(to.path()) {
            return Err(Errno::ACCESS.into());
        }
        RealDisk.rename_in(from, name, to, new_name)
    }

    fn keeps_inode_numbers(&self, _dir: &Dir) -> io::Result<bool> {
        Ok(self.keeps_inode_numbers)
    }

    fn created(&self, dir: &Dir) -> io::Result<Option<u64>> {
        if self.created.is_some() { Ok(self.created) } else { RealDisk.created(dir) }
    }

    fn sync_files(&self, files: Vec<Box<dyn DiskFile>>) -> Vec<io::Result<()>> {
        let mut results = RealDisk.sync_files(files);
        results.truncate(results.len().saturating_sub(usize::from(self.loses_last_sync)));
        results
    }

    fn sync_dir(&self, path: &Path) -> io::Result<DirSync> {
        if self.unsyncable.as_deref() == Some(path) { Ok(DirSync::Unsupported) } else { RealDisk.sync_dir(path) }
    }

    fn sync_open_dir(&self, dir: &Dir) -> io::Result<DirSync> {
        if self.unsyncable.as_deref() == Some(dir.path()) {
            Ok(DirSync::Unsupported)
        } else {
            RealDisk.sync_open_dir(dir)
        }
    }

    fn read_pieces(&self, path: &Path, take: &mut dyn FnMut(&[u8], u64) -> ControlFlow<()>) -> io::Result<()> {
        RealDisk.read_pieces(path, take)
    }

    fn lock_holder(&self, path: &Path) -> Option<String> {
        RealDisk.lock_holder(path)
    }

    as_it_is! {
        make_dir(path: &Path) -> ();
        set_mode(dir: &Path, mode: u32) -> ();
        dir_inode(path: &Path) -> u64;
        open_dir(path: &Path) -> Dir;
        status(path: &Path) -> FileStatus;
        owner(path: &Path) -> u32;
        status_in(dir: &Dir, name: &OsStr) -> FileStatus;
        list_in(dir: &Dir) -> Vec<OsString>;
        create_in(dir: &Dir, name: &OsStr) -> Box<dyn DiskFile>;
        replace_in(dir: &Dir, name: &OsStr, new_name: &OsStr) -> ();
        remove_in(dir: &Dir, name: &OsStr) -> ();
        file_system(path: &Path) -> u64;
        resolve(path: &Path) -> PathBuf;
        list(path: &Path) -> Vec<OsString>;
        create(path: &Path) -> Box<dyn DiskFile>;
        append(path: &Path) -> Box<dyn DiskFile>;
        read(path: &Path, limit: u64) -> Vec<u8>;
        read_at(dir: &Dir, name: &OsStr, offset: u64, buffer: &mut [u8]) -> usize;
        replace(from: &Path, to: &Path) -> ();
        remove(path: &Path) -> ();
        space(dir: &Dir) -> Space;
        lock(path: &Path, holder: &str) -> Lock;
        mode_open_to_all(path: &Path) -> Option<u32>;
    }
}
