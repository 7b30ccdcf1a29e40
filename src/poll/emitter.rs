//! Passes what happens in a poll on to the report, the log and the observers.

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
            observers: observers.into_iter().map(guarded).collect(),
            round_trips: RoundTrips::default(),
        }
    }

    /// Passes on an event.
    pub(super) fn tell(&self, event: &PollEvent<'_>) {
        log::on_event(event);
        self.reporter.lock().unwrap_or_else(PoisonError::into_inner).on_event(event);
        self.observers.iter().for_each(|observer| observer.on_event(event));
    }

    /// Returns the counter of the poll's round trips.
    pub(super) fn round_trips(&self) -> &RoundTrips {
        &self.round_trips
    }

    /// Passes on the end of the poll and returns its report.
    pub(super) fn end(self, duration: Duration, end: Result<(), PollError>) -> PollReport {
        self.tell(&PollEvent::Ended { duration, round_trips: self.round_trips.count(), error: end.as_ref().err() });
        self.reporter.into_inner().unwrap_or_else(PoisonError::into_inner).finish(end)
    }
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
        // Whatever it left half done is its own: it is not called again.
        if catch_unwind(AssertUnwindSafe(|| self.observer.on_event(event))).is_err() {
            self.has_panicked.store(true, Ordering::Relaxed);
            error!("an observer of this poll has failed and is not called again. The poll goes on");
        }
    }
}

#[cfg(test)]
#[path = "emitter_tests.rs"]
mod tests;
