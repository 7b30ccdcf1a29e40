//! The forwarder of an account: when its next pass begins, and what people are told of it. PURE.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::advice::{self, Class};
use crate::forward::{ForwardError, ForwardReport, Live, Pause, Waiting};
use crate::notify::Notification;

/// Somebody else forwards the account's mail: it is looked again after so long.
const OTHER: Duration = Duration::from_secs(30);

/// A trouble that may pass by itself is told after so many passes that came to nothing.
const TOLD_AFTER: u32 = 5;

/// A trouble that goes on is told again after so long.
const TOLD_AGAIN: Duration = Duration::from_secs(24 * 60 * 60);

/// What is known of the forwarder of an account.
#[derive(Debug, Default)]
pub(super) struct Forwarder {
    /// A pass runs.
    pub(super) running: bool,
    /// When the next one begins, since boot. None: when something comes.
    pub(super) due: Option<Duration>,
    /// Something came while a pass ran.
    pub(super) more: bool,
    /// How many passes in a row came to nothing.
    pub(super) failures: u32,
    /// The last pass ended before its end: what comes waits with the others. Else only single messages are put off.
    pub(super) holds: bool,
    /// Why what waits does so, in words; since when, in seconds since 1970.
    pub(super) trouble: Option<(i64, String)>,
    /// The destination in words.
    pub(super) to: String,
    /// What was there when it was looked last.
    pub(super) waiting: Waiting,
    /// When that was, in seconds since 1970. None: not yet.
    pub(super) counted: Option<i64>,
    /// Somebody looks; true: and is to look again behind that.
    pub(super) looking: Option<bool>,
    /// What the pass that runs has done and left.
    pub(super) live: Live,
    /// How many messages have arrived since the daemon began.
    pub(super) forwarded: u64,
    /// When the last one did, in seconds since 1970.
    pub(super) last: Option<i64>,
    /// The last poll left mail on the server because the spool was full.
    pub(super) wants_room: bool,
    /// When a person was told of the trouble, since boot.
    pub(super) told: Option<Duration>,
    /// What the file of the destination's password looked like before the last pass, if it has one.
    pub(super) password: Arc<OnceLock<String>>,
    /// That pass came to nothing because of the password, so that a changed one is worth another try.
    pub(super) wants_password: bool,
}

impl Forwarder {
    /// When its next pass begins, since boot. None: one runs, or nothing is to be done.
    pub(super) fn waits_until(&self) -> Option<Duration> {
        self.due.filter(|_| !self.running)
    }

    /// A pass begins; what it tells while it runs, and where it says what its password's file looks like.
    pub(super) fn begin(&mut self) -> (Live, Arc<OnceLock<String>>) {
        (self.due, self.running, self.more) = (None, true, false);
        (self.live, self.password) = (Live::default(), Arc::default());
        (self.live.clone(), Arc::clone(&self.password))
    }

    /// A pass ended in a panic.
    pub(super) fn panicked(&mut self, now: Duration) {
        self.running = false;
        self.forwarded = self.forwarded.saturating_add(self.live.forwarded());
        (self.failures, self.holds) = (self.failures.saturating_add(1), true);
        self.due = Some(now + Pause::Soon.time(self.failures));
    }

    /// A poll has brought something.
    pub(super) fn something_came(&mut self, now: Duration) {
        self.more |= self.running;
        // In a pause it waits with the others, unless those are single ones that the destination takes later.
        if self.failures == 0 || !self.holds {
            self.due = Some(self.due.map_or(now, |due| due.min(now)));
        }
    }

    /// Takes in what is in the spool; whether there is room now that was wanted.
    pub(super) fn take_in_look(&mut self, waiting: Option<Waiting>, now: Duration, wall: i64) -> bool {
        let Some(waiting) = waiting.filter(|_| !self.running) else { return false };
        let is_less = waiting.in_all() < self.waiting.in_all();
        (self.waiting, self.counted) = (waiting, Some(wall));
        if self.waiting.messages > 0 && self.due.is_none() {
            // Another process has brought it, and not got it through.
            self.due = Some(now);
        }
        is_less && std::mem::take(&mut self.wants_room)
    }

