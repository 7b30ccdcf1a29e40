//! Identifies the session that a message number belongs to: in another one it means another message (RFC 1939, section
//! 4).

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

/// Distinguishes a session from all others of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionSerial(NonZeroU64);

impl SessionSerial {
    /// Returns the serial of a new session.
    pub(crate) fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        // No process runs for 2^64 sessions.
        Self(NonZeroU64::MIN.saturating_add(LAST.fetch_add(1, Ordering::Relaxed)))
    }
}
