//! Space that is promised to messages under way, on each file system.
//!
//! The free space that a system reports is there only once, but everybody who looks sees all of it. So a message that is
//! requested takes a promise of its listed size, and keeps it until its bytes are written; a message fits if there is
//! room for it besides what is promised to others. All polls of a process share this.
//!
//! A promise is only as good as a listed size, and a server that announces a large message may take hours to send it. So
//! where room is scarce, large messages give way to small ones: a message sees the promises to messages that are as
//! large as itself or smaller ([`magnitude`]), and those to the other messages of its own session. A large message is
//! given up when what comes of it would take room that is promised to smaller ones. So mail of the usual size is stored
//! while any of it fits, whatever others announced before.
//!
//! Only a hint: each write looks at the free space itself. Several processes, and the parts of a file system that have
//! device numbers of their own (subvolumes), do not know of each other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Dir;
use super::free_space::UNTOLD;

/// How many magnitudes there are: one for each number of bits of a size.
const MAGNITUDES: usize = 65;

/// What is promised on the file systems of this process.
#[derive(Debug, Default)]
pub struct PromisedSpace {
    /// The file systems in use, by device number.
    file_systems: Mutex<BTreeMap<u64, Arc<FileSystem>>>,
}

impl PromisedSpace {
    /// Returns the file system of a directory.
    fn at(&self, dir: &Dir) -> Arc<FileSystem> {
        let mut all = self.file_systems.lock().unwrap_or_else(PoisonError::into_inner);
        let device = dir.id().device;
        if !all.contains_key(&device) {
            all.retain(|_, known| Arc::strong_count(known) > 1);
        }
        Arc::clone(all.entry(device).or_insert_with(|| Arc::new(FileSystem::new(device))))
    }

    /// Begins the promises of a session on the file system of a directory, on which `free` bytes may be written now
    /// without touching the reserve.
    pub(crate) fn share(&self, dir: &Dir, free: u64) -> SpaceShare {
        let file_system = self.at(dir);
        let mut ledger = file_system.lock();
        ledger.free = free;
        let number = ledger.next_share;
        ledger.next_share += 1;
        ledger.shares.insert(number, Sums::default());
        drop(ledger);
        SpaceShare { dir: dir.clone(), file_system, number }
    }

    /// Moves a promise to the file system of a directory, if that is another one: where a message goes is only known
    /// once its header is here.
    pub(crate) fn direct(&self, promise: &mut Promise, dir: &Dir) {
        if promise.file_system.device == dir.id().device {
            return;
        }
        let (there, held) = (self.at(dir), promise.held);
        promise.hold(Held::default());
        (promise.file_system, promise.share) = (there, NO_SHARE);
        promise.hold(held);
    }
}

/// Returns the magnitude of a size in octets: messages of one magnitude differ by less than a factor of two.
fn magnitude(size: u64) -> usize {
    usize::try_from(u64::BITS - size.leading_zeros()).unwrap_or(0)
}

/// Bytes by the magnitude of their messages.
#[derive(Debug, Clone, Copy)]
struct Sums([u64; MAGNITUDES]);

impl Default for Sums {
    fn default() -> Self {
        Self([0; MAGNITUDES])
    }
}

impl Sums {
    fn replace(&mut self, before: Held, after: Held) {
        if let Some(sum) = self.0.get_mut(before.magnitude) {
            *sum = sum.saturating_sub(before.left);
        }
        if let Some(sum) = self.0.get_mut(after.magnitude) {
            *sum = sum.saturating_add(after.left);
        }
    }

    /// Returns the bytes of messages up to this magnitude.
    fn up_to(&self, magnitude: usize) -> u64 {
        self.0.iter().take(magnitude + 1).fold(0, |all, sum| all.saturating_add(*sum))
    }

    /// Returns the bytes of messages above this magnitude.
    fn above(&self, magnitude: usize) -> u64 {
        self.0.iter().skip(magnitude + 1).fold(0, |all, sum| all.saturating_add(*sum))
    }
}

