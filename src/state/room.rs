//! Limits the memory that the states of all polls in this process take together: a state grows with what a server
//! lists, and dozens of accounts are polled at the same time.
//!
//! A small state needs no room. A large one must have room before it is read, and waits while others have it, first
//! come, first served; one that is larger than all the room has it alone. What fits passes one that still waits for
//! more, but only so often: then everyone waits until that one has its room. So a million messages can be remembered, and
//! twenty accounts with a million each are polled one after the other. A state that has outgrown the room gets one
//! session per poll: a server that lists other messages in each session could fill any memory otherwise, and between
//! polls there are pauses.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// All the room, in octets of state files. In memory a message takes about as much as its line.
const ALL: u64 = 64 << 20;

/// A file with fewer octets is small: some 3,000 messages.
const SMALL: u64 = 512 << 10;

/// Room is counted in pieces of this many octets.
const PIECE: u64 = 64 << 10;

/// How often others may pass one that waits. Between two polls of an account there are pauses, so it takes them minutes.
const PASSES: u32 = 50;

/// The room of this process.
static PROCESS: LazyLock<Room> = LazyLock::new(|| Room::new(ALL));

/// Room for states.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    line: Arc<Mutex<Line>>,
    /// How many pieces there are in total.
    all: u32,
}

/// Who has room and who waits for it.
#[derive(Debug)]
struct Line {
    /// How many pieces nobody has.
    free: u32,
    /// Those that wait and those that were given room and have not noticed yet, in the order in which they came.
    waiting: BTreeMap<u64, Waiting>,
    /// The number of the next one that waits.
    next: u64,
}

/// One that waits for room.
#[derive(Debug)]
struct Waiting {
    /// For how many pieces.
    wanted: u32,
    /// How often others have passed it.
    passed: u32,
    /// Whether it has them.
    has_room: bool,
    /// Notified then.
    given: Arc<Notify>,
}

impl Line {
    /// Takes pieces, passing those that wait for more. False if there are too few, or if one of those was passed too
    /// often.
    fn take(&mut self, wanted: u32) -> bool {
        let may_pass = self.waiting.values().all(Waiting::lets_pass);
        if !may_pass || self.free < wanted {
            return false;
        }
        self.free -= wanted;
        self.waiting.values_mut().for_each(Waiting::is_passed);
        true
    }

    /// Gives room to those that wait, as far as there is some.
    fn give(&mut self) {
        let numbers: Vec<u64> = self.waiting.iter().filter(|(_, one)| !one.has_room).map(|(n, _)| *n).collect();
        for number in numbers {
            let Some(one) = self.waiting.get_mut(&number) else { continue };
            if one.wanted <= self.free {
                self.free -= one.wanted;
                one.has_room = true;
                one.given.notify_one();
                self.waiting.range_mut(..number).for_each(|(_, ahead)| ahead.is_passed());
            } else if !one.lets_pass() {
                return;
            }
        }
    }

    fn give_back(&mut self, pieces: u32) {
        self.free = self.free.saturating_add(pieces);
        self.give();
    }
}

impl Waiting {
    fn lets_pass(&self) -> bool {
        self.has_room || self.passed < PASSES
    }

    fn is_passed(&mut self) {
        self.passed = self.passed.saturating_add(1);
    }
}

impl Room {
    fn new(octets: u64) -> Self {
        let all = pieces(octets);
        Self { line: Arc::new(Mutex::new(Line { free: all, waiting: BTreeMap::new(), next: 0 })), all }
    }

    /// Returns the room of this process.
    #[must_use]
    pub(crate) fn of_process() -> Self {
        PROCESS.clone()
    }

    /// Takes room for a state whose file has this many octets. None if it has to wait.
    #[must_use]
    pub(crate) fn try_take(&self, octets: u64) -> Option<Share> {
        let Some(wanted) = self.wanted(octets) else { return Some(Share(None)) };
        lock(&self.line).take(wanted).then(|| self.share(wanted))
    }

    /// Does the same, waiting until there is room.
    pub(crate) async fn take(&self, octets: u64) -> Share {
        if let Some(share) = self.try_take(octets) {
            return share;
        }
        let Some(wanted) = self.wanted(octets) else { return Share(None) };
        let given = Arc::new(Notify::new());
        let number = {
            let mut line = lock(&self.line);
            let number = line.next;
            line.next += 1;
            line.waiting.insert(number, Waiting { wanted, passed: 0, has_room: false, given: Arc::clone(&given) });
            // Something may have been given back meanwhile.
            line.give();
            number
        };
        let waits = Waits { line: Arc::clone(&self.line), number };
        given.notified().await;
        waits.end();
        self.share(wanted)
    }

    /// Grows a share to the size of its state. False if there is no room for the growth, or if the state is larger than
    /// all the room.
    #[must_use]
    pub(crate) fn grow(&self, share: &mut Share, octets: u64) -> bool {
        let held = share.0.as_ref().map_or(0, |held| held.pieces);
        let is_too_large = pieces(octets) > self.all;
        let Some(more) = self.wanted(octets).and_then(|wanted| wanted.checked_sub(held)).filter(|more| *more > 0)
        else {
            return !is_too_large;
        };
        if !lock(&self.line).take(more) {
            return false;
        }
        match &mut share.0 {
            Some(held) => held.pieces += more,
            None => *share = self.share(more),
        }
        !is_too_large
    }

    /// The number of pieces for a state of this many octets. None if it is small.
    fn wanted(&self, octets: u64) -> Option<u32> {
        (octets >= SMALL).then(|| pieces(octets).min(self.all))
    }

