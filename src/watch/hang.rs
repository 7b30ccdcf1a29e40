//! Decides whether a poll hangs: it has been waiting for a disk for so long that others should get what it holds. PURE.

use std::time::Duration;

/// A disk that has not responded for this long hangs.
pub(crate) const HUNG: Duration = Duration::from_secs(15);

/// At most this many hanging accounts give up their places to others. Each one holds at least one of the runtime's
/// blocking threads ([`crate::threads::MOST_BLOCKING`]), and accounts that do not hang need some, too.
pub(crate) const MOST_HUNG: usize = 1024;

/// Whether a running poll hangs, as last judged. Times count from a moment that the caller chooses.
#[derive(Debug)]
pub(crate) struct Hang {
    /// How long it may wait before it counts as hanging.
    limit: Duration,
    /// Since when it has been waiting, if it hangs.
    since: Option<Duration>,
}

/// A change of the judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It hangs now.
    Hangs,
    /// It no longer hangs.
    HangsNoMore,
}

impl Default for Hang {
    fn default() -> Self {
        Self::after(HUNG)
    }
}

impl Hang {
    /// Starts as not hanging, with this limit.
    pub(crate) fn after(limit: Duration) -> Self {
        Self { limit, since: None }
    }

    /// Returns since when it has been waiting for a hanging disk.
    #[must_use]
    pub(crate) fn since(&self) -> Option<Duration> {
        self.since
    }

    /// Ends the wait. Returns whether it hung.
    pub(crate) fn end(&mut self) -> bool {
        self.since.take().is_some()
    }

    /// Judges it by how long it has been waiting for a disk, if it is.
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
