//! Who waits for what polls have: a place, or memory for a state. Whoever has it has to be worth it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

/// Polls that wait for the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line(Arc<AtomicUsize>);

/// Those that wait for a place among all.
static FOR_ANY: LazyLock<Line> = LazyLock::new(Line::default);

/// Those whose states wait for memory.
static FOR_ROOM: LazyLock<Line> = LazyLock::new(Line::default);

impl Line {
    /// That for a place among all polls of this process.
    pub(crate) fn for_any() -> &'static Self {
        &FOR_ANY
    }

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
