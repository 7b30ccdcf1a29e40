//! A Maildir: its file [`names`], and [`staging`] messages into its `tmp/`. Moving them on to `new/` is up to
//! `delivery`.
//!
//! Nothing here knows about servers or sessions.

pub mod contents;
pub mod names;

mod marker;
mod ownership;

pub mod staging;

pub(crate) use ownership::Foreign;

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::account::MaildirMode;
use crate::disk::{Dir, Disk, make_dirs, sync_dirs_above, unless_it_has_none};
use crate::ids::InstanceId;
use crate::ids::MaildirId;

/// The three directories (maildir(5)).
const PARTS: [&str; 3] = ["tmp", "new", "cur"];

/// The empty file that marks each folder of a Maildir++.
const FOLDER_MARK: &str = "maildirfolder";

/// An existing Maildir. Its directories are open, so deliveries go into them even if their paths change.
#[derive(Debug, Clone)]
pub struct Maildir {
    /// The path without symbolic links.
    path: PathBuf,
    tmp: Dir,
    new: Dir,
    cur: Dir,
}

impl Maildir {
    /// Opens an existing Maildir.
    ///
    /// # Errors
    /// Disk errors; `NotFound` if it or one of its parts is missing, `NotADirectory` if a part is a link. For root, a
    /// Maildir that belongs to another user.
    pub fn open(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let resolved = disk.resolve(path)?;
        let open = |part: &str| disk.open_dir(&resolved.join(part));
        let (tmp, new, cur) = (open("tmp")?, open("new")?, open("cur")?);
        let maildir = Self { path: resolved, tmp, new, cur };
        ownership::check(disk, path, &maildir)?;
        Ok(maildir)
    }

    /// Creates what is missing of a Maildir and its parents, and opens it. It is durable only after [`Maildir::sync`].
    ///
    /// New directories of the Maildir itself get the permissions of `mode`; new parents are private. Existing
    /// directories keep theirs.
    ///
    /// # Errors
    /// Disk errors; for root, a place that belongs to another user.
    pub fn create(disk: &dyn Disk, path: &Path, mode: MaildirMode) -> io::Result<Self> {
        ownership::check_place(disk, path)?;
        for part in PARTS {
            let made = make_dirs(disk, &path.join(part)).map_err(|e| match e.kind() {
                // A dangling link is not said by the system to be one.
                io::ErrorKind::NotFound => Self::place(disk, path).err().unwrap_or(e),
                _ => e,
            })?;
            if mode != MaildirMode::PRIVATE {
                let mut ours = made.iter().filter(|dir| dir.starts_with(path));
                ours.try_for_each(|dir| unless_it_has_none(disk.set_mode(dir, mode.of_directories())))?;
            }
        }
        Self::open(disk, path)
    }

