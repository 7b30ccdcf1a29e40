//! What the polls of the last weeks brought, hour by hour, and how the latest ones ended: for plots and for people.
//! PURE.
//!
//! No decision depends on it, so it may be lost. It is kept in `ACCOUNT.hints` and is bounded: an hour in which nothing
//! arrived or failed takes no space at all.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::schedule::Cause;

/// How many hours are kept: four weeks.
const HOURS: i64 = 28 * 24;

/// How many polls are kept individually: the latest that brought mail or failed.
const POLLS: usize = 24;

/// Seconds in an hour.
const HOUR: i64 = 3600;

/// What polls brought, hour by hour, and how the latest ones ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// The hours in which something arrived or failed, the oldest first.
    hours: VecDeque<Hour>,
    /// The latest polls that brought mail or failed, the oldest first.
    polls: VecDeque<PastPoll>,
}

/// An hour in UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hour {
    /// When it began, in seconds since 1970.
    pub begun: i64,
    /// How many messages were delivered.
    pub messages: u64,
    /// Their octets, as they are stored.
    pub octets: u64,
    /// How many polls failed.
    pub failed: u32,
}

/// A completed poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastPoll {
    /// When it ended, in seconds since 1970.
    pub ended: i64,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
    /// How many messages it delivered.
    pub messages: u64,
    /// Their octets, as they are stored.
    pub octets: u64,
    /// How many round trips its sessions took.
    #[serde(default)]
    pub round_trips: u32,
    /// Why it failed; `None` if it succeeded.
    pub cause: Option<Cause>,
}

impl History {
    /// Adds a completed poll. Returns whether there is anything new to keep; an idle poll adds nothing.
    pub fn add(&mut self, poll: PastPoll) -> bool {
        if poll.messages == 0 && poll.cause.is_none() {
            return false;
        }
        self.add_to_hour(&poll);
        make_room(&mut self.polls);
        self.polls.push_back(poll);
        self.shorten(poll.ended);
        true
    }

    /// Whether nothing arrived and nothing failed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hours.is_empty() && self.polls.is_empty()
    }

    /// Returns how many hours and polls it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.hours.len() + self.polls.len()
    }

    /// Adds the polls of another history, none of which this one may have.
    pub fn absorb(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        let mut hours: BTreeMap<i64, Hour> = self.hours.drain(..).map(|hour| (hour.begun, hour)).collect();
        for more in &other.hours {
            hours.entry(more.begun).or_insert(Hour { begun: more.begun, ..Hour::default() }).add(more);
        }
        self.hours = hours.into_values().collect();
        self.polls.extend(other.polls.iter().copied());
        self.polls.make_contiguous().sort_by_key(|poll| poll.ended);
        let latest = self.hours.back().map_or(0, |hour| hour.begun);
        self.shorten(latest);
    }

    /// Returns the hours of the last `days` in which something arrived or failed, the oldest first.
    pub fn hours(&self, days: u8, now: i64) -> impl Iterator<Item = &Hour> {
        let first = beginning(now).saturating_sub(i64::from(days) * 24 * HOUR);
        self.hours.iter().filter(move |hour| hour.begun > first && hour.begun <= now)
    }

    /// Returns the latest polls that brought mail or failed, the oldest first.
    pub fn polls(&self) -> impl Iterator<Item = &PastPoll> {
        self.polls.iter()
    }

    fn add_to_hour(&mut self, poll: &PastPoll) {
        let begun = beginning(poll.ended);
        // A clock set back would put the hours out of order.
        while self.hours.back().is_some_and(|last| last.begun > begun) {
            self.hours.pop_back();
        }
        let is_same = self.hours.back().is_some_and(|last| last.begun == begun);
        let same = if is_same { self.hours.pop_back() } else { None };
        let mut hour = same.unwrap_or(Hour { begun, ..Hour::default() });
        let failed = u32::from(poll.cause.is_some());
        hour.add(&Hour { begun, messages: poll.messages, octets: poll.octets, failed });
        make_room(&mut self.hours);
        self.hours.push_back(hour);
    }

    fn shorten(&mut self, now: i64) {
        let oldest = beginning(now).saturating_sub(HOURS * HOUR);
        while self.hours.front().is_some_and(|hour| hour.begun <= oldest)
            || i64::try_from(self.hours.len()).is_ok_and(|hours| hours > HOURS)
        {
            self.hours.pop_front();
        }
        while self.polls.len() > POLLS {
            self.polls.pop_front();
        }
    }
}

