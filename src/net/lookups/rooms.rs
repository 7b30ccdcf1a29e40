//! How many lookups are under way, so that those that hang leave room to the others.
//!
//! There are three rooms. One is for names whose last lookup took long; any other lookup that takes long moves there
//! as soon as there is a place. One is for all other names, and one for those of them alone that were found promptly the
//! last time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::past::Expected;

/// How many lookups may be under way, and when one takes long.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Limits {
    /// Of names that were not found promptly the last time, and did not take long; and of those that were.
    pub(in super::super) most: usize,
    /// More of names that were found promptly the last time.
    pub(in super::super) prompt: usize,
    /// Of those that take long, or did the last time.
    pub(in super::super) long: usize,
    /// After how long a lookup takes long. Most resolvers wait as long for the answer of a name server.
    pub(in super::super) after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { most: 80, prompt: 32, long: 240, after: Duration::from_secs(5) }
    }
}

/// The rooms, each with its free places.
#[derive(Debug)]
pub(super) struct Rooms {
    any: Arc<Semaphore>,
    prompt: Arc<Semaphore>,
    long: Arc<Semaphore>,
    /// After how long a lookup takes long.
    pub(super) after: Duration,
}

/// A lookup's place in a room.
#[derive(Debug)]
pub(super) struct Slot {
    /// Given back when this is dropped.
    _permit: OwnedSemaphorePermit,
    /// Whether it is for those that take long.
    is_long: bool,
}

impl Rooms {
    pub(super) fn new(limits: Limits) -> Self {
        let [any, prompt, long] = [limits.most, limits.prompt, limits.long].map(|most| Arc::new(Semaphore::new(most)));
        Self { any, prompt, long, after: limits.after }
    }

    /// Waits until then for a place.
    pub(super) async fn enter(&self, expected: Expected, until: Instant) -> Option<Slot> {
        let (any, prompt) = (Arc::clone(&self.any).acquire_owned(), Arc::clone(&self.prompt).acquire_owned());
        let permit = async {
            match expected {
                Expected::Long => Arc::clone(&self.long).acquire_owned().await,
                Expected::Unknown => any.await,
                Expected::Prompt => tokio::select! {
                    biased;
                    permit = any => permit,
                    permit = prompt => permit,
                },
            }
        };
        let permit = timeout_at(until, permit).await.ok()?.ok()?;
        Some(Slot { _permit: permit, is_long: expected == Expected::Long })
    }

    /// Waits for a lookup, and gives back its place. Returns what it found and whether it took long.
    pub(super) async fn follow<T>(&self, slot: Slot, look_up: impl Future<Output = T>) -> (T, bool) {
        let mut look_up = std::pin::pin!(look_up);
        if let Ok(found) = timeout(self.after, &mut look_up).await {
            return (found, false);
        }
        if slot.is_long {
            return (look_up.await, true);
        }
        tokio::select! {
            biased;
            found = &mut look_up => (found, true),
            _permit = Arc::clone(&self.long).acquire_owned() => {
                drop(slot);
                (look_up.await, true)
            }
        }
    }
}
