//! The running polls, each a task, and what is done for an account when its poll has ended.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, info, warn};

use crate::account::{Account, AccountName, CredentialSource};
use crate::account_history::History;
use crate::advice;
use crate::control::status::Came;
use crate::credential::looks::turn_at;
use crate::oauth::store;
use crate::poll::events::{Observer, Observers};
use crate::poll::progress::Progress;
use crate::poll::{PollContext, PollOptions, PollReport, poll};
use crate::schedule::queue::Queue;
use crate::state::hints::keep_outcome;
use crate::state::saved::{Files, Saved};
use crate::threads::NotDone;
use crate::watch::conduct::{Conduct, Verdict};
use crate::watch::judge::{Judge, Wanted};
use crate::watch::places::Places;
use crate::watch::{Watch, blocking, watched};

/// All running tasks of accounts.
pub(super) struct Polls {
    /// Where they run: in a runtime of their own, so that what hangs there does not block the supervisor.
    runtime: Handle,
    tasks: JoinSet<Done>,
    running: HashMap<Id, Running>,
    /// The current task of each account.
    tasks_of: HashMap<AccountName, Id>,
    /// Tells all polls to stop.
    stop: CancellationToken,
    /// What polls request about their places.
    sender: mpsc::UnboundedSender<PlaceRequest>,
    requests: mpsc::UnboundedReceiver<PlaceRequest>,
    /// Since when polls have waited for memory, since boot.
    wanted: Wanted,
}

/// A request of a poll about its places.
#[derive(Debug)]
pub(super) struct PlaceRequest {
    account: AccountName,
    /// Whether it needs them from now on, or not for now.
    needs: bool,
}

/// A poll's view of its places.
#[derive(Debug)]
struct Seat {
    account: AccountName,
    sender: mpsc::UnboundedSender<PlaceRequest>,
    /// Notified when it gets its places.
    given: Notify,
}

impl Seat {
    fn say(&self, needs: bool) {
        // The supervisor may have ended.
        let _ = self.sender.send(PlaceRequest { account: self.account.clone(), needs });
    }
}

impl Places for Seat {
    fn give_back(&self) {
        self.say(false);
    }

    fn are_waited_for(&self) -> bool {
        false
    }

    fn wait(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.say(true);
        Box::pin(self.given.notified())
    }
}

/// A task for an account.
struct Running {
    account: AccountName,
    conduct: Conduct,
    watch: Arc<Watch>,
    /// None: it only saves something.
    seat: Option<Arc<Seat>>,
    /// What it has done so far, to be shown. Nothing is decided by it.
    progress: Arc<Progress>,
    stop: CancellationToken,
    /// If set, the task is awaited, and then the account is due at this time, since boot.
    due: Option<Duration>,
}

/// What a task did.
enum Done {
    /// It polled the account.
    Polled {
        report: Box<PollReport>,
        /// The stamp of the password file before the poll.
        password: String,
    },
    /// It saved the account's state.
    AccountState,
}

/// What a task reports.
pub(super) enum TaskReport {
    /// A poll requests or returns its places.
    Places(PlaceRequest),
    /// A task has ended.
    Ended(Ended),
}

/// A task that has ended, or panicked.
pub(super) struct Ended(Result<(Id, Done), JoinError>);

/// What to do after a task has ended.
pub(super) enum After {
    /// Nothing: it is not awaited.
    Nothing,
    /// Handle the poll of the account.
    Polled(Box<Polled>),
    /// The work after a poll is done, and the account is due at this time, since boot.
    Rests(AccountName, Duration),
}

/// A poll that has ended.
pub(super) struct Polled {
    pub(super) account: AccountName,
    /// When it had begun, since boot.
    pub(super) begun: Duration,
    pub(super) report: PollReport,
    /// The stamp of the password file before the poll.
    pub(super) password: String,
    /// Used for what follows the poll.
    watch: Arc<Watch>,
    conduct: Conduct,
}

impl Polls {
    /// Starts without tasks, in this runtime.
    pub(super) fn new(runtime: Handle) -> Self {
        let (tasks, stop, (sender, requests)) = (JoinSet::new(), CancellationToken::new(), mpsc::unbounded_channel());
        Self {
            runtime,
            tasks,
            running: HashMap::new(),
            tasks_of: HashMap::new(),
            stop,
            sender,
            requests,
            wanted: Wanted::default(),
        }
    }

    /// Returns the runtime for polls.
    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Returns how many tasks there are.
    pub(super) fn count(&self) -> usize {
        self.running.len()
    }

