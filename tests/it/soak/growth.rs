//! The resource usage of a daemon, sampled whenever all of its accounts have come to rest.

use std::fmt;
use std::fs;
use std::path::Path;

/// The number of samples in the warm-up, when caches are filled and threads are started.
const WARM_UP: usize = 4;

/// How much the samples of the last third may exceed those of the first: memory in KiB, because of the allocator.
const MORE_KIB: u64 = 8 * 1024;
/// File descriptors.
const MORE_FILES: u64 = 4;
/// Threads: those of the pool for syncs and those for blocking calls are started when they are first needed.
const MORE_THREADS: u64 = 24;

/// The limit for the state of all accounts in octets, without remembered messages: a thousand records may accumulate
/// before they are compacted.
const STATE: u64 = 5 * (512 << 10);
/// What each remembered message adds to this limit, in octets.
const STATE_EACH: u64 = 1 << 10;

/// One sample.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Resident memory in KiB.
    kib: u64,
    /// Open file descriptors.
    files: u64,
    /// Threads.
    threads: u64,
    /// The size of the state directory in octets.
    state: u64,
}

/// All samples of one run.
#[derive(Debug, Default)]
pub(super) struct Growth(Vec<Sample>);

impl Growth {
    /// Returns the number of samples.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes a sample of a process and its state directory.
    pub(super) fn look(&mut self, pid: u32, state: &Path) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kib = line.trim().trim_end_matches(" kB").parse().unwrap();
        let entries = |what| u64::try_from(fs::read_dir(format!("/proc/{pid}/{what}")).unwrap().count()).unwrap();
        self.0.push(Sample { kib, files: entries("fd"), threads: entries("task"), state: size(state) });
    }

    /// Checks that the last third of the samples is about as low as the first, if there are enough of them.
    pub(super) fn check(&self) {
        let warm = self.0.get(WARM_UP..).unwrap_or_default();
        let third = warm.len() / 3;
        if third < 2 {
            return;
        }
        let (first, last) = (&warm[..third], &warm[warm.len() - third..]);
        let grown = |what: fn(&Sample) -> u64| least(last, what).saturating_sub(most(first, what));
        assert!(grown(|sample| sample.kib) <= MORE_KIB, "memory grows: {self}");
        assert!(grown(|sample| sample.files) <= MORE_FILES, "file descriptors grow: {self}");
        assert!(grown(|sample| sample.threads) <= MORE_THREADS, "threads grow: {self}");
    }

    /// Checks that the state is within the limit for this many messages.
    pub(super) fn check_state(&self, messages: usize) {
        let bound = STATE + STATE_EACH * u64::try_from(messages).unwrap();
        let most = most(&self.0, |sample| sample.state);
        assert!(most <= bound, "the state of {messages} messages takes {most} octets: {self}");
    }
}

fn most(samples: &[Sample], what: fn(&Sample) -> u64) -> u64 {
    samples.iter().map(what).max().unwrap_or_default()
}

fn least(samples: &[Sample], what: fn(&Sample) -> u64) -> u64 {
    samples.iter().map(what).min().unwrap_or_default()
}

/// Prints some of the samples.
impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = (self.0.len() / 12).max(1);
        write!(f, "{} looks at memory in KiB, files, threads, octets of state:", self.0.len())?;
        for Sample { kib, files, threads, state } in self.0.iter().step_by(step).chain(self.0.last()) {
            write!(f, "\n  {kib:7} {files:4} {threads:4} {state:9}")?;
        }
        Ok(())
    }
}

/// Returns the total size of the files in a directory, in octets.
pub(super) fn size(dir: &Path) -> u64 {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}
