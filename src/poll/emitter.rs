//! Passes what happens in a poll on to the report, the log and the observers. None of these can do the poll any harm.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::error;

use super::error::PollError;
use super::events::{Observer, Observers, PollEvent};
use super::report::PollReport;
use crate::account::AccountName;
use crate::net::RoundTrips;
use reporter::Reporter;

mod log;
mod reporter;

/// Passes on the events of one poll and makes its report from them.
#[derive(Debug)]
pub(super) struct Emitter {
    reporter: Mutex<Reporter>,
    /// The reporter panicked at an event, which may be missing from the report.
    is_event_missing: AtomicBool,
    observers: Vec<Guarded>,
    /// Counts the round trips of the poll's sessions.
    round_trips: RoundTrips,
}

impl Emitter {
    /// Creates the emitter for a poll of this account.
    pub(super) fn new(account: AccountName, observers: Observers) -> Self {
        let guarded = |observer| Guarded { observer, has_panicked: AtomicBool::new(false) };
        Self {
            reporter: Mutex::new(Reporter::new(account)),
            is_event_missing: AtomicBool::new(false),
            observers: observers.into_iter().map(guarded).collect(),
            round_trips: RoundTrips::default(),
        }
    }

    /// Passes on an event.
    pub(super) fn tell(&self, event: &PollEvent<'_>) {
        log(event);
        let report = || self.reporter.lock().unwrap_or_else(PoisonError::into_inner).on_event(event);
        if !guarded("the report of this poll has failed at an event", report) {
            self.is_event_missing.store(true, Ordering::Relaxed);
        }
        self.observers.iter().for_each(|observer| observer.on_event(event));
    }

    /// Returns the counter of the poll's round trips.
    pub(super) fn round_trips(&self) -> &RoundTrips {
        &self.round_trips
    }

    /// Passes on the end of the poll and returns its report. One that may lack something is not that of a success.
    pub(super) fn end(self, duration: Duration, end: Result<(), PollError>) -> PollReport {
        self.tell(&PollEvent::Ended { duration, round_trips: self.round_trips.count(), error: end.as_ref().err() });
        let is_whole = !self.is_event_missing.into_inner();
        let missing = || PollError::contradiction("report what happened", "something is missing from the report");
        let end = end.and_then(|()| if is_whole { Ok(()) } else { Err(missing()) });
        self.reporter.into_inner().unwrap_or_else(PoisonError::into_inner).finish(end)
    }
}

/// Logs an event. Used alone for what happens beside a poll.
pub(super) fn log(event: &PollEvent<'_>) {
    guarded("the log of this poll has failed at an event", || log::on_event(event));
}

/// Calls a part that only reports. Whatever it leaves half done when it panics is its own. Returns whether it did not.
fn guarded(failure: &str, part: impl FnOnce()) -> bool {
    let is_well = catch_unwind(AssertUnwindSafe(part)).is_ok();
    if !is_well {
        // The log itself may be what fails.
        let _ = catch_unwind(|| error!("{failure}. The poll goes on"));
    }
    is_well
}

/// An observer whose panic does no harm.
#[derive(Debug)]
struct Guarded {
    observer: Arc<dyn Observer>,
    has_panicked: AtomicBool,
}

impl Guarded {
    fn on_event(&self, event: &PollEvent<'_>) {
        if self.has_panicked.load(Ordering::Relaxed) {
            return;
        }
        let failure = "an observer of this poll has failed and is not called again";
        if !guarded(failure, || self.observer.on_event(event)) {
            self.has_panicked.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
#[path = "emitter_tests.rs"]
mod tests;
