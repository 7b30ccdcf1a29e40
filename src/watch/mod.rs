//! Shows how long a running poll has been waiting for a disk, and tells it when to give way. The poll reports the one
//! and obeys the other without knowing the observer, and works without one just as well.

pub(crate) mod conduct;
pub(crate) mod hang;
pub(crate) mod judge;
pub(crate) mod places;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::threads;
use places::{Line, Places};

tokio::task_local! {
    static WATCH: Arc<Watch>;
}

/// A poll as seen by an observer.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Whether it is to give way to others soon.
    give_way: AtomicBool,
    /// Whether its session is to end as too slow.
    cut_short: AtomicBool,
    /// Whether it waits for memory, of each kind.
    waits_for: [AtomicBool; 2],
    /// Whether it has memory that others may wait for, of each kind.
    holds: [AtomicBool; 2],
    /// How often in a row its account was too slow before, if that becomes known only in its task.
    times_too_slow: AtomicU32,
    /// Set if it was stopped because it made no progress while others waited.
    stopped_with: OnceLock<TooSlow>,
    /// How many useful octets have arrived, of listings, headers and messages.
    octets: AtomicU64,
    /// How many of them were of listings and headers.
    listed: AtomicU64,
    /// How many answers about single messages are complete: the messages themselves, headers, unique-ids and sizes.
    answers: AtomicU64,
    /// Gives the poll its places. None: it needs none.
    places: Option<Arc<dyn Places>>,
    /// Cancelled when the poll's credential is not to be waited for any longer.
    wait_is_over: CancellationToken,
    /// Gives back what others need if the poll hangs.
    on_hang: OnHang,
    /// The blocking work in progress.
    blocking: Mutex<Outstanding>,
    /// Notified when none is left.
    idle: Notify,
}

/// Why a poll was stopped for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooSlow {
    /// How many useful octets arrived.
    pub(crate) octets: u64,
    /// In which time.
    pub(crate) time: Duration,
}

/// Resources of a poll that others need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Needed {
    /// Memory for its state.
    State,
    /// Memory for the server's listing.
    Listing,
}

impl Needed {
    /// All kinds.
    pub(crate) const ALL: [Self; 2] = [Self::State, Self::Listing];

    fn of<T>(self, each: &[T; 2]) -> &T {
        let [state, listing] = each;
        match self {
            Self::State => state,
            Self::Listing => listing,
        }
    }
}

/// What to do if a poll hangs.
#[derive(Default)]
struct OnHang(Mutex<BTreeMap<Needed, Box<dyn Fn() + Send>>>);

impl std::fmt::Debug for OnHang {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnHang")
    }
}

impl OnHang {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Needed, Box<dyn Fn() + Send>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Work in progress on other threads.
#[derive(Debug, Default)]
struct Outstanding {
    /// When each piece of work began, by number.
    begun: BTreeMap<u64, Instant>,
    /// The next number.
    number: u64,
}

impl Watch {
    /// Watches a poll that gets its places from here.
    pub(crate) fn with(places: Arc<dyn Places>) -> Self {
        Self { places: Some(places), ..Self::default() }
    }

    /// Returns since when the poll has been waiting for its oldest piece of blocking work; None if there is none.
    #[must_use]
    pub(crate) fn waiting_for_disk(&self) -> Option<Instant> {
        self.lock().begun.first_key_value().map(|(_, begun)| *begun)
    }

    /// Whether the poll waits for this.
    #[must_use]
    pub(crate) fn waits_for(&self, needed: Needed) -> bool {
        needed.of(&self.waits_for).load(Ordering::Relaxed)
    }

    /// Whether the poll has so much of this that others may wait for it.
    #[must_use]
    pub(crate) fn holds(&self, needed: Needed) -> bool {
        needed.of(&self.holds).load(Ordering::Relaxed)
    }

    /// Returns how many useful octets have arrived so far, of listings, headers and messages.
    #[must_use]
    pub(crate) fn octets(&self) -> u64 {
        self.octets.load(Ordering::Relaxed)
    }

