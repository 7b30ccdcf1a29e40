//! What a file looks like from outside, to tell whether it was changed.

use std::fmt;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What changes when a file is replaced or written, or given to others to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    /// Seconds since 1970, and nanoseconds.
    modified: (i64, i64),
    /// When any of this changed last, the same way.
    changed: (i64, i64),
    mode: u32,
    owner: u32,
    group: u32,
}

impl Stamp {
    /// That of a file, or of what a symbolic link leads to. Blocks, and hangs where its disk does.
    ///
    /// # Errors
    /// Those of `stat(2)`.
    pub fn at(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path).map(|file| Self::of(&file))
    }

    /// That of a file whose metadata are at hand.
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

    /// The file's length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }
}

/// As it is written down, to be compared after a restart of the machine: without the device, whose number may be another
/// one then, and without the time of the last change, which says nothing that the rest does not.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inode, length, modified: (seconds, nanoseconds), mode, owner, group, .. } = self;
        write!(f, "{inode} {length} {seconds}.{nanoseconds:09} {mode:o} {owner}:{group}")
    }
}
