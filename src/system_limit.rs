//! Errors that say that the system has no more of something to give: files, processes, memory. They pass, or the user
//! raises a limit; nothing is wrong with what was being done.

use std::io;

use rustix::io::Errno;

/// What to do about such an error; none for any other one.
pub(crate) fn advice(error: &io::Error) -> Option<&'static str> {
    match Errno::from_io_error(error)? {
        Errno::MFILE => {
            Some("allow more open files (ulimit -n, LimitNOFILE=), or poll fewer accounts at the same time")
        }
        Errno::NFILE => Some("the whole machine has too many files open; try again later"),
        // Of connections and files that would block nobody hears: only a process or a thread is refused so.
        Errno::AGAIN => Some(NO_THREAD),
        Errno::NOMEM | Errno::NOBUFS => {
            Some("there is too little memory (ulimit -v, MemoryMax=); allow more, or try again later")
        }
        _ => None,
    }
}

/// What to do where no process and no thread can be had.
pub(crate) const NO_THREAD: &str =
    "allow more processes and threads (ulimit -u, TasksMax=, pids.max), or try again later";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_system_lacks_is_a_limit() {
        for (errno, words) in [
            (Errno::MFILE, "ulimit -n"),
            (Errno::NFILE, "whole machine"),
            (Errno::AGAIN, "ulimit -u"),
            (Errno::NOMEM, "memory"),
        ] {
            assert!(advice(&errno.into()).unwrap().contains(words), "{errno}");
        }
        for errno in [Errno::NOSPC, Errno::DQUOT, Errno::ACCESS, Errno::NOENT, Errno::CONNREFUSED] {
            assert_eq!(advice(&errno.into()), None, "{errno}");
        }
        assert_eq!(advice(&io::ErrorKind::WouldBlock.into()), None, "no error of the system");
    }
}
