//! The memory that all listings of this process may hold together: the server decides how much it lists, and ten
//! servers may do so at once.
//!
//! Each listing has a small reserve of its own, so an ordinary maildrop can always be listed. Of the rest, no listing can
//! take everything: it may hold at most twice what it leaves to others. The first can get two thirds of
//! the total, the next two thirds of the rest, and so on, so an endless listing does not block the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// The budget of this process.
static PROCESS: Budget = Budget::new(LISTINGS);

/// A number of bytes shared by several listings.
#[derive(Debug)]
pub(crate) struct Budget {
    /// How many bytes are free.
    left: AtomicUsize,
}

impl Budget {
    /// Makes a budget of this many bytes.
    #[must_use]
    pub(crate) const fn new(bytes: usize) -> Self {
        Self { left: AtomicUsize::new(bytes) }
    }

    /// Takes `bytes` for a share that already holds `held`. Returns false if that would leave too little for others.
    fn take(&self, bytes: usize, held: usize) -> bool {
        let most = |left: usize| left.checked_sub(bytes).filter(|rest| held + bytes <= rest.saturating_mul(2));
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, most).is_ok()
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
        self.budget.left.fetch_add(self.bytes.swap(0, Ordering::Relaxed), Ordering::Relaxed);
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

    /// Takes more bytes. Returns false if there are not enough.
    #[must_use]
    pub fn take(&mut self, bytes: usize) -> bool {
        if bytes > self.spare {
            let step = bytes.max(STEP);
            if !self.held.budget.take(step, self.shared()) {
                return false;
            }
            self.held.bytes.fetch_add(step, Ordering::Relaxed);
            self.spare += step;
        }
        self.spare -= bytes;
        true
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
