//! Delivery into a Maildir: [`names`], then [`staging`] into `tmp/`, then [`publishing`] into `new/`.
//!
//! Nothing here knows of servers or sessions.

pub mod names;

pub mod staging;

pub mod publishing;

pub mod room;

use std::io;
use std::path::{Path, PathBuf};

use crate::account::MaildirMode;
use crate::disk::{Disk, make_dirs, sync_dirs_above};

/// The three directories (maildir(5)).
const PARTS: [&str; 3] = ["tmp", "new", "cur"];

/// A Maildir that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maildir {
    /// Without symbolic links.
    path: PathBuf,
}

/// What tells a Maildir from another one under the same path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inodes {
    /// That of `tmp/`.
    pub tmp: u64,
    /// That of `new/`.
    pub new: u64,
}

impl Maildir {
    /// A Maildir that is there already.
    ///
    /// # Errors
    /// Those of the disk; `NotFound` if it or one of its parts is missing.
    pub fn open(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let path = disk.resolve(path)?;
        for part in PARTS {
            disk.dir_inode(&path.join(part))?;
        }
        Ok(Self { path })
    }

    /// A Maildir that is made, with its parents, as far as it is missing. It is safe only after [`Maildir::sync`].
    ///
    /// What is made of the Maildir itself gets the permissions of `mode`. What is there keeps its own, and parents that
    /// are made are nobody else's to enter.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn create(disk: &dyn Disk, path: &Path, mode: MaildirMode) -> io::Result<Self> {
        for part in PARTS {
            let made = make_dirs(disk, &path.join(part))?;
            if mode != MaildirMode::PRIVATE {
                let mut ours = made.iter().filter(|dir| dir.starts_with(path));
                ours.try_for_each(|dir| disk.set_mode(dir, mode.of_directories()))?;
            }
        }
        Self::open(disk, path)
    }

    /// Makes the Maildir itself durable, whoever made it: its three directories and all those above.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn sync(&self, disk: &dyn Disk) -> io::Result<()> {
        sync_dirs_above(disk, &self.new_dir())
    }

    /// Its path, without symbolic links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its `tmp/`.
    #[must_use]
    pub fn tmp(&self) -> PathBuf {
        self.path.join("tmp")
    }

    /// Its `new/`.
    #[must_use]
    pub fn new_dir(&self) -> PathBuf {
        self.path.join("new")
    }

    /// Its `cur/`.
    #[must_use]
    pub fn cur(&self) -> PathBuf {
        self.path.join("cur")
    }

    /// What tells it from another one.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn inodes(&self, disk: &dyn Disk) -> io::Result<Inodes> {
        Ok(Inodes { tmp: disk.dir_inode(&self.tmp())?, new: disk.dir_inode(&self.new_dir())? })
    }

    /// The instance ids in the names of delivered files: who of us has delivered here.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn instances(&self, disk: &dyn Disk) -> io::Result<Vec<u64>> {
        use std::os::unix::ffi::OsStrExt as _;
        let mut found = Vec::new();
        for dir in [self.new_dir(), self.cur()] {
            for name in disk.list(&dir)? {
                found.extend(names::instance_of(name.as_bytes()));
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}
