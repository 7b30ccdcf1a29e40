//! A clock that the script moves.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mailferry::clock::Clock;
use mailferry::clock::trusted_time::ClockReading;

/// When time begins, in seconds since 1970.
const BEGINNING: u64 = 1_700_000_000;

/// The true time, and what the machine's clocks show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time {
    /// How many seconds have really passed.
    pub(crate) passed: u64,
    /// How far the wall clock is off, in seconds.
    pub(crate) wrong: i64,
    /// The number of the boot.
    boot: u32,
    /// When the machine was booted.
    booted: u64,
}

impl Time {
    pub(crate) fn new() -> Self {
        Self { passed: 3600, wrong: 0, boot: 1, booted: 0 }
    }

    /// Boots the machine.
    pub(crate) fn reboot(&mut self) {
        self.boot += 1;
        self.booted = self.passed;
    }

    fn wall(&self) -> i64 {
        i64::try_from(BEGINNING + self.passed).unwrap_or(i64::MAX).saturating_add(self.wrong)
    }
}

/// A [`Clock`] over a [`Time`] that is changed elsewhere.
#[derive(Debug, Clone)]
pub(crate) struct SimClock(pub(crate) Arc<Mutex<Time>>);

impl SimClock {
    pub(crate) fn time(&self) -> Time {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Time)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Clock for SimClock {
    fn read(&self) -> ClockReading {
        let time = self.time();
        ClockReading { wall: time.wall(), boot: time.boot, since_boot: time.passed - time.booted }
    }

    fn since_boot(&self) -> Duration {
        let time = self.time();
        Duration::from_secs(time.passed - time.booted)
    }

    fn since_1970(&self) -> Duration {
        Duration::from_secs(u64::try_from(self.time().wall()).unwrap_or(0))
    }
}
