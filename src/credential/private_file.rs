//! A file that may hold a secret: read whole, bounded, together with who else can read it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, StatVfsMountFlags};
use secrecy::zeroize::Zeroizing;

/// What was in the file, and its permissions at that moment.
pub(crate) struct PrivateFile {
    /// All of it; wiped when dropped.
    pub(crate) contents: Zeroizing<Vec<u8>>,
    /// The permission bits.
    pub(crate) mode: u32,
    /// The group that the group's bits speak of.
    pub(crate) group: u32,
    /// Its owner.
    pub(crate) owner: u32,
    /// Its file system is mounted read-only: nobody here can change the mode.
    pub(crate) read_only: bool,
}

/// Who is not the owner and can read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// Everybody.
    Others,
    /// A group that this process is not a member of.
    StrangeGroup,
}

/// A file with a secret that others than its owner can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExposedFile {
    /// Which file.
    pub path: PathBuf,
    /// Its permission bits.
    pub mode: u32,
    /// Who can read it.
    pub to: Exposure,
    /// Its owner's number.
    pub owner: u32,
    /// The number of the user that this process acts as.
    pub reader: u32,
    /// Its file system is mounted read-only: nobody here can change the mode.
    pub read_only: bool,
}

/// As whom a file is judged.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// The user that the process acts as.
    pub(crate) user: u32,
    /// The groups of the process.
    pub(crate) groups: Vec<u32>,
}

/// Why a file could not be read.
#[derive(Debug)]
pub enum ReadFault {
    /// The system said so.
    Io(io::Error),
    /// It is this kind of thing in place of a regular file.
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
    // Room for all of it at once: a vector that grows leaves copies behind that nobody wipes.
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
    /// Who else can read it, if anybody.
    pub(crate) fn exposure(&self, reader: &Identity) -> Option<Exposure> {
        if self.mode & 0o007 != 0 {
            Some(Exposure::Others)
        } else if self.mode & 0o040 != 0 && !reader.groups.contains(&self.group) {
            Some(Exposure::StrangeGroup)
        } else {
            None
        }
    }

    /// The same, with all that matters for how it can be closed.
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
    /// This process.
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
