//! Decides whether to notify the user: takes what was reported before, the settings and the outcome of a poll, and
//! returns notifications.
//!
//! It does nothing itself, and the time is an argument. But it reads the reports of polls and forwarders, whose errors
//! hold those of sockets and files, so it is not one of the pure rooms.
//!
//! Changes are reported, not states. A failure that will probably pass is reported only after some time; one that
//! needs the user is reported soon. All times count from the boot of the machine, as in [`crate::schedule`].

use std::collections::btree_map::Entry;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher as _};
use std::time::Duration;

use super::notification::Notification;
use crate::account::NotifySettings;
use crate::advice;
use crate::client::Redactor;
use crate::forward::ForwardReport;
use crate::poll::{PollReport, Quarantined};
use crate::schedule::{Cause, Reason};
use crate::state::saved::SavedNotifyState;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the network must have been down: computers sleep, wake and travel.
const NETWORK_DOWN_LIMIT: Duration = Duration::from_secs(30 * 60);

/// How long polls must have failed before a long time without success is reported: after the machine wakes from a long
/// sleep, the first polls may precede its network.
const SILENCE_FAILING_LIMIT: Duration = MINUTE.saturating_mul(10);

/// After how long a persisting failure is reported again.
const REMINDER: Duration = DAY;

/// With how many days left a certificate is reported again.
const LAST_DAYS: [u32; 2] = [3, 1];

/// How many quarantined messages are remembered as reported. Beyond that, further ones are not reported.
const MOST_QUARANTINED: usize = 256;

/// What has been reported of an account, and since when it has been in trouble. Times are on the axis of `BOOT`.
#[derive(Debug, Clone, Default)]
pub struct NotifyState {
    /// When the last poll succeeded, or else when the first one failed.
    well: Option<Duration>,
    /// How many polls in a row have failed.
    failures: u32,
    /// When the first of these failed.
    failing_since: Duration,
    /// The causes of failures reported since the last successful poll, and when.
    reported_causes: BTreeMap<Cause, Duration>,
    /// When it was reported that no poll succeeds.
    silence: Option<Duration>,
    /// The lowest threshold, in days before expiry, that the certificate has reached.
    certificate: Option<u32>,
    /// When the certificate was last reported.
    certificate_told: Option<Duration>,
    /// The end of the sign-in that was reported as near, in seconds since 1970.
    sign_in_end: Option<i64>,
    /// Marks of the quarantined messages that were reported and are still there.
    quarantined: BTreeSet<u64>,
    /// Marks of the last poll's warnings.
    warnings: BTreeSet<u64>,
    /// It was reported that mail is not forwarded, which is not over.
    not_forwarded: bool,
    /// It was reported that mail is set aside, which is not over.
    set_aside: bool,
}

/// The time of the boot on this module's axis, so that times before the boot can be expressed, too.
const BOOT: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Removes from a warning what differs between polls although its subject is the same: the number of a message, or a
/// count.
fn timeless(words: &str) -> String {
    match words.split_once('(') {
        Some((message, unique_id)) if message.starts_with("message ") => unique_id.to_owned(),
        _ => words.chars().filter(|c| !c.is_ascii_digit()).collect(),
    }
}

fn digits(marks: &BTreeSet<u64>) -> Vec<String> {
    marks.iter().map(|mark| format!("{mark:016x}")).collect()
}

fn marks(digits: &[String]) -> BTreeSet<u64> {
    digits.iter().filter_map(|mark| u64::from_str_radix(mark, 16).ok()).take(MOST_QUARANTINED).collect()
}

/// Returns a hash that represents something reported, such as a message's unique-id. In a collision, one of the two is
/// not reported.
fn mark(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// The outcome of a poll, as far as it matters to the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It succeeded, so that a failure is over.
    Well,
    /// It shows nothing: it was stopped, or a refused login must recur before it is believed.
    Open,
    /// It failed, and the failure counts.
    Badly {
        /// What its error was sorted as.
        cause: Cause,
        /// How many times in a row.
        times: u32,
        /// The error, escaped, without secrets.
        text: String,
    },
}

/// The facts after a poll.
#[derive(Debug)]
pub(crate) struct PollFacts<'a> {
    /// How it ended, as far as it matters to the user.
    pub ended: Ended,
    /// How many new messages were retrieved.
    pub new: u64,
    /// How many days the certificate remains valid, if known: the server's or ours.
    pub certificate_days: Option<i64>,
    /// Whether it is ours, because that expires first.
    pub certificate_is_ours: bool,
    /// The end of a sign-in that is near, in seconds since 1970, and the number of whole days left.
    pub sign_in_ends: Option<(i64, i64)>,
    /// The messages that failed and are still there.
    pub quarantine: &'a [Quarantined],
    /// Hides the password in the server's unique-ids.
    pub redactor: &'a Redactor,
    /// The time, on any axis that never goes back.
    pub now: Duration,
}

