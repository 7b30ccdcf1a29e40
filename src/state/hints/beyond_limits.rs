//! Messages that went beyond their limits, by number and size: a hint. PURE.
//!
//! A message that does not end is read up to its limit, and a quarantine keeps that from happening in each poll. The
//! quarantine goes by the unique-id, so one that has another unique-id in each session, or none, would be read in each
//! poll for ever. Its place in the listing and its size stay the same. So a new message listed like one that went beyond
//! its limit three times in a row is left alone for a while, an hour at first and never longer than a day: another
//! message may be listed so by chance. If it comes, or is no longer listed so, it is forgotten.
//!
//! The same holds for a message at which its own session broke, at a server that makes new unique-ids in each session.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::term::holds;
use crate::pop3::{Listed, MessageNumber, ReportedSize};
use crate::state::quarantines::quarantined_for;

/// How many messages are remembered. A poll ends after five.
const MOST: usize = 32;

/// How long a message is left alone after the third time; then twice as long each time.
const FIRST: Duration = Duration::from_secs(3600);

/// How long a message is left alone at most, in seconds.
const LONGEST: u64 = 86_400;

/// The messages that went beyond their limits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BeyondLimits {
    /// How they are listed, the one whose turn was last at the end.
    messages: Vec<BeyondLimit>,
}

/// A message that went beyond its limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct BeyondLimit {
    /// Its number.
    number: u32,
    /// The size that it is listed with, in octets. `None`: without one.
    size: Option<u64>,
    /// How often in a row it went beyond its limit.
    times: u32,
    /// Until when it is left alone, in trusted seconds of the state.
    until: u64,
}

impl BeyondLimit {
    fn is(&self, listed: &Listed) -> bool {
        (self.number, self.size) == (listed.number.get(), listed.reported_size.map(ReportedSize::get))
    }
}

impl BeyondLimits {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether a message listed so went beyond its limit the last time.
    #[must_use]
    pub fn has(&self, listed: &Listed) -> bool {
        self.messages.iter().any(|one| one.is(listed))
    }

    /// Returns number and size of those that are left alone at `now`, in trusted seconds.
    pub fn left_alone(&self, now: u64) -> impl Iterator<Item = (MessageNumber, Option<ReportedSize>)> {
        let resting = self.messages.iter().filter(move |one| holds(one.until, now, LONGEST));
        resting.filter_map(|one| Some((MessageNumber::new(one.number)?, one.size.map(ReportedSize::new))))
    }

    /// Notes that a message went beyond its limit.
    pub fn note(&mut self, listed: &Listed, now: u64) {
        // TOML has no larger numbers. A message listed so does not fit on any disk.
        if listed.reported_size.is_some_and(|size| i64::try_from(size.get()).is_err()) {
            return;
        }
        let before = self.messages.iter().find(|one| one.is(listed)).map_or(0, |one| one.times);
        self.forget(listed);
        let times = before.saturating_add(1);
        let until = now.saturating_add(quarantined_for(times, FIRST).as_secs().min(LONGEST));
        let size = listed.reported_size.map(ReportedSize::get);
        self.messages.push(BeyondLimit { number: listed.number.get(), size, times, until });
        if self.messages.len() > MOST {
            self.messages.remove(0);
        }
    }

    /// Forgets a message: it came after all.
    pub fn forget(&mut self, listed: &Listed) {
        self.messages.retain(|one| !one.is(listed));
    }

    /// Forgets those that this complete listing, with its sizes and in the order of the numbers, does not have.
    pub fn keep_listed(&mut self, messages: &[Listed]) {
        self.messages.retain(|one| {
            let place = messages.binary_search_by_key(&one.number, |listed| listed.number.get());
            place.is_ok_and(|place| messages.get(place).is_some_and(|listed| one.is(listed)))
        });
    }

