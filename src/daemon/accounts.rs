//! The daemon's state of an account between polls.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::account::{Account, AccountName, NotifySettings};
use crate::account_history::History;
use crate::account_record::{Failure, FailureKind, ForwardingPause, Standing, past_poll};
use crate::advice;
use crate::client::Redactor;
use crate::clock::trusted_time::ClockReading;
use crate::control::TriedAgain;
use crate::control::status::{self, AccountStatus, Came, PollCounts, Quarantine, State};
use crate::forward::Stranded;
use crate::notify::Notification;
use crate::oauth::tokens::TokenTimes;
use crate::poll::{PollReport, Quarantined};
use crate::schedule::queue::Doing;
use crate::schedule::{Cause, Next, PollTiming, Reason, TimeOfWeek, first, seed, when_allowed};
use crate::state::entries::QuarantineReason;
use crate::state::hints::Past;
use crate::state::saved::{Files, Saved};

/// How long failures may wait before they are saved to the history, in seconds: while the network is down, all accounts
/// would be written again and again. Retrieved mail is saved at once.
const HISTORY_EVERY: i64 = 600;

/// How many days of history are shown.
const DAYS_SHOWN: u8 = 7;

/// How many quarantined messages of an account are kept and shown.
const MOST_QUARANTINED: usize = 100;

/// An account between two polls.
#[derive(Debug)]
pub(super) struct AccountState {
    /// The account as configured, shared with its running poll.
    pub(super) account: Arc<Account>,
    /// Seeds the jitter of its schedule.
    seed: u64,
    /// The history that matters for its schedule, its problem if any, and what was notified.
    pub(super) standing: Standing,
    /// When it is polled next and why.
    pub(super) next: Next,
    /// Whether its configuration changed after its last poll began.
    is_changed: bool,
    /// What was retrieved so far.
    past: Past,
    /// When the last poll ended, in seconds since 1970.
    last_poll: Option<i64>,
    /// When the last successful poll ended, in seconds since 1970.
    last_success: Option<i64>,
    /// The same of this daemon's polls, since boot.
    succeeded_at: Option<Duration>,
    /// How many messages the server listed.
    on_server: Option<u64>,
    /// How many of those were too large.
    too_large: u64,
    /// Messages that caused problems, and until when each is skipped, in seconds since 1970.
    quarantine: Vec<Quarantine>,
    /// What waits in its spool although it forwards nothing, as of the last poll that looked.
    stranded: Option<Box<Stranded>>,
    /// When the tokens of the last poll's login were issued and when they expire.
    token: Option<Box<TokenTimes>>,
    /// The digest of the saved standing.
    written: u64,
    /// The history of its polls, including those by `fetch`.
    history: History,
    /// The part of it that is not saved yet.
    unwritten: History,
    /// When to save that, in seconds since 1970.
    write_history_at: Option<i64>,
    /// How many polls succeeded and how many failed since the daemon started.
    polls: PollCounts,
    /// How long the last poll took, in milliseconds.
    last_poll_milliseconds: u64,
    /// How many octets it delivered, as stored.
    last_poll_octets: u64,
    /// How many round trips it took.
    last_poll_round_trips: u32,
    /// When the server's certificate expires, in seconds since 1970, as seen by the last poll that logged in.
    certificate_expires: Option<i64>,
}

impl AccountState {
    /// Makes an account that has not been polled yet, one of this many.
    pub(super) fn new(account: Arc<Account>, installation: u64, accounts: usize, now: Duration) -> Self {
        let seed = seed(installation, &account.name);
        let timing = PollTiming::new(account.interval, &account.endpoint.host);
        Self {
            seed,
            standing: Standing::default(),
            next: first(&timing, accounts, seed, now),
            is_changed: false,
            last_poll: None,
            last_success: None,
            succeeded_at: None,
            past: Past::default(),
            on_server: None,
            too_large: 0,
            quarantine: Vec::new(),
            stranded: None,
            token: None,
            written: 0,
            history: History::default(),
            unwritten: History::default(),
            write_history_at: None,
            polls: PollCounts::default(),
            last_poll_milliseconds: 0,
            last_poll_octets: 0,
            last_poll_round_trips: 0,
            certificate_expires: None,
            account,
        }
    }