impl<'a> PollFacts<'a> {
    /// Extracts the facts from the report of a poll. `reason` comes from [`crate::schedule::next`], `now` is the time
    /// since boot, and `wall` the same time in seconds since 1970.
    #[must_use]
    pub(crate) fn of(report: &'a PollReport, reason: &Reason, now: Duration, wall: i64) -> Self {
        let ended = match (reason, &report.end) {
            (Reason::Failure { cause, times }, Err(e)) => {
                Ended::Badly { cause: *cause, times: *times, text: advice::told(e, &report.account) }
            }
            (_, Ok(())) => Ended::Well,
            (_, Err(_)) => Ended::Open,
        };
        // Whichever expires first ends the fetching.
        let (theirs, ours) = (report.certificate_expires, report.client_certificate_expires);
        let ours_first = ours.is_some_and(|ours| theirs.is_none_or(|theirs| ours < theirs));
        let days = |expires: i64| expires.saturating_sub(wall).div_euclid(24 * 60 * 60);
        Self {
            ended,
            new: report.retrieved,
            certificate_days: if ours_first { ours } else { theirs }.map(days),
            certificate_is_ours: ours_first,
            sign_in_ends: report.token.and_then(|times| Some((times.refresh_expires?, times.last_days(wall)?))),
            quarantine: &report.quarantine,
            redactor: &report.redactor,
            now: BOOT.saturating_add(now),
        }
    }
}

/// Records the outcome of a poll, and returns the notifications that are due.
#[must_use]
pub(crate) fn after_poll(
    told: &mut NotifyState,
    settings: &NotifySettings,
    facts: &PollFacts<'_>,
) -> Vec<Notification> {
    let mut notifications = Vec::new();
    if facts.new > 0 {
        notifications.push(Notification::NewMail { count: facts.new });
    }
    match &facts.ended {
        Ended::Well => notifications.extend(told.note_well(facts.now)),
        Ended::Open => {}
        Ended::Badly { cause, times, text } => {
            told.note_failure(facts.now);
            let failure = told.is_failure_due(*cause, *times, facts.now);
            let silence = told.is_silence_due(settings, facts.now);
            if failure {
                notifications.push(Notification::Failure { cause: *cause, text: text.clone() });
            } else if let Some(since) = silence {
                notifications.push(Notification::NoSuccess { since, text: text.clone() });
            }
        }
    }
    notifications.extend(told.certificate_notification(settings, facts));
    notifications.extend(told.sign_in_notification(facts));
    notifications.extend(told.quarantine_notification(facts));
    notifications
}

impl NotifyState {
    /// Returns the form in which it is saved; `now` is the time since boot.
    #[must_use]
    pub fn save(&self, now: Duration) -> SavedNotifyState {
        let ago = |time: Duration| BOOT.saturating_add(now).saturating_sub(time).as_secs();
        SavedNotifyState {
            well: self.well.map(ago),
            failures: self.failures,
            failing_since: (self.failures > 0).then(|| ago(self.failing_since)),
            silence: self.silence.map(ago),
            certificate: self.certificate,
            certificate_told: self.certificate_told.map(ago),
            sign_in_end: self.sign_in_end,
            quarantined: digits(&self.quarantined),
            warnings: digits(&self.warnings),
            not_forwarded: self.not_forwarded,
            set_aside: self.set_aside,
            reported_causes: self
                .reported_causes
                .iter()
                .map(|(cause, time)| (cause.name().to_owned(), ago(*time)))
                .collect(),
        }
    }

    /// Restores what was saved `passed` seconds ago; `now` is the time since boot.
    #[must_use]
    pub fn restore(saved: &SavedNotifyState, passed: u64, now: Duration) -> Self {
        let now = BOOT.saturating_add(now);
        let moment = |ago: u64| now.saturating_sub(Duration::from_secs(ago.saturating_add(passed)));
        let reported_causes =
            saved.reported_causes.iter().filter_map(|(name, ago)| Some((Cause::named(name)?, moment(*ago))));
        Self {
            well: saved.well.map(moment),
            failures: saved.failures,
            failing_since: saved.failing_since.map(moment).unwrap_or_default(),
            reported_causes: reported_causes.collect(),
            silence: saved.silence.map(moment),
            certificate: saved.certificate,
            certificate_told: saved.certificate_told.map(moment),
            sign_in_end: saved.sign_in_end,
            quarantined: marks(&saved.quarantined),
            warnings: marks(&saved.warnings),
            not_forwarded: saved.not_forwarded,
            set_aside: saved.set_aside,
        }
    }

