//! The log lines about a poll that has ended.

use std::time::Duration;

use tracing::{debug, info, warn};

use super::accounts::AccountState;
use crate::advice;
use crate::poll::{PollError, PollReport};
use crate::schedule::Cause;

/// How many warnings of one poll are logged.
const MOST_WARNINGS: usize = 20;

/// Logs one line for a poll that did or changed something, and none for an idle one.
///
/// `before` is the problem before that poll, if any; `wall` is when it ended, in seconds since 1970.
pub(super) fn log(kept: &AccountState, report: &PollReport, before: Option<Cause>, now: Duration, wall: i64) {
    let (name, host) = (kept.name(), kept.account.endpoint.host.as_str());
    let next = advice::polled_next(&kept.next, now);
    let words = report.failure_text().unwrap_or_default();
    match (&report.end, kept.failure()) {
        (Err(PollError::Stopped), _) => debug!(account = %name, host, event = "stopped", "{name}: stopped"),
        (Err(_), Some(failure)) if failure.is_brief_hold(wall) => {
            debug!(account = %name, host, event = "locked", "{name}: {words}; next poll {next}");
        }
        (Err(_), Some(failure)) if before == Some(failure.cause()) && !failure.times().is_power_of_two() => {
            debug!(account = %name, host, event = "trouble", cause = failure.cause().name(), "{name}: still: {words}");
        }
        // The first, second, fourth time and so on: nobody reads the same line a hundred times.
        (Err(_), failure) => {
            let cause = failure.map_or("", |failure| failure.cause().name());
            warn!(account = %name, host, event = "trouble", cause, "{name}: {words}. Next poll {next}");
        }
        (Ok(()), _) => {
            if before.is_some() {
                info!(account = %name, host, event = "recovered", "{name}: works again");
            }
            let did_something = report.retrieved + report.removed + report.renumbered > 0 || !report.failed.is_empty();
            if did_something {
                let (new, removed) = (report.retrieved, report.removed);
                info!(account = %name, host, event = "polled", new, removed, "{name}: {}", report.line());
            } else {
                debug!(account = %name, host, event = "idle", "{name}: nothing new; next poll {next}");
            }
        }
    }
}

/// Logs an account whose back-off continues after a restart of the daemon.
pub(super) fn log_back_off(kept: &AccountState, now: Duration) {
    let Some(failure) = kept.failure() else { return };
    let (name, host, cause) = (kept.name(), kept.account.endpoint.host.as_str(), failure.cause().name());
    let (words, next) = (&failure.text, advice::polled_next(&kept.next, now));
    warn!(account = %name, host, event = "trouble", cause, "{name}: from before: {words}. Next poll {next}");
}

/// Logs the warnings that the last poll did not have, up to a limit.
pub(super) fn log_warnings(kept: &mut AccountState, report: &PollReport) {
    let fresh = kept.standing.told.fresh(report.warnings());
    let (name, host) = (kept.name(), kept.account.endpoint.host.as_str());
    for words in fresh.iter().take(MOST_WARNINGS) {
        warn!(account = %name, host, event = "message", "{name}: {words}");
    }
    if let more @ 1.. = fresh.len().saturating_sub(MOST_WARNINGS) {
        warn!(account = %name, host, event = "message", "{name}: and {more} more of this kind");
    }
}
