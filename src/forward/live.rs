//! What a running pass has done and left, for others to look at meanwhile.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::report::{SetAside, Waiting};
use super::spool::Spooled;

/// What a running pass has done and left.
#[derive(Debug, Clone, Default)]
pub struct Live(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    shown: Mutex<Shown>,
    /// Signals that something may have come into the spool since it was read.
    asked: Notify,
    /// Cancelled once no further message is to be begun in this pass.
    ended: CancellationToken,
}

#[derive(Debug, Default)]
struct Shown {
    waiting: Option<Waiting>,
    /// When the pass began, or a message last stopped waiting.
    last: Option<Instant>,
    /// How many messages have arrived in this pass.
    forwarded: u64,
    /// When the last of them arrived, in seconds since 1970.
    last_forwarded: Option<i64>,
}

impl Live {
    /// Returns what waits now. None until a pass has read the spool.
    #[must_use]
    pub fn waiting(&self) -> Option<Waiting> {
        self.lock().waiting.clone()
    }

    /// Returns how long ago a message last stopped waiting. None until a pass has read the spool.
    #[must_use]
    pub fn idle(&self) -> Option<Duration> {
        self.lock().last.map(|last| last.elapsed())
    }

    /// Returns how many messages have arrived so far.
    #[must_use]
    pub fn forwarded(&self) -> u64 {
        self.lock().forwarded
    }

    /// Returns when the last of them arrived, in seconds since 1970.
    #[must_use]
    pub fn last_forwarded(&self) -> Option<i64> {
        self.lock().last_forwarded
    }

    /// Tells the pass that something may have come into the spool, so that it counts that as well.
    pub fn count_again(&self) {
        self.0.asked.notify_one();
    }

    /// Tells the pass to begin no further message, because others wait for its place. Those under way take their time.
    pub fn end_turn(&self) {
        self.0.ended.cancel();
    }

    /// Whether it was told so.
    #[cfg(test)]
    pub(crate) fn has_had_its_turn(&self) -> bool {
        self.0.ended.is_cancelled()
    }

    /// Returns what ends the pass in order when it is cancelled.
    pub(super) fn ended(&self) -> CancellationToken {
        self.0.ended.clone()
    }

    /// Waits for the next [`Self::count_again`].
    pub(super) async fn is_to_count_again(&self) {
        self.0.asked.notified().await;
    }

    pub(super) fn begin(&self, waiting: Waiting) {
        *self.lock() = Shown { waiting: Some(waiting), last: Some(Instant::now()), ..Shown::default() };
    }

    /// Adds messages that have come into the spool meanwhile.
    pub(super) fn came(&self, messages: &[Spooled]) {
        let mut shown = self.lock();
        let Some(waiting) = shown.waiting.as_mut() else { return };
        for message in messages {
            waiting.messages = waiting.messages.saturating_add(1);
            waiting.octets = waiting.octets.saturating_add(message.size());
            waiting.oldest = waiting.oldest.into_iter().chain([message.delivered()]).min();
        }
    }

    /// Records that a message has arrived, at a time in seconds since 1970.
    pub(super) fn arrived(&self, message: &Spooled, at: i64) {
        let mut shown = self.lock();
        shown.forwarded = shown.forwarded.saturating_add(1);
        shown.last_forwarded = Some(at);
        shown.took(message);
    }

    /// Records that a message is set aside.
    pub(super) fn set_aside(&self, message: &Spooled, aside: SetAside) {
        let mut shown = self.lock();
        shown.took(message);
        if let Some(waiting) = shown.waiting.as_mut() {
            waiting.add_set_aside(aside);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.0.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shown {
    /// Takes a message out of those that wait.
    fn took(&mut self, message: &Spooled) {
        self.last = Some(Instant::now());
        let Some(waiting) = self.waiting.as_mut() else { return };
        waiting.messages = waiting.messages.saturating_sub(1);
        waiting.octets = waiting.octets.saturating_sub(message.size());
        // The oldest go first.
        let oldest = waiting.oldest.max(Some(message.delivered()));
        waiting.oldest = oldest.filter(|_| waiting.messages > 0);
    }
}
