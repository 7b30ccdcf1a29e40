//! How long a hint holds. PURE.

/// Polls that read the state and polls that do not round the time differently, by less than this many seconds.
const APART: u64 = 60;

/// Whether something that holds until `until`, and for at most `how_long`, still holds. A time further ahead than we
/// ever set belongs to the clock of another state.
pub(super) fn holds(until: u64, now: u64, how_long: u64) -> bool {
    now < until && until - now <= how_long.saturating_add(APART)
}
