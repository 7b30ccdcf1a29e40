//! Whether other accounts wait for the place that a session has: then it has to be worth it.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many polls of this process wait for a place.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// A poll that waits for a place, as long as this lives.
#[derive(Debug)]
pub(crate) struct Waits(());

/// From here on one more poll waits for a place.
#[must_use]
pub(crate) fn wait() -> Waits {
    WAITING.fetch_add(1, Ordering::Relaxed);
    Waits(())
}

impl Drop for Waits {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether any does.
#[must_use]
pub(crate) fn others_wait() -> bool {
    WAITING.load(Ordering::Relaxed) > 0
}
