//! Errors that say that the system has no more of something to give: files, processes, memory. They pass, or the user
//! raises a limit; nothing is wrong with what was being done.

use std::io;

use rustix::io::Errno;

/// What the system lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SystemLimit {
    /// This process has as many files open as it may.
    OpenFiles,
    /// The machine has as many files open as it can.
    OpenFilesOfMachine,
    /// No process and no thread can be had.
    Threads,
    /// No memory.
    Memory,
}

/// What the system lacks if an error says that; none for any other error.
pub(crate) fn of(error: &io::Error) -> Option<SystemLimit> {
    match Errno::from_io_error(error)? {
        Errno::MFILE => Some(SystemLimit::OpenFiles),
        Errno::NFILE => Some(SystemLimit::OpenFilesOfMachine),
        // Of connections and files that would block nobody hears: only a process or a thread is refused so.
        Errno::AGAIN => Some(SystemLimit::Threads),
        Errno::NOMEM | Errno::NOBUFS => Some(SystemLimit::Memory),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_system_lacks_is_a_limit() {
        for (errno, expected) in [
            (Errno::MFILE, SystemLimit::OpenFiles),
            (Errno::NFILE, SystemLimit::OpenFilesOfMachine),
            (Errno::AGAIN, SystemLimit::Threads),
            (Errno::NOMEM, SystemLimit::Memory),
        ] {
            assert_eq!(of(&errno.into()), Some(expected), "{errno}");
        }
        for errno in [Errno::NOSPC, Errno::DQUOT, Errno::ACCESS, Errno::NOENT, Errno::CONNREFUSED] {
            assert_eq!(of(&errno.into()), None, "{errno}");
        }
        assert_eq!(of(&io::ErrorKind::WouldBlock.into()), None, "no error of the system");
    }
}