    /// Adjusts the numbers after the server has removed these messages at the end of a session.
    pub fn removed(&mut self, numbers: &[MessageNumber]) {
        let is_gone = |one: &BeyondLimit| numbers.iter().any(|number| number.get() == one.number);
        self.messages.retain(|one| !is_gone(one));
        for one in &mut self.messages {
            let before = numbers.iter().filter(|number| number.get() < one.number).count();
            one.number = one.number.saturating_sub(u32::try_from(before).unwrap_or(u32::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;
    const NONE: [u32; 0] = [];

    fn listed(n: u32, size: Option<u64>) -> Listed {
        Listed { number: MessageNumber::new(n).unwrap(), unique_id: None, reported_size: size.map(ReportedSize::new) }
    }

    fn left_alone(messages: &BeyondLimits, now: u64) -> Vec<u32> {
        messages.left_alone(now).map(|(number, _)| number.get()).collect()
    }

    #[test]
    fn each_time_in_a_row_a_message_is_left_alone_longer_up_to_a_day() {
        let mut messages = BeyondLimits::default();
        let mut now = 1000;
        let rests = [0, 0, 1, 2, 4, 8, 16, 24, 24].map(|hours| hours * HOUR);
        for rest in rests {
            messages.note(&listed(2, Some(100)), now);
            assert!(messages.has(&listed(2, Some(100))));
            assert_eq!(left_alone(&messages, now).is_empty(), rest == 0);
            assert_eq!(left_alone(&messages, now + rest), NONE);
            now += rest;
            assert!(rest == 0 || left_alone(&messages, now - 1) == [2]);
        }
        assert_eq!(left_alone(&messages, now - 3 * 24 * HOUR), NONE, "a time of another clock");
    }

    #[test]
    fn another_message_is_not_left_alone_and_one_that_comes_begins_anew() {
        let mut messages = BeyondLimits::default();
        (0..3).for_each(|_| messages.note(&listed(2, Some(100)), 0));
        for other in [listed(2, Some(101)), listed(2, None), listed(1, Some(100))] {
            assert!(!messages.has(&other));
        }
        messages.forget(&listed(2, Some(100)));
        assert!(messages.is_empty());
        messages.note(&listed(2, Some(100)), 0);
        assert_eq!(left_alone(&messages, 0), NONE);
        messages.note(&listed(3, Some(u64::MAX)), 0);
        assert!(!messages.has(&listed(3, Some(u64::MAX))), "such a number cannot be written down");
    }

    #[test]
    fn they_are_found_again_by_their_numbers_and_forgotten_with_their_messages() {
        let mut messages = BeyondLimits::default();
        [2, 4, 6].into_iter().for_each(|n| (0..3).for_each(|_| messages.note(&listed(n, None), 0)));
        messages.removed(&[5, 1, 4].map(|n| MessageNumber::new(n).unwrap()));
        assert_eq!(left_alone(&messages, 1), [1, 3]);
        messages.keep_listed(&[listed(1, None), listed(2, None), listed(3, Some(7))]);
        assert_eq!(left_alone(&messages, 1), [1]);
        messages.keep_listed(&[]);
        assert!(messages.is_empty());
    }

    #[test]
    fn only_so_many_are_remembered() {
        let mut messages = BeyondLimits::default();
        (1..=100).for_each(|n| messages.note(&listed(n, Some(1)), 0));
        assert_eq!(messages.messages.len(), MOST);
        assert!(messages.has(&listed(100, Some(1))) && !messages.has(&listed(1, Some(1))));
    }

    #[test]
    fn they_are_written_and_read() {
        #[derive(Default, PartialEq, Debug, Serialize, Deserialize)]
        struct File {
            messages: BeyondLimits,
        }
        let mut file = File::default();
        file.messages.note(&listed(2, Some(100)), 0);
        file.messages.note(&listed(3, None), 5);
        let text = toml::to_string(&file).unwrap();
        assert_eq!(toml::from_str::<File>(&text).unwrap(), file, "{text}");
    }
}
