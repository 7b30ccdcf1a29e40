//! What goes wrong with the disk, and when.

use std::fmt;
use std::io;

use super::power::Survival;

/// One thing that goes wrong in one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// With which operation of the process, from 0.
    pub(crate) at: usize,
    /// What.
    pub(crate) kind: FaultKind,
    /// Decides what is left to chance.
    pub(crate) seed: u64,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// The process dies in the operation; of a write a part may be done. What processes see stays as it is.
    Kill,
    /// The same, and the power is cut.
    Cut(Survival),
    /// The operation fails, once, and nothing was done.
    Fail(Errno),
    /// The operation fails, once, and was done all the same.
    FailDone(Errno),
    /// A write does a half, and the next one fails.
    FailInTheMiddle(Errno),
    /// The same, and the half cannot be cut off again.
    FailUncut(Errno),
    /// All operations that fail so fail from here on.
    FailFromHere(Errno),
    /// From here on writes do only a few bytes each.
    ShortWrites,
    /// Somebody else does something to the disk, right before the operation.
    Meddle(Meddler),
}

/// Who meddles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meddler {
    /// A cleaner empties every `tmp/`.
    CleansTmp,
    /// The state files get other names.
    MovesState,
    /// The lock files go.
    RemovesLocks,
    /// The state directory gets another name, and a copy takes its place.
    CopiesState,
    /// A mail reader files what is in `new/` elsewhere.
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
    /// The error as the library meets it.
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

    /// Whether an operation of this kind can fail so.
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
    /// Whether it changes anything, or asks the disk to move.
    pub(crate) fn is_write(self) -> bool {
        use Operation::{DirInode, List, Lock, OpenDir, Read, Resolve, Space, Status};
        // Opening a journal to take its lock writes nothing.
        let looks = matches!(self, DirInode | OpenDir | Resolve | List | Read | Space | Status | Lock);
        !looks && self != Self::Append
    }

    /// Whether it only sees what is in a place.
    pub(crate) fn looks_at_a_place(self) -> bool {
        matches!(self, Self::DirInode | Self::OpenDir | Self::Resolve | Self::Status)
    }
}

impl FaultKind {
    /// Whether it can meet an operation of this kind.
    pub(crate) fn befits(self, operation: Operation) -> bool {
        match self {
            Self::Kill | Self::Cut(_) => operation.is_write() || operation == Operation::Lock,
            Self::Fail(errno) | Self::FailFromHere(errno) => errno.befits(operation),
            // A write that fails has done nothing; that a sync fails which was done is what a failed one is anyway.
            Self::FailDone(errno) => {
                use Operation::{Create, Link, MakeDir, Remove, Rename, Replace, SyncDir, Truncate};
                errno.befits(operation)
                    && matches!(operation, Create | MakeDir | Link | Remove | Rename | Replace | SyncDir | Truncate)
            }
            Self::FailInTheMiddle(_) | Self::FailUncut(_) | Self::ShortWrites => operation == Operation::Write,
            Self::Meddle(_) => true,
        }
    }

    /// Whether the process ends by it.
    pub(crate) fn is_crash(self) -> bool {
        matches!(self, Self::Kill | Self::Cut(_))
    }

    /// Whether a process must go on as if nothing had happened.
    pub(crate) fn is_harmless(self) -> bool {
        matches!(self, Self::ShortWrites | Self::Fail(Errno::Intr))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {} seed {}", self.kind, self.at, self.seed)
    }
}
