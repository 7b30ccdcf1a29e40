//! What waits while a pass runs, for whoever looks meanwhile.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::report::Waiting;
use super::spool::Spooled;

/// What waits while a pass runs.
#[derive(Debug, Clone, Default)]
pub struct Live(Arc<Mutex<Shown>>);

#[derive(Debug, Default)]
struct Shown {
    waiting: Option<Waiting>,
    /// When the pass began, or a message ceased to wait.
    last: Option<Instant>,
}

impl Live {
    /// What waits now. None as long as no pass has looked.
    #[must_use]
    pub fn waiting(&self) -> Option<Waiting> {
        self.lock().waiting.clone()
    }

    /// How long no message has ceased to wait. None as long as no pass has looked.
    #[must_use]
    pub fn idle(&self) -> Option<Duration> {
        self.lock().last.map(|last| last.elapsed())
    }

    pub(super) fn begin(&self, waiting: Waiting) {
        *self.lock() = Shown { waiting: Some(waiting), last: Some(Instant::now()) };
    }

    /// A message does not wait any more: it has arrived, or is set aside.
    pub(super) fn took(&self, message: &Spooled, is_set_aside: bool) {
        let mut place = self.lock();
        place.last = Some(Instant::now());
        let Some(waiting) = place.waiting.as_mut() else { return };
        waiting.messages = waiting.messages.saturating_sub(1);
        waiting.octets = waiting.octets.saturating_sub(message.size());
        waiting.set_aside = waiting.set_aside.saturating_add(u64::from(is_set_aside));
        // The oldest go first.
        let oldest = waiting.oldest.max(Some(message.delivered()));
        waiting.oldest = oldest.filter(|_| waiting.messages > 0);
    }

    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
