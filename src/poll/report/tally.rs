//! Counted messages of which the first few can be named: a server may list or refuse a million.

use std::fmt;

use crate::plan::maildrop::Listed;
use crate::text;

/// How many messages are kept for the report's readers; fewer are named.
const NAMED: usize = 100;

/// The most characters kept of a reason.
const REASON: usize = 160;

/// A number of messages of which the first few can be named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally<T = Listed> {
    /// How many messages there are.
    count: usize,
    /// The first few.
    first: Vec<T>,
}

/// Messages that could not be retrieved: how many, and why the first few could not.
pub type Failures = Tally<(Listed, String)>;

impl<T> Default for Tally<T> {
    fn default() -> Self {
        Self { count: 0, first: Vec::new() }
    }
}

impl<T> Tally<T> {
    /// Creates a tally of which only the number is known.
    #[must_use]
    pub fn unnamed(count: usize) -> Self {
        Self { count, first: Vec::new() }
    }

    /// Adds the messages of another tally.
    pub fn absorb(&mut self, other: Self) {
        let Self { count, first } = other;
        self.count = self.count.saturating_add(count);
        self.first.extend(first);
        self.first.truncate(NAMED);
    }

    /// Returns how many messages there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The first few.
    #[must_use]
    pub fn first(&self) -> &[T] {
        &self.first
    }
}

impl Tally {
    /// Creates a tally of these messages.
    #[must_use]
    pub fn of(messages: &[Listed]) -> Self {
        Self { count: messages.len(), first: messages.iter().take(NAMED).cloned().collect() }
    }
}

impl Failures {
    /// Adds a message. The reason is only rendered if it is kept.
    pub fn add(&mut self, listed: &Listed, why: impl fmt::Display) {
        self.count = self.count.saturating_add(1);
        if self.first.len() < NAMED {
            self.first.push((listed.clone(), text::cut_words(&why.to_string(), REASON)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop3::MessageNumber;

    #[test]
    fn of_many_failures_the_first_few_are_kept_and_all_are_counted() {
        let mut failures = Failures::default();
        for n in 1..=1000 {
            let number = MessageNumber::new(n).unwrap();
            failures.add(&Listed { number, unique_id: None, reported_size: None }, "z".repeat(500));
        }
        assert_eq!(failures.len(), 1000);
        assert_eq!(failures.first().len(), 100);
        assert!(failures.first().iter().all(|(_, why)| why.chars().count() < 200));
    }
}
