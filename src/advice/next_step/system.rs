//! Resources that the system lacks.

use std::io;

use crate::system_limit::{self, SystemLimit};

/// What to do if no process or thread can be started.
pub(super) const THREADS: &str =
    "Allow more processes and threads (ulimit -u, TasksMax=, pids.max), or try again later";

/// What to do about an error that says that the system lacks a resource; None for other errors.
pub(crate) fn step(error: &io::Error) -> Option<&'static str> {
    system_limit::of(error).map(|limit| match limit {
        SystemLimit::OpenFiles => {
            "Allow more open files (ulimit -n, LimitNOFILE=), or poll fewer accounts at the same time"
        }
        SystemLimit::OpenFilesOfMachine => "The whole machine has too many files open: try again later",
        SystemLimit::Threads => THREADS,
        SystemLimit::FileSize => "Allow larger files (ulimit -f, LimitFSIZE=), or check what its file system allows",
        SystemLimit::Memory => "There is too little memory (ulimit -v, MemoryMax=): allow more, or try again later",
    })
}