    /// Returns the warnings of a poll that the previous one did not have, and records them as reported.
    #[must_use]
    pub fn fresh(&mut self, warnings: Vec<String>) -> Vec<String> {
        let marked: Vec<(u64, String)> = warnings.into_iter().map(|words| (mark(&timeless(&words)), words)).collect();
        let before = std::mem::take(&mut self.warnings);
        // What exceeds the limit is not remembered, and so not reported either, or it would be reported every time.
        self.warnings = marked.iter().map(|(mark, _)| *mark).take(MOST_QUARANTINED).collect();
        let is_fresh = |(mark, _): &(u64, String)| self.warnings.contains(mark) && !before.contains(mark);
        marked.into_iter().filter(is_fresh).map(|(_, words)| words).collect()
    }

    /// Does the same for a partial poll: earlier warnings about the omitted part still count as reported.
    #[must_use]
    pub(crate) fn fresh_of_a_part(&mut self, warnings: Vec<String>) -> Vec<String> {
        let before = self.warnings.clone();
        let fresh = self.fresh(warnings);
        let others: Vec<u64> = before.into_iter().filter(|mark| !self.warnings.contains(mark)).collect();
        let room = MOST_QUARANTINED.saturating_sub(self.warnings.len());
        self.warnings.extend(others.into_iter().take(room));
        fresh
    }

    /// Records a successful poll whose report was shown to the user who started it, at a time since boot. A failure that
    /// is over is cleared; what persists does not count as reported. `in_part`: a part of the poll, and so its
    /// warnings, was omitted.
    pub(crate) fn shown(&mut self, report: &PollReport, in_part: bool, now: Duration) {
        let _recovered = self.note_well(BOOT.saturating_add(now));
        let here: BTreeSet<u64> = report.quarantine.iter().map(|one| mark(&one.unique_id)).collect();
        self.quarantined.retain(|mark| here.contains(mark));
        if !in_part {
            let warned: BTreeSet<u64> = report.warnings().iter().map(|words| mark(&timeless(words))).collect();
            self.warnings.retain(|mark| warned.contains(mark));
        }
        let ended = |forwarded: &&ForwardReport| !forwarded.says_nothing_of_the_destination();
        if let Some(forwarded) = report.forwarded.as_deref().filter(ended) {
            self.not_forwarded &= forwarded.why_waiting().is_some();
            self.set_aside &= forwarded.waiting.set_aside > 0;
        }
    }

