//! Whether a poll hangs: it has been waiting so long for a disk that others are to have what it has. PURE.

use std::time::Duration;

/// A disk that has not answered for so long hangs.
pub(crate) const HUNG: Duration = Duration::from_secs(15);

/// So many accounts that hang give their places to others. Each holds one of the runtime's threads for what blocks
/// ([`crate::threads::MOST_BLOCKING`]) or some, and those that do not hang need some, too.
pub(crate) const MOST_HUNG: usize = 1024;

/// A poll that runs, as it was judged last. Times are since a moment that whoever judges it has chosen.
#[derive(Debug)]
pub(crate) struct Hang {
    /// It hangs once it has been waiting for so long.
    limit: Duration,
    /// Since when it has been waiting, if it hangs.
    since: Option<Duration>,
}

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It hangs from now on.
    Hangs,
    /// It does not hang any more.
    HangsNoMore,
}

impl Default for Hang {
    fn default() -> Self {
        Self::after(HUNG)
    }
}

impl Hang {
    /// Does not hang, and will after so long.
    pub(crate) fn after(limit: Duration) -> Self {
        Self { limit, since: None }
    }

    /// Since when it has been waiting for a disk that hangs.
    #[must_use]
    pub(crate) fn since(&self) -> Option<Duration> {
        self.since
    }

    /// What it waited for is done. Whether it hung.
    pub(crate) fn end(&mut self) -> bool {
        self.since.take().is_some()
    }

    /// Takes in for how long it has been waiting for a disk, if it does.
    pub(crate) fn judge(&mut self, now: Duration, waits_for_disk: Option<Duration>) -> Option<Change> {
        let before = self.since;
        self.since = waits_for_disk.filter(|waited| *waited >= self.limit).map(|waited| now.saturating_sub(waited));
        match (before, self.since) {
            (None, Some(_)) => Some(Change::Hangs),
            (Some(_), None) => Some(Change::HangsNoMore),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_long_hangs_until_the_disk_answers() {
        let second = Duration::from_secs;
        let mut hang = Hang::default();
        assert_eq!(hang.judge(second(20), Some(second(14))), None);
        assert_eq!(hang.judge(second(21), Some(second(15))), Some(Change::Hangs));
        assert_eq!((hang.judge(second(22), Some(second(16))), hang.since()), (None, Some(second(6))));
        assert_eq!(hang.judge(second(23), Some(second(1))), Some(Change::HangsNoMore), "this is other work");
        assert_eq!((hang.judge(second(24), None), hang.since()), (None, None));
        assert!(!hang.end());
        assert_eq!(hang.judge(second(40), Some(second(16))), Some(Change::Hangs));
        assert!(hang.end() && !hang.end(), "it ends once");
    }
}
