//! The report of a poll, for scripts.

use serde_json::json;

use crate::poll::PollReport;

/// Says why mail was not forwarded although the poll succeeded, if that concerns more than single messages.
fn forwarding_failed(report: &PollReport) -> Option<String> {
    let forwarded = report.forwarded.as_deref().filter(|forwarded| forwarded.end.is_err())?;
    forwarded.why_not_forwarded()
}

/// Returns a poll's report for scripts.
pub(super) fn as_json(report: &PollReport) -> serde_json::Value {
    let would = report.would.as_ref().map(|would| {
        json!({
            "fetch": would.retrieve.len(),
            "delete": would.delete.len(),
            "delete_fetched": would.deletes_at_once(),
            "stay": would.stays.len(),
            "may_stay": would.may_stay,
        })
    });
    json!({
        "account": report.account.as_str(),
        "status": report.exit_status().code(),
        "new": report.retrieved,
        "octets": report.octets,
        "deleted": report.removed,
        "on_server": report.on_server,
        "failed": report.failed.len(),
        "forwarded": report.forwarded.as_ref().map(|forwarded| forwarded.forwarded),
        "waiting": report.forwarded.as_ref().map(|forwarded| forwarded.waiting.messages),
        "set_aside": report.forwarded.as_ref().map(|forwarded| forwarded.waiting.set_aside),
        "first_set_aside": report.forwarded.as_ref().map(|forwarded| &forwarded.waiting.first_set_aside),
        "not_forwarded": report.forwarded.as_ref().and_then(|forwarded| forwarded.why_not_forwarded()),
        "left": report.left.map_or(0, |left| left.messages),
        "quarantined": report.quarantined.len(),
        "too_large": report.too_large.len(),
        "milliseconds": u64::try_from(report.duration.as_millis()).unwrap_or(u64::MAX),
        "round_trips": report.round_trips,
        "would": would,
        "warnings": report.warnings(),
        "error": report.failure_text().or_else(|| forwarding_failed(report)),
    })
}
