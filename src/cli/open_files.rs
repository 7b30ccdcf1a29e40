//! How many files may be open: messages are synced by the hundred, and each of them is open until it is.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the rest of the program needs: sockets, state files, logs.
const OTHERS: u64 = 64;

/// One poll gains nothing from more.
const MOST: u64 = 1024;

/// One poll can always have so many.
const LEAST: u64 = 8;

/// With fewer not even a name can be looked up and a server asked.
const LEAST_OF_ALL: u64 = 16;

/// Raises this process's limit as far as it may. If it is too low for anything, it is the error.
pub(super) fn raise() -> Result<(), u64> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    // If it cannot be raised, what there is has to do.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    match limit() {
        limit if limit < LEAST_OF_ALL => Err(limit),
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
    use super::share;

    #[test]
    fn every_poll_gets_some_and_none_too_many() {
        assert_eq!(share(1_048_576, 32), 1024);
        assert_eq!(share(1024, 32), 15);
        assert_eq!(share(20, 32), 8);
        assert_eq!(share(u64::MAX, 0), 1024);
    }
}
