//! Keeps a reserve of free space, so that we stop before the disk is full: the journal must still be able to record
//! what happened, and the rest of the machine must go on.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::{Dir, Disk, Space};

/// The reserve on a large file system, in bytes.
const RESERVE: u64 = 16 << 20;

/// On a small file system the reserve is one part in this many of the whole.
const SMALL_PART: u64 = 20;

/// There is too little space.
#[derive(Debug)]
pub enum InsufficientSpace {
    /// The reserve would be used up.
    TooLittle {
        /// The directory.
        path: PathBuf,
    },
    /// The free space cannot be determined.
    Unknown {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl fmt::Display for InsufficientSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLittle { path } => write!(f, "too little free space in {}", path.display()),
            Self::Unknown { path, source } => {
                write!(f, "cannot find out the free space in {}: {}", path.display(), crate::text::system(source))
            }
        }
    }
}

impl std::error::Error for InsufficientSpace {}

/// The bytes that may be written without using the reserve.
#[derive(Debug, Clone, Copy)]
pub struct FreeSpaces {
    /// Right now.
    pub(crate) now: u64,
    /// If the file system were empty.
    pub(crate) empty: u64,
    /// The free space on the file system, including the reserve.
    pub(crate) available: u64,
    /// The size of the reserve.
    pub(crate) reserve: u64,
}

impl FreeSpaces {
    /// Returns what may be written now; None if the file system does not report it.
    pub(crate) fn told(&self) -> Option<u64> {
        Some(self.now).filter(|now| *now != UNTOLD)
    }
}

/// Returns how much may be written in a directory. Blocks.
///
/// # Errors
/// [`InsufficientSpace::Unknown`].
pub(crate) fn free_spaces(disk: &dyn Disk, dir: &Dir) -> Result<FreeSpaces, InsufficientSpace> {
    let space = disk.space(dir).map_err(|source| InsufficientSpace::Unknown { path: dir.path().to_owned(), source })?;
    Ok(FreeSpaces {
        now: beyond_reserve(space),
        empty: beyond_reserve(Space { available: space.total, ..space }),
        available: space.available,
        reserve: reserve(space),
    })
}

/// The space for a sequence of writes. It is looked up again only when used up.
#[derive(Debug)]
pub struct FreeSpace {
    /// How much of the last result is left, in bytes.
    left: u64,
    /// How much of it is left alone besides the reserve, in bytes.
    kept: u64,
}

impl FreeSpace {
    /// Starts without a lookup.
    #[must_use]
    pub fn unknown() -> Self {
        Self { left: 0, kept: 0 }
    }

    /// Starts without a lookup, and leaves alone so many bytes besides the reserve.
    pub(crate) fn besides(kept: u64) -> Self {
        Self { left: 0, kept }
    }

    /// How much of the last result is left, in bytes, with what is left alone besides the reserve.
    pub(crate) fn left(&self) -> u64 {
        self.left.saturating_add(self.kept)
    }

    /// Takes `bytes` of the space in `dir`. Blocks.
    ///
    /// # Errors
    /// [`InsufficientSpace`].
    pub fn take(&mut self, disk: &dyn Disk, dir: &Dir, bytes: usize) -> Result<(), InsufficientSpace> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        if bytes > self.left {
            self.left = free_spaces(disk, dir)?.now.saturating_sub(self.kept);
        }
        let too_little = || InsufficientSpace::TooLittle { path: dir.path().to_owned() };
        self.left = self.left.checked_sub(bytes).ok_or_else(too_little)?;
        Ok(())
    }
}

/// Whether this error means that a file system or a quota is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Stands for unknown: some network and FUSE file systems report 0 of 0 bytes. Then only a write shows whether there is
/// space.
pub(super) const UNTOLD: u64 = u64::MAX / 4;

fn beyond_reserve(space: Space) -> u64 {
    if space.total == 0 {
        return UNTOLD;
    }
    space.available.saturating_sub(reserve(space))
}

fn reserve(space: Space) -> u64 {
    RESERVE.min(space.total / SMALL_PART)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_fixed_on_a_large_disk_and_a_part_of_a_small_one() {
        let gib = 1 << 30;
        assert_eq!(beyond_reserve(Space { available: gib, total: 100 * gib }), gib - RESERVE);
        assert_eq!(beyond_reserve(Space { available: 1000, total: 10_000 }), 500);
        assert_eq!(beyond_reserve(Space { available: 400, total: 10_000 }), 0);
    }

    #[test]
    fn a_file_system_that_tells_no_sizes_is_not_full() {
        assert_eq!(beyond_reserve(Space { available: 0, total: 0 }), UNTOLD);
        assert_eq!(beyond_reserve(Space { available: 0, total: 1 << 30 }), 0);
        let spaces = |now| FreeSpaces { now, empty: now, available: 0, reserve: 0 };
        assert_eq!((spaces(UNTOLD).told(), spaces(0).told()), (None, Some(0)));
    }
}
