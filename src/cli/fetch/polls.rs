//! The polls of a `fetch` that run, each as a task, and who looks at them: what hangs gives others what they need of it, and
//! is not waited for without end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::account::AccountName;
use crate::advice;
use crate::cli::output::stderr_line;
use crate::poll::{PollError, PollReport};
use crate::watch::hang::{Change, HUNG, Hang, MOST_HUNG};
use crate::watch::places::{Line, Waits};
use crate::watch::{Watch, watched};

/// How long disks are waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct HangLimits {
    /// A poll that has waited for so long hangs.
    hung: Duration,
    /// One that has waited for so long is given up: the next run of a timer waits for the end of this one. No disk that
    /// works takes so long for a batch, however slow it is.
    most: Duration,
    /// They are looked at so often.
    pace: Duration,
}

impl Default for HangLimits {
    fn default() -> Self {
        Self { hung: HUNG, most: Duration::from_secs(600), pace: Duration::from_secs(1) }
    }
}

/// The tasks, each with what it ends with.
pub(super) struct Polls<T> {
    tasks: JoinSet<T>,
    running: HashMap<Id, Running>,
    limits: HangLimits,
    begun: Instant,
    /// When they are looked at next.
    look: Instant,
    /// The end was asked for: what hangs is not waited for any more.
    stop: CancellationToken,
}

/// A task for an account.
struct Running {
    account: AccountName,
    watch: Arc<Watch>,
    places: HeldPlaces,
    hang: Hang,
    task: AbortHandle,
    /// It was ended after it had waited for a disk for so long.
    given_up: Option<Duration>,
}

/// How a task ended.
pub(super) enum End<T> {
    /// By itself.
    Done(T),
    /// Its disk did not respond, and nobody waits for it any more.
    GivenUp(Box<PollReport>),
    /// By a panic, which has been printed.
    Panicked,
}

impl<T: Send + 'static> Polls<T> {
    /// None yet.
    pub(super) fn new(limits: HangLimits, stop: CancellationToken) -> Self {
        let (tasks, begun) = (JoinSet::new(), Instant::now());
        Self { tasks, running: HashMap::new(), limits, begun, look: begun + limits.pace, stop }
    }

    /// Begins what is to be done for an account. While that hangs, others get these places.
    pub(super) fn begin(
        &mut self,
        account: AccountName,
        places: HeldPlaces,
        work: impl Future<Output = T> + Send + 'static,
    ) {
        let watch = Arc::new(Watch::at_server(places.at_server.clone()));
        let task = self.tasks.spawn(watched(Arc::clone(&watch), work));
        let hang = Hang::after(self.limits.hung);
        let running = Running { account, watch, places, hang, task: task.clone(), given_up: None };
        self.running.insert(task.id(), running);
    }

    /// The end of the next one. None: all have ended.
    pub(super) async fn next(&mut self) -> Option<End<T>> {
        loop {
            tokio::select! {
                biased;
                () = sleep_until(self.look) => self.look(),
                ended = self.tasks.join_next_with_id() => return ended.map(|ended| self.after(ended)),
            }
        }
    }

    fn after(&mut self, ended: Result<(Id, T), JoinError>) -> End<T> {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let running = self.running.remove(&id);
        if let Some(Running { account, hang, given_up: None, .. }) = &running
            && hang.since().is_some()
        {
            stderr_line(advice::hangs_no_more(account));
        }
        match (ended, running) {
            (Ok((_, done)), _) => End::Done(done),
            (Err(_), Some(Running { account, given_up: Some(waited), .. })) => {
                End::GivenUp(Box::new(PollReport::of_failure(account, PollError::DiskHangs { waited })))
            }
            (Err(_), _) => End::Panicked,
        }
    }

    fn look(&mut self) {
        self.look = Instant::now() + self.limits.pace;
        let now = self.begun.elapsed();
        let mut hung = self.running.values().filter(|running| running.hang.since().is_some()).count();
        for Running { account, watch, places, hang, task, given_up } in self.running.values_mut() {
            let waited = watch.waiting_for_disk().map(|since| since.elapsed());
            match hang.judge(now, waited) {
                Some(Change::Hangs) => {
                    hung += 1;
                    watch.hangs();
                    if hung <= MOST_HUNG {
                        places.give_back();
                    }
                    stderr_line(advice::hangs(account));
                }
                Some(Change::HangsNoMore) => stderr_line(advice::hangs_no_more(account)),
                None => {}
            }
            let is_enough = |waited: &Duration| self.stop.is_cancelled() || *waited >= self.limits.most;
            if let Some(waited) = waited.filter(|waited| hang.since().is_some() && is_enough(waited)) {
                // What blocks goes on behind it, and a kill would leave no less: the next poll finishes it.
                *given_up = Some(waited);
                task.abort();
            }
        }
    }
}