    /// Returns how many of those were of listings and headers.
    #[must_use]
    pub(crate) fn listed(&self) -> u64 {
        self.listed.load(Ordering::Relaxed)
    }

    /// Returns how many answers about single messages are complete so far: the messages themselves, headers, unique-ids
    /// and sizes.
    #[must_use]
    pub(crate) fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// Gives back what others need, because the poll hangs.
    pub(crate) fn hangs(&self) {
        self.on_hang.lock().values().for_each(|give_back| give_back());
    }

    /// Asks the poll to give way to others: it begins nothing new, finishes what is in progress, and ends in order.
    pub(crate) fn ask_to_give_way(&self) {
        self.give_way.store(true, Ordering::Relaxed);
    }

    /// Ends the poll's session as too slow for others that wait.
    pub(crate) fn cut_short(&self) {
        self.cut_short.store(true, Ordering::Relaxed);
    }

    /// Records that the poll is stopped because it made no progress: so many useful octets came in this time.
    pub(crate) fn end_as_too_slow(&self, octets: u64, time: Duration) {
        // It is stopped once.
        let _ = self.stopped_with.set(TooSlow { octets, time });
    }

    /// Returns why the poll was stopped for others, if it was.
    #[must_use]
    pub(crate) fn stopped_with(&self) -> Option<TooSlow> {
        self.stopped_with.get().copied()
    }

    /// Returns how often in a row the account was too slow before, as far as the poll's task has said.
    #[must_use]
    pub(crate) fn times_too_slow(&self) -> u32 {
        self.times_too_slow.load(Ordering::Relaxed)
    }

    /// Tells the poll not to wait for its credential any longer.
    pub(crate) fn end_wait(&self) {
        self.wait_is_over.cancel();
    }

