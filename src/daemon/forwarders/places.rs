//! The places of passes, and the accounts that wait for one.
//!
//! A pass holds open files, or a process, for as long as its destination takes. Destinations that were slow last time
//! wait apart, and passes to them get at most half of the places. While accounts wait, a pass gets a turn: then it ends
//! in order, and what is left comes behind them.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::account::AccountName;

/// A pass that takes longer than this for each message, and once more, went to a slow destination.
const SLOW: Duration = Duration::from_secs(4);

/// How long a pass goes on while accounts wait for a place.
pub(super) const TURN: Duration = Duration::from_secs(60);

/// Who may begin a pass.
#[derive(Debug)]
pub(super) struct PassPlaces {
    /// One permit for each pass that may run.
    all: Arc<Semaphore>,
    /// One permit for each of these that may go to a slow destination.
    of_slow: Arc<Semaphore>,
    /// The accounts that wait for a place, in order.
    waiting: VecDeque<AccountName>,
    /// Those of them whose destinations were slow.
    waiting_slow: VecDeque<AccountName>,
    /// The destinations whose last pass was slow.
    slow: BTreeSet<String>,
}

/// The place of a pass, which is free again when this is dropped.
#[derive(Debug)]
pub(super) struct PassPlace {
    _of_all: OwnedSemaphorePermit,
    _of_slow: Option<OwnedSemaphorePermit>,
}

impl PassPlaces {
    /// Returns this many places, but at least two: one of them is for destinations that are not slow.
    pub(super) fn new(most: usize) -> Self {
        let most = most.max(2);
        let (all, of_slow) = (Arc::new(Semaphore::new(most)), Arc::new(Semaphore::new(most / 2)));
        Self { all, of_slow, waiting: VecDeque::new(), waiting_slow: VecDeque::new(), slow: BTreeSet::new() }
    }

    /// Adds an account that waits for a place.
    pub(super) fn wait(&mut self, account: AccountName) {
        self.waiting.push_back(account);
    }

    /// Returns how many accounts wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len() + self.waiting_slow.len()
    }

    /// Takes the next account that may begin a pass, with its place; `destination` tells where its mail goes.
    pub(super) fn next<'a>(
        &mut self,
        destination: impl Fn(&AccountName) -> Option<&'a str>,
    ) -> Option<(AccountName, PassPlace)> {
        let is_slow = |name: &AccountName| destination(name).is_some_and(|to| self.slow.contains(to));
        while self.waiting.front().is_some_and(is_slow) {
            self.waiting_slow.extend(self.waiting.pop_front());
        }
        let of_all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        // The slow ones come first, as they get only their part of the places; otherwise a crowd would shut them out.
        let of_slow = Arc::clone(&self.of_slow).try_acquire_owned().ok();
        let slow = of_slow.and_then(|permit| Some((self.waiting_slow.pop_front()?, Some(permit))));
        let (name, of_slow) = slow.or_else(|| Some((self.waiting.pop_front()?, None)))?;
        Some((name, PassPlace { _of_all: of_all, _of_slow: of_slow }))
    }

    /// Records how long a pass took for the messages that it forwarded.
    pub(super) fn took(&mut self, destination: &str, time: Duration, forwarded: u64) {
        let quick = SLOW.saturating_mul(u32::try_from(forwarded).unwrap_or(u32::MAX).saturating_add(1));
        if time < quick {
            self.slow.remove(destination);
        } else {
            self.slow.insert(destination.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(n: usize) -> AccountName {
        AccountName::new(&format!("a{n}")).unwrap()
    }

    /// Begins the passes that may begin. The first ten accounts have one destination, the others another one.
    fn begin(places: &mut PassPlaces) -> Vec<(AccountName, PassPlace)> {
        let first: Vec<AccountName> = (0..10).map(name).collect();
        let destination = |name: &AccountName| Some(if first.contains(name) { "first" } else { "other" });
        std::iter::from_fn(|| places.next(destination)).collect()
    }

    fn names(begun: &[(AccountName, PassPlace)]) -> Vec<&AccountName> {
        begun.iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn a_place_is_free_again_when_the_pass_ends_and_the_first_comes_first() {
        let mut places = PassPlaces::new(4);
        (0..6).for_each(|n| places.wait(name(n)));
        let mut begun = begin(&mut places);
        assert_eq!(names(&begun), [&name(0), &name(1), &name(2), &name(3)]);
        assert!(begin(&mut places).is_empty());
        drop(begun.remove(1));
        assert_eq!(names(&begin(&mut places)), [&name(4)]);
    }

    #[test]
    fn a_destination_that_says_nothing_leaves_half_of_the_places_to_others() {
        let mut places = PassPlaces::new(4);
        (0..12).for_each(|n| places.wait(name(n)));
        let begun = begin(&mut places);
        assert_eq!(begun.len(), 4, "nothing is known of it yet");
        places.took("first", Duration::from_secs(60), 0);
        drop(begun);
        // All accounts of this destination wait apart at once, whether they had a pass or not.
        let mut begun = begin(&mut places);
        assert_eq!(names(&begun), [&name(4), &name(5), &name(10), &name(11)]);
        places.wait(name(12));
        drop(begun.remove(2));
        assert_eq!(names(&begin(&mut places)), [&name(12)], "the slow ones have their part");
        drop(begun.remove(0));
        let again = begin(&mut places);
        assert_eq!(names(&again), [&name(6)], "and keep it");
        places.took("first", Duration::from_secs(60), 20);
        assert!(places.slow.is_empty(), "many messages may take long");
    }
}
