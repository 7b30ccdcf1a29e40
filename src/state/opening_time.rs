//! When a state was opened. Files in `tmp/` that are older belong to no delivery of a running process.

use std::time::Duration;

use crate::disk::FileStatus;

/// When a state was opened. Only opening one makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpeningTime {
    /// In nanoseconds since 1970.
    nanoseconds: i64,
}

impl OpeningTime {
    /// The time of an opening. If no file has such a time, no file is older.
    pub(super) fn of(since_1970: Duration) -> Self {
        Self { nanoseconds: i64::try_from(since_1970.as_nanos()).unwrap_or(i64::MIN) }
    }

    /// Whether a file was last changed before.
    pub(crate) fn is_behind(self, status: &FileStatus) -> bool {
        status.changed < self.nanoseconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk as _, RealDisk};

    #[test]
    fn only_what_was_changed_before_is_older() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), b"").unwrap();
        let status = RealDisk.status(&dir.path().join("f")).unwrap();
        let is_older = |changed, opened| OpeningTime::of(opened).is_behind(&FileStatus { changed, ..status });
        let opened = Duration::from_nanos(1_790_000_000_000_000_001);
        assert!(is_older(1_790_000_000_000_000_000, opened));
        assert!(!is_older(1_790_000_000_000_000_001, opened), "at the same time");
        assert!(!is_older(1_790_000_000_000_000_002, opened));
        assert!(!is_older(1_790_000_000_000_000_000, Duration::MAX), "a time that no file can have");
    }
}
