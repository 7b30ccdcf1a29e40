//! What polls hold that others may wait for: places, and memory for a state or a listing. A poll must make good use of what it
//! holds.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use super::Needed;

/// Gives a poll its places.
pub(crate) trait Places: fmt::Debug + Send + Sync {
    /// Gives back the poll's places, while it obtains its credential.
    fn give_back(&self);

    /// Whether others wait for the poll's places. Always false if the poll's observer knows this by itself.
    fn are_waited_for(&self) -> bool;

    /// Requests the poll's places, and waits until it has them.
    fn wait(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// Counts polls that wait for the same resource.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line(Arc<AtomicUsize>);

/// The polls whose states wait for memory, and those whose listings do.
static FOR_STATES: LazyLock<Line> = LazyLock::new(Line::default);
static FOR_LISTINGS: LazyLock<Line> = LazyLock::new(Line::default);

impl Line {
    /// The line for this.
    pub(super) fn of(needed: Needed) -> &'static Self {
        match needed {
            Needed::State => &FOR_STATES,
            Needed::Listing => &FOR_LISTINGS,
        }
    }

    /// Adds a waiting poll.
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

/// A poll that waits, until this is dropped.
#[derive(Debug)]
pub(crate) struct Waits(Line);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
