//! A file's metadata, compared to detect that the file was changed.

use std::fmt;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What changes when a file is replaced or written to, or when its access rights change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    /// In seconds since 1970, and nanoseconds.
    modified: (i64, i64),
    /// The time of the last status change, in the same form.
    changed: (i64, i64),
    mode: u32,
    owner: u32,
    group: u32,
}

impl Stamp {
    /// Takes the stamp of a file, following a symbolic link. Blocks, and hangs if the disk hangs.
    ///
    /// # Errors
    /// Those of `stat(2)`.
    pub fn at(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path).map(|file| Self::of(&file))
    }

    /// Makes the stamp of a file from its metadata.
    #[must_use]
    pub fn of(file: &Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
            length: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
            mode: file.mode(),
            owner: file.uid(),
            group: file.gid(),
        }
    }

    /// The length of the file in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }
}

/// The stored form, to be compared after a reboot: without the device number, which may change, and without the time of
/// the last status change, which adds nothing to the rest.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inode, length, modified: (seconds, nanoseconds), mode, owner, group, .. } = self;
        write!(f, "{inode} {length} {seconds}.{nanoseconds:09} {mode:o} {owner}:{group}")
    }
}
