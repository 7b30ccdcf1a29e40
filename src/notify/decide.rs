//! Whether there is something to tell. PURE: what was told before, the settings and how a poll ended go in, news comes
//! out.
//!
//! A change is told, not a state. What will probably pass by itself is told only when it has not passed for a while, and
//! what a person has to mend soon. All times are counted from the boot of the machine, as in [`crate::schedule`].

use std::collections::btree_map::Entry;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher as _};
use std::time::Duration;

use super::notification::Notification;
use crate::advice;
use crate::client::Redactor;
use crate::config::NotifySettings;
use crate::forward::{ForwardError, ForwardReport};
use crate::poll::{PollReport, Quarantined};
use crate::schedule::{Cause, Reason};
use crate::state::saved::SavedNotifyState;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A network that is down must have been so for this long: computers sleep, wake and travel.
const NETWORK_DOWN_LIMIT: Duration = Duration::from_secs(30 * 60);

/// That nothing has succeeded for a long time is told only after failures over this long: after a long sleep of the
/// machine the first polls may come before its network.
const SILENCE_FAILING_LIMIT: Duration = MINUTE.saturating_mul(10);

/// A trouble that stays is told again after this long.
const REMINDER: Duration = DAY;

/// A certificate is told of again when so few days are left.
const LAST_DAYS: [u32; 2] = [3, 1];

/// So many messages in quarantine are remembered as told; beyond that, further ones are not told.
const MOST_QUARANTINED: usize = 256;

/// What was told of an account already, and since when it has been in trouble.
#[derive(Debug, Clone, Default)]
pub struct NotifyState {
    /// The last poll that ended well, or else the first one we saw, since boot.
    well: Option<Duration>,
    /// How many polls in a row have not ended well.
    failures: u32,
    /// When the first of these ended, since boot.
    failing_since: Duration,
    /// The troubles that were told since the last poll that ended well, and when, since boot.
    troubles: BTreeMap<Cause, Duration>,
    /// When it was told that nothing succeeds, since boot.
    silence: Option<Duration>,
    /// The least number of days at which the server's certificate was told of.
    certificate: Option<u32>,
    /// When that was, since boot.
    certificate_told: Option<Duration>,
    /// The end of the sign-in that was told to be near, in seconds since 1970.
    sign_in_end: Option<i64>,
    /// Marks of the messages in quarantine that were told of and are still there.
    quarantined: BTreeSet<u64>,
    /// Marks of the warnings of the last poll.
    warnings: BTreeSet<u64>,
    /// That mail is not forwarded was told, and is not over.
    not_forwarded: bool,
    /// That mail is set aside was told, and is not over.
    set_aside: bool,
}

/// The moment of the boot, on the axis on which this module counts: what happened before the boot has its place, too.
const BOOT: Duration = Duration::from_secs(100 * 365 * 86_400);

/// A warning without what changes from poll to poll although it is about the same: the number of a message, or how many
/// there are.
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

/// What stands for something that was told of, a message's unique-id for one. Two in one place would mean that one is not
/// told.
fn mark(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// How a poll ended, as far as a person cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It came to its end.
    Well,
    /// Nothing follows from it: it was stopped, or a refused login is to be seen once more before it is believed.
    Open,
    /// It did not come to its end.
    Badly {
        /// Why not.
        cause: Cause,
        /// How many times in a row.
        times: u32,
        /// The error, escaped, without secrets.
        text: String,
    },
}

/// What is known after a poll.
#[derive(Debug)]
pub(crate) struct PollFacts<'a> {
    /// How it ended.
    pub ended: Ended,
    /// How many messages came.
    pub new: u64,
    /// How many days the server's certificate is still good, if that is known, or that of this side.
    pub certificate_days: Option<i64>,
    /// Whether that is the certificate of this side, because it expires first.
    pub certificate_is_ours: bool,
    /// The end of a sign-in that is near, in seconds since 1970, and how many whole days are left.
    pub sign_in_ends: Option<(i64, i64)>,
    /// The messages that made trouble and are still there.
    pub quarantine: &'a [Quarantined],
    /// Hides the password in the server's names for messages.
    pub redactor: &'a Redactor,
    /// The time, on any axis that goes on.
    pub now: Duration,
}