/// The places that a poll has; whoever sees that it hangs gives them back.
#[derive(Debug, Clone, Default)]
pub(super) struct HeldPlaces {
    permits: Arc<Mutex<Vec<OwnedSemaphorePermit>>>,
    /// Those that wait for a place at the same server.
    at_server: Line,
}

impl HeldPlaces {
    /// None yet, at the server of this line.
    pub(super) fn at(server: &Line) -> Self {
        Self { at_server: server.clone(), ..Self::default() }
    }

    /// Has these until what comes out is dropped.
    pub(super) fn hold(&self, permits: impl IntoIterator<Item = OwnedSemaphorePermit>) -> Held<'_> {
        self.lock().extend(permits);
        Held(self)
    }

    /// From here on the poll waits for a place at its server.
    pub(super) fn wait_at_server(&self) -> Waits {
        self.at_server.wait()
    }

    fn give_back(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<OwnedSemaphorePermit>> {
        self.permits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Places, as long as it lives or until they were given back.
pub(super) struct Held<'a>(&'a HeldPlaces);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;

    use tokio::sync::Semaphore;

    use super::*;
    use crate::watch::{Needed, blocking, on_hang};

    const LIMITS: HangLimits =
        HangLimits { hung: Duration::from_millis(50), most: Duration::from_secs(3600), pace: Duration::from_millis(5) };

    fn name(name: &str) -> AccountName {
        AccountName::new(name).unwrap()
    }

    /// A disk that hangs until the sender is dropped or says something.
    fn disk() -> (mpsc::Sender<()>, impl FnOnce() + Send + 'static) {
        let (answer, answered) = mpsc::channel::<()>();
        (answer, move || _ = answered.recv())
    }

    #[tokio::test]
    async fn what_hangs_has_neither_place_nor_room_and_goes_on_when_the_disk_answers() {
        let mut polls = Polls::new(LIMITS, CancellationToken::new());
        let place = Arc::new(Semaphore::new(1));
        let room_is_given_back = Arc::new(AtomicBool::new(false));
        let (answer, hangs) = disk();
        let (places, permit) = (HeldPlaces::default(), Arc::clone(&place).try_acquire_owned().unwrap());
        let (held, noted) = (places.clone(), Arc::clone(&room_is_given_back));
        polls.begin(name("stuck"), places, async move {
            let _held = held.hold([permit]);
            on_hang(Needed::State, move || noted.store(true, Ordering::Relaxed));
            blocking(hangs).await.unwrap();
            "stuck"
        });
        let waits = Arc::clone(&place);
        polls.begin(name("good"), HeldPlaces::default(), async move {
            let _place = waits.acquire().await;
            "good"
        });
        assert!(matches!(polls.next().await, Some(End::Done("good"))), "it has the place of the one that hangs");
        assert!(room_is_given_back.load(Ordering::Relaxed));
        drop(answer);
        assert!(matches!(polls.next().await, Some(End::Done("stuck"))));
        assert!(polls.next().await.is_none());
        assert_eq!(place.available_permits(), 1);
    }

    #[tokio::test]
    async fn what_hangs_for_too_long_or_beyond_the_end_is_not_waited_for() {
        let stop = CancellationToken::new();
        for (most, stops) in [(Duration::from_millis(80), false), (LIMITS.most, true)] {
            let mut polls = Polls::new(HangLimits { most, ..LIMITS }, stop.clone());
            let (answer, hangs) = disk();
            polls.begin(name("stuck"), HeldPlaces::default(), async move { blocking(hangs).await.unwrap() });
            if stops {
                stop.cancel();
            }
            let Some(End::GivenUp(report)) = polls.next().await else { panic!("it was waited for") };
            assert!(matches!(&report.end, Err(PollError::DiskHangs { waited }) if *waited >= LIMITS.hung));
            drop(answer);
        }
    }

    #[tokio::test]
    async fn a_panic_is_the_end_of_one() {
        let mut polls = Polls::new(LIMITS, CancellationToken::new());
        polls.begin(name("odd"), HeldPlaces::default(), async { std::panic::resume_unwind(Box::new("odd")) });
        assert!(matches!(polls.next().await, Some(End::<()>::Panicked)));
    }
}
