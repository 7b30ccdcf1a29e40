//! Reads a file that may hold a secret, as a whole and up to a limit, and finds out who else can read it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, StatVfsMountFlags};
use secrecy::zeroize::Zeroizing;

/// The contents and permissions of a file at one moment.
pub(crate) struct PrivateFile {
    /// The contents; wiped when dropped.
    pub(crate) contents: Zeroizing<Vec<u8>>,
    /// The permission bits.
    pub(crate) mode: u32,
    /// The group of the file.
    pub(crate) group: u32,
    /// The owner of the file.
    pub(crate) owner: u32,
    /// Whether the file system is mounted read-only: then the mode cannot be changed from here.
    pub(crate) read_only: bool,
}

/// Who can read a file besides its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// Everyone.
    Others,
    /// A group that this process does not belong to.
    StrangeGroup,
}

/// A file with a secret that others than its owner can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExposedFile {
    /// The file.
    pub path: PathBuf,
    /// The permission bits.
    pub mode: u32,
    /// Who can read it.
    pub to: Exposure,
    /// The user id of the owner.
    pub owner: u32,
    /// The effective user id of this process.
    pub reader: u32,
    /// Whether the file system is mounted read-only: then the mode cannot be changed from here.
    pub read_only: bool,
}

/// The user and groups that permissions are checked for.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// The effective user.
    pub(crate) user: u32,
    /// The groups.
    pub(crate) groups: Vec<u32>,
}

/// Why a file could not be read.
#[derive(Debug)]
pub enum ReadFault {
    /// The system call failed.
    Io(io::Error),
    /// It is not a regular file, but something of this kind.
    NotRegular(&'static str),
    /// It is longer than this many bytes.
    TooLarge(usize),
}

/// Reads a regular file of at most `limit` bytes.
pub(crate) fn read(path: &Path, limit: usize) -> Result<PrivateFile, ReadFault> {
    // NONBLOCK: opening a FIFO must not wait for a writer. NOCTTY: a terminal must not become ours.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| ReadFault::Io(e.into()))?;
    let file = File::from(file);
    let metadata = file.metadata().map_err(ReadFault::Io)?;
    if !metadata.is_file() {
        return Err(ReadFault::NotRegular(kind(metadata.file_type())));
    }
    let read_only = rustix::fs::fstatvfs(&file).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::RDONLY));
    let expected = usize::try_from(metadata.len()).unwrap_or(usize::MAX).min(limit);
    // Allocated at full size: a growing vector would leave copies behind that are not wiped.
    let mut contents = Zeroizing::new(Vec::with_capacity(expected.saturating_add(1)));
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(bound).read_to_end(&mut contents).map_err(ReadFault::Io)?;
    if contents.len() > limit {
        return Err(ReadFault::TooLarge(limit));
    }
    Ok(PrivateFile {
        contents,
        mode: metadata.mode() & 0o7777,
        group: metadata.gid(),
        owner: metadata.uid(),
        read_only,
    })
}

impl PrivateFile {
    /// Returns who else can read it, if anyone.
    pub(crate) fn exposure(&self, reader: &Identity) -> Option<Exposure> {
        if self.mode & 0o007 != 0 {
            Some(Exposure::Others)
        } else if self.mode & 0o040 != 0 && !reader.groups.contains(&self.group) {
            Some(Exposure::StrangeGroup)
        } else {
            None
        }
    }

    /// Does the same, with everything that matters for how to fix it.
    pub(crate) fn exposed(&self, path: &Path, reader: &Identity) -> Option<ExposedFile> {
        let to = self.exposure(reader)?;
        let Self { mode, owner, read_only, .. } = *self;
        Some(ExposedFile { path: path.to_owned(), mode, to, owner, reader: reader.user, read_only })
    }
}

impl fmt::Display for Exposure {
    /// Completes "its mode 0644 lets".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Others => "other users read it",
            Self::StrangeGroup => "a group that mailferry does not belong to read it",
        })
    }
}

impl Identity {
    /// The identity of this process.
    pub(crate) fn of_process() -> Self {
        let mut groups: Vec<u32> =
            rustix::process::getgroups().unwrap_or_default().into_iter().map(rustix::process::Gid::as_raw).collect();
        groups.push(rustix::process::getegid().as_raw());
        groups.push(rustix::process::getgid().as_raw());
        Self { user: rustix::process::geteuid().as_raw(), groups }
    }
}

fn kind(file_type: std::fs::FileType) -> &'static str {
    if file_type.is_dir() {
        "a directory"
    } else if file_type.is_fifo() {
        "a pipe"
    } else if file_type.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

impl fmt::Display for ReadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(e) if e.kind() == io::ErrorKind::NotFound => f.write_str("there is no such file"),
            Self::Io(e) if e.kind() == io::ErrorKind::PermissionDenied => f.write_str("permission denied"),
            Self::Io(e) => e.fmt(f),
            Self::NotRegular(kind) => write!(f, "it is {kind}"),
            Self::TooLarge(limit) => {
                write!(f, "it is longer than {} KiB, which this kind of file never is", limit / 1024)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::zeroize::Zeroizing;

    use super::{Exposure, Identity, PrivateFile, ReadFault, read};

    #[test]
    fn only_the_owner_and_our_own_groups_may_read() {
        let member = Identity { user: 1000, groups: vec![100, 8] };
        let root = Identity { user: 0, groups: vec![0] };
        let cases = [
            (0o600, 5, None, None),
            (0o400, 5, None, None),
            (0o640, 8, None, Some(Exposure::StrangeGroup)),
            (0o640, 0, Some(Exposure::StrangeGroup), None),
            (0o640, 5, Some(Exposure::StrangeGroup), Some(Exposure::StrangeGroup)),
            (0o620, 5, None, None),
            (0o644, 8, Some(Exposure::Others), Some(Exposure::Others)),
            (0o601, 8, Some(Exposure::Others), Some(Exposure::Others)),
            (0o602, 8, Some(Exposure::Others), Some(Exposure::Others)),
        ];
        for (mode, group, for_member, for_root) in cases {
            let file = file(mode, group);
            assert_eq!(file.exposure(&member), for_member, "{mode:o} {group}");
            assert_eq!(file.exposure(&root), for_root, "{mode:o} {group}");
        }
    }

    fn file(mode: u32, group: u32) -> PrivateFile {
        PrivateFile { contents: Zeroizing::new(Vec::new()), mode, group, owner: 1000, read_only: false }
    }

    #[test]
    fn a_file_at_the_limit_is_read_and_one_byte_more_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, [7; 100]).unwrap();
        assert_eq!(*read(&path, 100).ok().unwrap().contents, [7; 100]);
        assert!(matches!(read(&path, 99), Err(ReadFault::TooLarge(99))));
    }

    #[test]
    fn a_pipe_is_refused_without_waiting_for_a_writer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        assert!(matches!(read(&path, 99), Err(ReadFault::NotRegular("a pipe"))));
        assert!(matches!(read(dir.path(), 99), Err(ReadFault::NotRegular("a directory"))));
    }
}