    /// Starts to poll an account; `has_delivered` says that mail was delivered to it before, `times_too_slow` how
    /// often in a row that was too slow.
    pub(super) fn begin(
        &mut self,
        context: &Arc<PollContext>,
        account: &Arc<Account>,
        has_delivered: bool,
        times_too_slow: u32,
        now: Duration,
    ) {
        // At the highest level, so that every line of the log names its account.
        let span = tracing::error_span!("poll", account = %account.name, host = %account.endpoint.host);
        let (name, sender) = (account.name.clone(), self.sender.clone());
        let seat = Arc::new(Seat { account: name.clone(), sender, given: Notify::new() });
        let (watch, stop) = (Arc::new(Watch::with(Arc::clone(&seat) as Arc<dyn Places>)), self.stop.child_token());
        let (context, theirs) = (Arc::clone(context), stop.clone());
        let (seen, account) = (Arc::clone(&watch), Arc::clone(account));
        let progress = Arc::new(Progress::default());
        let observers: Observers = vec![Arc::clone(&progress) as Arc<dyn Observer>];
        let work = async move {
            let password = password_of(&account, &context).await;
            let options = PollOptions { must_exist: has_delivered, ..PollOptions::default() };
            let report = Box::new(poll(context, Account::clone(&account), options, theirs, observers).await);
            // Work that it left behind may hang; until that is done, the account is not polled again.
            seen.idle().await;
            Done::Polled { report, password }
        };
        self.spawn(
            work.instrument(span),
            Running {
                account: name,
                conduct: Conduct::new(now, times_too_slow),
                watch,
                seat: Some(seat),
                progress,
                stop,
                due: None,
            },
        );
    }

    /// Gives an account its places. Returns true if its poll is waiting for them and goes on, false if it has not been
    /// started.
    pub(super) fn goes_on(&mut self, account: &AccountName, now: Duration) -> bool {
        let Some(Running { seat: Some(seat), conduct, .. }) =
            self.tasks_of.get(account).and_then(|id| self.running.get_mut(id))
        else {
            return false;
        };
        conduct.has_places(now);
        seat.given.notify_one();
        true
    }

    /// Saves an account's state after a poll, which is over only then, and what is new in its history.
    pub(super) fn keep(
        &mut self,
        context: &Arc<PollContext>,
        polled: Polled,
        due: Duration,
        (saved, brought): (Saved, History),
    ) {
        let Polled { account, watch, conduct, .. } = polled;
        let (context, name) = (Arc::clone(context), account.clone());
        let work = async move {
            let account = name.clone();
            let keep = move || {
                let (disk, dir, holder) = (&*context.disk, &context.state_dir, &context.holder);
                keep_outcome(disk, dir, &name, holder, Some(&saved), &brought)
            };
            if let Ok(Err(e)) = blocking(keep).await {
                debug!("{account}: cannot save its state between polls: {e}. A restart forgets it");
            }
            Done::AccountState
        };
        let (progress, stop) = (Arc::default(), CancellationToken::new());
        self.spawn(work, Running { account, conduct, watch, seat: None, progress, stop, due: Some(due) });
    }

    fn spawn(&mut self, work: impl Future<Output = Done> + Send + 'static, running: Running) {
        let work = watched(Arc::clone(&running.watch), work);
        let id = self.tasks.spawn_on(work, &self.runtime).id();
        self.tasks_of.insert(running.account.clone(), id);
        self.running.insert(id, running);
    }

    /// Waits for the next message of a task or its end; forever if there is no task.
    pub(super) async fn next(&mut self) -> TaskReport {
        tokio::select! {
            biased;
            // What a poll said before it ended is handled first.
            Some(request) = self.requests.recv() => TaskReport::Places(request),
            Some(ended) = self.tasks.join_next_with_id() => TaskReport::Ended(Ended(ended)),
            // `self` holds a sender, so more messages may come.
            else => std::future::pending().await,
        }
    }

    /// Decides what to do after a task has ended.
    pub(super) fn after(&mut self, Ended(ended): Ended) -> After {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(Running { account, mut conduct, watch, due, .. }) = self.running.remove(&id) else {
            return After::Nothing;
        };
        self.tasks_of.remove(&account);
        if conduct.ends() {
            info!(account = %account, event = "hung", "{}", advice::hangs_no_more(&account));
        }
        let (report, password) = match (ended, due) {
            (_, Some(due)) => return After::Rests(account, due),
            (Ok((_, Done::Polled { report, password })), _) => (*report, password),
            // A panic, which was printed: it affects only that account.
            (Err(e), _) => (failed(&account, NotDone::from(e)), String::new()),
            (Ok((_, Done::AccountState)), _) => (failed(&account, NotDone::Cancelled), String::new()),
        };
        After::Polled(Box::new(Polled { account, begun: conduct.begun, report, password, watch, conduct }))
    }

