//! Counts how often a poll had to wait for a server's answer before it could go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A counter shared by all connections of a poll. For display: nothing is decided by it.
#[derive(Debug, Clone, Default)]
pub struct RoundTrips(Arc<AtomicU32>);

impl RoundTrips {
    /// Adds this many round trips.
    pub(crate) fn add(&self, count: u32) {
        if count > 0 {
            self.0.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Returns how many there have been.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}
