//! Which accounts are slow, and which running polls count as slow. PURE.

use std::time::Duration;

/// An account that was slow twice within this time counts as slow for as long after the last time, even if polls
/// between are quick. Otherwise a few accounts whose every other poll is slow would keep all places of their server.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// What an account's polls have shown of how slow it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Slowness {
    /// Whether it is slow, so that it leaves a place of its server to accounts that are not.
    pub(super) is_slow: bool,
    /// When the last of its polls that were slow had been due, since boot.
    last_slow: Option<Duration>,
    /// Until when it counts as slow even if its polls are quick, since boot.
    slow_until: Option<Duration>,
}

impl Slowness {
    /// Records a poll that was due at `was_due`, and whether it was slow in the end. The next one is due at `next`.
    pub(super) fn polled(&mut self, slow: bool, was_due: Duration, next: Duration) {
        if slow {
            if self.last_slow.is_some_and(|last| was_due.saturating_sub(last) < REMEMBERED) {
                self.slow_until = Some(was_due.saturating_add(REMEMBERED));
            }
            self.last_slow = Some(was_due);
        }
        self.is_slow = slow || self.slow_until.is_some_and(|until| next < until);
    }
}

/// How a poll that holds places gets on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Course {
    /// Whether its account was slow when it began.
    pub(super) began_slow: bool,
    /// Whether it takes long and retrieves little.
    pub(super) is_slow: bool,
    /// Whether it is no load, or has been at a single message for long.
    pub(super) is_one_of_many: bool,
    /// Whether it was told to end, so that its places will soon be free.
    pub(super) leaves: bool,
}

impl Course {
    /// Whether it counts as slow. One that began so does to its end: no poll is slow in its first seconds, and the next
    /// slow account would begin meanwhile.
    pub(super) fn counts_as_slow(self) -> bool {
        self.began_slow || self.is_slow
    }

    /// Whether it stands aside beside many others, and not only beside a few.
    pub(super) fn stands_among_many(self) -> bool {
        self.is_one_of_many || self.counts_as_slow()
    }

    /// Whether it became slow in a place that is not for slow ones, and keeps it.
    pub(super) fn has_become_slow(self) -> bool {
        self.is_slow && !self.began_slow && !self.leaves
    }
}