    /// Takes in how a pass ended, and says what there is to tell.
    pub(super) fn take_in(&mut self, report: &ForwardReport, now: Duration, wall: i64) -> Vec<Notification> {
        let mut news = Vec::new();
        if report.forwarded > 0 {
            self.forwarded = self.forwarded.saturating_add(report.forwarded);
            self.last = Some(wall);
        }
        if report.is_counted {
            self.waiting.clone_from(&report.waiting);
            self.counted = Some(wall);
        }
        if matches!(report.end, Err(ForwardError::Busy { .. })) {
            self.due = Some(now + OTHER);
            return news;
        }
        if report.newly_set_aside > 0 {
            let new = u64::try_from(report.newly_set_aside).unwrap_or(u64::MAX);
            let (first, count) = (report.first_newly_set_aside.clone(), report.waiting.set_aside.max(new));
            news.push(Notification::SetAside { first, new, count });
        }
        self.wants_password =
            matches!(report.why_waiting(), Some(ForwardError::Login { .. } | ForwardError::Credential(_)));
        let pause = match report.why_waiting() {
            Some(e) => Some((Class::of_forwarding(e).pause(), advice::told_of_forwarding(e, &report.account))),
            None if report.waiting.messages > 0 => {
                Some((Pause::Soon, "the destination asks for another try".to_owned()))
            }
            None => None,
        };
        let Some((pause, why)) = pause else {
            (self.failures, self.trouble) = (0, None);
            self.due = self.more.then_some(now);
            news.extend(self.told.take().map(|_| Notification::ForwardingRecovered));
            return news;
        };
        // What has got through in part is not what has failed again.
        self.failures = if report.forwarded > 0 { 1 } else { self.failures.saturating_add(1) };
        // What was said of one message alone shows nothing of those that are to come.
        self.holds = report.end.is_err() && !report.is_of_one;
        let is_new = self.more && !self.holds;
        self.due = Some(if is_new { now } else { now + pause.time(self.failures) });
        let since = self.trouble.as_ref().map_or(wall, |(since, _)| *since);
        let is_news = self.told.is_none_or(|told| now.saturating_sub(told) >= TOLD_AGAIN);
        if is_news && (pause == Pause::Person || self.failures >= TOLD_AFTER) {
            self.told = Some(now);
            let text = format!("forwarding to {}: {why}", report.to);
            news.push(Notification::Forwarding { text, count: report.waiting.messages });
        }
        self.trouble = Some((since, why));
        news
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::account::AccountName;

    pub(in super::super) fn report(forwarded: u64, waiting: u64, end: Result<(), ForwardError>) -> ForwardReport {
        let waiting = Waiting { messages: waiting, ..Waiting::default() };
        let account = AccountName::new("a").unwrap();
        let to = "x".to_owned();
        ForwardReport { forwarded, waiting, end, ..ForwardReport::new(account, to) }
    }

    pub(in super::super) fn down() -> Result<(), ForwardError> {
        Err(ForwardError::Refused { doing: "x", response: "down".to_owned(), lasting: false })
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
        assert_eq!(told, 1, "a trouble is told once");
        assert_eq!(forwarder.trouble.as_ref().unwrap().0, 50, "since the first failure");
        drop(forwarder.take_in(&report(2, 3, down()), now, 60));
        assert_eq!(forwarder.due, Some(now + Duration::from_secs(30)));
        assert_eq!(forwarder.take_in(&report(3, 0, Ok(())), now, 61), [Notification::ForwardingRecovered]);
        assert_eq!((forwarder.due, forwarder.trouble, forwarder.forwarded), (None, None, 5));
    }

    #[test]
    fn what_the_destination_said_is_why_messages_are_put_off() {
        let mut forwarder = Forwarder::default();
        let put_off = down().err();
        let news = forwarder.take_in(&ForwardReport { put_off, ..report(1, 2, Ok(())) }, Duration::from_secs(9), 50);
        assert!(news.is_empty(), "it may pass");
        assert_eq!(forwarder.trouble, Some((50, "cannot x: the destination said \"down\"".to_owned())));
    }
}
