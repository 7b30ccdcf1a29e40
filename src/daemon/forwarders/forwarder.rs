//! The state of an account's forwarder: when its next pass begins, and what the user is notified of. PURE.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::account::{Account, Forward};
use crate::advice;
use crate::forward::{ForwardError, ForwardReport, Live, Pause, Waiting};
use crate::notify::Notification;

/// When to look again if another process forwards the account's mail.
const OTHER: Duration = Duration::from_secs(30);

/// After how many failed passes a problem that may pass by itself is notified.
const TOLD_AFTER: u32 = 5;

/// After how long a persisting problem is notified again.
const TOLD_AGAIN: Duration = Duration::from_secs(24 * 60 * 60);

/// The state of an account's forwarder.
#[derive(Debug, Default)]
pub(super) struct Forwarder {
    /// Whether a pass is running.
    pub(super) running: bool,
    /// Whether a pass is due and waits for a place.
    pub(super) waits_for_place: bool,
    /// When the last pass began, since boot.
    pub(super) begun: Duration,
    /// Whether the running pass was told to end because others wait for its place.
    pub(super) had_its_turn: bool,
    /// Whether the running pass was told to end because its configuration has changed.
    pub(super) was_reconfigured: bool,
    /// What the last pass works with, of the account's configuration: the destination, and how long it may be silent.
    pub(super) works_with: Option<(Arc<Forward>, Duration)>,
    /// Stops the last pass.
    pub(super) stop: CancellationToken,
    /// What is slow if a pass takes long: the destination's address, or the account's name if it has a command.
    pub(super) destination: String,
    /// When the next one begins, since boot. None: when something arrives.
    pub(super) due: Option<Duration>,
    /// Whether something arrived while a pass was running.
    pub(super) more: bool,
    /// How many passes in a row failed.
    pub(super) failures: u32,
    /// Whether the last pass ended early, so that new mail waits with the rest. Otherwise only single messages are put
    /// off.
    pub(super) holds: bool,
    /// Why mail waits, in words, and since when, in seconds since 1970.
    pub(super) failure: Option<(i64, String)>,
    /// The destination in words.
    pub(super) to: String,
    /// What the last look found in the spool.
    pub(super) waiting: Waiting,
    /// When that was, in seconds since 1970. None: there was no look yet.
    pub(super) counted: Option<i64>,
    /// Some if a look is in progress; true: look again after it.
    pub(super) looking: Option<bool>,
    /// What the running pass has done and left.
    pub(super) live: Live,
    /// How many messages the destination has accepted since the daemon started.
    pub(super) forwarded: u64,
    /// When it accepted the last one, in seconds since 1970.
    pub(super) last: Option<i64>,
    /// Whether the last poll left mail on the server because the spool was full.
    pub(super) wants_room: bool,
    /// When the user was notified of the problem, since boot.
    pub(super) told: Option<Duration>,
    /// The stamp of the destination's password file before the last pass, if it has one.
    pub(super) password: Arc<OnceLock<String>>,
    /// Whether the password made that pass fail, so that a changed one is worth another attempt.
    pub(super) wants_password: bool,
}

impl Forwarder {
    /// Returns when its next pass begins, since boot. None: one is running or waits for a place, or there is nothing
    /// to do.
    pub(super) fn waits_until(&self) -> Option<Duration> {
        self.due.filter(|_| !self.running && !self.waits_for_place)
    }

    /// Records what the next pass works with, and what stops it.
    pub(super) fn prepare(&mut self, account: &Account, stop: CancellationToken) {
        (self.works_with, self.stop) = (account.forward.clone().map(|to| (to, account.timeout)), stop);
    }

    /// Whether the last pass works with what is configured now.
    pub(super) fn is_up_to_date(&self, account: &Account) -> bool {
        match (&self.works_with, &account.forward) {
            (Some((to, timeout)), Some(now)) => to.to == now.to && *timeout == account.timeout,
            (before, now) => before.is_none() && now.is_none(),
        }
    }

    /// Tells the running pass to end soon, because its configuration has changed. The message under way gets a few
    /// seconds. Returns whether this is the first time that it is told so.
    pub(super) fn end_for_reload(&mut self) -> bool {
        self.stop.cancel();
        !std::mem::replace(&mut self.was_reconfigured, true)
    }

