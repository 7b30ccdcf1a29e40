//! A clock that runs on while the machine is suspended, and an alarm set by it.
//!
//! The runtime's own timers count monotonic time, which does not advance during suspend: a laptop that slept for eight
//! hours would poll only five minutes after waking. This alarm rings as soon as the machine wakes, and jumps of the
//! wall clock do not affect it.

use std::fs::File;
use std::io;
use std::time::Duration;

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime, timerfd_create,
    timerfd_settime,
};
use tokio::net::unix::pipe::Receiver;

/// Reads the clock that the alarm rings by.
pub(super) fn since_boot() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Rings at a time since boot. The runtime sees the timer as it sees a pipe: as something that becomes readable.
#[derive(Debug)]
pub(crate) struct Alarm(Receiver);

impl Alarm {
    /// Makes an alarm that is not set.
    ///
    /// # Errors
    /// Those of `timerfd_create(2)`.
    pub(crate) fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        Receiver::from_file_unchecked(File::from(timer)).map(Self)
    }

    /// Waits until `at`; for ever if it is None. May be dropped and called again with another time.
    pub(crate) async fn wait_until(&self, at: Option<Duration>) {
        let Some(at) = at else { return std::future::pending().await };
        // Zero would disarm the timer.
        let at = at.max(Duration::from_nanos(1));
        let value =
            Timespec { tv_sec: i64::try_from(at.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(at.subsec_nanos()) };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        if timerfd_settime(&self.0, TimerfdTimerFlags::ABSTIME, &once).is_err() {
            // Not as good, but better than nothing.
            return tokio::time::sleep(at.saturating_sub(since_boot())).await;
        }
        while since_boot() < at {
            if self.0.readable().await.is_err() {
                return;
            }
            // It does not matter how often the timer expired, or whether it had expired at all.
            let _ = self.0.try_read(&mut [0; 8]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_rings_at_its_time_and_can_be_set_again() {
        let alarm = Alarm::new().unwrap();
        let begun = since_boot();
        let soon = begun + Duration::from_millis(30);
        tokio::select! {
            () = alarm.wait_until(Some(begun + Duration::from_secs(60))) => panic!("too early"),
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
        alarm.wait_until(Some(soon)).await;
        assert!(since_boot() >= soon);
        // A time that has passed rings at once.
        alarm.wait_until(Some(Duration::ZERO)).await;
        alarm.wait_until(Some(begun)).await;
    }
}
