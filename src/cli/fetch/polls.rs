//! The running polls of a `fetch`, each a task, and the watch over them: they are judged as those of the daemon are. A
//! poll that hangs is abandoned in the end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::places::Seat;
use crate::account::AccountName;
use crate::advice;
use crate::cli::output::stderr_line;
use crate::poll::{PollError, PollReport};
use crate::subprocess::has_terminal;
use crate::watch::conduct::{Conduct, Verdict};
use crate::watch::hang::HUNG;
use crate::watch::judge::Wanted;
use crate::watch::places::Places;
use crate::watch::{Watch, watched};

/// How long to wait for disks.
#[derive(Debug, Clone, Copy)]
pub(super) struct HangLimits {
    /// A poll hangs after waiting this long.
    hung: Duration,
    /// A poll is abandoned after waiting this long, as the next run of a timer waits for the end of this one. However
    /// slow, a working disk does not take this long for a batch.
    most: Duration,
    /// How often the polls are checked.
    pace: Duration,
}

impl Default for HangLimits {
    fn default() -> Self {
        Self { hung: HUNG, most: Duration::from_secs(600), pace: Duration::from_secs(1) }
    }
}

/// The tasks and their results.
pub(super) struct Polls<T> {
    tasks: JoinSet<T>,
    running: HashMap<Id, Running>,
    limits: HangLimits,
    begun: Instant,
    /// Since when polls have waited for memory, since `begun`.
    wanted: Wanted,
    /// When the polls are checked next.
    look: Instant,
    /// Cancelled when the run is to end: then polls that hang are abandoned.
    stop: CancellationToken,
    /// Whether a credential command may ask for a passphrase at the terminal. It then has as long as it needs, and no
    /// other one asks meanwhile.
    somebody_may_type: bool,
}

/// The task of an account.
struct Running {
    account: AccountName,
    watch: Arc<Watch>,
    seat: Seat,
    conduct: Conduct,
    task: AbortHandle,
    /// Stops the poll, but not what follows it.
    stop: CancellationToken,
    /// How long it had waited for a disk when it was abandoned.
    given_up: Option<Duration>,
}

/// How a task ended.
pub(super) enum End<T> {
    /// By itself.
    Done(T),
    /// Its disk did not respond, so it was abandoned.
    GivenUp(Box<PollReport>),
    /// By a panic, which has been printed.
    Panicked,
}