    /// Waits until no work is left on other threads. Work may outlive the poll that started it.
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

/// Runs a poll under this watch.
pub(crate) async fn watched<T>(watch: Arc<Watch>, poll: impl Future<Output = T>) -> T {
    WATCH.scope(watch, poll).await
}

/// Whether the current poll is to give way to others soon.
#[must_use]
pub(crate) fn is_to_give_way() -> bool {
    WATCH.try_with(|watch| watch.give_way.load(Ordering::Relaxed)).unwrap_or(false)
}

/// Whether the current poll's session is to end as too slow.
#[must_use]
pub(crate) fn is_cut_short() -> bool {
    WATCH.try_with(|watch| watch.cut_short.load(Ordering::Relaxed)).unwrap_or(false)
}

/// Returns why the current poll was stopped for others, if it was.
#[must_use]
pub(crate) fn stopped_with() -> Option<TooSlow> {
    WATCH.try_with(|watch| watch.stopped_with()).ok().flatten()
}

/// Tells the observer how often in a row the account of the current poll was too slow before.
pub(crate) fn was_too_slow(times: u32) {
    let _ = WATCH.try_with(|watch| watch.times_too_slow.fetch_max(times, Ordering::Relaxed));
}

/// Whether others wait for something that the current poll holds. Waits for a place at another server, or for memory
/// that this poll does not hold, do not count.
#[must_use]
pub(crate) fn is_in_the_way() -> bool {
    let has_it = |watch: &Arc<Watch>| {
        watch.places.as_ref().is_some_and(|places| places.are_waited_for())
            || Needed::ALL.into_iter().any(|needed| watch.holds(needed) && !Line::of(needed).is_empty())
    };
    WATCH.try_with(has_it).unwrap_or(false)
}

/// Obtains the current poll's credential. Its places are given back meanwhile, since it needs none. None if the
/// credential is not to be waited for any longer.
pub(crate) async fn without_places<T>(obtaining: impl Future<Output = T>) -> Option<T> {
    let Ok(watch) = WATCH.try_with(Arc::clone) else { return Some(obtaining.await) };
    if let Some(places) = &watch.places {
        places.give_back();
    }
    tokio::select! {
        biased;
        obtained = obtaining => Some(obtained),
        () = watch.wait_is_over.cancelled() => None,
    }
}

/// Waits for the places of the current poll.
pub(crate) async fn have_places() {
    if let Some(places) = WATCH.try_with(|watch| watch.places.clone()).ok().flatten() {
        places.wait().await;
    }
}

/// Sets how the current poll gives back what others need, if it hangs.
pub(crate) fn on_hang(what: Needed, give_back: impl Fn() + Send + 'static) {
    let _ = WATCH.try_with(|watch| watch.on_hang.lock().insert(what, Box::new(give_back)));
}

/// Sets whether the current poll has so much of this that others may wait for it.
pub(crate) fn has(needed: Needed, holds: bool) {
    let _ = WATCH.try_with(|watch| needed.of(&watch.holds).store(holds, Ordering::Relaxed));
}

/// Records that octets of a listing or a header have arrived that are of use, which is progress as much as octets of a
/// message.
pub(crate) fn has_listed(octets: usize) {
    let octets = u64::try_from(octets).unwrap_or(u64::MAX);
    let _ = WATCH.try_with(|watch| watch.listed.fetch_add(octets, Ordering::Relaxed));
    has_received(octets);
}

/// Records that octets of a message have arrived that are of use.
pub(crate) fn has_received(octets: u64) {
    let _ = WATCH.try_with(|watch| watch.octets.fetch_add(octets, Ordering::Relaxed));
}

/// Records that a message is complete, or that a question about a single message has been answered completely: without
/// PIPELINING, each takes a round trip, however short the answer is.
pub(crate) fn has_answered() {
    let _ = WATCH.try_with(|watch| watch.answers.fetch_add(1, Ordering::Relaxed));
}

/// Waits for this, visibly to an observer, as the poll can do nothing else. Polls that hold some are in the way
/// meanwhile.
pub(crate) async fn waiting_for<T>(needed: Needed, room: impl Future<Output = T>) -> T {
    let _waits = Line::of(needed).wait();
    let set = |waits: bool| _ = WATCH.try_with(|watch| needed.of(&watch.waits_for).store(waits, Ordering::Relaxed));
    set(true);
    let taken = room.await;
    set(false);
    taken
}

/// Begins blocking work like [`threads::blocking`], visibly to an observer.
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

/// Marks the current poll as waiting for a disk until the result is dropped. For waits behind others that use the disk.
#[must_use]
pub(crate) fn waits_for_disk() -> impl Sized + Send {
    WATCH.try_with(Seen::begin).ok()
}

/// Spawns a task under the watch of the current poll. The task goes on even if nobody waits for it.
pub(crate) fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    match WATCH.try_with(Arc::clone) {
        Ok(watch) => tokio::spawn(watched(watch, task)),
        Err(_) => tokio::spawn(task),
    }
}

/// Work that is visible to an observer until this is dropped.
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
    use std::pin::Pin;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// Places that are given as soon as they are requested.
    #[derive(Debug, Default)]
    struct Given {
        waited_for: bool,
        has: AtomicBool,
    }

    impl Places for Given {
        fn give_back(&self) {
            self.has.store(false, Ordering::Relaxed);
        }

        fn are_waited_for(&self) -> bool {
            self.waited_for
        }

        fn wait(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
            Box::pin(async { self.has.store(true, Ordering::Relaxed) })
        }
    }

