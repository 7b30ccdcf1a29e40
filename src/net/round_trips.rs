//! How often a poll had to wait for a server's answer before it could go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A counter that all connections of a poll share. For people: nothing is decided by it.
#[derive(Debug, Clone, Default)]
pub struct RoundTrips(Arc<AtomicU32>);

impl RoundTrips {
    /// So many more.
    pub(crate) fn add(&self, count: u32) {
        if count > 0 {
            self.0.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}
