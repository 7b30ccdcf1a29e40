//! What can be seen of a poll while it runs: how long it has been waiting for a disk, and how much of use has come. The
//! poll says it without knowing who looks; whoever runs it by itself loses nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::threads;

tokio::task_local! {
    static WATCH: Arc<Watch>;
}

/// A poll, as seen from outside.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// How many octets of messages came.
    useful: AtomicU64,
    /// How many messages were delivered.
    delivered: AtomicU64,
    /// Their octets, as they are stored.
    delivered_octets: AtomicU64,
    /// Somebody else should have its turn soon.
    give_way: AtomicBool,
    /// The work that blocks and has not ended.
    blocking: Mutex<Outstanding>,
    /// Rings when there is none any more.
    idle: Notify,
}

/// Work on other threads.
#[derive(Debug, Default)]
struct Outstanding {
    /// When each piece was given away, by its number.
    begun: BTreeMap<u64, Instant>,
    /// The next number.
    number: u64,
}

impl Watch {
    /// How many octets of messages came so far.
    #[must_use]
    pub(crate) fn useful(&self) -> u64 {
        self.useful.load(Ordering::Relaxed)
    }

    /// How many messages were delivered so far, and their octets.
    #[must_use]
    pub(crate) fn delivered(&self) -> (u64, u64) {
        (self.delivered.load(Ordering::Relaxed), self.delivered_octets.load(Ordering::Relaxed))
    }

    /// Since when the poll has been waiting for the oldest piece of work that blocks; None if it waits for none.
    #[must_use]
    pub(crate) fn waiting_for_disk(&self) -> Option<Instant> {
        self.lock().begun.first_key_value().map(|(_, begun)| *begun)
    }

    /// Asks the poll to let others have their turn: it begins nothing new, finishes what is under way and ends in order.
    pub(crate) fn ask_to_give_way(&self) {
        self.give_way.store(true, Ordering::Relaxed);
    }

    /// Waits until no work is left on other threads. Work may outlive the poll that wanted it.
    pub(crate) async fn idle(&self) {
        loop {
            let ended = self.idle.notified();
            if self.waiting_for_disk().is_none() {
                return;
            }
            ended.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Outstanding> {
        self.blocking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a poll under watch.
pub(crate) async fn watched<T>(watch: Arc<Watch>, poll: impl Future<Output = T>) -> T {
    WATCH.scope(watch, poll).await
}

/// Some octets of a message came.
pub(crate) fn note_useful(octets: usize) {
    let octets = u64::try_from(octets).unwrap_or(u64::MAX);
    let _ = WATCH.try_with(|watch| watch.useful.fetch_add(octets, Ordering::Relaxed));
}

/// A message of so many octets was delivered.
pub(crate) fn note_delivered(octets: u64) {
    let _ = WATCH.try_with(|watch| {
        watch.delivered.fetch_add(1, Ordering::Relaxed);
        watch.delivered_octets.fetch_add(octets, Ordering::Relaxed);
    });
}

/// Whether somebody else should have its turn soon.
#[must_use]
pub(crate) fn is_to_give_way() -> bool {
    WATCH.try_with(|watch| watch.give_way.load(Ordering::Relaxed)).unwrap_or(false)
}

/// Begins work that blocks as [`threads::blocking`] does; who watches the poll sees how long it takes.
pub(crate) fn blocking<R, F>(work: F) -> threads::Blocking<R>
where
    R: Send + 'static,
    F: FnOnce() -> R + Send + 'static,
{
    let seen = WATCH.try_with(Seen::begin).ok();
    threads::blocking(move || {
        let result = work();
        drop(seen);
        result
    })
}

/// Work that is seen until this is dropped.
struct Seen {
    watch: Arc<Watch>,
    number: u64,
}

impl Seen {
    fn begin(watch: &Arc<Watch>) -> Self {
        let mut blocking = watch.lock();
        let number = blocking.number;
        blocking.number += 1;
        blocking.begun.insert(number, Instant::now());
        Self { watch: Arc::clone(watch), number }
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        let mut blocking = self.watch.lock();
        blocking.begun.remove(&self.number);
        if blocking.begun.is_empty() {
            self.watch.idle.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn work_is_seen_until_it_ends_even_if_nobody_waits_for_it() {
        let watch = Arc::new(Watch::default());
        let (release, released) = mpsc::channel::<()>();
        watched(Arc::clone(&watch), async { drop(blocking(move || released.recv())) }).await;
        assert!(watch.waiting_for_disk().is_some());
        let idle = tokio::time::timeout(Duration::from_millis(20), watch.idle()).await;
        assert!(idle.is_err(), "it has not ended");
        release.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(20), watch.idle()).await.unwrap();
        assert_eq!(watch.waiting_for_disk(), None);
    }

    #[tokio::test]
    async fn a_panic_ends_work_and_nobody_needs_to_watch() {
        let watch = Arc::new(Watch::default());
        let odd = async { blocking(|| panic!("odd")).await };
        assert!(watched(Arc::clone(&watch), odd).await.is_err());
        assert_eq!(watch.waiting_for_disk(), None);
        assert_eq!(blocking(|| 7).await.unwrap(), 7);
        note_useful(5);
        assert!(!is_to_give_way());
        watch.ask_to_give_way();
        watched(Arc::clone(&watch), async {
            note_useful(7);
            assert!(is_to_give_way());
        })
        .await;
        assert_eq!((watch.useful(), watch.delivered()), (7, (0, 0)));
        watched(Arc::clone(&watch), async { note_delivered(12) }).await;
        assert_eq!(watch.delivered(), (1, 12));
    }
}
