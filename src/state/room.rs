//! Limits the memory that the states of all polls in this process take together: a state grows with what a server
//! lists, and dozens of accounts are polled at the same time.
//!
//! A small state needs no room. A large one must have room before it is read, and waits while others have it, first
//! come, first served; one that is larger than all the room has it alone. So a million messages can be remembered, and
//! twenty accounts with a million each are polled one after the other. A state that has outgrown the room gets one
//! session per poll: a server that lists other messages in each session could fill any memory otherwise, and between
//! polls there are pauses.

use std::sync::{Arc, LazyLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// All the room, in octets of state files. In memory a message takes about as much as its line.
const ALL: u64 = 64 << 20;

/// A file with fewer octets is small: some 3,000 messages.
const SMALL: u64 = 512 << 10;

/// Room is counted in pieces of this many octets.
const PIECE: u64 = 64 << 10;

/// The room of this process.
static PROCESS: LazyLock<Room> = LazyLock::new(|| Room::new(ALL));

/// Room for states.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    pieces: Arc<Semaphore>,
    /// How many pieces there are in total.
    all: u32,
}

impl Room {
    fn new(octets: u64) -> Self {
        let all = pieces(octets);
        let pieces = Arc::new(Semaphore::new(usize::try_from(all).unwrap_or(usize::MAX)));
        Self { pieces, all }
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
        Arc::clone(&self.pieces).try_acquire_many_owned(wanted).ok().map(|held| Share(Some(held)))
    }

    /// Does the same, waiting until there is room.
    pub(crate) async fn take(&self, octets: u64) -> Share {
        let Some(wanted) = self.wanted(octets) else { return Share(None) };
        // The semaphore is never closed.
        Share(Arc::clone(&self.pieces).acquire_many_owned(wanted).await.ok())
    }

    /// Grows a share to the size of its state. False if there is no room for the growth, or if the state is larger than
    /// all the room.
    #[must_use]
    pub(crate) fn grow(&self, share: &mut Share, octets: u64) -> bool {
        let held = share.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        let is_too_large = pieces(octets) > self.all;
        let Some(more) = self.wanted(octets).and_then(|wanted| wanted.checked_sub(held)).filter(|more| *more > 0)
        else {
            return !is_too_large;
        };
        let Ok(more) = Arc::clone(&self.pieces).try_acquire_many_owned(more) else { return false };
        match &mut share.0 {
            Some(held) => held.merge(more),
            None => share.0 = Some(more),
        }
        !is_too_large
    }

    /// The number of pieces for a state of this many octets. None if it is small.
    fn wanted(&self, octets: u64) -> Option<u32> {
        (octets >= SMALL).then(|| pieces(octets).min(self.all))
    }
}

fn pieces(octets: u64) -> u32 {
    u32::try_from(octets.div_ceil(PIECE)).unwrap_or(u32::MAX)
}

/// A state's share of the room, given back when dropped.
#[derive(Debug, Default)]
pub(crate) struct Share(Option<OwnedSemaphorePermit>);

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
}