    #[tokio::test]
    async fn what_a_poll_logs_in_with_is_had_without_a_place_and_not_waited_for_without_end() {
        let places = Arc::new(Given { has: AtomicBool::new(true), ..Given::default() });
        let watch = Arc::new(Watch::with(Arc::clone(&places) as Arc<dyn Places>));
        let has_place = || places.has.load(Ordering::Relaxed);
        watched(Arc::clone(&watch), async {
            assert_eq!(without_places(async { (!has_place()).then_some(7) }).await, Some(Some(7)));
            assert!(!has_place(), "it may wait for its turn now");
            have_places().await;
            assert!(has_place());
            watch.end_wait();
            assert_eq!(without_places(std::future::pending::<()>()).await, None);
            assert!(!has_place());
        })
        .await;
        have_places().await;
        assert_eq!(without_places(async { 7 }).await, Some(7), "nobody needs to watch");
    }

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
    async fn what_a_task_of_a_poll_waits_for_is_seen() {
        let watch = Arc::new(Watch::default());
        let (release, released) = mpsc::channel::<()>();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let task = async move {
            let work = blocking(move || released.recv());
            begun.send(()).unwrap();
            work.await
        };
        let [task] = watched(Arc::clone(&watch), async { [spawn(task)] }).await;
        has_begun.await.unwrap();
        assert!(watch.waiting_for_disk().is_some());
        drop(release);
        assert!(task.await.unwrap().is_ok());
        assert_eq!(watch.waiting_for_disk(), None);
        assert_eq!(spawn(async { 7 }).await.unwrap(), 7, "nobody needs to watch");
    }

    #[tokio::test]
    async fn what_arrives_is_counted_by_whom_it_is_for() {
        let watch = Arc::new(Watch::default());
        watched(Arc::clone(&watch), async {
            has_listed(30);
            has_answered();
            has_received(1000);
            has_received(24);
            has_answered();
        })
        .await;
        has_received(7);
        assert_eq!((watch.octets(), watch.answers()), (1054, 2));
    }

    #[tokio::test]
    async fn what_hangs_gives_back_all_that_others_need() {
        let watch = Arc::new(Watch::default());
        watch.hangs();
        let given_back: Arc<Mutex<Vec<Needed>>> = Arc::default();
        let needed = [Needed::State, Needed::Listing];
        watched(Arc::clone(&watch), async {
            for what in needed {
                let noted = Arc::clone(&given_back);
                on_hang(what, move || noted.lock().unwrap().push(what));
            }
        })
        .await;
        assert!(given_back.lock().unwrap().is_empty());
        watch.hangs();
        assert_eq!(*given_back.lock().unwrap(), needed);
    }

    #[tokio::test]
    async fn who_watches_sees_who_waits_for_room_and_who_has_it() {
        let (waiting, holding) = (Arc::new(Watch::default()), Arc::new(Watch::default()));
        watched(Arc::clone(&waiting), async {
            let seen = async { assert!(waiting.waits_for(Needed::State) && !waiting.holds(Needed::State)) };
            waiting_for(Needed::State, seen).await;
        })
        .await;
        watched(Arc::clone(&holding), async { has(Needed::State, true) }).await;
        assert!(!waiting.waits_for(Needed::State) && holding.holds(Needed::State));
        assert!(!holding.holds(Needed::Listing), "that is another kind");
        watched(Arc::clone(&holding), async { has(Needed::State, false) }).await;
        assert!(!holding.holds(Needed::State));
    }

    #[tokio::test]
    async fn only_who_has_what_others_wait_for_is_in_the_way() {
        let with = |waited_for| Arc::new(Watch::with(Arc::new(Given { waited_for, ..Given::default() })));
        assert!(watched(with(true), async { is_in_the_way() }).await);
        assert!(!watched(with(false), async { is_in_the_way() }).await);
        waiting_for(Needed::State, async {
            watched(with(false), async {
                assert!(!is_in_the_way());
                has(Needed::State, true);
                assert!(is_in_the_way());
            })
            .await;
        })
        .await;
    }

    #[tokio::test]
    async fn a_panic_ends_work_and_nobody_needs_to_watch() {
        let watch = Arc::new(Watch::default());
        let odd = async { blocking(|| panic!("odd")).await };
        assert!(watched(Arc::clone(&watch), odd).await.is_err());
        assert_eq!(watch.waiting_for_disk(), None);
        assert_eq!(blocking(|| 7).await.unwrap(), 7);
        assert!(!is_to_give_way());
        watch.ask_to_give_way();
        watched(Arc::clone(&watch), async { assert!(is_to_give_way()) }).await;
    }
}
