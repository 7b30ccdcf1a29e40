//! Replaces a file atomically: readers see either the old one or the new one.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::{Dir, Disk, DiskFile};

/// Where a file is.
#[derive(Debug, Clone, Copy)]
pub enum FileLocation<'a> {
    /// At a path.
    At(&'a Path),
    /// Under this name in an open directory.
    In(&'a Dir, &'a OsStr),
}

/// Creates a file or atomically replaces an old one: the new file is made under the same name with `.new` added,
/// filled, and renamed. A leftover of an earlier attempt is removed first; after a failure the old file is still there.
/// Returns the new file and the result of `fill`. The contents are durable if `fill` syncs them, the name after a sync
/// of the directory. Blocks.
///
/// # Errors
/// Disk errors, and those of `fill`.
pub fn replace_whole<T>(
    disk: &dyn Disk,
    location: FileLocation<'_>,
    fill: impl FnOnce(&mut dyn DiskFile) -> io::Result<T>,
) -> io::Result<(Box<dyn DiskFile>, T)> {
    let new = New::of(location);
    match new.remove(disk) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = new.create(disk)?;
    let filled = fill(&mut *file).and_then(|made| new.take_the_place(disk).map(|()| made));
    // Best effort: the next attempt removes it anyway.
    let made = filled.inspect_err(|_| _ = new.remove(disk))?;
    Ok((file, made))
}

/// The new file, and the place that it is to take.
enum New<'a> {
    At(&'a Path, PathBuf),
    In(&'a Dir, &'a OsStr, OsString),
}

impl<'a> New<'a> {
    fn of(location: FileLocation<'a>) -> Self {
        let new = |name: &OsStr| {
            let mut new = name.to_owned();
            new.push(".new");
            new
        };
        match location {
            FileLocation::At(path) => Self::At(path, new(path.as_os_str()).into()),
            FileLocation::In(dir, name) => Self::In(dir, name, new(name)),
        }
    }

    fn create(&self, disk: &dyn Disk) -> io::Result<Box<dyn DiskFile>> {
        match self {
            Self::At(_, new) => disk.create(new),
            Self::In(dir, _, new) => disk.create_in(dir, new),
        }
    }

    fn take_the_place(&self, disk: &dyn Disk) -> io::Result<()> {
        match self {
            Self::At(path, new) => disk.replace(new, path),
            Self::In(dir, name, new) => disk.replace_in(dir, new, name),
        }
    }

    fn remove(&self, disk: &dyn Disk) -> io::Result<()> {
        match self {
            Self::At(_, new) => disk.remove(new),
            Self::In(dir, _, new) => disk.remove_in(dir, new),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use std::fs;

    #[test]
    fn a_file_is_replaced_as_a_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let (path, open) = (dir.path().join("a"), RealDisk.open_dir(dir.path()).unwrap());
        let locations = [FileLocation::At(&path), FileLocation::In(&open, OsStr::new("a"))];
        for (location, text) in locations.into_iter().zip(["one", "two"]) {
            fs::write(dir.path().join("a.new"), "left by a crash").unwrap();
            replace_whole(&RealDisk, location, |file| file.write_all(text.as_bytes())).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            let failed = replace_whole(&RealDisk, location, |file| {
                file.write_all(b"half")?;
                Err::<(), _>(io::Error::other("full"))
            });
            assert_eq!(failed.err().unwrap().to_string(), "full");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        }
    }
}
