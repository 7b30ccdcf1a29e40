//! What the system lets this process have: files, of which messages are synced by the hundred and each is open until it
//! is; and memory.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the rest of the program needs: sockets, state files, logs.
const OTHERS: u64 = 64;

/// One poll gains nothing from more.
const MOST: u64 = 1024;

/// One poll can always have so many: then its messages are made safe one after the other.
const LEAST: u64 = 1;

/// With fewer not even a name can be looked up and a server asked.
const LEAST_OF_ALL: u64 = 16;

/// With fewer a daemon cannot be asked anything, and not do anything.
const LEAST_OF_A_DAEMON: u64 = 28;

/// With less address space than this, in bytes, threads and buffers do not fit. It is counted long before anything is
/// used: the program itself takes a part, and each thread some megabytes.
const LEAST_ADDRESS_SPACE: u64 = 192 << 20;

/// A limit with which nothing can be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TooLittle {
    /// So many files may be open.
    Files(u64),
    /// So many bytes of address space may be used.
    AddressSpace(u64),
}

impl fmt::Display for TooLittle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(limit) => {
                write!(f, "only {limit} files may be open (ulimit -n), which is too few. Allow 64 or more")
            }
            Self::AddressSpace(limit) => write!(
                f,
                "only {} KiB of address space may be used (ulimit -v), which is too little. Allow {} KiB or more, or bound \
                 the memory that is really used (MemoryMax=)",
                limit / 1024,
                LEAST_ADDRESS_SPACE / 1024
            ),
        }
    }
}

/// With less address space than this, in bytes, what glibc reserves for each thread (64 MiB) is much of it.
const MUCH_ADDRESS_SPACE: u64 = 1 << 30;

/// What tells glibc how many arenas there may be.
const ARENAS: &str = "MALLOC_ARENA_MAX";

/// What tells glibc which blocks of memory are large.
const LARGE_FROM: &str = "MALLOC_MMAP_THRESHOLD_";

/// So many octets are a large block: the table of a state with thousands of messages.
const LARGE: &str = "1048576";

/// Where address space is limited, this process begins once more, so that its threads share one arena: whether memory can be
/// had would else be a matter of which thread asks first. What a daemon wants is said together with it, so that it does not
/// begin a third time.
pub(super) fn share_one_arena(words: &[OsString]) {
    if getrlimit(Resource::As).current.is_some_and(|limit| limit < MUCH_ADDRESS_SPACE) {
        begin_once_more(words, &[(ARENAS, "1"), (LARGE_FROM, LARGE)]);
    }
}

/// A daemon begins once more, so that it gives large blocks back to the system as soon as it needs them no more. By itself
/// glibc takes blocks of up to 32 MiB for small once some have come and gone, and keeps what each thread has had of them: a
/// state is worked on by one thread after the other, and a large one stays in memory several times.
pub(super) fn give_large_blocks_back(words: &[OsString]) {
    if cfg!(target_env = "gnu") {
        begin_once_more(words, &[(LARGE_FROM, LARGE)]);
    }
}

/// Begins once more with what it lacks of these in the environment, if it lacks any: only the environment can tell glibc,
/// and only at the beginning. By its own path, as the process is called what its file is. It comes back only if that fails,
/// and then it goes on as it is.
fn begin_once_more(words: &[OsString], variables: &[(&str, &str)]) {
    let lacking: Vec<_> = variables.iter().filter(|(name, _)| std::env::var_os(name).is_none()).copied().collect();
    let Some((name, rest)) = words.split_first().filter(|_| !lacking.is_empty()) else { return };
    if let Ok(program) = std::env::current_exe() {
        let _ = Command::new(program).arg0(name).args(rest).envs(lacking).exec();
    }
}

/// Raises this process's limit on files as far as it may. A limit that is too low for anything is the error.
pub(super) fn raise(daemon: bool) -> Result<(), TooLittle> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    // If it cannot be raised, what there is has to do.
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

/// Shares the limit out among so many polls at the same time.
pub(super) fn for_each(polls: usize) -> usize {
    share(limit(), polls)
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
}
