//! Room for responses that have not been read yet. A client that asks and does not read keeps a response in memory for
//! as long as its connection lasts; the room limits all of them together.

use std::sync::Arc;

use hyper::body::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// The unit in which room is counted, in bytes.
const UNIT: usize = 1 << 10;

/// The room for all responses, in units: 64 MiB.
const ALL: u32 = 64 << 10;

/// The room, and the turn to make a response.
#[derive(Debug)]
pub(super) struct Room {
    /// What is free, in units.
    free: Arc<Semaphore>,
    /// How many units there are in all.
    all: u32,
    /// One response is made at a time, so that clients that ask incessantly take no more than one processor.
    turn: Semaphore,
}

impl Default for Room {
    fn default() -> Self {
        Self::of(ALL)
    }
}

impl Room {
    fn of(all: u32) -> Self {
        let free = usize::try_from(all).unwrap_or(usize::MAX);
        Self { free: Arc::new(Semaphore::new(free)), all, turn: Semaphore::new(1) }
    }

    /// Waits for the turn to make a response. Never returns None, because the semaphore is never closed.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turn.acquire().await.ok()
    }

    /// Returns the same bytes, which occupy their room until they are dropped. None if there is too little. A response
    /// larger than all the room takes it alone.
    pub(super) fn hold(&self, bytes: Bytes) -> Option<Bytes> {
        let units = u32::try_from(bytes.len().div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.all);
        let place = Arc::clone(&self.free).try_acquire_many_owned(units).ok()?;
        Some(Bytes::from_owner(Held { bytes, _place: place }))
    }
}

/// A response that occupies room.
struct Held {
    bytes: Bytes,
    _place: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_reads_takes_no_more_than_the_room() {
        let room = Room::of(4);
        let kib = |count: usize| Bytes::from(vec![b'x'; count * UNIT]);
        let (first, second) = (room.hold(kib(3)).unwrap(), room.hold(kib(1)).unwrap());
        assert_eq!(first, kib(3));
        assert!(room.hold(kib(1)).is_none(), "it is full");
        let part = first.slice(5..6);
        drop(first);
        assert!(room.hold(kib(1)).is_none(), "a part of it is still to be read");
        drop((part, second));
        assert!(room.hold(kib(9)).is_some(), "what is larger has it alone");
    }
}