impl<'a> PollFacts<'a> {
    /// The facts in the report of a poll. `reason` is what [`crate::schedule::next`] made of it, `now` the time since boot,
    /// `wall` the same in seconds since 1970.
    #[must_use]
    pub(crate) fn of(report: &'a PollReport, reason: &Reason, now: Duration, wall: i64) -> Self {
        let ended = match (reason, &report.end) {
            (Reason::Trouble { cause, times }, Err(e)) => {
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

/// Takes in how a poll ended, and says what there is to tell.
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
            let trouble = told.is_trouble_news(*cause, *times, facts.now);
            let silence = told.is_silence_news(settings, facts.now);
            if trouble {
                notifications.push(Notification::Trouble { cause: *cause, text: text.clone() });
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
    /// As it is kept, at a time since boot.
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
            troubles: self.troubles.iter().map(|(cause, time)| (cause.name().to_owned(), ago(*time))).collect(),
        }
    }

    /// What was kept so many seconds ago, at a time since boot.
    #[must_use]
    pub fn restore(saved: &SavedNotifyState, passed: u64, now: Duration) -> Self {
        let now = BOOT.saturating_add(now);
        let moment = |ago: u64| now.saturating_sub(Duration::from_secs(ago.saturating_add(passed)));
        let troubles = saved.troubles.iter().filter_map(|(name, ago)| Some((Cause::named(name)?, moment(*ago))));
        Self {
            well: saved.well.map(moment),
            failures: saved.failures,
            failing_since: saved.failing_since.map(moment).unwrap_or_default(),
            troubles: troubles.collect(),
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

    /// Those of a poll's warnings that were not given after the poll before, which are then taken as told.
    #[must_use]
    pub fn fresh(&mut self, warnings: Vec<String>) -> Vec<String> {
        let marked: Vec<(u64, String)> = warnings.into_iter().map(|words| (mark(&timeless(&words)), words)).collect();
        let before = std::mem::take(&mut self.warnings);
        // Beyond the bound nothing is remembered, and so nothing told, or it would be told each time.
        self.warnings = marked.iter().map(|(mark, _)| *mark).take(MOST_QUARANTINED).collect();
        let is_fresh = |(mark, _): &(u64, String)| self.warnings.contains(mark) && !before.contains(mark);
        marked.into_iter().filter(is_fresh).map(|(_, words)| words).collect()
    }

    /// The same where a part of the poll was left out: what was told of that before stays told.
    #[must_use]
    pub(crate) fn fresh_of_a_part(&mut self, warnings: Vec<String>) -> Vec<String> {
        let before = self.warnings.clone();
        let fresh = self.fresh(warnings);
        let others: Vec<u64> = before.into_iter().filter(|mark| !self.warnings.contains(mark)).collect();
        let room = MOST_QUARANTINED.saturating_sub(self.warnings.len());
        self.warnings.extend(others.into_iter().take(room));
        fresh
    }

    /// Takes in a poll that came to its end and was shown to whoever asked for it, at a time since boot. What is over was
    /// seen; nothing that goes on counts as told by that. `in_part`: a part of the poll was left out, and so are its warnings.
    pub(crate) fn shown(&mut self, report: &PollReport, in_part: bool, now: Duration) {
        let _recovered = self.note_well(BOOT.saturating_add(now));
        let here: BTreeSet<u64> = report.quarantine.iter().map(|one| mark(&one.unique_id)).collect();
        self.quarantined.retain(|mark| here.contains(mark));
        if !in_part {
            let warned: BTreeSet<u64> = report.warnings().iter().map(|words| mark(&timeless(words))).collect();
            self.warnings.retain(|mark| warned.contains(mark));
        }
        let ended = |forwarded: &&ForwardReport| {
            !matches!(forwarded.end, Err(ForwardError::Busy { .. } | ForwardError::Stopped))
        };
        if let Some(forwarded) = report.forwarded.as_deref().filter(ended) {
            self.not_forwarded &= forwarded.why_waiting().is_some();
            self.set_aside &= forwarded.waiting.set_aside > 0;
        }
    }

    /// What of forwarding has come to its end since the poll before; what is in trouble now is taken as told.
    #[must_use]
    pub(crate) fn ends_of_forwarding(&mut self, report: &ForwardReport) -> Vec<&'static str> {
        if matches!(report.end, Err(ForwardError::Busy { .. } | ForwardError::Stopped)) {
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

    /// Takes a trouble as told; false if it was told before, and is not over since.
    pub fn note_trouble(&mut self, cause: Cause, now: Duration) -> bool {
        let Entry::Vacant(place) = self.troubles.entry(kind(cause)) else { return false };
        place.insert(BOOT.saturating_add(now));
        true
    }

    /// A trouble that was met by somebody who told nobody, if it is to be told now, since boot; it is then taken as told.
    pub(crate) fn remembered(&mut self, reason: Reason, text: &str, now: Duration) -> Option<Notification> {
        // A refused login that is doubted is to be seen once more.
        let Reason::Trouble { cause, times } = reason else { return None };
        let is_news = self.is_trouble_news(cause, times, BOOT.saturating_add(now));
        is_news.then(|| Notification::Trouble { cause, text: text.to_owned() })
    }

    fn note_well(&mut self, now: Duration) -> Option<Notification> {
        let recovered = !self.troubles.is_empty() || self.silence.is_some();
        self.well = Some(now);
        self.failures = 0;
        self.troubles.clear();
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

    /// Whether a trouble is to be told now, which is then taken as told.
    fn is_trouble_news(&mut self, cause: Cause, times: u32, now: Duration) -> bool {
        let kind = kind(cause);
        let is_new = match self.troubles.get(&kind) {
            Some(at) => now.saturating_sub(*at) >= REMINDER,
            None => self.lasts(cause, times, now),
        };
        if is_new {
            self.troubles.insert(kind, now);
        }
        is_new
    }

    /// Whether a trouble has lasted so long that it will hardly pass by itself.
    fn lasts(&self, cause: Cause, times: u32, now: Duration) -> bool {
        match cause {
            // The schedule has doubted a refusal already, and the others are as certain.
            Cause::LoginRefused | Cause::AccessRefused | Cause::Configuration | Cause::InternalError => true,
            // A foreign network, a server at work, a store that waits for its passphrase, a disk that is being mounted.
            Cause::Tls | Cause::Protocol | Cause::Credential | Cause::Storage => times >= 2,
            // These change from one to the other while the reason stays, so that all failures count.
            Cause::NetworkDown | Cause::ConnectionLost => {
                self.failures.max(times) >= 5 && now.saturating_sub(self.failing_since) >= NETWORK_DOWN_LIMIT
            }
            Cause::TooSlow | Cause::ServerBusy | Cause::RateLimited => self.failures.max(times) >= 6,
            Cause::LockedByAnother => now.saturating_sub(self.failing_since) >= Cause::BRIEF_HOLD,
        }
    }

    /// For how long nothing has succeeded, if that is to be told now; it is then taken as told.
    fn is_silence_news(&mut self, settings: &NotifySettings, now: Duration) -> Option<Duration> {
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
        // Of several servers under one name only one may have a new certificate: that would be told at every poll.
        if self.certificate_told.is_some_and(|at| facts.now.saturating_sub(at) < DAY) {
            return None;
        }
        self.certificate_told = Some(facts.now);
        Some(Notification::CertificateExpires { days, ours: facts.certificate_is_ours })
    }

    /// Told once for each end; those that are a minute apart are the same, counted anew by the server.
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

/// Causes that change from one to the other while the reason stays are one trouble.
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