    /// Returns a share of pieces that were taken.
    fn share(&self, pieces: u32) -> Share {
        Share(Some(Held { line: Arc::clone(&self.line), pieces }))
    }
}

fn pieces(octets: u64) -> u32 {
    u32::try_from(octets.div_ceil(PIECE)).unwrap_or(u32::MAX)
}

fn lock(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A place in the line, left when dropped. Room that was given meanwhile and not noticed goes to others.
#[derive(Debug)]
struct Waits {
    line: Arc<Mutex<Line>>,
    number: u64,
}

impl Waits {
    /// Leaves the line with the room that was given.
    fn end(self) {
        lock(&self.line).waiting.remove(&self.number);
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        let mut line = lock(&self.line);
        if let Some(one) = line.waiting.remove(&self.number) {
            line.give_back(if one.has_room { one.wanted } else { 0 });
        }
    }
}

/// Pieces that a share has, given back when dropped.
#[derive(Debug)]
struct Held {
    line: Arc<Mutex<Line>>,
    pieces: u32,
}

impl Drop for Held {
    fn drop(&mut self) {
        lock(&self.line).give_back(self.pieces);
    }
}

/// A state's share of the room, given back when dropped.
#[derive(Debug, Default)]
pub(crate) struct Share(Option<Held>);

impl Share {
    /// Whether others may have to wait for this share.
    #[must_use]
    pub(crate) fn is_large(&self) -> bool {
        self.0.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[tokio::test]
    async fn what_is_small_waits_for_nobody_and_what_is_large_for_room() {
        let room = Room::new(4 * MIB);
        let first = room.try_take(3 * MIB).unwrap();
        let second = room.try_take(MIB).unwrap();
        assert!(room.try_take(MIB).is_none(), "all is taken");
        assert!(room.try_take(SMALL).is_none(), "it is not small");
        assert!(room.try_take(SMALL - 1).is_some());
        drop(second);
        assert!(room.try_take(MIB).is_some());
        drop(first);
        assert!(room.try_take(4 * MIB).is_some());
    }

    #[tokio::test]
    async fn what_is_larger_than_all_has_it_alone_and_comes_in_its_turn() {
        let room = Room::new(4 * MIB);
        let first = room.try_take(MIB).unwrap();
        let huge = tokio::spawn({
            let room = room.clone();
            async move { room.take(100 * MIB).await }
        });
        tokio::task::yield_now().await;
        assert!(!huge.is_finished());
        drop(first);
        let huge = huge.await.unwrap();
        assert!(room.try_take(MIB).is_none());
        drop(huge);
        assert!(room.try_take(MIB).is_some());
    }

    #[tokio::test]
    async fn a_state_that_grows_takes_more_as_long_as_there_is_some() {
        let room = Room::new(4 * MIB);
        let mut share = room.try_take(0).unwrap();
        assert!(room.grow(&mut share, SMALL - 1) && room.grow(&mut share, 3 * MIB));
        let other = room.try_take(MIB).unwrap();
        assert!(room.grow(&mut share, 2 * MIB), "it has more than that");
        assert!(!room.grow(&mut share, 3 * MIB + 1));
        drop(other);
        assert!(room.grow(&mut share, 4 * MIB), "now it has all");
        assert!(room.try_take(MIB).is_none());
        assert!(!room.grow(&mut share, 4 * MIB + 1), "there is no more");
        drop(share);
        assert!(room.try_take(4 * MIB).is_some());
    }

    /// Lets a state of this size wait for room.
    async fn waits(room: &Room, octets: u64) -> tokio::task::JoinHandle<Share> {
        let room = room.clone();
        let task = tokio::spawn(async move { room.take(octets).await });
        tokio::task::yield_now().await;
        assert!(!task.is_finished());
        task
    }

    #[tokio::test]
    async fn what_fits_passes_a_giant_so_many_times_and_no_more() {
        let room = Room::new(4 * MIB);
        let slow = room.try_take(MIB).unwrap();
        let giant = waits(&room, 100 * MIB).await;
        for nth in 0..PASSES {
            assert!(room.try_take(MIB).is_some(), "{nth}");
        }
        assert!(room.try_take(MIB).is_none(), "it is the giant's turn");
        let behind = waits(&room, MIB).await;
        drop(slow);
        let giant = giant.await.unwrap();
        tokio::task::yield_now().await;
        assert!(!behind.is_finished());
        drop(giant);
        behind.await.unwrap();
    }

    #[tokio::test]
    async fn those_that_wait_pass_a_giant_too() {
        let room = Room::new(4 * MIB);
        let (slow, other) = (room.try_take(MIB).unwrap(), room.try_take(3 * MIB).unwrap());
        let giant = waits(&room, 100 * MIB).await;
        let behind = waits(&room, 2 * MIB).await;
        drop(other);
        drop(behind.await.unwrap());
        assert!(!giant.is_finished());
        drop(slow);
        giant.await.unwrap();
    }

    #[tokio::test]
    async fn who_no_longer_waits_keeps_nobody_from_room() {
        let room = Room::new(4 * MIB);
        let slow = room.try_take(MIB).unwrap();
        let giant = waits(&room, 100 * MIB).await;
        for _ in 0..PASSES {
            assert!(room.try_take(MIB).is_some());
        }
        giant.abort();
        assert!(giant.await.is_err());
        assert!(room.try_take(3 * MIB).is_some());
        // Its room comes at the moment at which it gives up.
        let giant = waits(&room, 100 * MIB).await;
        drop(slow);
        giant.abort();
        drop(giant.await);
        assert!(room.try_take(4 * MIB).is_some());
    }
}
