//! Faults of the disk, and when they strike.

use std::fmt;
use std::io;

use super::power::Survival;

/// A fault in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The operation of the process that it strikes, counted from 0.
    pub(crate) at: usize,
    /// The kind of fault.
    pub(crate) kind: FaultKind,
    /// Seeds what is left to chance.
    pub(crate) seed: u64,
}

/// Kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// The process dies in the operation; a write may be done in part. What processes see stays.
    Kill,
    /// Like `Kill`, and the power is cut.
    Cut(Survival),
    /// The operation fails once, without effect.
    Fail(Errno),
    /// The operation fails once, but has taken effect.
    FailDone(Errno),
    /// A write writes half, and the next one fails.
    FailInTheMiddle(Errno),
    /// Like `FailInTheMiddle`, and the half cannot be truncated.
    FailUncut(Errno),
    /// From now on all operations that can fail in this way do so.
    FailFromHere(Errno),
    /// From now on writes write only a few bytes each.
    ShortWrites,
    /// Somebody else changes the disk right before the operation.
    Meddle(Meddler),
}

/// Who changes the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meddler {
    /// A cleaner empties every `tmp/`.
    CleansTmp,
    /// The state files are renamed.
    MovesState,
    /// The lock files are removed.
    RemovesLocks,
    /// The state directory is renamed, and a copy takes its place.
    CopiesState,
    /// A mail reader moves what is in `new/` elsewhere.
    FilesMail,
}

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errno {
    /// No space left on device.
    Nospc,
    /// Disk quota exceeded.
    Dquot,
    /// Input/output error.
    Io,
    /// Interrupted.
    Intr,
    /// Read-only file system.
    Rofs,
}

impl Errno {
    /// Returns the error as the library gets it.
    pub(crate) fn error(self) -> io::Error {
        use rustix::io::Errno as Number;
        let number = match self {
            Self::Nospc => Number::NOSPC,
            Self::Dquot => Number::DQUOT,
            Self::Io => Number::IO,
            Self::Intr => Number::INTR,
            Self::Rofs => Number::ROFS,
        };
        number.into()
    }

    /// Whether an operation of this kind can fail in this way.
    pub(crate) fn befits(self, operation: Operation) -> bool {
        use Operation::{Append, Create, DirInode, Link, List, Lock, MakeDir, OpenDir, Read, Remove, Rename, Replace};
        use Operation::{Resolve, Space, Status, Sync, SyncDir, Truncate, Write};
        match self {
            Self::Io => true,
            Self::Intr => operation == Write,
            Self::Nospc | Self::Dquot => {
                matches!(operation, MakeDir | Create | Write | Link | Rename | Replace | Sync | SyncDir | Lock)
            }
            Self::Rofs => match operation {
                MakeDir | Create | Append | Write | Truncate | Link | Rename | Replace | Remove | Lock => true,
                Read | List | DirInode | OpenDir | Resolve | Space | Status | Sync | SyncDir => false,
            },
        }
    }
}

/// The operations of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    MakeDir,
    SyncDir,
    DirInode,
    OpenDir,
    Status,
    Resolve,
    List,
    Create,
    Append,
    Read,
    Link,
    Rename,
    Replace,
    Remove,
    Space,
    Lock,
    Write,
    Sync,
    Truncate,
}

impl Operation {
    /// Whether it changes anything, or makes the disk write.
    pub(crate) fn is_write(self) -> bool {
        use Operation::{DirInode, List, Lock, OpenDir, Read, Resolve, Space, Status};
        // Opening a journal in order to lock it writes nothing.
        let looks = matches!(self, DirInode | OpenDir | Resolve | List | Read | Space | Status | Lock);
        !looks && self != Self::Append
    }

    /// Whether it only looks at what is in a place.
    pub(crate) fn looks_at_a_place(self) -> bool {
        matches!(self, Self::DirInode | Self::OpenDir | Self::Resolve | Self::Status)
    }
}

impl FaultKind {
    /// Whether it can strike an operation of this kind.
    pub(crate) fn befits(self, operation: Operation) -> bool {
        match self {
            Self::Kill | Self::Cut(_) => operation.is_write() || operation == Operation::Lock,
            Self::Fail(errno) | Self::FailFromHere(errno) => errno.befits(operation),
            // A failed write has done nothing; and a failed sync may have been done in any case.
            Self::FailDone(errno) => {
                use Operation::{Create, Link, MakeDir, Remove, Rename, Replace, SyncDir, Truncate};
                errno.befits(operation)
                    && matches!(operation, Create | MakeDir | Link | Remove | Rename | Replace | SyncDir | Truncate)
            }
            Self::FailInTheMiddle(_) | Self::FailUncut(_) | Self::ShortWrites => operation == Operation::Write,
            Self::Meddle(_) => true,
        }
    }

    /// Whether it ends the process.
    pub(crate) fn is_crash(self) -> bool {
        matches!(self, Self::Kill | Self::Cut(_))
    }

    /// Whether a process must continue as if nothing had happened.
    pub(crate) fn is_harmless(self) -> bool {
        matches!(self, Self::ShortWrites | Self::Fail(Errno::Intr))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {} seed {}", self.kind, self.at, self.seed)
    }
}
