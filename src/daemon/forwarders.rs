//! The forwarders of the daemon: one task for each account whose mail goes on from its spool, apart from all polls. A
//! destination that is slow or dead holds nobody but its own mail.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info, warn};

use crate::account::{Account, AccountName};
use crate::advice::{self, Class};
use crate::control::status;
use crate::forward::{ForwardError, ForwardOptions, ForwardReport, Live, Pause, Waiting, forward};
use crate::notify::Notification;
use crate::poll::PollContext;
use crate::summary::{Forwarded, in_the_spool};

/// Somebody else forwards the account's mail: it is looked again after so long.
const OTHER: Duration = Duration::from_secs(30);

/// All of them.
pub(super) struct Forwarders {
    runtime: Handle,
    tasks: JoinSet<(AccountName, ForwardReport)>,
    accounts: BTreeMap<AccountName, Forwarder>,
    stop: CancellationToken,
}

/// What is known of the forwarder of an account.
#[derive(Debug, Default)]
struct Forwarder {
    /// A pass runs.
    running: bool,
    /// When the next one begins, since boot. None: when something comes.
    due: Option<Duration>,
    /// Something came while a pass ran.
    more: bool,
    /// How many passes in a row came to nothing.
    failures: u32,
    /// Why what waits does so, in words; since when, in seconds since 1970.
    trouble: Option<(i64, String)>,
    /// The destination in words.
    to: String,
    /// What was left by the last pass.
    waiting: Waiting,
    /// What is left by the one that runs.
    live: Live,
    /// How many messages have arrived since the daemon began.
    forwarded: u64,
    /// When the last one did, in seconds since 1970.
    last: Option<i64>,
    /// The last poll left mail on the server because the spool was full.
    wants_room: bool,
    /// When a person was told of the trouble, since boot.
    told: Option<Duration>,
}

/// What follows from the end of a pass.
#[derive(Debug, Default)]
pub(super) struct Aftermath {
    /// The account.
    pub(super) account: Option<AccountName>,
    /// It should be polled, because there is room in its spool again.
    pub(super) has_room: bool,
    /// What a person should know.
    pub(super) news: Vec<Notification>,
}

/// A trouble that may pass by itself is told after so many passes that came to nothing.
const TOLD_AFTER: u32 = 5;

/// A trouble that goes on is told again after so long.
const TOLD_AGAIN: Duration = Duration::from_secs(24 * 60 * 60);

impl Forwarders {
    /// None, in this runtime.
    pub(super) fn new(runtime: Handle) -> Self {
        Self { runtime, tasks: JoinSet::new(), accounts: BTreeMap::new(), stop: CancellationToken::new() }
    }

