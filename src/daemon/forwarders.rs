//! The daemon's forwarders: one task for each account whose mail is forwarded from its spool, independent of polls. A
//! destination that is slow or dead holds up only its own mail.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info, warn};

use self::forwarder::Forwarder;
use self::places::{PassPlace, PassPlaces, TURN};
use crate::account::{Account, AccountName, ForwardTo, LmtpServer};
use crate::account_record::{ForwardingPause, stamp};
use crate::control::status;
use crate::credential::looks::turn_at;
use crate::forward::{ForwardOptions, ForwardReport, Live, Waiting, forward, in_spool};
use crate::notify::Notification;
use crate::poll::PollContext;
use crate::summary::{Forwarded, in_the_spool};
use crate::watch::blocking;

mod forwarder;
mod places;

/// How many password files are checked at once: each check takes a thread, and keeps it if the disk hangs.
const MOST_LOOKS: usize = 256;

/// The forwarders of all accounts that forward mail, and their tasks.
pub(super) struct Forwarders {
    runtime: Handle,
    tasks: JoinSet<(AccountName, ForwardReport)>,
    accounts: BTreeMap<AccountName, Forwarder>,
    /// The forwarders of accounts that forward no more, as long as their last pass runs.
    leaving: BTreeMap<AccountName, Forwarder>,
    /// Looks into spools outside of passes; one at a disk that hangs holds up nothing.
    looks: JoinSet<(AccountName, Option<Waiting>)>,
    /// The accounts whose spools are to be looked into.
    to_look: BTreeSet<AccountName>,
    /// When the waiting forwarders are due, in order. Changed only through [`Self::change`].
    waiting: BTreeSet<(Duration, AccountName)>,
    /// Who of those that are due may begin: each pass holds open files, and may start a process.
    places: PassPlaces,
    /// Limits the looks at password files.
    file_looks: Arc<Semaphore>,
    stop: CancellationToken,
}

/// A task that has ended.
pub(super) enum Done {
    /// A pass over the spool of this account, with its result.
    Pass(AccountName, Box<ForwardReport>),
    /// A look into a spool. None: it could not be read.
    Look(AccountName, Option<Waiting>),
}

/// What to do after a task has ended.
#[derive(Debug, Default)]
pub(super) struct Aftermath {
    /// The account whose task it was. None: not known, because the task panicked.
    pub(super) account: Option<AccountName>,
    /// Whether to poll the account because its spool has room again.
    pub(super) has_room: bool,
    /// What to notify the user of.
    pub(super) news: Vec<Notification>,
}

impl Forwarders {
    /// Starts without forwarders, in this runtime. At most `most_passes` run at the same time.
    pub(super) fn new(runtime: Handle, most_passes: usize) -> Self {
        let (accounts, leaving) = (BTreeMap::new(), BTreeMap::new());
        let (waiting, to_look) = (BTreeSet::new(), BTreeSet::new());
        let (tasks, looks, stop) = (JoinSet::new(), JoinSet::new(), CancellationToken::new());
        let file_looks = Arc::new(Semaphore::new(MOST_LOOKS));
        let places = PassPlaces::new(most_passes);
        Self { runtime, tasks, accounts, leaving, looks, to_look, waiting, places, file_looks, stop }
    }

