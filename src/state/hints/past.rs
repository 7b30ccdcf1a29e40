//! How much mail came. PURE.

use serde::{Deserialize, Serialize};

/// How much mail came, and when. For people; the only decision based on it is that an account that has received mail
/// but has no state must have lost it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Past {
    /// The number of messages ever delivered.
    pub messages: u64,
    /// Their octets as stored.
    pub octets: u64,
    /// The day that the next two fields are about, in the user's calendar: `2026-11-25`.
    pub day: String,
    /// The number of messages delivered on that day.
    pub messages_that_day: u64,
    /// Their octets.
    pub octets_that_day: u64,
    /// When the last message came, in seconds since 1970.
    pub last_new_mail: Option<i64>,
    /// When the last poll succeeded, in seconds since 1970, as far as there was a reason to write it.
    pub last_success: Option<i64>,
}

impl Past {
    /// Adds what a poll delivered.
    pub fn add(&mut self, messages: u64, octets: u64, day: &str, wall: i64) {
        if self.day != day {
            (self.messages_that_day, self.octets_that_day) = (0, 0);
            day.clone_into(&mut self.day);
        }
        self.messages = self.messages.saturating_add(messages);
        self.octets = self.octets.saturating_add(octets);
        self.messages_that_day = self.messages_that_day.saturating_add(messages);
        self.octets_that_day = self.octets_that_day.saturating_add(octets);
        self.last_new_mail = Some(wall);
    }

    /// Returns what came on a day: messages and octets.
    #[must_use]
    pub fn on(&self, day: &str) -> (u64, u64) {
        if self.day == day { (self.messages_that_day, self.octets_that_day) } else { (0, 0) }
    }
}

#[cfg(test)]
mod tests {
    use super::Past;

    #[test]
    fn what_came_is_counted_by_day_and_in_all() {
        let mut past = Past::default();
        past.add(2, 100, "2026-11-25", 5);
        past.add(3, 50, "2026-11-25", 6);
        assert_eq!((past.on("2026-11-25"), past.on("2026-11-26")), ((5, 150), (0, 0)));
        past.add(1, 7, "2026-11-26", 9);
        assert_eq!((past.on("2026-11-26"), past.messages, past.octets), ((1, 7), 6, 157));
        assert_eq!(past.last_new_mail, Some(9));
    }
}
