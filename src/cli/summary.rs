//! What is said of an account's poll for scripts and in a dry run.

use std::fmt;

use serde_json::json;

use crate::client::Message;
use crate::poll::PollReport;
use crate::poll::report::WouldDo;
use crate::text::{Count, Size};

/// A poll's report for scripts.
pub(super) fn as_json(report: &PollReport) -> serde_json::Value {
    let would = report.would.as_ref().map(|would| {
        json!({
            "fetch": would.retrieve.len(),
            "delete": would.delete,
            "delete_fetched": would.delete_retrieved,
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
        "left": report.left.map_or(0, |left| left.messages),
        "quarantined": report.quarantined.len(),
        "too_large": report.too_large.len(),
        "milliseconds": u64::try_from(report.duration.as_millis()).unwrap_or(u64::MAX),
        "round_trips": report.round_trips,
        "would": would,
        "complaints": report.complaints(),
        "error": report.trouble(),
    })
}

/// What a dry run tells: a line, then one for each message.
pub(super) struct DryRun<'a> {
    /// The report.
    pub(super) report: &'a PollReport,
    /// What it would have done.
    pub(super) would: &'a WouldDo,
    /// Without the messages.
    pub(super) brief: bool,
}

impl fmt::Display for DryRun<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { report, would, brief } = self;
        // A server may report any size.
        let sizes = would.retrieve.iter().filter_map(|listed| listed.reported_size);
        let octets = sizes.fold(0, u64::saturating_add);
        let fetch = Count::of(would.retrieve.len(), "message");
        write!(f, "{}: would fetch {fetch} ({})", report.account, Size(octets))?;
        let also = if would.delete_retrieved { " and then delete them on the server" } else { "" };
        f.write_str(also)?;
        if would.delete > 0 {
            write!(f, "; would delete {} fetched earlier", would.delete)?;
        }
        if report.renumbered > 0 {
            write!(f, "; {} renumbered by the server and recognised", report.renumbered)?;
        }
        write!(f, "; {} on the server", report.on_server.unwrap_or(0))?;
        if *brief {
            return Ok(());
        }
        would.retrieve.iter().try_for_each(|listed| write!(f, "\n  fetch {}", Message(listed, &report.redactor)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::AccountName;
    use crate::plan::maildrop::Listed;
    use std::time::Duration;

    fn report() -> PollReport {
        let mut report = PollReport::new(AccountName::new("work").unwrap());
        report.duration = Duration::from_millis(840);
        report
    }

    #[test]
    fn a_dry_run_tells_of_any_size_that_a_server_reports() {
        let mut dry = report();
        let message = |n| Listed {
            number: crate::pop3::MessageNumber::new(n).unwrap(),
            unique_id: None,
            reported_size: Some(u64::MAX),
        };
        let would = WouldDo { retrieve: vec![message(1), message(2)], delete: 0, delete_retrieved: false };
        dry.on_server = Some(2);
        let text = DryRun { report: &dry, would: &would, brief: false }.to_string();
        assert!(text.starts_with("work: would fetch 2 messages (16.0 EiB); 2 on the server"), "{text}");
        let brief = DryRun { report: &dry, would: &would, brief: true }.to_string();
        assert!(brief == text.lines().next().unwrap() && text.lines().count() == 3, "{brief}");
        dry.would = Some(would);
        assert_eq!(crate::advice::fetchmail::code([Some(&dry)].into_iter()), 0, "mail is waiting");
    }
}