/// A file system on which messages are stored.
#[derive(Debug)]
struct FileSystem {
    /// Its device number.
    device: u64,
    /// Locked for moments only.
    ledger: Mutex<Ledger>,
}

/// What is promised on a file system.
#[derive(Debug)]
struct Ledger {
    /// How many bytes may be written without touching the reserve, as last looked up, less what was written since.
    free: u64,
    /// The bytes that are promised and not written yet.
    promised: Sums,
    /// How many of these are being written at this moment: the free space does not show them yet.
    being_written: u64,
    /// What of `promised` belongs to the messages of each session.
    shares: BTreeMap<u64, Sums>,
    /// The number of the next session.
    next_share: u64,
}

/// The number of no session's share.
const NO_SHARE: u64 = u64::MAX;

impl FileSystem {
    fn new(device: u64) -> Self {
        let shares = BTreeMap::new();
        let ledger = Ledger { free: UNTOLD, promised: Sums::default(), being_written: 0, shares, next_share: 0 };
        Self { device, ledger: Mutex::new(ledger) }
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    /// Returns the bytes promised so that a message of this size in this session must leave them alone: to messages that
    /// are not larger, and to all others of its session.
    fn promised_before(&self, size: u64, share: u64) -> u64 {
        let own = self.shares.get(&share).map_or(0, |own| own.above(magnitude(size)));
        self.promised.up_to(magnitude(size)).saturating_add(own)
    }

    /// Returns how many bytes are free for a message of this size in this session.
    fn room(&self, size: u64, share: u64) -> u64 {
        self.free.saturating_sub(self.promised_before(size, share))
    }

    fn replace(&mut self, share: u64, before: Held, after: Held) {
        self.promised.replace(before, after);
        if let Some(own) = self.shares.get_mut(&share) {
            own.replace(before, after);
        }
        self.being_written =
            self.being_written.saturating_sub(before.being_written).saturating_add(after.being_written);
    }
}

/// The promises of a session, on the file system that has most room for its messages.
#[derive(Debug)]
pub(crate) struct SpaceShare {
    /// A directory there.
    dir: Dir,
    file_system: Arc<FileSystem>,
    /// Identifies the session's share there.
    number: u64,
}

impl Drop for SpaceShare {
    fn drop(&mut self) {
        self.file_system.lock().shares.remove(&self.number);
    }
}

impl SpaceShare {
    /// A directory on the file system.
    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Notes how many bytes may be written now without touching the reserve.
    pub(crate) fn see(&self, free: u64) {
        self.file_system.lock().free = free;
    }

    /// Promises space to a message of this size in octets, if there is room for it.
    pub(crate) fn promise(&self, size: u64) -> Option<Promise> {
        let held = Held { magnitude: magnitude(size), left: size, being_written: 0 };
        let mut ledger = self.file_system.lock();
        if size > ledger.room(size, self.number) {
            return None;
        }
        ledger.replace(self.number, Held::default(), held);
        Some(Promise { file_system: Arc::clone(&self.file_system), share: self.number, held })
    }

    /// Whether there is room for so many more octets.
    pub(crate) fn has_room(&self, size: u64) -> bool {
        size <= self.file_system.lock().room(size, self.number)
    }

    /// Returns the bytes that a message of this size has to leave to others.
    pub(crate) fn promised_before(&self, size: u64) -> u64 {
        self.file_system.lock().promised_before(size, self.number)
    }

    /// Returns how many bytes are free for the message with this promise, besides what the other messages of its session
    /// are promised.
    pub(crate) fn free_for(&self, promise: &Promise) -> u64 {
        let ledger = self.file_system.lock();
        let own = ledger.shares.get(&self.number).map_or(0, |own| own.up_to(MAGNITUDES));
        let this = if promise.share == self.number { promise.held.left } else { 0 };
        ledger.free.saturating_sub(own.saturating_sub(this))
    }
}

/// What one message holds.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    /// The magnitude of its size.
    magnitude: usize,
    /// How many bytes are promised to it and not written yet.
    left: u64,
    /// How many bytes of it are being written at this moment.
    being_written: u64,
}