    /// Restores what an earlier daemon or `fetch` saved. A back-off continues unless `is_mended`: the user may have
    /// fixed its cause. Returns whether one continues.
    pub(super) fn recall(
        &mut self,
        past: Past,
        history: History,
        saved: Option<(Saved, bool)>,
        now: Duration,
        clock: ClockReading,
    ) -> bool {
        (self.last_success, self.past, self.history) = (past.last_success, past, history);
        let Some((saved, is_mended)) = saved else { return false };
        let awaited_until = self.standing.history.awaited_until;
        self.standing = Standing::restore(&saved, now, clock);
        // The daemon's forwarders check for themselves.
        self.standing.forwarding = None;
        self.standing.history.awaited_until = awaited_until;
        self.written = saved.digest();
        if is_mended {
            self.standing.history.begin_anew();
            return false;
        }
        // A cheap attempt is made at once: the machine may have been started in another network.
        let goes_on = self.failure().is_some_and(Failure::outlives_a_restart);
        if goes_on {
            self.keep_waiting();
        }
        goes_on
    }

    /// Returns the notification that is due for a problem from before the daemon started.
    pub(super) fn remembered(&mut self, now: Duration) -> Option<Notification> {
        let Standing { failure, told, .. } = &mut self.standing;
        told.remembered(failure.as_ref()?.reason(), &failure.as_ref()?.text, now)
    }

    /// Makes an account in a back-off wait until that is over.
    pub(super) fn keep_waiting(&mut self) {
        if let Some(failure) = &self.standing.failure {
            self.next = Next { at: failure.due.max(self.next.at), reason: failure.reason() };
        }
    }

    /// Applies a changed configuration. What was learnt about the account stays; changes by the user are tried as soon
    /// as the server allows it after the last login, and after the poll that may be running.
    pub(super) fn reconfigure(&mut self, account: Arc<Account>, accounts: usize, now: Duration) {
        let server = |account: &Account| (account.endpoint.server(), account.username.clone());
        if server(&account) != server(&self.account) {
            // Another server knows nothing of it.
            self.standing.history.last_login = None;
        }
        self.account = account;
        self.standing.history.begin_anew();
        self.next = self.soon(accounts, now);
        self.is_changed = true;
    }

    /// Places a poll that is wanted soon.
    fn soon(&self, accounts: usize, now: Duration) -> Next {
        let timing = PollTiming::new(self.account.interval, &self.account.endpoint.host);
        when_allowed(first(&timing, accounts, self.seed, now), &timing, &self.standing.history, now)
    }

    /// Returns when it may be polled again at the earliest, since boot, if that is worth it: not during a back-off.
    pub(super) fn may_be_polled_from(&self, now: Duration) -> Option<Duration> {
        let timing = PollTiming::new(self.account.interval, &self.account.endpoint.host);
        let soon = Next { at: now, reason: Reason::Start };
        let allowed = when_allowed(soon, &timing, &self.standing.history, now);
        Some(allowed.at).filter(|_| self.standing.failure.is_none())
    }

    /// Records that a poll begins, with the account as it is configured now.
    pub(super) fn begins(&mut self) {
        self.is_changed = false;
    }

    /// Whether mail was ever delivered to it, so that it has a state.
    pub(super) fn has_delivered(&self) -> bool {
        self.past.messages > 0
    }

    /// Whether a poll of this daemon has succeeded since then, a time since boot.
    pub(super) fn has_succeeded_since(&self, since: Duration) -> bool {
        self.succeeded_at.is_some_and(|at| at >= since)
    }

    /// How many polls in a row were ended because they were too slow, or how often the session broke at one message in
    /// a row, whatever other mail came before it.
    pub(super) fn times_too_slow(&self) -> u32 {
        let polls = Some(self.standing.history.times_too_slow());
        let broke = self.quarantine.iter().filter(|one| one.kind == QuarantineReason::BrokeSession);
        polls.into_iter().chain(broke.map(|one| one.times)).max().unwrap_or(0)
    }

    /// Whether its last login worked, as far as known.
    pub(super) fn is_proven(&self) -> bool {
        let refused = matches!(self.failure().map(Failure::cause), Some(Cause::LoginRefused | Cause::AccessRefused));
        self.last_success.is_some() && !refused
    }

    /// Whether its password prevents a login, so that a changed one is worth another attempt.
    pub(super) fn wants_password(&self) -> bool {
        let kind = self.failure().map(|failure| failure.kind);
        matches!(kind, Some(FailureKind::Failed { cause: Cause::LoginRefused | Cause::Credential, .. }))
    }