    /// These accounts are configured. What waits in their spools is looked at once.
    pub(super) fn take_in<'a>(&mut self, accounts: impl Iterator<Item = &'a Account>, now: Duration) {
        let mut kept = std::mem::take(&mut self.accounts);
        for account in accounts {
            let Some(to) = &account.forward else { continue };
            let mut forwarder = kept.remove(&account.name).unwrap_or_default();
            // Whoever has changed something may have mended it.
            (forwarder.due, forwarder.to) = (Some(now), to.to.to_string());
            self.accounts.insert(account.name.clone(), forwarder);
        }
    }

    /// A poll has brought so much.
    pub(super) fn on_poll_end(&mut self, account: &AccountName, messages: u64, spool_is_full: bool, now: Duration) {
        let Some(forwarder) = self.accounts.get_mut(account) else { return };
        forwarder.wants_room = spool_is_full;
        if messages == 0 {
            return;
        }
        forwarder.more |= forwarder.running;
        // In a pause it waits with the others.
        if forwarder.failures == 0 {
            forwarder.due = Some(forwarder.due.map_or(now, |due| due.min(now)));
        }
    }

    /// Somebody wants it to be tried now.
    pub(super) fn try_now(&mut self, account: &AccountName, now: Duration) {
        if let Some(forwarder) = self.accounts.get_mut(account) {
            forwarder.due = Some(now);
        }
    }

    /// When the next pass begins, since boot.
    pub(super) fn next_wake(&self) -> Option<Duration> {
        self.accounts.values().filter(|forwarder| !forwarder.running).filter_map(|forwarder| forwarder.due).min()
    }

    /// Begins the passes that are due; `configured` gives an account.
    pub(super) fn begin_due<'a>(
        &mut self,
        context: &Arc<PollContext>,
        configured: impl Fn(&AccountName) -> Option<&'a Account>,
        now: Duration,
    ) {
        let is_due = |forwarder: &Forwarder| !forwarder.running && forwarder.due.is_some_and(|due| due <= now);
        for (name, forwarder) in self.accounts.iter_mut().filter(|(_, forwarder)| is_due(forwarder)) {
            forwarder.due = None;
            let Some((account, to)) = configured(name).and_then(|account| Some((account, account.forward.clone()?)))
            else {
                continue;
            };
            (forwarder.running, forwarder.more) = (true, false);
            let span = tracing::error_span!("forward", account = %name);
            let (name, account, stop) = (name.clone(), account.clone(), self.stop.child_token());
            let context = Arc::new(context.of_process());
            forwarder.live = Live::default();
            let live = forwarder.live.clone();
            let work = async move {
                let report = forward(context, &account, to, ForwardOptions::default(), live, stop).await;
                (name, report)
            };
            self.tasks.spawn_on(work.instrument(span), &self.runtime);
        }
    }

    /// Waits for the end of a pass; never, if none runs. None: its task panicked, and nobody knows whose it was.
    pub(super) async fn next(&mut self) -> Option<(AccountName, ForwardReport)> {
        match self.tasks.join_next().await {
            Some(Ok(ended)) => Some(ended),
            Some(Err(_)) => None,
            None => std::future::pending().await,
        }
    }

    /// A pass has ended; `wall` is now in seconds since 1970.
    pub(super) fn after(&mut self, ended: Option<(AccountName, ForwardReport)>, now: Duration, wall: i64) -> Aftermath {
        let Some((name, report)) = ended else {
            // The panic has been printed. Whoever it was goes on after a while.
            if self.tasks.is_empty() {
                for forwarder in self.accounts.values_mut().filter(|forwarder| forwarder.running) {
                    forwarder.running = false;
                    forwarder.failures = forwarder.failures.saturating_add(1);
                    forwarder.due = Some(now + Pause::Soon.time(forwarder.failures));
                }
            }
            return Aftermath::default();
        };
        let Some(forwarder) = self.accounts.get_mut(&name) else { return Aftermath::default() };
        forwarder.running = false;
        log(&name, &report, forwarder.trouble.is_some());
        let news = forwarder.take_in(&report, now, wall);
        let has_room = report.forwarded > 0 && std::mem::take(&mut forwarder.wants_room);
        Aftermath { account: Some(name), has_room, news }
    }

    /// What there is to show of an account's forwarder.
    pub(super) fn status(&self, account: &AccountName, now: Duration, wall: i64) -> Option<status::Forwarding> {
        let forwarder = self.accounts.get(account)?;
        let live = forwarder.live.waiting().filter(|_| forwarder.running);
        let waiting = live.as_ref().unwrap_or(&forwarder.waiting);
        let seconds = |due: Duration| i64::try_from(due.saturating_sub(now).as_secs()).unwrap_or(i64::MAX);
        Some(status::Forwarding {
            to: forwarder.to.clone(),
            running: forwarder.running,
            messages: waiting.messages,
            octets: waiting.octets,
            oldest: waiting.oldest,
            why: forwarder.trouble.as_ref().map(|(_, why)| why.clone()),
            since: forwarder.trouble.as_ref().map(|(since, _)| *since),
            next_try: forwarder.due.filter(|_| !forwarder.running).map(|due| wall.saturating_add(seconds(due))),
            forwarded: forwarder.forwarded,
            last_forwarded: forwarder.last,
            set_aside: waiting.set_aside,
            first_set_aside: waiting
                .first_set_aside
                .iter()
                .map(|one| status::SetAside { name: one.name.clone(), since: one.since, reason: one.reason.clone() })
                .collect(),
        })
    }

    /// Tells all to end.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits for those that were told to end.
    pub(super) async fn finish(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Forwarder {
    /// Takes in how a pass ended, and says what there is to tell.
    fn take_in(&mut self, report: &ForwardReport, now: Duration, wall: i64) -> Vec<Notification> {
        let mut news = Vec::new();
        if report.forwarded > 0 {
            self.forwarded = self.forwarded.saturating_add(report.forwarded);
            self.last = Some(wall);
        }
        if matches!(report.end, Err(ForwardError::Busy { .. })) {
            self.due = Some(now + OTHER);
            return news;
        }
        if let Some(first) = report.waiting.first_set_aside.first().filter(|_| report.newly_set_aside > 0) {
            news.push(Notification::SetAside { text: first.reason.clone(), count: report.waiting.set_aside });
        }
        self.waiting.clone_from(&report.waiting);
        let pause = match &report.end {
            Err(e) => Some((Class::of_forwarding(e).pause(), advice::told_of_forwarding(e, &report.account))),
            Ok(()) if report.waiting.messages > 0 => {
                Some((Pause::Soon, "the destination asks for another try".to_owned()))
            }
            Ok(()) => None,
        };
        let Some((pause, why)) = pause else {
            (self.failures, self.trouble) = (0, None);
            self.due = self.more.then_some(now);
            news.extend(self.told.take().map(|_| Notification::ForwardingRecovered));
            return news;
        };
        // What has got through in part is not what has failed again.
        self.failures = if report.forwarded > 0 { 1 } else { self.failures.saturating_add(1) };
        self.due = Some(now + pause.time(self.failures));
        let since = self.trouble.as_ref().map_or(wall, |(since, _)| *since);
        let is_news = self.told.is_none_or(|told| now.saturating_sub(told) >= TOLD_AGAIN);
        if is_news && (pause == Pause::Person || self.failures >= TOLD_AFTER) {
            self.told = Some(now);
            news.push(Notification::Forwarding { text: why.clone(), count: report.waiting.messages });
        }
        self.trouble = Some((since, why));
        news
    }
}

/// What a pass did, in a line of the log; the same trouble again is not news.
fn log(account: &AccountName, report: &ForwardReport, again: bool) {
    if report.forwarded > 0 || report.newly_set_aside > 0 {
        info!(event = "forwarded", "{account}: to {}: {}", report.to, Forwarded(report));
    }
    match &report.end {
        Ok(()) | Err(ForwardError::Busy { .. } | ForwardError::Stopped) => {}
        Err(e) if again => info!(event = "forward-failed", "{account}: {e}"),
        Err(e) => warn!(
            event = "forward-failed",
            "{account}: {}. {}; forwarding tries again by itself",
            advice::told_of_forwarding(e, account),
            in_the_spool(report.waiting.messages)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::ForwardError;

    fn report(forwarded: u64, waiting: u64, end: Result<(), ForwardError>) -> ForwardReport {
        let waiting = Waiting { messages: waiting, ..Waiting::default() };
        let account = AccountName::new("a").unwrap();
        let to = "x".to_owned();
        ForwardReport { account, to, forwarded, octets: 0, waiting, newly_set_aside: 0, duration: Duration::ZERO, end }
    }

    fn down() -> Result<(), ForwardError> {
        Err(ForwardError::Refused { doing: "x", response: "down".to_owned(), lasting: false })
    }

    #[test]
    fn a_destination_that_is_down_is_tried_at_growing_distances_and_is_well_again_at_once() {
        let (mut forwarder, now) = (Forwarder::default(), Duration::from_secs(1000));
        let (mut pauses, mut told) = (Vec::new(), 0);
        for n in 0..9 {
            told += forwarder.take_in(&report(0, 5, down()), now, 50 + n).len();
            pauses.push(forwarder.due.unwrap().checked_sub(now).unwrap().as_secs());
        }
        assert_eq!(pauses, [30, 60, 120, 240, 480, 960, 1800, 1800, 1800]);
        assert_eq!(told, 1, "a trouble is told once");
        assert_eq!(forwarder.trouble.as_ref().unwrap().0, 50, "since the first failure");
        drop(forwarder.take_in(&report(2, 3, down()), now, 60));
        assert_eq!(forwarder.due, Some(now + Duration::from_secs(30)));
        assert_eq!(forwarder.take_in(&report(3, 0, Ok(())), now, 61), [Notification::ForwardingRecovered]);
        assert_eq!((forwarder.due, forwarder.trouble, forwarder.forwarded), (None, None, 5));
    }

    #[test]
    fn what_came_meanwhile_is_taken_at_once_and_in_a_pause_with_the_others() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut forwarders = Forwarders::new(runtime.handle().clone());
        let (name, now) = (AccountName::new("a").unwrap(), Duration::from_secs(1000));
        forwarders.accounts.insert(name.clone(), Forwarder::default());
        forwarders.on_poll_end(&name, 0, false, now);
        assert_eq!(forwarders.next_wake(), None);
        forwarders.on_poll_end(&name, 3, false, now);
        assert_eq!(forwarders.next_wake(), Some(now));
        drop(forwarders.accounts.get_mut(&name).unwrap().take_in(&report(0, 3, down()), now, 50));
        forwarders.on_poll_end(&name, 3, true, now);
        assert_eq!(forwarders.next_wake(), Some(now + Duration::from_secs(30)));
        assert!(forwarders.after(Some((name, report(6, 0, Ok(())))), now, 60).has_room);
    }
}
