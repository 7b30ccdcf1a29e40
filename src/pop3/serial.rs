//! Which session a message number belongs to: in another one the same number is another message (RFC 1939, section 4).

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tells a session of this process from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionSerial(NonZeroU64);

impl SessionSerial {
    /// That of another session.
    #[must_use]
    pub fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        // 2^64 sessions take longer than any process runs.
        Self(NonZeroU64::MIN.saturating_add(LAST.fetch_add(1, Ordering::Relaxed)))
    }
}