    /// Handles a poll that ran from `polled.start` to `polled.end`; `wall` is the end in seconds since 1970, and
    /// `local` as local time of the week.
    pub(super) fn on_poll_end(&mut self, report: &PollReport, polled: Range<Duration>, wall: i64, local: TimeOfWeek) {
        self.next = self.standing.on_poll_end(&self.account, self.seed, report, polled.clone(), wall, local);
        if self.is_changed {
            let soon = self.soon(1, polled.end);
            self.next = if soon.at < self.next.at { soon } else { self.next };
        }
        self.last_poll = Some(wall);
        self.take_in_history(report, wall);
        if report.end.is_ok() {
            (self.last_success, self.succeeded_at) = (Some(wall), Some(polled.end));
        }
        // A poll that did not get that far does not know it.
        if report.past != Past::default() {
            self.past = report.past.clone();
        }
        if report.on_server.is_some() {
            self.on_server = report.on_server;
            self.too_large = u64::try_from(report.too_large.len()).unwrap_or(u64::MAX);
        }
        if let Some(token) = report.token {
            self.token = Some(Box::new(token));
        }
        if report.end.is_ok() || report.stranded.is_some() {
            self.stranded.clone_from(&report.stranded);
        }
        if report.logged_in {
            self.quarantine = quarantined(&report.quarantine, &report.redactor, wall);
        }
    }

    /// Returns the notifications due after a poll that [`Self::on_poll_end`] handled.
    pub(super) fn notifications(
        &mut self,
        settings: &NotifySettings,
        report: &PollReport,
        now: Duration,
        wall: i64,
    ) -> Vec<Notification> {
        self.standing.notifications(settings, report, &self.next.reason, now, wall)
    }

    /// Adds a poll that ended at `wall`, in seconds since 1970, to the history.
    fn take_in_history(&mut self, report: &PollReport, wall: i64) {
        let cause = report.end.is_err().then(|| self.failure().map(Failure::cause)).flatten();
        let poll = past_poll(report, wall, cause);
        self.last_poll_milliseconds = poll.milliseconds;
        self.last_poll_octets = poll.octets;
        self.last_poll_round_trips = poll.round_trips;
        if let Some(history) = &report.history {
            self.history.clone_from(history);
            self.history.absorb(&self.unwritten);
        }
        if self.unwritten.add(poll) {
            self.history.add(poll);
            let at = if poll.messages > 0 { wall } else { wall.saturating_add(HISTORY_EVERY) };
            self.write_history_at = Some(self.write_history_at.map_or(at, |earlier| earlier.min(at)));
        }
        match cause {
            Some(_) => self.polls.failed += 1,
            None => self.polls.succeeded += u64::from(report.end.is_ok()),
        }
        if report.logged_in {
            self.certificate_expires = report.certificate_expires;
        }
    }

    /// Takes what is to be saved of why its mail waits to be forwarded: for people who ask when no daemon runs.
    pub(super) fn note_forwarding(&mut self, forwarding: Option<ForwardingPause>) {
        self.standing.forwarding = forwarding.map(Box::new);
    }

    /// Returns the standing and the new history if they need to be saved; they then count as saved.
    pub(super) fn unwritten(&mut self, files: &Files, now: Duration, clock: ClockReading) -> Option<(Saved, History)> {
        let saved = self.standing.save(files, now, clock);
        let digest = saved.digest();
        let is_new = std::mem::replace(&mut self.written, digest) != digest;
        // If the clock was set back, do not wait longer than that.
        let in_seconds = self.write_history_at.map(|at| at.saturating_sub(clock.wall));
        if !is_new && in_seconds.is_none_or(|seconds| (1..=HISTORY_EVERY).contains(&seconds)) {
            return None;
        }
        self.write_history_at = None;
        Some((saved, std::mem::take(&mut self.unwritten)))
    }

    /// Estimates the length of its status as text, in bytes.
    pub(super) fn status_length(&self) -> usize {
        1024 + 128 * (self.history.len() + self.quarantine.len())
    }