    /// Begins a pass. Returns where the pass reports its progress, and where it stores the stamp of the password file.
    pub(super) fn begin(&mut self, now: Duration) -> (Live, Arc<OnceLock<String>>) {
        (self.due, self.running, self.more) = (None, true, false);
        (self.waits_for_place, self.begun, self.had_its_turn) = (false, now, false);
        self.was_reconfigured = false;
        (self.live, self.password) = (Live::default(), Arc::default());
        (self.live.clone(), Arc::clone(&self.password))
    }

    /// Tells the running pass to end in order: it goes on once others have had a place.
    pub(super) fn end_turn(&mut self) {
        self.had_its_turn = true;
        self.live.end_turn();
    }

    /// Handles a pass that panicked.
    pub(super) fn panicked(&mut self, now: Duration) {
        self.running = false;
        self.forwarded = self.forwarded.saturating_add(self.live.forwarded());
        (self.failures, self.holds) = (self.failures.saturating_add(1), true);
        self.due = Some(now + Pause::Soon.time(self.failures));
    }

    /// Records that a poll has delivered something.
    pub(super) fn something_came(&mut self, now: Duration) {
        self.more |= self.running;
        // In a pause it waits with the rest, unless that is only single messages that the destination takes later.
        if self.failures == 0 || !self.holds {
            self.due = Some(self.due.map_or(now, |due| due.min(now)));
        }
    }

    /// Records what is in the spool. Returns whether there is now room that a poll had wanted.
    pub(super) fn take_in_look(&mut self, waiting: Option<Waiting>, now: Duration, wall: i64) -> bool {
        let Some(waiting) = waiting.filter(|_| !self.running) else { return false };
        let is_less = waiting.in_all() < self.waiting.in_all();
        (self.waiting, self.counted) = (waiting, Some(wall));
        if self.waiting.messages > 0 && self.due.is_none() {
            // Another process delivered it but could not forward it.
            self.due = Some(now);
        }
        is_less && std::mem::take(&mut self.wants_room)
    }

