//! The memory that all listings of this process may hold together: the server decides how much it lists, and ten
//! servers may do so at once.
//!
//! Each listing has a small reserve of its own, so an ordinary maildrop can always be listed. Of the rest, no listing can
//! take everything: it may hold at most twice what it leaves to others. The first can get two thirds of
//! the total, the next two thirds of the rest, and so on, so an endless listing does not block the others.
//!
//! A listing for which there is not enough waits in line for what it is expected to need, without a session, first come,
//! first served. What fits passes one that still waits for more, but only so often: then everyone waits until that one
//! has its memory. Polls that hold some of it are in the way of those that wait.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::watch::{self, Needed};

/// How many bytes the listings of all sessions of this process may hold together.
pub(crate) const LISTINGS: usize = 80 << 20;

/// How many bytes each listing has of its own besides: enough for some 2,500 messages.
const RESERVE: usize = 512 << 10;

/// What a line of UIDL costs besides its octets, in bytes: the message's entries in the listing and in the plan.
pub(super) const UNIQUE_ID: usize = 128;

/// What a line of LIST costs, in bytes.
pub(super) const SIZE: usize = 40;

/// A share grows in steps of at least this many bytes.
const STEP: usize = 64 * 1024;

/// How often others may pass one that waits.
const PASSES: u32 = 50;

/// The budget of this process.
static PROCESS: Budget = Budget::new(LISTINGS);

/// A number of bytes shared by several listings.
#[derive(Debug)]
pub(crate) struct Budget(Mutex<Ledger>);

/// What is free, and who waits for it.
#[derive(Debug)]
struct Ledger {
    /// How many bytes there are in all.
    all: usize,
    /// How many of them are free.
    left: usize,
    /// Those that wait and those that were given memory and have not noticed yet, in the order in which they came.
    waiting: BTreeMap<u64, Waiting>,
    /// The number of the next one that waits.
    next: u64,
}

/// A listing that waits for memory.
#[derive(Debug)]
struct Waiting {
    /// For how many bytes.
    wanted: usize,
    /// How often others have passed it.
    passed: u32,
    /// Whether it has them.
    has_memory: bool,
    /// Notified then.
    given: Arc<Notify>,
}

impl Waiting {
    fn lets_pass(&self) -> bool {
        self.has_memory || self.passed < PASSES
    }

    fn is_passed(&mut self) {
        self.passed = self.passed.saturating_add(1);
    }
}

impl Ledger {
    /// Whether a share that holds `held` may have `bytes` more: not if that would leave too little for others.
    fn fits(&self, bytes: usize, held: usize) -> bool {
        self.left.checked_sub(bytes).is_some_and(|rest| held + bytes <= rest.saturating_mul(2))
    }

    /// Takes `bytes` for a share that already holds `held`. One that holds some came before those that wait.
    fn take(&mut self, bytes: usize, held: usize) -> bool {
        let may_pass = held > 0 || self.waiting.values().all(Waiting::lets_pass);
        if !may_pass || !self.fits(bytes, held) {
            return false;
        }
        self.left -= bytes;
        if held == 0 {
            self.waiting.values_mut().for_each(Waiting::is_passed);
        }
        true
    }

    fn give_back(&mut self, bytes: usize) {
        self.left += bytes;
        self.give();
    }

    /// Gives memory to those that wait, as far as there is some.
    fn give(&mut self) {
        let numbers: Vec<u64> = self.waiting.iter().filter(|(_, one)| !one.has_memory).map(|(n, _)| *n).collect();
        for number in numbers {
            let Some(wanted) = self.waiting.get(&number).map(|one| one.wanted) else { continue };
            let fits = self.fits(wanted, 0);
            let Some(one) = self.waiting.get_mut(&number) else { continue };
            if fits {
                one.has_memory = true;
                one.given.notify_one();
                self.left -= wanted;
                self.waiting.range_mut(..number).for_each(|(_, ahead)| ahead.is_passed());
            } else if !one.lets_pass() {
                return;
            }
        }
    }
}

