//! What `fetch` prints of each account.

use std::fmt;

use super::output::{report as say, stderr_line};
use crate::advice::next_step;
use crate::client::Message;
use crate::poll::PollReport;
use crate::poll::report::WouldDo;
use crate::text::{Count, Size};

/// Prints what a poll did: the good news on standard output, the bad on standard error.
pub(super) fn print(report: &PollReport, quiet: bool) {
    let account = &report.account;
    match &report.would {
        Some(would) if !quiet => say(DryRun { report, would }),
        _ => print_line(report, quiet),
    }
    print_needless(report, quiet);
    for words in report.complaints() {
        stderr_line(format_args!("{account}: {words}"));
    }
    if let Some(trouble) = report.trouble() {
        stderr_line(format_args!("{account}: {trouble}"));
    }
}

/// Prints what a poll did, and of what is wrong only what is news.
pub(super) fn print_news(report: &PollReport, notifications: &[String], quiet: bool) {
    print_line(report, quiet);
    print_needless(report, quiet);
    notifications.iter().for_each(stderr_line);
}

/// Says which options had nothing to do.
fn print_needless(report: &PollReport, quiet: bool) {
    for decision in report.needless.iter().filter(|_| !quiet) {
        stderr_line(format_args!("{}: {}", report.account, next_step::needless(*decision, &report.account)));
    }
}

fn print_line(report: &PollReport, quiet: bool) {
    if !quiet && (report.end.is_ok() || report.retrieved > 0 || report.removed > 0) {
        say(format_args!("{}: {}", report.account, report.line()));
    }
}

/// What a dry run tells: a line, then one for each message.
struct DryRun<'a> {
    report: &'a PollReport,
    would: &'a WouldDo,
}

impl fmt::Display for DryRun<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { report, would } = self;
        // A server may report any size.
        let sizes = would.retrieve.iter().filter_map(|listed| listed.reported_size);
        let octets = sizes.fold(0, u64::saturating_add);
        let fetch = Count::of(would.retrieve.len(), "message");
        write!(f, "{}: would fetch {fetch} ({})", report.account, Size(octets))?;
        let also = if would.delete_retrieved { " and then delete them on the server" } else { "" };
        write!(f, "{also}; would delete {} fetched earlier", would.delete)?;
        if report.renumbered > 0 {
            write!(f, "; {} renumbered by the server and recognised", report.renumbered)?;
        }
        write!(f, "; {} on the server", report.on_server.unwrap_or(0))?;
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
        let text = DryRun { report: &dry, would: &would }.to_string();
        assert!(text.starts_with("work: would fetch 2 messages (16.0 EiB); would delete 0"), "{text}");
        dry.would = Some(would);
        assert_eq!(crate::advice::fetchmail::code([Some(&dry)].into_iter()), 0, "mail is waiting");
    }
}