    /// Whether it is the same directory, possibly by another path: a link or a bind mount may lead there, too.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.path == other.path || (self.tmp.id(), self.new.id()) == (other.tmp.id(), other.new.id())
    }

    /// Returns where [`Maildir::create`] would create one: the nearest existing directory. Writes nothing.
    ///
    /// # Errors
    /// Those of [`Maildir::create`], as far as they can be detected without writing.
    pub(crate) fn place(disk: &dyn Disk, wanted: &Path) -> io::Result<PathBuf> {
        ownership::check_place(disk, wanted)?;
        for above in wanted.ancestors() {
            match disk.dir_inode(above) {
                Ok(_) => return Ok(above.to_owned()),
                // A dangling link is in the way of the directory.
                Err(e) if e.kind() == io::ErrorKind::NotFound && disk.status(above).is_ok() => {
                    let words = format!("{} is a dangling symbolic link", above.display());
                    return Err(io::Error::new(io::ErrorKind::NotFound, words));
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    /// Creates the file that marks a folder of a Maildir++, if it is missing. It is durable only after
    /// [`Maildir::sync`].
    ///
    /// # Errors
    /// Disk errors.
    pub fn mark_as_folder(&self, disk: &dyn Disk, mode: MaildirMode) -> io::Result<()> {
        let path = self.path.join(FOLDER_MARK);
        match disk.status(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            other => return other.map(|_| ()),
        }
        match disk.create(&path) {
            Ok(mut file) if mode != MaildirMode::PRIVATE => unless_it_has_none(file.set_mode(mode.of_files())),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            created => created.map(|_| ()),
        }
    }

    /// Makes the Maildir itself durable, whoever created it: its three directories and all of their parents.
    ///
    /// # Errors
    /// Disk errors.
    pub fn sync(&self, disk: &dyn Disk) -> io::Result<()> {
        sync_dirs_above(disk, self.new.path())
    }

    /// The path without symbolic links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns its `tmp/`, held open since the Maildir was opened.
    #[must_use]
    pub fn tmp(&self) -> &Dir {
        &self.tmp
    }

    /// Returns its `new/`, held open since the Maildir was opened.
    #[must_use]
    pub fn new_dir(&self) -> &Dir {
        &self.new
    }

    /// Returns its `cur/`, held open since the Maildir was opened.
    #[must_use]
    pub fn cur(&self) -> &Dir {
        &self.cur
    }

    /// Whether the paths still lead to the open directories: the Maildir was not moved, replaced or unmounted.
    ///
    /// # Errors
    /// Disk errors. A missing directory is not an error.
    pub fn is_in_place(&self, disk: &dyn Disk) -> io::Result<bool> {
        for dir in [&self.tmp, &self.new] {
            match disk.status(dir.path()) {
                Ok(status) if status.id == dir.id() => {}
                Err(e) if !matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Err(e),
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Returns what distinguishes it from another Maildir.
    ///
    /// # Errors
    /// Disk errors.
    pub fn id(&self, disk: &dyn Disk) -> io::Result<MaildirId> {
        let marker = if disk.keeps_inode_numbers(&self.new)? { None } else { marker::read(disk, &self.path)? };
        let (tmp_inode, new_inode) = (self.tmp.id().inode, self.new.id().inode);
        Ok(MaildirId { tmp_inode, new_inode, marker, created: disk.created(&self.new)? })
    }

    /// Does the same, creating a marker file where one is needed and missing, so that the Maildir is recognised after a
    /// remount. The file is durable only after [`Maildir::sync`].
    ///
    /// # Errors
    /// Disk errors.
    pub fn lasting_id(&self, disk: &dyn Disk) -> io::Result<MaildirId> {
        let id = self.id(disk)?;
        if id.marker.is_some() || disk.keeps_inode_numbers(&self.new)? {
            return Ok(id);
        }
        Ok(MaildirId { marker: Some(marker::make(disk, &self.path)?), ..id })
    }

    /// Returns the instance ids in the names of delivered files: which of our states have delivered here.
    ///
    /// # Errors
    /// Disk errors.
    pub fn instances(&self, disk: &dyn Disk) -> io::Result<Vec<InstanceId>> {
        let names = self.names(disk)?;
        let mut found: Vec<InstanceId> = names.iter().filter_map(|name| names::instance_of(name.as_bytes())).collect();
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Returns the hashes of the unique-ids of the messages that the state with this instance id has delivered here and
    /// that are still here, by the names of their files.
    ///
    /// # Errors
    /// Disk errors.
    pub fn delivered_by(&self, disk: &dyn Disk, instance: InstanceId) -> io::Result<HashSet<names::UniqueIdHash>> {
        let names = self.names(disk)?;
        let ours = names.iter().map(|name| name.as_bytes()).filter(|name| names::instance_of(name) == Some(instance));
        Ok(ours.filter_map(names::unique_id_hash_of).collect())
    }

    /// Returns the names of the files in `new/` and `cur/`.
    fn names(&self, disk: &dyn Disk) -> io::Result<Vec<OsString>> {
        let mut names = disk.list_in(&self.new)?;
        names.append(&mut disk.list_in(&self.cur)?);
        Ok(names)
    }
}

/// A file name as the disk takes it.
pub(crate) fn os(name: &str) -> &OsStr {
    OsStr::new(name)
}

#[cfg(test)]
mod tests;
