//! What polls have that others wait for: places, and memory for a state. Whoever has it has to be worth it.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

/// Who gives a poll its places.
pub(crate) trait Places: fmt::Debug + Send + Sync {
    /// The poll gets what it logs in with, and needs no place meanwhile.
    fn give_back(&self);

    /// Whether others wait for those that the poll has. Never, if whoever looks at the poll knows by itself.
    fn are_waited_for(&self) -> bool;

    /// The poll needs its places from here on. They are there when this comes to its end.
    fn wait(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// Polls that wait for the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line(Arc<AtomicUsize>);

/// Those whose states wait for memory.
static FOR_ROOM: LazyLock<Line> = LazyLock::new(Line::default);

impl Line {
    /// That for memory for a state.
    pub(super) fn for_room() -> &'static Self {
        &FOR_ROOM
    }

    /// From here on one more waits.
    #[must_use]
    pub(crate) fn wait(&self) -> Waits {
        self.0.fetch_add(1, Ordering::Relaxed);
        Waits(self.clone())
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// A poll that waits, as long as this lives.
#[derive(Debug)]
pub(crate) struct Waits(Line);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