    /// Records how a pass ended. Returns what to notify the user of.
    pub(super) fn take_in(&mut self, report: &ForwardReport, now: Duration, wall: i64) -> Vec<Notification> {
        let mut news = Vec::new();
        let goes_on = std::mem::take(&mut self.had_its_turn) && report.waiting.messages > 0;
        if report.forwarded > 0 {
            self.forwarded = self.forwarded.saturating_add(report.forwarded);
            self.last = Some(wall);
        }
        if report.is_counted {
            self.waiting.clone_from(&report.waiting);
            self.counted = Some(wall);
        }
        let was_reconfigured = std::mem::take(&mut self.was_reconfigured);
        if report.is_busy_elsewhere() && !was_reconfigured {
            self.due = Some(now + OTHER);
            return news;
        }
        if report.newly_set_aside > 0 {
            let new = u64::try_from(report.newly_set_aside).unwrap_or(u64::MAX);
            let (first, count) = (report.first_newly_set_aside.clone(), report.waiting.set_aside.max(new));
            news.push(Notification::SetAside { first, new, count });
        }
        if was_reconfigured {
            // What kept the mail there says nothing of the destination that is configured now.
            (self.failures, self.failure, self.holds, self.wants_password) = (0, None, false, false);
            self.due = Some(now);
            return news;
        }
        self.wants_password =
            matches!(report.why_waiting(), Some(ForwardError::Login { .. } | ForwardError::Credential(_)));
        let pause = match report.why_waiting() {
            Some(e) => Some((advice::pause_after(e), report.failure_text().unwrap_or_default())),
            None if report.waiting.messages > 0 && !goes_on => {
                Some((Pause::Soon, "the destination deferred it".to_owned()))
            }
            None => None,
        };
        let Some((pause, why)) = pause else {
            (self.failures, self.failure) = (0, None);
            self.due = (self.more || goes_on).then_some(now);
            news.extend(self.told.take().map(|_| Notification::ForwardingRecovered));
            return news;
        };
        // A pass that forwarded something starts a new series of failures.
        self.failures = if report.forwarded > 0 { 1 } else { self.failures.saturating_add(1) };
        // A problem with one message alone says nothing about later ones.
        self.holds = report.end.is_err() && !report.is_of_one;
        let is_new = (self.more || goes_on) && !self.holds;
        self.due = Some(if is_new { now } else { now + pause.time(self.failures) });
        let since = self.failure.as_ref().map_or(wall, |(since, _)| *since);
        let is_news = self.told.is_none_or(|told| now.saturating_sub(told) >= TOLD_AGAIN);
        if is_news && (pause == Pause::Person || self.failures >= TOLD_AFTER) {
            self.told = Some(now);
            let text = report.told(&why);
            news.push(Notification::Forwarding { text, count: report.waiting.messages });
        }
        self.failure = Some((since, why));
        news
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::account::AccountName;
    use crate::forward::RefusalKind;

    pub(in super::super) fn report(forwarded: u64, waiting: u64, end: Result<(), ForwardError>) -> ForwardReport {
        let waiting = Waiting { messages: waiting, ..Waiting::default() };
        let account = AccountName::new("a").unwrap();
        let to = "x".to_owned();
        ForwardReport { forwarded, waiting, end, ..ForwardReport::new(account, to) }
    }

    pub(in super::super) fn down() -> Result<(), ForwardError> {
        Err(ForwardError::Refused { doing: "x", response: "down".to_owned(), kind: RefusalKind::Passing })
    }

    #[test]
    fn a_destination_that_is_down_is_tried_at_growing_distances_and_is_well_again_at_once() {
        let (mut forwarder, now) = (Forwarder::default(), Duration::from_secs(1000));
        let (mut pauses, mut told) = (Vec::new(), 0);
        for n in 0..9 {
            for news in forwarder.take_in(&report(0, 5, down()), now, 50 + n) {
                told += 1;
                let Notification::Forwarding { text, .. } = news else { panic!("{news:?}") };
                assert!(text.starts_with("forwarding to x: "), "{text}");
            }
            pauses.push(forwarder.due.unwrap().checked_sub(now).unwrap().as_secs());
        }
        assert_eq!(pauses, [30, 60, 120, 240, 480, 960, 1800, 1800, 1800]);
        assert_eq!(told, 1, "a failure is told once");
        assert_eq!(forwarder.failure.as_ref().unwrap().0, 50, "since the first failure");
        drop(forwarder.take_in(&report(2, 3, down()), now, 60));
        assert_eq!(forwarder.due, Some(now + Duration::from_secs(30)));
        assert_eq!(forwarder.take_in(&report(3, 0, Ok(())), now, 61), [Notification::ForwardingRecovered]);
        assert_eq!((forwarder.due, forwarder.failure, forwarder.forwarded), (None, None, 5));
    }

    #[test]
    fn a_pass_that_ended_for_others_goes_on_in_its_turn() {
        let now = Duration::from_secs(9);
        for (had_its_turn, due) in [(true, now), (false, now + Duration::from_secs(30))] {
            let mut forwarder = Forwarder { had_its_turn, ..Forwarder::default() };
            assert_eq!(forwarder.take_in(&report(3, 5, Ok(())), now, 50), []);
            assert_eq!((forwarder.due, forwarder.failure.is_none()), (Some(due), had_its_turn));
            drop(forwarder.take_in(&report(3, 5, Ok(())), now, 50));
            assert_eq!(forwarder.due, Some(now + Duration::from_secs(30)), "that was about one pass");
        }
        let mut forwarder = Forwarder { had_its_turn: true, ..Forwarder::default() };
        drop(forwarder.take_in(&report(3, 0, Ok(())), now, 50));
        assert_eq!(forwarder.due, None, "nothing is left");
        let mut forwarder = Forwarder { had_its_turn: true, ..Forwarder::default() };
        drop(forwarder.take_in(&report(0, 5, down()), now, 50));
        assert_eq!(forwarder.due, Some(now + Duration::from_secs(30)), "it is down");
    }

    #[test]
    fn what_the_destination_said_is_why_messages_are_put_off() {
        let mut forwarder = Forwarder::default();
        let put_off = down().err();
        let news = forwarder.take_in(&ForwardReport { put_off, ..report(1, 2, Ok(())) }, Duration::from_secs(9), 50);
        assert!(news.is_empty(), "it may pass");
        assert_eq!(
            forwarder.failure,
            Some((50, advice::told_of_forwarding(&down().unwrap_err(), &AccountName::new("a").unwrap())))
        );
    }
}