/// Space promised to one message, until it is written. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Promise {
    file_system: Arc<FileSystem>,
    /// The share of its session.
    share: u64,
    held: Held,
}

impl Drop for Promise {
    fn drop(&mut self) {
        if self.held.left > 0 || self.held.being_written > 0 {
            self.hold(Held::default());
        }
    }
}

impl Promise {
    fn hold(&mut self, held: Held) {
        let before = std::mem::replace(&mut self.held, held);
        self.file_system.lock().replace(self.share, before, held);
    }

    /// Changes the promise to a new size in octets if there is room for that. Otherwise the size may be wrong, so nothing
    /// is promised: the bytes that come take what they need.
    pub(crate) fn resize(&mut self, size: u64) {
        let mut ledger = self.file_system.lock();
        ledger.replace(self.share, self.held, Held::default());
        let left = if size > ledger.room(size, self.share) { 0 } else { size };
        self.held = Held { magnitude: magnitude(size), left, being_written: 0 };
        ledger.replace(self.share, Held::default(), self.held);
    }

    /// Notes that the message is complete with this many bytes, so many of which are not written yet.
    pub(crate) fn complete(&mut self, size: u64, unwritten: u64) {
        self.hold(Held { magnitude: magnitude(size), left: unwritten, being_written: 0 });
    }

    /// Begins to write `bytes` of a message that has `size` bytes so far. Returns how many free bytes it has to leave
    /// alone: they are promised to messages that are not larger, or others are writing them at this moment.
    pub(crate) fn begin_to_write(&mut self, bytes: u64, size: u64) -> u64 {
        let mut ledger = self.file_system.lock();
        ledger.replace(self.share, self.held, Held { being_written: 0, ..self.held });
        let smaller = ledger.promised.up_to(magnitude(size).max(self.held.magnitude)).saturating_sub(self.held.left);
        let others = smaller.saturating_add(ledger.being_written);
        ledger.replace(self.share, Held::default(), Held { magnitude: 0, left: 0, being_written: bytes });
        self.held.being_written = bytes;
        others
    }

    /// Notes that `bytes` were written; `free` is the free space beyond the reserve behind them, if it was looked up.
    pub(crate) fn wrote(&mut self, bytes: u64, free: Option<u64>) {
        let before = self.held;
        self.held = Held { left: before.left.saturating_sub(bytes), being_written: 0, ..before };
        let mut ledger = self.file_system.lock();
        ledger.replace(self.share, before, self.held);
        ledger.free = free.unwrap_or_else(|| ledger.free.saturating_sub(bytes));
    }