    /// Returns which problems of forwarding are over since the previous poll, and records the present ones as reported.
    #[must_use]
    pub(crate) fn ends_of_forwarding(&mut self, report: &ForwardReport) -> Vec<&'static str> {
        if report.says_nothing_of_the_destination() {
            return Vec::new();
        }
        let mut ends = Vec::new();
        let in_trouble = report.why_waiting().is_some();
        if self.not_forwarded && !in_trouble {
            ends.push("mail is forwarded again");
        }
        let set_aside = report.waiting.set_aside > 0;
        if self.set_aside && !set_aside {
            ends.push("no mail is set aside any more");
        }
        (self.not_forwarded, self.set_aside) = (in_trouble, set_aside);
        ends
    }

    /// Records a failure as reported. Returns false if it was reported before and is not over.
    pub fn note_reported(&mut self, cause: Cause, now: Duration) -> bool {
        let Entry::Vacant(place) = self.reported_causes.entry(kind(cause)) else { return false };
        place.insert(BOOT.saturating_add(now));
        true
    }

    /// Returns the notification of a failure that was met without being reported, if it is due, and records it as
    /// reported. `now` is the time since boot.
    pub(crate) fn remembered(&mut self, reason: Reason, text: &str, now: Duration) -> Option<Notification> {
        // A doubted refusal of the login must recur.
        let Reason::Failure { cause, times } = reason else { return None };
        let is_news = self.is_failure_due(cause, times, BOOT.saturating_add(now));
        is_news.then(|| Notification::Failure { cause, text: text.to_owned() })
    }

    fn note_well(&mut self, now: Duration) -> Option<Notification> {
        let recovered = !self.reported_causes.is_empty() || self.silence.is_some();
        self.well = Some(now);
        self.failures = 0;
        self.reported_causes.clear();
        self.silence = None;
        recovered.then_some(Notification::Recovered)
    }

    fn note_failure(&mut self, now: Duration) {
        self.well.get_or_insert(now);
        if self.failures == 0 {
            self.failing_since = now;
        }
        self.failures = self.failures.saturating_add(1);
    }

    /// Whether a failure is to be reported now; records it as reported then.
    fn is_failure_due(&mut self, cause: Cause, times: u32, now: Duration) -> bool {
        let kind = kind(cause);
        let is_new = match self.reported_causes.get(&kind) {
            Some(at) => now.saturating_sub(*at) >= REMINDER,
            None => self.lasts(cause, times, now),
        };
        if is_new {
            self.reported_causes.insert(kind, now);
        }
        is_new
    }

    /// Whether a failure has lasted so long that it will hardly pass by itself.
    fn lasts(&self, cause: Cause, times: u32, now: Duration) -> bool {
        match cause {
            // The schedule has already doubted a refusal, and the others are just as certain.
            Cause::LoginRefused | Cause::AccessRefused | Cause::Configuration | Cause::InternalError => true,
            // A foreign network, a server under maintenance, a password store waiting for its passphrase, a disk
            // being mounted.
            Cause::Tls | Cause::Protocol | Cause::Credential | Cause::Storage => times >= 2,
            // These alternate for the same reason, so all failures count.
            Cause::NetworkDown | Cause::ConnectionLost => {
                self.failures.max(times) >= 5 && now.saturating_sub(self.failing_since) >= NETWORK_DOWN_LIMIT
            }
            Cause::TooSlow | Cause::ServerBusy | Cause::RateLimited => self.failures.max(times) >= 6,
            Cause::LockedByAnother => now.saturating_sub(self.failing_since) >= Cause::BRIEF_HOLD,
        }
    }

    /// Returns how long no poll has succeeded if that is to be reported now, and records it as reported.
    fn is_silence_due(&mut self, settings: &NotifySettings, now: Duration) -> Option<Duration> {
        let period = settings.no_success_for?;
        let since = now.saturating_sub(self.well?);
        let told_lately = self.silence.is_some_and(|at| now.saturating_sub(at) < period);
        let fails_for_long = self.failures >= 2 && now.saturating_sub(self.failing_since) >= SILENCE_FAILING_LIMIT;
        if since < period || told_lately || !fails_for_long {
            return None;
        }
        self.silence = Some(now);
        Some(since)
    }

    fn certificate_notification(&mut self, settings: &NotifySettings, facts: &PollFacts<'_>) -> Option<Notification> {
        let days = facts.certificate_days?;
        let first = settings.certificate_days;
        let steps = [first].into_iter().chain(LAST_DAYS.into_iter().filter(|step| *step < first));
        let reached = steps.filter(|step| *step > 0 && days <= i64::from(*step)).min();
        let Some(reached) = reached else {
            // It was renewed.
            self.certificate = None;
            return None;
        };
        if self.certificate.is_some_and(|told| told <= reached) {
            return None;
        }
        self.certificate = Some(reached);
        // If only one of several servers under one name has a new certificate, it would be reported at every poll.
        if self.certificate_told.is_some_and(|at| facts.now.saturating_sub(at) < DAY) {
            return None;
        }
        self.certificate_told = Some(facts.now);
        Some(Notification::CertificateExpires { days, ours: facts.certificate_is_ours })
    }

    /// Notifies once of each end. Ends less than an hour apart count as the same, recomputed by the server.
    fn sign_in_notification(&mut self, facts: &PollFacts<'_>) -> Option<Notification> {
        let (end, days) = facts.sign_in_ends?;
        if self.sign_in_end.is_some_and(|told| told.abs_diff(end) < 60 * 60) {
            return None;
        }
        self.sign_in_end = Some(end);
        Some(Notification::SignInEnds { days })
    }

    fn quarantine_notification(&mut self, facts: &PollFacts<'_>) -> Option<Notification> {
        let quarantined = || facts.quarantine.iter().filter(|one| !one.left_alone.is_zero());
        if facts.ended == Ended::Well {
            let here: BTreeSet<u64> = facts.quarantine.iter().map(|one| mark(&one.unique_id)).collect();
            self.quarantined.retain(|mark| here.contains(mark));
        }
        let mut fresh: Vec<&Quarantined> =
            quarantined().filter(|one| !self.quarantined.contains(&mark(&one.unique_id))).collect();
        fresh.truncate(MOST_QUARANTINED.saturating_sub(self.quarantined.len()));
        self.quarantined.extend(fresh.iter().map(|one| mark(&one.unique_id)));
        let first = fresh.first()?;
        Some(Notification::Quarantine {
            unique_id: facts.redactor.hide(&first.unique_id.to_string()),
            kind: first.kind,
            count: u64::try_from(fresh.len()).unwrap_or(u64::MAX),
        })
    }
}

/// Treats causes that alternate for the same reason as one failure.
fn kind(cause: Cause) -> Cause {
    match cause {
        Cause::ConnectionLost => Cause::NetworkDown,
        Cause::RateLimited => Cause::ServerBusy,
        other => other,
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