impl<T: Send + 'static> Polls<T> {
    /// Creates an empty set.
    pub(super) fn new(limits: HangLimits, stop: CancellationToken) -> Self {
        let (tasks, running, begun) = (JoinSet::new(), HashMap::new(), Instant::now());
        let (look, wanted) = (begun + limits.pace, Wanted::default());
        Self { tasks, running, limits, begun, wanted, look, stop, somebody_may_type: has_terminal() }
    }

    /// Starts the work on an account. If it hangs or is too slow for those that wait, its places go to others; `stop` is
    /// then what stops its poll.
    pub(super) fn begin(
        &mut self,
        account: AccountName,
        seat: Seat,
        stop: CancellationToken,
        work: impl Future<Output = T> + Send + 'static,
    ) {
        let watch = Arc::new(Watch::with(Arc::new(seat.clone()) as Arc<dyn Places>));
        let task = self.tasks.spawn(watched(Arc::clone(&watch), work));
        let conduct = Conduct::new(seat.now(), 0).with_limit_on_disks(self.limits.hung);
        let running = Running { account, watch, seat, conduct, task: task.clone(), stop, given_up: None };
        self.running.insert(task.id(), running);
    }

    /// Waits for the next task to end. None when all have ended.
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
        if let Some(Running { account, conduct, given_up: None, .. }) = &running
            && conduct.hung().is_some()
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
        let hung = self.running.values().filter(|running| running.conduct.hung().is_some()).count();
        self.wanted.look(self.running.values().map(|running| &*running.watch), self.begun.elapsed());
        for Running { account, watch, seat, conduct, task, stop, given_up } in self.running.values_mut() {
            if !self.somebody_may_type && seat.has_waited_enough() {
                watch.end_wait();
            }
            let waited = watch.waiting_for_disk().map(|since| since.elapsed());
            match seat.judge(watch, conduct, self.wanted, hung) {
                Verdict::GoOn | Verdict::StandAside | Verdict::GiveWay | Verdict::CutShort => {}
                Verdict::End => stop.cancel(),
                Verdict::Hangs => stderr_line(advice::hangs(account)),
                Verdict::HangsNoMore => stderr_line(advice::hangs_no_more(account)),
            }
            let is_enough = |waited: &Duration| self.stop.is_cancelled() || *waited >= self.limits.most;
            if let Some(waited) = waited.filter(|waited| conduct.hung().is_some() && is_enough(waited)) {
                // A blocking call continues in its thread. This leaves no more behind than a kill would, and the next
                // poll finishes it.
                *given_up = Some(waited);
                task.abort();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;

    use super::*;
    use crate::cli::fetch::places::PlaceGiver;
    use crate::schedule::queue::Limits;
    use crate::watch::{Needed, blocking, on_hang};

    const LIMITS: HangLimits =
        HangLimits { hung: Duration::from_millis(50), most: Duration::from_secs(3600), pace: Duration::from_millis(5) };

    fn name(name: &str) -> AccountName {
        AccountName::new(name).unwrap()
    }

    /// Returns a giver with one place, for one account at a time.
    fn one_place() -> Arc<PlaceGiver> {
        let one = 1.try_into().unwrap();
        PlaceGiver::new(Limits { concurrency: one, per_host: one })
    }

    /// Returns the seat where an account waits for it.
    fn seat(account: &str, giver: &Arc<PlaceGiver>) -> Seat {
        Seat::at("pop.example.org", name(account), false, giver)
    }

    /// Returns a disk that hangs until the sender is dropped or sends.
    fn disk() -> (mpsc::Sender<()>, impl FnOnce() + Send + 'static) {
        let (answer, answered) = mpsc::channel::<()>();
        (answer, move || _ = answered.recv())
    }

    #[tokio::test]
    async fn what_hangs_has_neither_place_nor_room_and_goes_on_when_the_disk_answers() {
        let mut polls = Polls::new(LIMITS, CancellationToken::new());
        let place = one_place();
        let room_is_given_back = Arc::new(AtomicBool::new(false));
        let (answer, hangs) = disk();
        let (stuck, noted) = (seat("stuck", &place), Arc::clone(&room_is_given_back));
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        polls.begin(name("stuck"), stuck.clone(), CancellationToken::new(), async move {
            let _taken = stuck.take().await;
            begun.send(()).unwrap();
            on_hang(Needed::State, move || noted.store(true, Ordering::Relaxed));
            blocking(hangs).await.unwrap();
            "stuck"
        });
        has_begun.await.unwrap();
        let good = seat("good", &place);
        polls.begin(name("good"), good.clone(), CancellationToken::new(), async move {
            let _taken = good.take().await;
            "good"
        });
        assert!(matches!(polls.next().await, Some(End::Done("good"))), "it has the place of the one that hangs");
        assert!(room_is_given_back.load(Ordering::Relaxed));
        drop(answer);
        assert!(matches!(polls.next().await, Some(End::Done("stuck"))));
        assert!(polls.next().await.is_none());
        let later = seat("later", &place);
        tokio::time::timeout(Duration::from_secs(20), later.take()).await.unwrap();
    }

    #[tokio::test]
    async fn what_hangs_for_too_long_or_beyond_the_end_is_not_waited_for() {
        let stop = CancellationToken::new();
        for (most, stops) in [(Duration::from_millis(80), false), (LIMITS.most, true)] {
            let mut polls = Polls::new(HangLimits { most, ..LIMITS }, stop.clone());
            let (answer, hangs) = disk();
            polls.begin(name("stuck"), seat("stuck", &one_place()), CancellationToken::new(), async move {
                blocking(hangs).await.unwrap();
            });
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
        polls.begin(name("odd"), seat("odd", &one_place()), CancellationToken::new(), async {
            std::panic::resume_unwind(Box::new("odd"))
        });
        assert!(matches!(polls.next().await, Some(End::<()>::Panicked)));
    }
}
