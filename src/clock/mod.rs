//! The clocks of this machine.

pub(crate) mod alarm;
pub(crate) mod time_zone;
pub mod trusted_time;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use trusted_time::ClockReading;

use crate::schedule::TimeOfWeek;

/// A source of time, so that tests can bring their own.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Reads the clocks.
    fn read(&self) -> ClockReading;

    /// Returns the time since the machine was booted, including suspended time: in more detail what [`Clock::read`]
    /// has in seconds.
    fn since_boot(&self) -> Duration;

    /// Returns the time since 1970, for file names.
    fn since_1970(&self) -> Duration;
}

/// What follows from the clocks, whichever they are.
impl dyn Clock {
    /// Returns today's date in the user's time zone, such as `2026-11-25`, for people.
    #[must_use]
    pub fn today(&self) -> String {
        local(self.since_1970()).date().to_string()
    }

    /// Returns the time of the week in the user's time zone.
    #[must_use]
    pub fn time_of_week(&self) -> TimeOfWeek {
        let now = local(self.since_1970());
        let part = |of: i8, seconds: u32| u32::try_from(of).unwrap_or(0) * seconds;
        let (day, time) = (now.weekday().to_monday_zero_offset(), now.time());
        TimeOfWeek::new(part(day, 86_400) + part(time.hour(), 3600) + part(time.minute(), 60) + part(time.second(), 1))
    }
}

/// Returns the user's date and time, from the time since 1970.
fn local(since: Duration) -> jiff::ZonedDateTime {
    let since = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    let now = jiff::Timestamp::from_second(since).unwrap_or(jiff::Timestamp::MAX);
    now.to_zoned_datetime(time_zone::of_user())
}

/// The clocks of the system.
#[derive(Debug, Clone, Copy)]
pub struct RealClock {
    /// Differs from boot to boot.
    boot: u32,
}

impl RealClock {
    /// Looks up which boot this is.
    #[must_use]
    pub fn new() -> Self {
        // Without this file every process counts as a boot of its own, so that the wall clock is checked for
        // plausibility.
        let boot = std::fs::read("/proc/sys/kernel/random/boot_id")
            .map_or_else(|_| fastrand::u32(..), |id| crc32fast::hash(&id));
        Self { boot }
    }
}

impl Default for RealClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for RealClock {
    fn read(&self) -> ClockReading {
        let wall = i64::try_from(self.since_1970().as_secs()).unwrap_or(i64::MAX);
        ClockReading { wall, boot: self.boot, since_boot: self.since_boot().as_secs() }
    }

    fn since_boot(&self) -> Duration {
        alarm::since_boot()
    }

    fn since_1970(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}
