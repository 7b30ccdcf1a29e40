//! Hands out the places of a `fetch`, by the rules of the daemon's queue.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::account::{Account, AccountName};
use crate::schedule::queue::{Limits, Queue};
use crate::watch::Watch;
use crate::watch::conduct::{Conduct, Verdict};
use crate::watch::judge::{Judge, Wanted};
use crate::watch::places::Places;

/// Gives places to accounts in the order in which they ask.
#[derive(Debug)]
pub(super) struct PlaceGiver(Mutex<Asking>);

/// The accounts that wait for places or have some.
#[derive(Debug)]
struct Asking {
    queue: Queue,
    /// Notifies each account that it may go on.
    bells: HashMap<AccountName, Arc<Notify>>,
    begun: Instant,
}

impl PlaceGiver {
    /// Creates a giver with these limits.
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        // The seed is only used after a suspend of the machine; here every account is due when it asks.
        let (queue, bells, begun) = (Queue::new(limits, 0), HashMap::new(), Instant::now());
        Arc::new(Self(Mutex::new(Asking { queue, bells, begun })))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Asking) -> T) -> T {
        let mut asking = self.lock();
        let result = change(&mut asking);
        asking.ring();
        result
    }

    fn lock(&self) -> MutexGuard<'_, Asking> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asking {
    /// Notifies every account that may go on.
    fn ring(&mut self) {
        let now = self.begun.elapsed();
        while let Some((account, _)) = self.queue.take_startable(now) {
            if let Some(bell) = self.bells.get(&account) {
                bell.notify_one();
            }
        }
    }
}

/// Waits for an account's places and holds them. They are given back if it hangs.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    giver: Arc<PlaceGiver>,
    account: AccountName,
    server: String,
    /// Whether the account obtains its credential first, which it does without a place.
    prepares: bool,
}

impl Seat {
    /// Returns the seat of an account.
    pub(super) fn of(account: &Account, giver: &Arc<PlaceGiver>) -> Self {
        Self {
            giver: Arc::clone(giver),
            account: account.name.clone(),
            server: account.endpoint.server(),
            prepares: account.credential.may_take_long(),
        }
    }

    /// Returns the seat of an account at a server.
    #[cfg(test)]
    pub(super) fn at(server: &str, account: AccountName, prepares: bool, giver: &Arc<PlaceGiver>) -> Self {
        Self { giver: Arc::clone(giver), account, server: server.to_owned(), prepares }
    }

    /// Waits until the account may be polled. It has its places until the result is dropped or they are given back.
    pub(super) async fn take(&self) -> Taken<'_> {
        let taken = Taken(self);
        let bell = Arc::new(Notify::new());
        self.giver.change(|asking| {
            let now = asking.begun.elapsed();
            asking.bells.insert(self.account.clone(), Arc::clone(&bell));
            asking.queue.insert(self.account.clone(), &self.server, self.prepares, now);
        });
        bell.notified().await;
        taken
    }

    /// Judges the account's poll, and passes on what others wait for; `hung` polls hang.
    pub(super) fn judge(&self, watch: &Watch, conduct: &mut Conduct, wanted: Wanted, hung: usize) -> Verdict {
        self.giver.change(|asking| {
            let now = asking.begun.elapsed();
            Judge::new(&mut asking.queue, now, wanted, hung).once().look(&self.account, watch, conduct)
        })
    }

    /// Returns the time, as the queue counts it.
    pub(super) fn now(&self) -> Duration {
        self.giver.lock().begun.elapsed()
    }

    /// Whether the credential has taken too long to obtain.
    pub(super) fn has_waited_enough(&self) -> bool {
        self.giver.change(|asking| {
            let now = asking.begun.elapsed();
            asking.queue.has_waited_enough(&self.account, now)
        })
    }
}

impl Places for Seat {
    fn give_back(&self) {
        self.giver.change(|asking| {
            let now = asking.begun.elapsed();
            asking.queue.prepares(&self.account, now);
        });
    }

    fn are_waited_for(&self) -> bool {
        self.giver.lock().queue.is_in_the_way(&self.account)
    }

    fn wait(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let bell = self.giver.change(|asking| {
            let now = asking.begun.elapsed();
            asking.queue.is_prepared(&self.account, now);
            asking.bells.get(&self.account).map(Arc::clone)
        });
        Box::pin(async move {
            if let Some(bell) = bell {
                bell.notified().await;
            }
        })
    }
}

/// The places of an account, requested or held, until this is dropped.
#[derive(Debug)]
pub(super) struct Taken<'a>(&'a Seat);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let account = &self.0.account;
        self.0.giver.change(|asking| {
            let now = asking.begun.elapsed();
            asking.bells.remove(account);
            asking.queue.remove(account);
            asking.queue.finished(account, now);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(account: &str, prepares: bool, giver: &Arc<PlaceGiver>) -> Seat {
        Seat::at("pop.example.org", AccountName::new(account).unwrap(), prepares, giver)
    }

    fn giver(places: usize) -> Arc<PlaceGiver> {
        let places = places.try_into().unwrap();
        PlaceGiver::new(Limits { concurrency: places, per_host: places })
    }

    /// Whether a future is ready as soon as it is polled.
    async fn is_there(waits: impl Future<Output = ()>) -> bool {
        tokio::time::timeout(Duration::from_millis(20), waits).await.is_ok()
    }

    #[tokio::test]
    async fn who_prepares_has_no_place_and_waits_for_one_in_its_turn() {
        let giver = giver(1);
        let [stuck, good, last] = [("stuck", true), ("good", false), ("last", false)].map(|(a, p)| seat(a, p, &giver));
        let _prepares = stuck.take().await;
        stuck.give_back();
        let has = good.take().await;
        assert!(!good.are_waited_for());
        let (giver_of_last, waits) =
            (Arc::clone(&giver), tokio::spawn(async move { last.take().await.0.account.clone() }));
        while giver_of_last.lock().queue.ready() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(good.are_waited_for());
        let first = stuck.wait();
        drop(has);
        assert!(is_there(first).await, "it was due before the last one");
        assert!(!waits.is_finished());
        drop(_prepares);
        assert_eq!(waits.await.unwrap().as_str(), "last");
    }

    #[tokio::test]
    async fn who_needs_another_credential_gives_its_place_to_others_meanwhile() {
        let giver = giver(1);
        let [first, other] = ["first", "other"].map(|account| seat(account, false, &giver));
        let _has = first.take().await;
        first.give_back();
        let others = other.take().await;
        assert!(!is_there(first.wait()).await);
        drop(others);
        assert!(is_there(first.wait()).await, "it has been given its place, however often it asks");
    }
}