    /// Returns the status at a time, given both since boot and since 1970.
    ///
    /// `hung` is since when it has been waiting for a disk that hangs, `this_poll` what the running poll has delivered.
    pub(super) fn status(
        &self,
        doing: Option<Doing>,
        hung: Option<Duration>,
        this_poll: Option<Came>,
        now: Duration,
        wall: i64,
        today: &str,
    ) -> AccountStatus {
        let held = self.failure().filter(|failure| failure.is_brief_hold(wall));
        let state = match doing {
            Some(Doing::Running) if hung.is_some() => State::Hung,
            Some(Doing::Running) => State::Polling,
            Some(Doing::Ready(_)) => State::Queued,
            _ if held.is_some() => State::Held,
            _ if self.standing.failure.is_some() => State::Failing,
            _ if self.last_poll.is_none() => State::New,
            _ => State::Idle,
        };
        let due = match doing {
            Some(Doing::Waiting(due) | Doing::Ready(due)) => Some(due),
            _ => None,
        };
        let (messages, octets) = self.past.on(today);
        AccountStatus {
            account: self.account.name.to_string(),
            host: self.account.endpoint.host.clone(),
            maildir: self.account.maildir.display().to_string(),
            state,
            last_poll: self.last_poll,
            last_success: self.last_success,
            last_new_mail: self.past.last_new_mail,
            next_poll: due.map(|due| wall.saturating_add(seconds(due.saturating_sub(now)))),
            next_poll_why: due
                .map(|due| advice::polled_next(&Next { at: due, reason: self.reason(due) }, now))
                .unwrap_or_default(),
            often_until: self.awaited_until(now).map(|until| wall.saturating_add(seconds(until.saturating_sub(now)))),
            this_poll,
            today: Came { messages, octets },
            total: Came { messages: self.past.messages, octets: self.past.octets },
            on_server: self.on_server,
            too_large: self.too_large,
            quarantine: self.quarantine.clone(),
            failure: self.failure_at(wall).map(shown),
            held: held.map(|hold| status::Hold { since: hold.since, text: hold.text.clone() }),
            forward: self.stranded.as_deref().map(|stranded| self.stranded(stranded)),
            token: self.token.as_deref().filter(|_| self.account.uses_token).map(token),
            polls: self.polls,
            last_poll_milliseconds: self.last_poll.map(|_| self.last_poll_milliseconds),
            last_poll_octets: self.last_poll.map(|_| self.last_poll_octets),
            last_poll_round_trips: self.last_poll.map(|_| self.last_poll_round_trips),
            certificate_expires: self.certificate_expires,
            hours: self.history.hours(DAYS_SHOWN, wall).copied().collect(),
            recent: self.history.polls().copied().collect(),
            hung_since: hung.map(|since| wall.saturating_sub(seconds(now.saturating_sub(since)))),
        }
    }

    /// Describes mail in its spool although it forwards nothing.
    fn stranded(&self, stranded: &Stranded) -> status::Forwarding {
        status::Forwarding {
            to: "nowhere any more".to_owned(),
            running: false,
            counted: self.last_poll,
            messages: stranded.messages,
            octets: stranded.octets,
            oldest: Some(stranded.oldest),
            why: Some(advice::told_of_stranded(stranded, self.name())),
            since: None,
            next_try: None,
            forwarded: 0,
            last_forwarded: None,
            set_aside: 0,
            first_set_aside: Vec::new(),
            spool_full: false,
            stranded: true,
        }
    }

    /// Returns why it is polled at `due`, which may be earlier than planned.
    fn reason(&self, due: Duration) -> Reason {
        if due < self.next.at { Reason::Asked } else { self.next.reason }
    }

    /// Returns until when the user waits for mail, since boot.
    fn awaited_until(&self, now: Duration) -> Option<Duration> {
        self.standing.history.awaited_until.filter(|until| *until > now)
    }

    /// Returns the account's name.
    pub(super) fn name(&self) -> &AccountName {
        &self.account.name
    }

    /// Returns its current problem.
    pub(super) fn failure(&self) -> Option<&Failure> {
        self.standing.failure.as_deref()
    }

    /// Describes a problem to the user who asks for a poll all the same. `wall` is the current time in seconds since
    /// 1970.
    pub(super) fn tried_again(&self, wall: i64) -> Option<TriedAgain> {
        let failure = self.failure()?;
        let cause = match failure.kind {
            // A refusal is believed the second time.
            FailureKind::Doubt => Cause::LoginRefused,
            FailureKind::Failed { cause, .. } => cause,
        };
        Some(TriedAgain {
            account: self.account.name.to_string(),
            for_seconds: u64::try_from(wall.saturating_sub(failure.since)).unwrap_or(0),
            text: failure.text.clone(),
            next_wait: cause.wait(1, self.account.interval.longest).as_secs(),
        })
    }

    /// Returns its current problem if a user should look at it; `wall` is the current time in seconds since 1970.
    pub(super) fn failure_at(&self, wall: i64) -> Option<&Failure> {
        self.failure().filter(|failure| !failure.is_brief_hold(wall))
    }
}

fn token(times: &TokenTimes) -> status::Token {
    status::Token {
        signed_in: times.signed_in,
        renewed: times.renewed,
        access_ends: times.access_expires,
        sign_in_ends: times.refresh_expires,
        end_is_fixed: times.refresh_end_is_fixed,
    }
}

fn shown(failure: &Failure) -> status::Failure {
    let (cause, text) = (failure.cause(), failure.text.clone());
    status::Failure { cause, times: failure.times(), since: failure.since, text }
}

fn quarantined(messages: &[Quarantined], redactor: &Redactor, wall: i64) -> Vec<Quarantine> {
    let show = |message: &Quarantined| Quarantine {
        unique_id: redactor.hide(&message.unique_id.to_string()),
        kind: message.kind,
        times: message.times,
        until: wall.saturating_add(seconds(message.left_alone)),
    };
    messages.iter().take(MOST_QUARANTINED).map(show).collect()
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