    /// Sets the configured accounts. Their spools are looked at now. A running pass ends if what it works with has
    /// changed; the next one begins when it has ended.
    pub(super) fn take_in<'a>(&mut self, accounts: impl Iterator<Item = &'a Account>, now: Duration) {
        let mut kept = std::mem::take(&mut self.accounts);
        kept.append(&mut self.leaving);
        for account in accounts {
            let Some(to) = &account.forward else { continue };
            let mut forwarder = kept.remove(&account.name).unwrap_or_default();
            if !forwarder.is_up_to_date(account) {
                end_for_reload(&account.name, &mut forwarder);
            }
            // If the configuration changed, the problem may be fixed.
            (forwarder.due, forwarder.to) = (Some(now), to.to.to_string());
            forwarder.destination = destination(&account.name, &to.to);
            self.accounts.insert(account.name.clone(), forwarder);
        }
        kept.retain(|_, forwarder| forwarder.running);
        kept.iter_mut().for_each(|(name, forwarder)| end_for_reload(name, forwarder));
        self.leaving = kept;
        let time = |(name, forwarder): (&AccountName, &Forwarder)| Some((forwarder.waits_until()?, name.clone()));
        self.waiting = self.accounts.iter().filter_map(time).collect();
    }

    /// Changes what is known of an account's forwarder, if it has one.
    fn change<T>(&mut self, account: &AccountName, change: impl FnOnce(&mut Forwarder) -> T) -> Option<T> {
        let forwarder = self.accounts.get_mut(account)?;
        let before = forwarder.waits_until();
        let result = change(forwarder);
        let now = forwarder.waits_until();
        if before != now {
            if let Some(due) = before {
                self.waiting.remove(&(due, account.clone()));
            }
            if let Some(due) = now {
                self.waiting.insert((due, account.clone()));
            }
        }
        Some(result)
    }

    /// Records that a poll has delivered this many messages.
    pub(super) fn on_poll_end(&mut self, account: &AccountName, messages: u64, spool_is_full: bool, now: Duration) {
        let is_other = self.change(account, |forwarder| {
            forwarder.wants_room = spool_is_full;
            if messages > 0 {
                forwarder.something_came(now);
            }
            // Messages that wait or are set aside may have been dropped by hand, which a poll notices.
            messages > 0 || forwarder.waiting.in_all() > 0
        });
        if is_other == Some(true) {
            self.look(account);
        }
    }

    /// Schedules a look into the spool of an account, whose content may have changed.
    pub(super) fn look(&mut self, account: &AccountName) {
        if self.accounts.contains_key(account) {
            self.to_look.insert(account.clone());
        }
    }

    /// Counts messages of an account that another process has forwarded by `wall`, in seconds since 1970.
    pub(super) fn others_forwarded(&mut self, account: &AccountName, messages: u64, wall: i64) {
        if let Some(forwarder) = self.accounts.get_mut(account).filter(|_| messages > 0) {
            forwarder.forwarded = forwarder.forwarded.saturating_add(messages);
            forwarder.last = Some(wall);
        }
    }

    /// Makes a forwarder due at the user's request.
    pub(super) fn try_now(&mut self, account: &AccountName, now: Duration) {
        self.change(account, |forwarder| forwarder.due = Some(now));
    }

    /// Returns the accounts whose destination refused the password.
    pub(super) fn refused(&self) -> impl Iterator<Item = &AccountName> {
        let wants = |forwarder: &Forwarder| forwarder.wants_password && !forwarder.running;
        self.accounts.iter().filter(move |(_, forwarder)| wants(forwarder)).map(|(name, _)| name)
    }

    /// Whether the password that a destination refused has changed, according to its file's stamp.
    pub(super) fn password_changed(&self, account: &AccountName, now: &str) -> bool {
        let refused = self.accounts.get(account).filter(|forwarder| forwarder.wants_password && !forwarder.running);
        refused.and_then(|forwarder| forwarder.password.get()).is_some_and(|then| then != now)
    }

    /// Returns when the next pass begins, since boot.
    pub(super) fn next_wake(&self) -> Option<Duration> {
        self.waiting.first().map(|(due, _)| *due)
    }

    /// Returns the forwarder that is due first.
    fn first_due(&self, now: Duration) -> Option<AccountName> {
        self.waiting.first().filter(|(due, _)| *due <= now).map(|(_, name)| name.clone())
    }

    /// Lets the forwarders that are due wait for a place.
    fn let_due_wait(&mut self, now: Duration) {
        while let Some(name) = self.first_due(now) {
            self.change(&name, |forwarder| forwarder.waits_for_place = true);
            self.places.wait(name);
        }
    }

    /// Returns the next account that waits for a place, with its place.
    fn next_with_place(&mut self) -> Option<(AccountName, PassPlace)> {
        let accounts = &self.accounts;
        loop {
            let (name, place) = self.places.next(|name| accounts.get(name).map(|one| one.destination.as_str()))?;
            // It may have gone meanwhile, and come again.
            if accounts.get(&name).is_some_and(|forwarder| forwarder.waits_for_place) {
                return Some((name, place));
            }
        }
    }

    /// Begins the passes that are due and have a place; `configured` looks up an account.
    pub(super) fn begin_due<'a>(
        &mut self,
        context: &Arc<PollContext>,
        configured: impl Fn(&AccountName) -> Option<&'a Account>,
        now: Duration,
    ) {
        self.let_due_wait(now);
        while let Some((name, place)) = self.next_with_place() {
            let configured = configured(&name).and_then(|account| Some((account, account.forward.clone()?)));
            let Some((account, to)) = configured else {
                self.change(&name, |forwarder| (forwarder.due, forwarder.waits_for_place) = (None, false));
                continue;
            };
            let stop = self.stop.child_token();
            let begin = |forwarder: &mut Forwarder| {
                forwarder.prepare(account, stop.clone());
                forwarder.begin(now)
            };
            let Some((live, password)) = self.change(&name, begin) else { continue };
            // The pass looks into the spool itself.
            self.to_look.remove(&name);
            let span = tracing::error_span!("forward", account = %name);
            let account = account.clone();
            let (context, looks) = (Arc::new(context.of_process()), Arc::clone(&self.file_looks));
            let work = async move {
                if let Some(file) = to.password_file().map(Path::to_owned) {
                    let (look, turn) = (looks.acquire_owned().await, turn_at(&file).await);
                    // Taken before the file is read, so that a change meanwhile is noticed.
                    let looked = blocking(move || {
                        let seen = stamp(&file);
                        drop((turn, look));
                        seen
                    });
                    let looked = looked.await;
                    let _ = looked.map(|seen| password.set(seen));
                }
                let report = forward(context, &account, to, ForwardOptions::default(), live, stop).await;
                drop(place);
                (name, report)
            };
            self.tasks.spawn_on(work.instrument(span), &self.runtime);
        }
        self.begin_looks(context);
    }

    /// Ends passes that have had their turn: as many as accounts wait for a place, those that began first.
    pub(super) fn end_turns(&mut self, now: Duration) {
        let waiting = self.places.waiting();
        if waiting == 0 {
            return;
        }
        let running = self.accounts.iter_mut().filter(|(_, forwarder)| forwarder.running);
        let (ending, others): (Vec<_>, Vec<_>) = running.partition(|(_, forwarder)| forwarder.had_its_turn);
        let mut over: Vec<&mut Forwarder> = others.into_iter().map(|(_, forwarder)| forwarder).collect();
        over.retain(|forwarder| now.saturating_sub(forwarder.begun) >= TURN);
        over.sort_by_key(|forwarder| forwarder.begun);
        over.into_iter().take(waiting.saturating_sub(ending.len())).for_each(Forwarder::end_turn);
    }

    /// Begins the scheduled looks into spools; a running pass does that itself.
    fn begin_looks(&mut self, context: &Arc<PollContext>) {
        for name in std::mem::take(&mut self.to_look) {
            let Some(forwarder) = self.accounts.get_mut(&name) else { continue };
            if forwarder.running {
                forwarder.live.count_again();
            } else if let Some(again) = &mut forwarder.looking {
                *again = true;
            } else {
                forwarder.looking = Some(false);
                let context = context.of_process();
                let look = async move {
                    let waiting = in_spool(&context, &name).await;
                    (name, waiting)
                };
                self.looks.spawn_on(look, &self.runtime);
            }
        }
    }

    /// Waits for the end of a pass or a look; forever if there is none. None: the task of a pass panicked, and it is
    /// unknown whose it was.
    pub(super) async fn next(&mut self) -> Option<Done> {
        tokio::select! {
            Some(ended) = self.tasks.join_next() => ended.ok().map(|(name, report)| Done::Pass(name, Box::new(report))),
            Some(Ok((name, waiting))) = self.looks.join_next() => Some(Done::Look(name, waiting)),
            else => std::future::pending().await,
        }
    }

    /// Handles the end of a pass or a look; `wall` is the current time in seconds since 1970.
    pub(super) fn after(&mut self, done: Option<Done>, now: Duration, wall: i64) -> Aftermath {
        match done {
            Some(Done::Pass(name, report)) => self.after_pass(Some((name, *report)), now, wall),
            Some(Done::Look(name, waiting)) => self.after_look(name, waiting, now, wall),
            None => self.after_pass(None, now, wall),
        }
    }

    fn after_look(&mut self, name: AccountName, waiting: Option<Waiting>, now: Duration, wall: i64) -> Aftermath {
        let looked = self.change(&name, |forwarder| {
            let again = forwarder.looking.take() == Some(true);
            (again, forwarder.take_in_look(waiting, now, wall))
        });
        let (again, has_room) = looked.unwrap_or_default();
        if again {
            self.look(&name);
        }
        Aftermath { account: Some(name), has_room, news: Vec::new() }
    }

    fn after_pass(&mut self, ended: Option<(AccountName, ForwardReport)>, now: Duration, wall: i64) -> Aftermath {
        let Some((name, report)) = ended else {
            // The panic was printed. The forwarder concerned retries after a while.
            if self.tasks.is_empty() {
                let runs = |(name, forwarder): (&AccountName, &Forwarder)| forwarder.running.then(|| name.clone());
                self.leaving.clear();
                for name in self.accounts.iter().filter_map(runs).collect::<Vec<_>>() {
                    self.change(&name, |forwarder| forwarder.panicked(now));
                }
            }
            return Aftermath::default();
        };
        self.learn(&name, &report, now);
        if self.leaving.remove(&name).is_some() {
            log(&name, &report, true);
            return Aftermath::default();
        }
        let aftermath = self.change(&name, |forwarder| {
            forwarder.running = false;
            log(&name, &report, forwarder.failure.is_some());
            let before = forwarder.waiting.in_all();
            let news = forwarder.take_in(&report, now, wall);
            // Another process may have forwarded mail, too.
            let has_room = (report.forwarded > 0 || forwarder.waiting.in_all() < before)
                && std::mem::take(&mut forwarder.wants_room);
            Aftermath { account: Some(name.clone()), has_room, news }
        });
        aftermath.unwrap_or_default()
    }

    /// Learns from a pass whether its destination is slow.
    fn learn(&mut self, name: &AccountName, report: &ForwardReport, now: Duration) {
        // Where a pass goes whose configuration has changed is not known here any more.
        let Some(forwarder) = self.accounts.get(name).filter(|it| !it.was_reconfigured) else { return };
        let has_asked = match report.why_waiting() {
            None => report.forwarded > 0,
            Some(e) => !e.says_nothing_of_the_destination(),
        };
        if has_asked {
            self.places.took(&forwarder.destination, now.saturating_sub(forwarder.begun), report.forwarded);
        }
    }

    /// Returns the status of an account's forwarder.
    pub(super) fn status(&self, account: &AccountName, now: Duration, wall: i64) -> Option<status::Forwarding> {
        let forwarder = self.accounts.get(account)?;
        let live = Some(&forwarder.live).filter(|_| forwarder.running);
        let waits = live.and_then(Live::waiting);
        // A running pass keeps its count up to date.
        let counted = if waits.is_some() { Some(wall) } else { forwarder.counted };
        let waiting = waits.as_ref().unwrap_or(&forwarder.waiting);
        let seconds = |due: Duration| i64::try_from(due.saturating_sub(now).as_secs()).unwrap_or(i64::MAX);
        Some(status::Forwarding {
            to: forwarder.to.clone(),
            running: forwarder.running,
            counted,
            messages: waiting.messages,
            octets: waiting.octets,
            oldest: waiting.oldest,
            why: forwarder.failure.as_ref().map(|(_, why)| why.clone()),
            since: forwarder.failure.as_ref().map(|(since, _)| *since),
            next_try: forwarder.due.filter(|_| !forwarder.running).map(|due| wall.saturating_add(seconds(due))),
            forwarded: forwarder.forwarded.saturating_add(live.map_or(0, Live::forwarded)),
            last_forwarded: live.and_then(Live::last_forwarded).or(forwarder.last),
            set_aside: waiting.set_aside,
            first_set_aside: waiting.first_set_aside.clone(),
            spool_full: forwarder.wants_room,
            stranded: false,
        })
    }

    /// Returns what is to be saved of why an account's mail waits. The next daemon begins without a pause.
    pub(super) fn to_save(&self, account: &AccountName) -> Option<ForwardingPause> {
        let forwarder = self.accounts.get(account)?;
        let (since, why) = forwarder.failure.clone().unwrap_or_default();
        let is_spool_full = forwarder.wants_room;
        let is_something = !why.is_empty() || is_spool_full;
        is_something.then(|| ForwardingPause { since, why, is_spool_full, ..ForwardingPause::default() })
    }

    /// Tells all passes to stop.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits for the passes that were told to stop, and logs what they leave.
    pub(super) async fn finish(&mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            let Ok((name, report)) = ended else { continue };
            log(&name, &report, true);
            let waiting = report.waiting.messages;
            if waiting > 0 {
                let (to, waiting) = (&report.to, in_the_spool(waiting));
                info!(event = "stopped", "{name}: forwarding to {to} ends with the daemon. {waiting}");
            }
        }
    }

    /// Returns how many passes are running.
    pub(super) fn count(&self) -> usize {
        self.tasks.len()
    }
}

