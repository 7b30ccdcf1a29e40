//! How far a poll has come, as numbers that can be read while it runs.

use std::sync::atomic::{AtomicU64, Ordering};

use super::events::{Observer, PollEvent};

/// The numbers of a poll.
#[derive(Debug, Default)]
pub struct Progress {
    /// How many octets of messages came.
    received: AtomicU64,
    /// How many messages were delivered.
    delivered: AtomicU64,
    /// Their octets, as they are stored.
    delivered_octets: AtomicU64,
}

impl Progress {
    /// How many octets of messages came so far, whatever became of them.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// How many messages were delivered so far, and their octets.
    #[must_use]
    pub fn delivered(&self) -> (u64, u64) {
        (self.delivered.load(Ordering::Relaxed), self.delivered_octets.load(Ordering::Relaxed))
    }
}

impl Observer for Progress {
    fn on_event(&self, event: &PollEvent<'_>) {
        match event {
            PollEvent::MessageOctets { octets, .. } => _ = self.received.fetch_add(*octets, Ordering::Relaxed),
            PollEvent::MessageDelivered { octets, .. } => {
                self.delivered.fetch_add(1, Ordering::Relaxed);
                self.delivered_octets.fetch_add(*octets, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}