impl Budget {
    /// Makes a budget of this many bytes.
    #[must_use]
    pub(crate) const fn new(bytes: usize) -> Self {
        Self(Mutex::new(Ledger { all: bytes, left: bytes, waiting: BTreeMap::new(), next: 0 }))
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there are `bytes`, or as many as a single share may ever have.
    async fn wait_for(&'static self, bytes: usize) -> Held {
        let given = Arc::new(Notify::new());
        let (number, wanted) = {
            let mut ledger = self.lock();
            let (number, wanted) = (ledger.next, bytes.min(ledger.all / 3 * 2));
            ledger.next += 1;
            let waiting = Waiting { wanted, passed: 0, has_memory: false, given: Arc::clone(&given) };
            ledger.waiting.insert(number, waiting);
            // Something may have been given back meanwhile.
            ledger.give();
            (number, wanted)
        };
        let waits = Waits { budget: self, number };
        given.notified().await;
        waits.end();
        Held { budget: self, bytes: AtomicUsize::new(wanted) }
    }
}

/// A listing in line, until this is dropped.
struct Waits {
    budget: &'static Budget,
    number: u64,
}

impl Waits {
    /// Leaves the line with the memory.
    fn end(self) {
        self.budget.lock().waiting.remove(&self.number);
        std::mem::forget(self);
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        let mut ledger = self.budget.lock();
        let bytes = ledger.waiting.remove(&self.number).filter(|one| one.has_memory).map_or(0, |one| one.wanted);
        // Whoever is behind it may go first now.
        ledger.give_back(bytes);
    }
}

/// The bytes held by one listing. Dropping it gives them back.
#[derive(Debug)]
pub struct Share {
    held: Arc<Held>,
    /// How many bytes it has of its own.
    reserve: usize,
    /// How many of all these are not used yet.
    spare: usize,
}

/// Bytes taken from a budget.
#[derive(Debug)]
struct Held {
    budget: &'static Budget,
    /// How many.
    bytes: AtomicUsize,
}

impl Held {
    fn give_back(&self) {
        let bytes = self.bytes.swap(0, Ordering::Relaxed);
        if bytes > 0 {
            self.budget.lock().give_back(bytes);
            watch::has(Needed::Listing, false);
        }
    }
}

impl Default for Share {
    /// Holds nothing yet; draws on the budget of this process.
    fn default() -> Self {
        Self::of(&PROCESS, RESERVE)
    }
}

impl Share {
    fn of(budget: &'static Budget, reserve: usize) -> Self {
        Self { held: Arc::new(Held { budget, bytes: AtomicUsize::new(0) }), reserve, spare: reserve }
    }

    /// Waits in line for a share of this process with this many bytes besides its own.
    pub(crate) async fn wait_for(bytes: usize) -> Self {
        Self::wait_in(&PROCESS, RESERVE, bytes).await
    }

    async fn wait_in(budget: &'static Budget, reserve: usize, bytes: usize) -> Self {
        let held = watch::waiting_for(Needed::Listing, budget.wait_for(bytes)).await;
        watch::has(Needed::Listing, true);
        let spare = reserve + held.bytes.load(Ordering::Relaxed);
        Self { held: Arc::new(held), reserve, spare }
    }

    /// Takes more bytes. Returns false if there are not enough.
    #[must_use]
    pub fn take(&mut self, bytes: usize) -> bool {
        if bytes > self.spare {
            let step = bytes.max(STEP);
            if !self.held.budget.lock().take(step, self.shared()) {
                return false;
            }
            watch::has(Needed::Listing, true);
            self.held.bytes.fetch_add(step, Ordering::Relaxed);
            self.spare += step;
        }
        self.spare -= bytes;
        true
    }

    /// Gives back what the listing has turned out not to need, now that it is complete.
    pub(crate) fn is_complete(&mut self) {
        let more = self.spare.min(self.shared());
        if more > 0 {
            self.held.bytes.fetch_sub(more, Ordering::Relaxed);
            self.spare -= more;
            self.held.budget.lock().give_back(more);
            watch::has(Needed::Listing, self.shared() > 0);
        }
    }

    /// Returns how many bytes it holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.reserve + self.shared()
    }

    /// Returns how many of them it took from the budget.
    fn shared(&self) -> usize {
        self.held.bytes.load(Ordering::Relaxed)
    }