/// Ends a running pass whose configuration has changed.
fn end_for_reload(account: &AccountName, forwarder: &mut Forwarder) {
    if forwarder.running && forwarder.end_for_reload() {
        let to = &forwarder.to;
        info!(
            account = %account,
            event = "reload",
            "{account}: its configuration has changed, so forwarding to {to} ends after the message under way"
        );
    }
}

/// Names what all accounts have in common whose passes a destination can hold up: its address. Commands are each
/// account's own.
fn destination(account: &AccountName, to: &ForwardTo) -> String {
    match to {
        ForwardTo::Imap(to) => format!("{}:{}", to.endpoint.host, to.endpoint.port),
        ForwardTo::Lmtp(to) => match &to.server {
            LmtpServer::Socket(path) => path.display().to_string(),
            LmtpServer::Tcp(endpoint) => format!("{}:{}", endpoint.host, endpoint.port),
        },
        ForwardTo::Command(_) => account.as_str().to_owned(),
    }
}

/// Logs what a pass did in one line; a problem that persists is not news.
fn log(account: &AccountName, report: &ForwardReport, again: bool) {
    if report.forwarded > 0 || report.newly_set_aside > 0 {
        let to = &report.to;
        info!(account = %account, event = "forwarded", "{account}: forwarding to {to}: {}", Forwarded(report));
    }
    match report.why_waiting() {
        None => {}
        Some(e) if e.says_nothing_of_the_destination() => {}
        Some(e) if again => {
            info!(account = %account, event = "forward-failed", "{account}: {}", report.told(&e.to_string()));
        }
        Some(_) => warn!(
            account = %account,
            event = "forward-failed",
            "{account}: {}. {}; forwarding tries again by itself",
            report.told(&report.failure_text().unwrap_or_default()),
            in_the_spool(report.waiting.messages)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::forwarder::tests::{down, report};
    use super::*;
    use crate::forward::ForwardError;

    #[test]
    fn what_came_meanwhile_is_taken_at_once_and_in_a_pause_with_the_others() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut forwarders = Forwarders::new(runtime.handle().clone(), 64);
        let (name, now) = (AccountName::new("a").unwrap(), Duration::from_secs(1000));
        forwarders.accounts.insert(name.clone(), Forwarder::default());
        forwarders.on_poll_end(&name, 0, false, now);
        assert_eq!(forwarders.next_wake(), None);
        forwarders.on_poll_end(&name, 3, false, now);
        assert_eq!(forwarders.next_wake(), Some(now));
        drop(forwarders.after_pass(Some((name.clone(), report(0, 3, down()))), now, 50));
        forwarders.on_poll_end(&name, 3, true, now);
        assert_eq!(forwarders.next_wake(), Some(now + Duration::from_secs(30)));
        assert!(forwarders.after_pass(Some((name.clone(), report(6, 0, Ok(())))), now, 60).has_room);
        assert_eq!(forwarders.next_wake(), None);
        // One message is put off; new ones do not wait for it.
        drop(forwarders.after_pass(Some((name.clone(), report(0, 1, Ok(())))), now, 70));
        assert_eq!(forwarders.next_wake(), Some(now + Duration::from_secs(30)));
        forwarders.on_poll_end(&name, 1, false, now);
        assert_eq!(forwarders.next_wake(), Some(now));
        drop(forwarders.change(&name, |forwarder| forwarder.begin(now)));
        forwarders.on_poll_end(&name, 1, false, now);
        drop(forwarders.after_pass(Some((name, report(0, 2, Ok(())))), now, 80));
        assert_eq!(forwarders.next_wake(), Some(now), "nor does what came while the pass ran");
    }

    #[test]
    fn what_was_said_of_one_message_alone_holds_up_no_new_mail() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for (is_of_one, waits) in [(true, 0), (false, 60 * 60)] {
            let mut forwarders = Forwarders::new(runtime.handle().clone(), 64);
            let (name, now) = (AccountName::new("a").unwrap(), Duration::from_secs(1000));
            forwarders.accounts.insert(name.clone(), Forwarder::default());
            let full = Err(ForwardError::Full { response: "full".to_owned() });
            let ended = ForwardReport { is_of_one, ..report(0, 1, full) };
            drop(forwarders.after_pass(Some((name.clone(), ended)), now, 50));
            assert_eq!(forwarders.next_wake(), Some(now + Duration::from_secs(60 * 60)), "it is for that one");
            forwarders.on_poll_end(&name, 1, false, now);
            assert_eq!(forwarders.next_wake(), Some(now + Duration::from_secs(waits)), "{is_of_one}");
        }
    }

    #[test]
    fn what_a_look_finds_is_what_is_there() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut forwarders = Forwarders::new(runtime.handle().clone(), 64);
        let (name, now) = (AccountName::new("a").unwrap(), Duration::from_secs(1000));
        forwarders.accounts.insert(name.clone(), Forwarder::default());
        drop(forwarders.after_pass(Some((name.clone(), report(0, 3, down()))), now, 50));
        // A pause continues, but new messages are counted, and so is what a user took out.
        forwarders.on_poll_end(&name, 2, true, now);
        assert!(forwarders.to_look.contains(&name));
        for (there, has_room) in [(5, false), (2, true), (1, false)] {
            let waiting = Waiting { messages: there, ..Waiting::default() };
            assert_eq!(forwarders.after_look(name.clone(), Some(waiting), now, 60).has_room, has_room, "{there}");
            let shown = forwarders.status(&name, now, 70).unwrap();
            assert_eq!((shown.messages, shown.counted), (there, Some(60)));
        }
        assert_eq!(forwarders.next_wake(), Some(now + Duration::from_secs(30)));
        drop(forwarders.after_look(name.clone(), None, now, 65));
        assert_eq!(forwarders.status(&name, now, 70).unwrap().counted, Some(60), "what cannot be read is no news");
        // What another process left behind is forwarded.
        drop(forwarders.after_pass(Some((name.clone(), report(1, 0, Ok(())))), now, 80));
        assert_eq!(forwarders.next_wake(), None);
        drop(forwarders.after_look(name, Some(Waiting { messages: 1, ..Waiting::default() }), now, 90));
        assert_eq!(forwarders.next_wake(), Some(now));
    }

    /// Gives the forwarders four accounts that have nothing to do yet.
    fn four_accounts(forwarders: &mut Forwarders) -> Vec<AccountName> {
        let names: Vec<AccountName> = (0..4).map(|n| AccountName::new(&format!("a{n}")).unwrap()).collect();
        let idle =
            |name: &AccountName| (name.clone(), Forwarder { destination: name.to_string(), ..Forwarder::default() });
        forwarders.accounts = names.iter().map(idle).collect();
        names
    }

    /// Begins the passes that are due and get a place.
    fn begin(forwarders: &mut Forwarders, now: Duration) -> Vec<(AccountName, PassPlace)> {
        forwarders.let_due_wait(now);
        let begun: Vec<_> = std::iter::from_fn(|| forwarders.next_with_place()).collect();
        begun.iter().for_each(|(name, _)| drop(forwarders.change(name, |forwarder| forwarder.begin(now))));
        begun
    }

    #[test]
    fn who_waits_for_a_place_is_not_due_and_begins_when_one_is_free() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut forwarders = Forwarders::new(runtime.handle().clone(), 2);
        let (names, now) = (four_accounts(&mut forwarders), Duration::from_secs(1000));
        names.iter().for_each(|name| forwarders.try_now(name, now));
        let begun = begin(&mut forwarders, now);
        assert_eq!((begun.len(), &begun[0].0, &begun[1].0), (2, &names[0], &names[1]));
        assert_eq!(forwarders.next_wake(), None, "the others are woken when a place is free");
        forwarders.try_now(&names[3], now);
        assert!(begin(&mut forwarders, now).is_empty());
        forwarders.accounts.remove(&names[2]);
        // The first two say nothing for a minute; both are due again.
        drop(begun);
        let later = now + Duration::from_secs(60);
        for name in &names[..2] {
            drop(forwarders.after_pass(Some((name.clone(), report(0, 1, down()))), later, 50));
            forwarders.try_now(name, later);
        }
        let begun = begin(&mut forwarders, later);
        assert_eq!((begun.len(), &begun[0].0, &begun[1].0), (2, &names[3], &names[0]), "only one is slow");
    }

    #[test]
    fn while_others_wait_a_pass_has_a_turn_and_goes_on_behind_them() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut forwarders = Forwarders::new(runtime.handle().clone(), 3);
        let (names, now) = (four_accounts(&mut forwarders), Duration::from_secs(1000));
        let told = |forwarders: &Forwarders| -> Vec<AccountName> {
            let told = forwarders.accounts.iter().filter(|(_, one)| one.had_its_turn && one.live.has_had_its_turn());
            told.map(|(name, _)| name.clone()).collect()
        };
        names[..3].iter().for_each(|name| forwarders.try_now(name, now));
        let mut begun = begin(&mut forwarders, now);
        assert_eq!(begun.len(), 3);
        forwarders.end_turns(now + 2 * TURN);
        assert!(told(&forwarders).is_empty(), "nobody waits");
        forwarders.try_now(&names[3], now);
        assert!(begin(&mut forwarders, now).is_empty());
        forwarders.end_turns(now + TURN - Duration::from_millis(1));
        assert!(told(&forwarders).is_empty(), "it has its turn");
        forwarders.end_turns(now + TURN);
        assert_eq!(told(&forwarders), names[..1], "one waits");
        forwarders.end_turns(now + 2 * TURN);
        assert_eq!(told(&forwarders), names[..1], "a place will be free");
        drop(begun.remove(0));
        drop(forwarders.after_pass(Some((names[0].clone(), report(90, 310, Ok(())))), now + TURN, 50));
        let next = begin(&mut forwarders, now + TURN);
        assert_eq!((next.len(), &next[0].0), (1, &names[3]));
        drop(begun);
        let next = begin(&mut forwarders, now + TURN);
        assert_eq!((next.len(), &next[0].0), (1, &names[0]), "it goes on");
    }

    #[test]
    fn who_is_due_first_is_found_whatever_happened_before() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut forwarders = Forwarders::new(runtime.handle().clone(), 64);
        let names: Vec<AccountName> = (0..5).map(|n| AccountName::new(&format!("a{n}")).unwrap()).collect();
        forwarders.accounts = names.iter().map(|name| (name.clone(), Forwarder::default())).collect();
        let mut random = fastrand::Rng::with_seed(7);
        for second in 0..2000 {
            let (now, name) = (Duration::from_secs(second), &names[random.usize(..names.len())]);
            match random.u8(..6) {
                0 => forwarders.on_poll_end(name, random.u64(..2), false, now),
                1 => forwarders.try_now(name, now),
                2 => _ = forwarders.after_pass(Some((name.clone(), report(0, 1, down()))), now, 0),
                3 => _ = forwarders.after_pass(Some((name.clone(), report(1, 0, Ok(())))), now, 0),
                4 => _ = forwarders.after_pass(None, now, 0),
                _ => {
                    while let Some(due) = forwarders.first_due(now) {
                        forwarders.change(&due, |forwarder| forwarder.begin(now));
                    }
                }
            }
            let first = forwarders.accounts.values().filter_map(Forwarder::waits_until).min();
            assert_eq!(forwarders.next_wake(), first, "after {second} steps");
        }
    }
}
