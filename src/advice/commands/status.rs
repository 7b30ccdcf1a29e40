//! `mailferry status`.

use crate::text::Span;

/// What a queued account waits for: the settings that bound how many are polled at once.
pub(crate) const QUEUED: &str = "queued (`concurrency`, `per_host`)";

/// Tells where to see what does not fit.
pub(crate) fn and_more(more: usize) -> String {
    format!("and {more} more: see --json")
}

/// Tells what tries again to forward what waits, and when, if no daemon runs. Follows what waits.
pub(crate) fn tried_again_by(left: Option<Span>) -> String {
    match left {
        Some(left) => format!("; tried again in {left} by `fetch --scheduled`, at once by `fetch` and `forward`"),
        None => "; tried again by the next `fetch` or `forward`".to_owned(),
    }
}