impl Hour {
    fn add(&mut self, more: &Self) {
        self.messages = self.messages.saturating_add(more.messages);
        self.octets = self.octets.saturating_add(more.octets);
        self.failed = self.failed.saturating_add(more.failed);
    }
}

/// Reserves space for one more, plus a few if there are some: most accounts have few, and a daemon has many accounts.
fn make_room<T>(all: &mut VecDeque<T>) {
    if all.len() == all.capacity() {
        all.reserve_exact(1 + all.len() / 2);
    }
}

/// Returns when the hour of a time began.
fn beginning(wall: i64) -> i64 {
    wall.saturating_sub(wall.rem_euclid(HOUR))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(messages: u64, cause: Option<Cause>, ended: i64) -> PastPoll {
        PastPoll { ended, milliseconds: 7, messages, octets: messages * 100, round_trips: 3, cause }
    }

    fn shown(history: &History, now: i64) -> Vec<(i64, u64, u32)> {
        history.hours(7, now).map(|hour| (hour.begun / HOUR, hour.messages, hour.failed)).collect()
    }

    #[test]
    fn an_hour_counts_what_came_and_what_failed_and_an_idle_poll_is_nothing() {
        let mut history = History::default();
        assert!(history.add(poll(2, None, 10 * HOUR + 5)));
        assert!(!history.add(poll(0, None, 10 * HOUR + 6)));
        assert!(history.add(poll(1, None, 10 * HOUR + 3599)));
        assert!(history.add(poll(0, Some(Cause::Tls), 12 * HOUR)));
        assert_eq!(shown(&history, 12 * HOUR), [(10, 3, 0), (12, 0, 1)]);
        let polls: Vec<_> = history.polls().map(|poll| (poll.messages, poll.milliseconds, poll.cause)).collect();
        assert_eq!(polls, [(2, 7, None), (1, 7, None), (0, 7, Some(Cause::Tls))]);
    }

    #[test]
    fn it_is_bounded_in_hours_and_in_polls() {
        let mut history = History::default();
        for hour in 0..3000 {
            history.add(poll(1, None, hour * HOUR));
        }
        assert_eq!(history.hours.len(), usize::try_from(HOURS).unwrap());
        assert_eq!(history.polls.len(), POLLS);
        assert_eq!(shown(&history, 2999 * HOUR).len(), 7 * 24);
        assert!(serde_json::to_vec(&history).unwrap().len() < 64 << 10);
    }

    #[test]
    fn what_two_have_seen_is_put_together_in_order() {
        let (mut one, mut other) = (History::default(), History::default());
        for hour in [1, 3, 5] {
            one.add(poll(1, None, hour * HOUR));
        }
        for hour in [2, 3, 9] {
            other.add(poll(2, None, hour * HOUR + 1));
        }
        one.absorb(&other);
        one.absorb(&History::default());
        assert_eq!(shown(&one, 9 * HOUR), [(1, 1, 0), (2, 2, 0), (3, 3, 0), (5, 1, 0), (9, 2, 0)]);
        let ended: Vec<i64> = one.polls().map(|poll| poll.ended / HOUR).collect();
        assert_eq!(ended, [1, 2, 3, 3, 5, 9]);
        for hour in 0..3000 {
            other.add(poll(1, None, hour * HOUR));
        }
        one.absorb(&other);
        assert!(one.hours.len() <= usize::try_from(HOURS).unwrap() && one.polls.len() == POLLS);
    }

    #[test]
    fn a_clock_that_went_back_leaves_no_disorder() {
        let mut history = History::default();
        for hour in [5, 6, 7, 3, 4] {
            history.add(poll(1, None, hour * HOUR));
        }
        assert_eq!(shown(&history, 7 * HOUR), [(3, 1, 0), (4, 1, 0)]);
    }
}