    /// Checks the running polls, and frees places for accounts that wait.
    pub(super) fn look(&mut self, queue: &mut Queue, now: Duration) {
        let hung = self.running.values().filter(|running| running.conduct.hung().is_some()).count();
        self.wanted.look(self.running.values().map(|running| &*running.watch), now);
        for running in self.running.values().filter(|running| queue.has_waited_enough(&running.account, now)) {
            running.watch.end_wait();
        }
        let mut judge = Judge::new(queue, now, self.wanted, hung);
        for Running { account, conduct, watch, stop, .. } in self.running.values_mut() {
            match judge.look(account, watch, conduct) {
                Verdict::GoOn => {}
                Verdict::StandAside => {
                    debug!(account = %account, event = "aside", "{account}: it takes long, so others go first");
                }
                Verdict::GiveWay => {
                    debug!(account = %account, event = "aside", "{account}: others wait, so it is to end soon");
                }
                Verdict::End => stop.cancel(),
                Verdict::CutShort => {
                    debug!(account = %account, event = "aside", "{account}: others wait and it brings little, so it ends");
                }
                Verdict::Hangs => warn!(account = %account, event = "hung", "{}", advice::hangs(account)),
                Verdict::HangsNoMore => info!(account = %account, event = "hung", "{}", advice::hangs_no_more(account)),
            }
        }
    }

    /// Returns since when an account has been waiting for a disk that hangs, since boot.
    pub(super) fn hung_since(&self, account: &AccountName) -> Option<Duration> {
        self.running.get(self.tasks_of.get(account)?)?.conduct.hung()
    }

    /// Returns what the account's poll has delivered so far. None if none is running.
    pub(super) fn delivered(&self, account: &AccountName) -> Option<Came> {
        let (messages, octets) = self.running.get(self.tasks_of.get(account)?)?.progress.delivered();
        Some(Came { messages, octets })
    }

    /// Whether a poll of the account is running, rather than what follows one.
    pub(super) fn is_polling(&self, account: &AccountName) -> bool {
        let running = self.tasks_of.get(account).and_then(|id| self.running.get(id));
        running.is_some_and(|running| running.seat.is_some())
    }

    /// Whether all remaining tasks wait for disks that hang.
    pub(super) fn all_hang(&self) -> bool {
        self.running.values().all(|running| running.conduct.hung().is_some())
    }

    /// Tells all polls to stop.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }
}

/// Makes the report of a poll whose task failed.
fn failed(account: &AccountName, why: NotDone) -> PollReport {
    PollReport::of_failure(account.clone(), why.doing("poll").into())
}

impl PlaceRequest {
    /// Passes the request on to the queue.
    pub(super) fn tell(&self, queue: &mut Queue, now: Duration) {
        if self.needs {
            queue.is_prepared(&self.account, now);
        } else {
            queue.prepares(&self.account, now);
        }
    }
}

/// Returns the stamp of an account's password file or sign-in; empty if it has none.
async fn password_of(account: &Account, context: &PollContext) -> String {
    let source = account.credential.clone();
    let directory = context.credentials.credentials_directory.clone();
    if let CredentialSource::OAuth(_) = source {
        let (disk, dir, name) = (Arc::clone(&context.disk), context.state_dir.clone(), account.name.clone());
        return blocking(move || store::sign_in_stamp(&*disk, &dir, &name)).await.unwrap_or_default();
    }
    if !Files::has_password(&source) {
        return String::new();
    }
    let turn = match source.file() {
        Some(file) => Some(turn_at(file).await),
        None => None,
    };
    let look = move || {
        let stamp = Files::password_of(&source, directory.as_deref());
        drop(turn);
        stamp
    };
    blocking(look).await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poll::PollError;
    use crate::watch::conduct::Seen;

    #[tokio::test]
    async fn a_poll_that_hung_and_has_ended_does_not_hang_while_its_end_is_written_down() {
        let mut polls = Polls::new(Handle::current());
        let (account, waited) = (AccountName::new("a").unwrap(), Some(Duration::from_secs(15)));
        let mut conduct = Conduct::new(Duration::ZERO, 0);
        let seen = Seen {
            now: Duration::from_secs(20),
            octets: 0,
            listed: 0,
            answers: 0,
            began_slow: false,
            waits_for_disk: waited,
            waits_for_room: false,
            waited_for: None,
            owed_for: None,
        };
        assert_eq!(conduct.judge(seen), Verdict::Hangs);
        let report = Box::new(PollReport::of_failure(account.clone(), PollError::Stopped));
        let (watch, progress, stop) = (Arc::default(), Arc::default(), CancellationToken::new());
        let running = Running { account: account.clone(), conduct, watch, seat: None, progress, stop, due: None };
        polls.spawn(async { Done::Polled { report, password: String::new() } }, running);
        assert!(polls.hung_since(&account).is_some());
        let TaskReport::Ended(ended) = polls.next().await else { panic!("it says nothing") };
        let After::Polled(polled) = polls.after(ended) else { panic!("it polled") };
        assert_eq!(polled.conduct.hung(), None);
    }
}
