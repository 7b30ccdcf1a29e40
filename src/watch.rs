//! What can be seen of a poll while it runs: how long it has been waiting for a disk, and how much of use has come. The
//! poll says it without knowing who looks; whoever runs it by itself loses nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
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
    /// What the poll is doing.
    phase: AtomicU8,
    /// How many octets of messages came.
    useful: AtomicU64,
    /// How many messages are to be delivered in all, as far as is known.
    planned: AtomicU64,
    /// How many octets of messages are to come in all, as far as is known; 0 if that is not known.
    planned_octets: AtomicU64,
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

/// What a poll is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It has just begun.
    #[default]
    Begun,
    /// It waits for a password or a token; a program of the user's may be asking for it.
    Credential,
    /// It connects and logs in.
    Connecting,
    /// It finds out what is there, and what of it is new.
    Listing,
    /// It retrieves.
    Retrieving,
    /// It ends the session.
    Ending,
}

impl Phase {
    const ALL: [Self; 6] =
        [Self::Begun, Self::Credential, Self::Connecting, Self::Listing, Self::Retrieving, Self::Ending];
}

/// What can be seen of a poll at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// What it is doing.
    pub(crate) phase: Phase,
    /// How many messages are to be delivered in all, as far as is known.
    pub(crate) planned: u64,
    /// How many octets are to come in all; None if that is not known.
    pub(crate) planned_octets: Option<u64>,
    /// How many messages were delivered.
    pub(crate) delivered: u64,
    /// How many octets of messages came.
    pub(crate) octets: u64,
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

    /// What can be seen of it now.
    #[must_use]
    pub(crate) fn snapshot(&self) -> Snapshot {
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let phase = usize::from(self.phase.load(Ordering::Relaxed));
        Snapshot {
            phase: Phase::ALL.get(phase).copied().unwrap_or_default(),
            planned: load(&self.planned),
            planned_octets: Some(load(&self.planned_octets)).filter(|octets| *octets > 0),
            delivered: load(&self.delivered),
            octets: load(&self.useful),
        }
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

/// The poll does something else.
pub(crate) fn note_phase(phase: Phase) {
    let number = Phase::ALL.iter().position(|it| *it == phase).and_then(|number| u8::try_from(number).ok());
    let _ = WATCH.try_with(|watch| watch.phase.store(number.unwrap_or(0), Ordering::Relaxed));
}

/// So many messages are to be retrieved in this session, and their octets, if those are known. What other sessions of the
/// poll brought counts besides.
pub(crate) fn note_planned(messages: u64, octets: Option<u64>) {
    let _ = WATCH.try_with(|watch| {
        let all = watch.delivered.load(Ordering::Relaxed).saturating_add(messages);
        watch.planned.store(all, Ordering::Relaxed);
        let octets = octets.map_or(0, |octets| watch.useful.load(Ordering::Relaxed).saturating_add(octets));
        watch.planned_octets.store(octets, Ordering::Relaxed);
    });
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

    #[tokio::test]
    async fn what_is_planned_counts_beside_what_came_in_earlier_sessions() {
        let watch = Arc::new(Watch::default());
        assert_eq!(watch.snapshot(), Snapshot::default());
        watched(Arc::clone(&watch), async {
            note_phase(Phase::Retrieving);
            note_planned(5, Some(500));
            note_useful(200);
            note_delivered(190);
            note_planned(4, Some(300));
        })
        .await;
        let (phase, planned_octets) = (Phase::Retrieving, Some(500));
        let expected = Snapshot { phase, planned: 5, planned_octets, delivered: 1, octets: 200 };
        assert_eq!(watch.snapshot(), expected);
        for phase in Phase::ALL {
            watched(Arc::clone(&watch), async { note_phase(phase) }).await;
            assert_eq!(watch.snapshot().phase, phase);
        }
    }
}