    /// Notes that the rest was written.
    pub(crate) fn wrote_the_rest(mut self) {
        self.wrote(self.held.left, None);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::disk::FileId;

    const MIB: u64 = 1 << 20;

    fn dir(device: u64) -> Dir {
        Dir::new(Path::new("/m/tmp"), FileId { device, inode: 1 }, None)
    }

    /// Two sessions that deliver to one file system with 100 MiB.
    fn two() -> (PromisedSpace, SpaceShare, SpaceShare) {
        let space = PromisedSpace::default();
        let [a, b] = [(); 2].map(|()| space.share(&dir(1), 100 * MIB));
        (space, a, b)
    }

    #[test]
    fn what_is_promised_to_one_is_not_there_for_another() {
        let (space, a, b) = two();
        let promise = a.promise(60 * MIB).unwrap();
        assert!(b.promise(60 * MIB).is_none() && !b.has_room(41 * MIB), "they would not fit together");
        assert_eq!(b.promised_before(60 * MIB), 60 * MIB);
        let other = b.promise(40 * MIB).unwrap();
        drop(promise);
        assert!(a.promise(60 * MIB).is_some(), "it was given back");
        drop(other);
        let elsewhere = space.share(&dir(2), 10 * MIB);
        assert!(elsewhere.promise(11 * MIB).is_none() && elsewhere.has_room(10 * MIB), "another file system");
    }

    #[test]
    fn a_large_message_takes_no_room_from_small_ones() {
        let (_, a, b) = two();
        let mut large = a.promise(99 * MIB).unwrap();
        assert!(b.promise(70 * MIB).is_none(), "one of that magnitude came first");
        let small = b.promise(5 * MIB).unwrap();
        assert!(a.promise(5 * MIB).is_none(), "its own session asked for the large one first");
        assert_eq!(large.begin_to_write(MIB, 50 * MIB), 5 * MIB, "it leaves alone what is promised to the small one");
        large.wrote(MIB, Some(99 * MIB));
        small.wrote_the_rest();
        assert_eq!(large.begin_to_write(MIB, 50 * MIB), 0);
    }

    #[test]
    fn what_is_written_is_neither_free_nor_promised() {
        let (_, a, b) = two();
        let mut promise = a.promise(60 * MIB).unwrap();
        assert_eq!(promise.begin_to_write(MIB, MIB), 0);
        promise.wrote(20 * MIB, None);
        assert!(b.has_room(40 * MIB) && !b.has_room(41 * MIB));
        promise.complete(30 * MIB, 10 * MIB);
        assert!(b.has_room(70 * MIB) && !b.has_room(71 * MIB), "it was smaller than listed");
        assert_eq!((a.free_for(&promise), b.free_for(&promise)), (80 * MIB, 80 * MIB));
        promise.wrote_the_rest();
        assert!(b.has_room(70 * MIB) && !b.has_room(71 * MIB));
        b.see(90 * MIB);
        assert!(a.has_room(90 * MIB), "somebody made room");
    }

    #[test]
    fn what_others_write_at_this_moment_is_left_alone() {
        let (_, a, b) = two();
        let [mut one, mut other] = [a.promise(0).unwrap(), b.promise(0).unwrap()];
        assert_eq!(one.begin_to_write(MIB, MIB), 0);
        assert_eq!(other.begin_to_write(2 * MIB, 2 * MIB), MIB);
        assert_eq!(one.begin_to_write(MIB, 2 * MIB), 2 * MIB, "its own does not count");
        drop(other);
        one.wrote(MIB, None);
        assert_eq!(one.begin_to_write(MIB, 3 * MIB), 0);
    }

    #[test]
    fn a_size_that_comes_later_is_promised_if_there_is_room() {
        let (_, a, b) = two();
        let mut promise = a.promise(MIB).unwrap();
        promise.resize(100 * MIB);
        assert!(!b.has_room(100 * MIB));
        promise.resize(101 * MIB);
        assert!(b.has_room(100 * MIB), "it may be wrong");
        promise.resize(30 * MIB);
        assert_eq!((b.promised_before(30 * MIB), b.promised_before(MIB)), (30 * MIB, 0));
    }

    #[test]
    fn a_promise_follows_its_message_to_another_file_system() {
        let (space, a, b) = two();
        let there = space.share(&dir(2), 50 * MIB);
        let mut promise = a.promise(40 * MIB).unwrap();
        space.direct(&mut promise, &dir(1));
        assert!(!b.has_room(61 * MIB));
        space.direct(&mut promise, &dir(2));
        assert!(b.has_room(100 * MIB) && !there.has_room(40 * MIB));
        promise.wrote(MIB, None);
        drop(promise);
        assert!(there.has_room(49 * MIB) && !there.has_room(50 * MIB));
        drop((a, b, there));
        let _another = space.share(&dir(3), MIB);
        assert_eq!(space.file_systems.lock().unwrap().len(), 1, "what nobody uses is forgotten");
    }

    #[test]
    fn sizes_that_are_lies_overflow_nothing() {
        let (_, a, b) = two();
        assert!(a.promise(u64::MAX).is_none());
        let mut promise = a.promise(100 * MIB).unwrap();
        promise.complete(u64::MAX, u64::MAX);
        let mut other = b.promise(0).unwrap();
        assert_eq!(other.begin_to_write(u64::MAX, u64::MAX), u64::MAX);
        other.wrote(u64::MAX, None);
        assert!(b.has_room(0) && !b.has_room(1));
    }
}