    /// Returns a function that gives everything back although the listing still exists: a poll that waits for a hung
    /// disk may do so for hours, and other accounts need to list meanwhile.
    pub(crate) fn giver(&self) -> impl Fn() + Send + 'static {
        let held = Arc::clone(&self.held);
        move || held.give_back()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.held.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(steps: usize) -> &'static Budget {
        Box::leak(Box::new(Budget::new(steps * STEP)))
    }

    fn take_all(share: &mut Share) -> usize {
        while share.take(STEP) {}
        share.held() / STEP
    }

    #[test]
    fn the_first_gets_two_thirds_and_leaves_something_to_the_next() {
        let budget = budget(90);
        let mut shares: Vec<Share> = (0..4).map(|_| Share::of(budget, 0)).collect();
        let got: Vec<usize> = shares.iter_mut().map(take_all).collect();
        assert_eq!(got, [60, 20, 6, 2]);
    }

    #[test]
    fn what_is_dropped_is_given_back() {
        let budget = budget(9);
        for _ in 0..3 {
            assert_eq!(take_all(&mut Share::of(budget, 0)), 6);
        }
    }

    #[test]
    fn what_hangs_gives_it_back_once() {
        let budget = budget(9);
        let mut hangs = Share::of(budget, 0);
        let give_back = hangs.giver();
        assert_eq!(take_all(&mut hangs), 6);
        give_back();
        let mut other = Share::of(budget, 0);
        assert_eq!(take_all(&mut other), 6);
        drop(hangs);
        give_back();
        drop(other);
        assert_eq!(take_all(&mut Share::of(budget, 0)), 6, "and no more than there is");
    }

    #[test]
    fn a_small_listing_has_its_room_whatever_others_hold() {
        assert_eq!(Share::default().reserve, RESERVE);
        let mut share = Share::of(budget(0), RESERVE);
        assert!(share.take(RESERVE - 1) && share.take(1), "an ordinary maildrop");
        assert!(!share.take(1), "nothing else is left");
        assert_eq!(share.held(), RESERVE);
        let budget = budget(9);
        let mut large = Share::of(budget, 2 * STEP);
        assert_eq!(take_all(&mut large), 2 + 6, "the rest is shared as before");
        drop(large);
        assert_eq!(take_all(&mut Share::of(budget, 0)), 6, "the reserve is not given to others");
    }

    /// Lets those that wait see what has happened.
    async fn settle() {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn who_waits_is_served_in_order_and_what_fits_passes_but_not_for_ever() {
        let budget = budget(90);
        let mut first = Share::of(budget, 0);
        assert_eq!(take_all(&mut first), 60);
        let large = tokio::spawn(Share::wait_in(budget, 0, 50 * STEP));
        settle().await;
        for pass in 0..2 * PASSES {
            let took = Share::of(budget, 0).take(STEP);
            assert_eq!(took, pass < PASSES, "{pass}: then everyone waits for the one in front");
        }
        let small = tokio::spawn(Share::wait_in(budget, 0, STEP));
        settle().await;
        assert!(!large.is_finished() && !small.is_finished());
        drop(first);
        let (large, small) = (large.await.unwrap(), small.await.unwrap());
        assert_eq!((large.held(), small.held()), (50 * STEP, STEP));
        drop((large, small));
        assert_eq!(take_all(&mut Share::of(budget, 0)), 60, "and nothing is lost");
    }

    #[tokio::test]
    async fn what_waits_for_more_than_anybody_may_have_gets_that_and_who_stops_waiting_leaves_the_line() {
        let budget = budget(90);
        let share = Share::wait_in(budget, 0, usize::MAX).await;
        assert_eq!(share.held(), 60 * STEP);
        let waits = tokio::spawn(Share::wait_in(budget, 0, usize::MAX));
        settle().await;
        waits.abort();
        assert!(waits.await.is_err());
        drop(share);
        assert_eq!(take_all(&mut Share::of(budget, 0)), 60);
    }

    #[tokio::test]
    async fn what_turns_out_not_to_be_needed_is_given_back() {
        let budget = budget(90);
        let mut share = Share::wait_in(budget, STEP, 60 * STEP).await;
        assert!(share.take(21 * STEP));
        share.is_complete();
        assert_eq!(share.held(), 21 * STEP, "its own and twenty more");
        let mut other = Share::of(budget, 0);
        assert_eq!(take_all(&mut other), 46, "two thirds of seventy");
        drop((share, other));
        assert_eq!(take_all(&mut Share::of(budget, 0)), 60);
    }

    #[tokio::test]
    async fn who_holds_memory_that_others_wait_for_is_seen() {
        let budget = budget(90);
        let [holds, waits] = [(); 2].map(|()| Arc::new(watch::Watch::default()));
        let mut share = Share::of(budget, 0);
        watch::watched(Arc::clone(&holds), async { assert!(share.take(60 * STEP)) }).await;
        assert!(holds.holds(Needed::Listing) && !holds.holds(Needed::State));
        let waiting = tokio::spawn(watch::watched(Arc::clone(&waits), Share::wait_in(budget, 0, 60 * STEP)));
        settle().await;
        assert!(waits.waits_for(Needed::Listing) && !waits.holds(Needed::Listing));
        watch::watched(Arc::clone(&holds), async { drop(share) }).await;
        drop(waiting.await.unwrap());
        assert!(!holds.holds(Needed::Listing) && !waits.waits_for(Needed::Listing));
    }

    #[test]
    fn small_bites_share_a_step() {
        let budget = budget(3);
        let mut share = Share::of(budget, 0);
        for _ in 0..STEP * 2 / 8 {
            assert!(share.take(8));
        }
        assert!(!share.take(8), "two thirds are taken");
        assert_eq!(share.held(), 2 * STEP);
    }
}
