//! What the daemon knows of an account between two polls.

use std::ops::Range;
use std::time::Duration;

use super::status::{AccountStatus, Came, Quarantine, State, Trouble};
use crate::account::{Account, AccountName};
use crate::client::Mask;
use crate::config::NotifySettings;
use crate::poll::{PollReport, Quarantined};
use crate::schedule::queue::Doing;
use crate::schedule::{History, Next, Why, Wishes, first, next, seed};
use crate::state::entries::TroubleKind;
use crate::state::hints::Past;
use crate::telling::{Facts, News, Told, after_poll};

/// So many messages in quarantine are kept and shown of one account.
const MOST_QUARANTINED: usize = 100;

/// An account between two polls.
#[derive(Debug)]
pub(super) struct Kept {
    /// As the configuration has it.
    pub(super) account: Account,
    /// For the jitter of its schedule.
    seed: u64,
    /// What happened in the polls before.
    pub(super) history: History,
    /// When it is polled next, and why.
    pub(super) next: Next,
    /// What came so far.
    past: Past,
    /// The end of the last poll, in seconds since 1970.
    last_poll: Option<i64>,
    /// The last poll that came to its end, in seconds since 1970.
    last_success: Option<i64>,
    /// How many messages the server listed.
    on_server: Option<u64>,
    /// How many of those were too large.
    too_large: u64,
    /// Messages that made trouble, and until when each is left alone, in seconds since 1970.
    quarantine: Vec<Quarantine>,
    /// What keeps it from its work.
    trouble: Option<Trouble>,
    /// What was told of it to people.
    told: Told,
}

impl Kept {
    /// An account that has not been polled, one of so many.
    pub(super) fn new(account: Account, past: Past, installation: u64, accounts: usize, now: Duration) -> Self {
        let seed = seed(installation, &account.name);
        let wishes = Wishes::new(account.interval, &account.endpoint.host);
        Self {
            seed,
            history: History::default(),
            next: first(&wishes, accounts, seed, now),
            last_poll: None,
            last_success: past.last_success,
            past,
            on_server: None,
            too_large: 0,
            quarantine: Vec::new(),
            trouble: None,
            told: Told::default(),
            account,
        }
    }

    /// The same account as it is configured now. What was learned of it stays; what a person changed is tried soon.
    pub(super) fn reconfigure(&mut self, account: Account, accounts: usize, now: Duration) {
        let wishes = Wishes::new(account.interval, &account.endpoint.host);
        self.account = account;
        self.history.begin_anew();
        self.next = first(&wishes, accounts, self.seed, now);
    }

    /// Whether its login was refused, so that a changed credential is worth another try.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self.next.why, Why::Trouble { cause: crate::schedule::Cause::LoginRefused, .. })
    }

    /// Takes in how a poll ended that ran from `polled.start` to `polled.end`; `wall` is the same end since 1970.
    pub(super) fn note(&mut self, report: &PollReport, polled: Range<Duration>, wall: i64) {
        let wishes = Wishes::new(self.account.interval, &self.account.endpoint.host);
        self.next = next(&wishes, &mut self.history, &report.outcome(), self.seed, polled);
        self.last_poll = Some(wall);
        if report.end.is_ok() {
            self.last_success = Some(wall);
        }
        // A poll that did not come so far has nothing to tell.
        if report.past != Past::default() {
            self.past = report.past.clone();
        }
        if report.on_server.is_some() {
            self.on_server = report.on_server;
            self.too_large = u64::try_from(report.too_large.len()).unwrap_or(u64::MAX);
        }
        if report.logged_in {
            self.quarantine = quarantined(&report.quarantine, &report.mask, wall);
        }
        self.trouble = report.end.as_ref().err().and_then(|error| {
            let Why::Trouble { cause, times } = self.next.why else {
                // It is not believed yet, or was wanted.
                return matches!(self.next.why, Why::Doubt).then(|| self.go_on("server-busy", 1, error, wall));
            };
            Some(self.go_on(cause.name(), times, error, wall))
        });
    }

    /// What a person should be told after a poll that [`Self::note`] took in.
    pub(super) fn news(
        &mut self,
        settings: &NotifySettings,
        report: &PollReport,
        now: Duration,
        wall: i64,
    ) -> Vec<News> {
        after_poll(&mut self.told, settings, &Facts::of(report, &self.next.why, now, wall))
    }

    /// The trouble that goes on, or begins.
    fn go_on(&self, cause: &str, times: u32, error: &crate::poll::PollError, wall: i64) -> Trouble {
        let since = self.trouble.as_ref().filter(|known| known.cause == cause).map_or(wall, |known| known.since);
        Trouble { cause: cause.to_owned(), times, since, text: error.to_string() }
    }

    /// What there is to show at a time, given as that since boot and that since 1970.
    pub(super) fn status(&self, doing: Option<Doing>, now: Duration, wall: i64, today: &str) -> AccountStatus {
        let state = match doing {
            Some(Doing::Running) => State::Polling,
            Some(Doing::Ready(_)) => State::WaitingForAPlace,
            _ if self.trouble.is_some() => State::Trouble,
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
                .map(|due| Next { at: due, why: self.why(due) }.told(now).to_string())
                .unwrap_or_default(),
            today: Came { messages, octets },
            total: Came { messages: self.past.messages, octets: self.past.octets },
            on_server: self.on_server,
            too_large: self.too_large,
            quarantine: self.quarantine.clone(),
            trouble: self.trouble.clone(),
        }
    }

    /// Why it is polled at a time that may be another than was planned.
    fn why(&self, due: Duration) -> Why {
        if due < self.next.at { Why::Asked } else { self.next.why }
    }

    /// Its name.
    pub(super) fn name(&self) -> &AccountName {
        &self.account.name
    }

    /// What keeps it from its work.
    pub(super) fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }
}

fn quarantined(messages: &[Quarantined], mask: &Mask, wall: i64) -> Vec<Quarantine> {
    let show = |message: &Quarantined| Quarantine {
        unique_id: mask.hide(&message.unique_id.to_string()),
        kind: match message.kind {
            TroubleKind::Refused => "refused".to_owned(),
            TroubleKind::Broke => "broke".to_owned(),
        },
        times: message.times,
        until: wall.saturating_add(seconds(message.left_alone)),
    };
    messages.iter().take(MOST_QUARANTINED).map(show).collect()
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
