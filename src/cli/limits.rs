//! What the system allows this process: open files, as messages are synced in batches and each stays open until then;
//! and memory.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::advice::commands::common::{MORE_FILES, more_address_space};

/// File descriptors for the rest of the program: sockets, state files, logs.
const OTHERS: u64 = 64;

/// More do not help one poll.
const MOST: u64 = 1024;

/// One poll always gets this many: then its messages are made safe one at a time.
const LEAST: u64 = 1;

/// A pass of a forwarder has a connection or the pipes of a command, its lock, its journal, and a message or two.
const OF_A_PASS: u64 = 6;

/// More passes at the same time are not needed: most wait for their destinations.
const MOST_PASSES: u64 = 256;

/// With fewer, not even a name lookup and a connection are possible.
const LEAST_OF_ALL: u64 = 16;

/// With fewer, a daemon can neither answer requests nor do its work.
const LEAST_OF_A_DAEMON: u64 = 28;

/// With less address space than this, in bytes, threads and buffers do not fit. Address space is counted when it is
/// reserved, long before it is used: the program itself takes a part, and each thread some megabytes.
const LEAST_ADDRESS_SPACE: u64 = 192 << 20;

/// A limit that is too low to work with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TooLittle {
    /// The maximum number of open files.
    Files(u64),
    /// The maximum address space, in bytes.
    AddressSpace(u64),
}

impl fmt::Display for TooLittle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(limit) => {
                write!(f, "only {limit} files may be open (ulimit -n), which is too few. {MORE_FILES}")
            }
            Self::AddressSpace(limit) => write!(
                f,
                "only {} KiB of address space may be used (ulimit -v), which is too little. {}",
                limit / 1024,
                more_address_space(LEAST_ADDRESS_SPACE / 1024)
            ),
        }
    }
}

/// With less address space than this, in bytes, the 64 MiB that glibc reserves per thread matter.
const MUCH_ADDRESS_SPACE: u64 = 1 << 30;

/// The variable that limits the number of glibc's arenas.
const ARENAS: &str = "MALLOC_ARENA_MAX";

/// The variable that tells glibc which blocks are large.
const LARGE_FROM: &str = "MALLOC_MMAP_THRESHOLD_";

/// The size of a large block, in bytes: that of the table of a state with thousands of messages.
const LARGE: &str = "1048576";

/// If the address space is limited, restarts this process with one arena for all its threads. Otherwise it would depend
/// on which thread asks first whether memory can be allocated. Sets the daemon's variable too, so that a daemon does
/// not restart once more.
pub(super) fn share_one_arena(words: &[OsString]) {
    if getrlimit(Resource::As).current.is_some_and(|limit| limit < MUCH_ADDRESS_SPACE) {
        begin_once_more(words, &[(ARENAS, "1"), (LARGE_FROM, LARGE)]);
    }
}

/// Restarts a daemon with a setting that returns large blocks to the system as soon as they are freed. By default, once
/// some have been freed, glibc treats blocks of up to 32 MiB as small and keeps them per thread. As one thread after
/// another works on a state, several copies of a large one would stay in memory.
pub(super) fn give_large_blocks_back(words: &[OsString]) {
    if cfg!(target_env = "gnu") {
        begin_once_more(words, &[(LARGE_FROM, LARGE)]);
    }
}

/// Restarts the process with those of the variables that the environment lacks, if any: glibc reads them only at
/// startup. Uses the path of the executable itself, and keeps the name that it was called by. Returns only if that
/// fails; the process then goes on as it is.
fn begin_once_more(words: &[OsString], variables: &[(&str, &str)]) {
    let lacking: Vec<_> = variables.iter().filter(|(name, _)| std::env::var_os(name).is_none()).copied().collect();
    let Some((name, rest)) = words.split_first().filter(|_| !lacking.is_empty()) else { return };
    if let Ok(program) = std::env::current_exe() {
        let _ = Command::new(program).arg0(name).args(rest).envs(lacking).exec();
    }
}

/// Raises the limit on open files as far as possible. Fails if a limit is too low to work with.
pub(super) fn raise(daemon: bool) -> Result<(), TooLittle> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    // If it cannot be raised, the current limit has to do.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    judge(limit(), if daemon { LEAST_OF_A_DAEMON } else { LEAST_OF_ALL }, getrlimit(Resource::As).current)
}

fn judge(files: u64, least: u64, address_space: Option<u64>) -> Result<(), TooLittle> {
    match (files, address_space) {
        (files, _) if files < least => Err(TooLittle::Files(files)),
        (_, Some(space)) if space < LEAST_ADDRESS_SPACE => Err(TooLittle::AddressSpace(space)),
        _ => Ok(()),
    }
}

/// Shares the limit among this many concurrent polls.
pub(super) fn for_each(polls: usize) -> usize {
    share(limit(), polls)
}

/// Returns how many passes of forwarders may run at the same time: a quarter of the limit is for them.
pub(super) fn for_passes() -> usize {
    passes(limit())
}

fn passes(limit: u64) -> usize {
    let most = limit.saturating_sub(OTHERS) / 4 / OF_A_PASS;
    usize::try_from(most.clamp(2, MOST_PASSES)).unwrap_or(2)
}

fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

fn share(limit: u64, polls: usize) -> usize {
    let polls = u64::try_from(polls).unwrap_or(u64::MAX).max(1);
    let each = limit.saturating_sub(OTHERS) / 2 / polls;
    usize::try_from(each.clamp(LEAST, MOST)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_limits_with_which_nothing_can_be_done_are_refused() {
        assert_eq!(judge(20, 20, Some(LEAST_ADDRESS_SPACE)), Ok(()));
        assert_eq!(judge(u64::MAX, 20, None), Ok(()));
        assert_eq!(judge(19, 20, None), Err(TooLittle::Files(19)));
        let less = LEAST_ADDRESS_SPACE - 1;
        assert_eq!(judge(1024, 20, Some(less)), Err(TooLittle::AddressSpace(less)));
    }

    #[test]
    fn every_poll_gets_some_and_none_too_many() {
        assert_eq!(share(1_048_576, 32), 1024);
        assert_eq!(share(1024, 32), 15);
        assert_eq!(share(256, 32), 3);
        assert_eq!(share(20, 32), 1);
        assert_eq!(share(u64::MAX, 0), 1024);
    }

    #[test]
    fn passes_of_forwarders_leave_files_to_polls() {
        assert_eq!([28, 256, 1024, 524_288, u64::MAX].map(passes), [2, 8, 40, 256, 256]);
    }
}
