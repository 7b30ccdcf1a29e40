//! Errors that say that the system has run out of something: open files, processes, memory, room in a file. They pass, or the user
//! raises a limit; nothing is wrong with what was being done.

use std::io;

use rustix::io::Errno;

/// What the system has run out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SystemLimit {
    /// This process has as many files open as it may.
    OpenFiles,
    /// The machine has as many files open as it can.
    OpenFilesOfMachine,
    /// No process and no thread can be started.
    Threads,
    /// No memory is left.
    Memory,
    /// A file may not become any larger.
    FileSize,
}

/// Returns what the system has run out of if an error says so. None for any other error.
pub(crate) fn of(error: &io::Error) -> Option<SystemLimit> {
    match Errno::from_io_error(error)? {
        Errno::MFILE => Some(SystemLimit::OpenFiles),
        Errno::NFILE => Some(SystemLimit::OpenFilesOfMachine),
        // This is never seen from connections and files that would block: it means that a process or a thread was
        // refused.
        Errno::AGAIN => Some(SystemLimit::Threads),
        Errno::NOMEM | Errno::NOBUFS => Some(SystemLimit::Memory),
        Errno::FBIG => Some(SystemLimit::FileSize),
        _ => None,
    }
}

/// Whether an error says that the system has run out of something that others may give back. The largest size of a file
/// does not pass by itself.
pub(crate) fn may_pass(error: &io::Error) -> bool {
    of(error).is_some_and(|limit| limit != SystemLimit::FileSize)
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
            (Errno::FBIG, SystemLimit::FileSize),
        ] {
            assert_eq!(of(&errno.into()), Some(expected), "{errno}");
        }
        for errno in [Errno::NOSPC, Errno::DQUOT, Errno::ACCESS, Errno::NOENT, Errno::CONNREFUSED] {
            assert_eq!(of(&errno.into()), None, "{errno}");
        }
        assert_eq!(of(&io::ErrorKind::WouldBlock.into()), None, "no error of the system");
        assert!(may_pass(&Errno::MFILE.into()) && !may_pass(&Errno::FBIG.into()));
    }
}
