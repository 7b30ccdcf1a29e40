//! One line for each account: what came, how much, how long it took, what is left, and what went wrong.

use std::fmt::{self, Write as _};

use bytesize::ByteSize;

use super::output::{complain, say};
use crate::client::{ClientError, Mask};
use crate::exit::ExitStatus;
use crate::maildrop::Listed;
use crate::poll::report::WouldDo;
use crate::poll::{PollError, PollReport};
use crate::pop3::Refusal;
use crate::state::error::StateError;

/// Prints what a poll did: the good news on standard output, the bad on standard error.
pub(super) fn print(report: &PollReport, quiet: bool) {
    let account = &report.account;
    if !quiet {
        if let Some(would) = &report.would {
            say(DryRun { report, would });
        } else if report.end.is_ok() || report.retrieved > 0 || report.removed > 0 {
            say(format_args!("{account}: {}", Line(report)));
        }
    }
    for (listed, why) in &report.failed {
        complain(format_args!(
            "{account}: {} could not be fetched: {why}. It stays on the server and is tried again",
            Message(listed, &report.mask)
        ));
    }
    if report.unsyncable {
        complain(format_args!(
            "{account}: the Maildir's file system cannot make a delivery durable, so nothing is deleted on the server. \
             Use a local disk for the Maildir, or leave_on_server = true"
        ));
    }
    if !report.undeletable.is_empty() {
        let count = Count(u64::try_from(report.undeletable.len()).unwrap_or(u64::MAX), "message");
        complain(format_args!("{account}: the server refused to delete {count}. It is tried again next time"));
    }
    if report.unverified > 0 {
        let count = Count(report.unverified, "message");
        complain(format_args!("{account}: {count} could not be compared with what was delivered, and so not deleted"));
    }
    if let Err(e) = &report.end {
        complain(format_args!("{account}: {e}"));
    }
}

/// The line of an account that was polled.
struct Line<'a>(&'a PollReport);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        match report.retrieved {
            0 => f.write_str("nothing new")?,
            new => write!(f, "{new} new {} ({})", plural(new, "message"), Size(report.octets))?,
        }
        write!(f, " in {:.1} s", report.duration.as_secs_f64())?;
        if report.removed > 0 {
            write!(f, "; {} deleted on the server", report.removed)?;
        }
        if report.renumbered > 0 {
            write!(f, "; {} renumbered by the server and recognised", report.renumbered)?;
        }
        if let Some(left) = report.on_server {
            match left {
                0 => f.write_str("; none left there")?,
                left => write!(f, "; {left} on the server")?,
            }
        }
        if !report.too_large.is_empty() {
            write!(f, ", {} of them larger than max_message_size", report.too_large.len())?;
        }
        if report.unnamed > 0 {
            write!(f, ", {} of them without a unique-id yet", report.unnamed)?;
        }
        if !report.set_aside.is_empty() {
            write!(f, ", {} of them in quarantine because sessions broke or failed at them", report.set_aside.len())?;
        }
        let finished = report.recovered.finished;
        if finished > 0 {
            let finished = Count(u64::try_from(finished).unwrap_or(u64::MAX), "delivery");
            write!(f, "; finished {finished} of an interrupted run")?;
        }
        Ok(())
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
        let fetch = Count(u64::try_from(would.retrieve.len()).unwrap_or(u64::MAX), "message");
        write!(f, "{}: would fetch {fetch} ({})", report.account, Size(octets))?;
        let also = if would.delete_retrieved { " and then delete them on the server" } else { "" };
        write!(f, "{also}; would delete {} fetched earlier", would.delete)?;
        if report.renumbered > 0 {
            write!(f, "; {} renumbered by the server and recognised", report.renumbered)?;
        }
        write!(f, "; {} on the server", report.on_server.unwrap_or(0))?;
        would.retrieve.iter().try_for_each(|listed| write!(f, "\n  fetch {}", Message(listed, &report.mask)))
    }
}

/// A message as a person would name it.
struct Message<'a>(&'a Listed, &'a Mask);

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {}", self.0.number)?;
        let mut more = String::new();
        if let Some(unique_id) = &self.0.unique_id {
            write!(more, "unique-id {}", self.1.hide(&unique_id.to_string()))?;
        }
        if let Some(size) = self.0.reported_size {
            let comma = if more.is_empty() { "" } else { ", " };
            write!(more, "{comma}{}", Size(size))?;
        }
        if more.is_empty() { Ok(()) } else { write!(f, " ({more})") }
    }
}

struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", ByteSize::b(self.0).display().iec())
    }
}

/// A number of things.
struct Count(u64, &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, plural(self.0, self.1))
    }
}

fn plural(count: u64, one: &str) -> String {
    match (count, one.strip_suffix('y')) {
        (1, _) => one.to_owned(),
        (_, Some(stem)) => format!("{stem}ies"),
        (_, None) => format!("{one}s"),
    }
}

/// The number that fetchmail would end with: 0 if any account brought mail, or has mail when nothing is to be fetched,
/// else that of the last one.
pub(super) fn fetchmail_code<'a>(reports: impl Iterator<Item = Option<&'a PollReport>>) -> u8 {
    const SUCCESS: u8 = 0;
    const NO_MAIL: u8 = 1;
    const UNDEFINED: u8 = 23;
    let mut last = NO_MAIL;
    for report in reports {
        let Some(report) = report else {
            last = UNDEFINED;
            continue;
        };
        let waiting = report.would.as_ref().is_some_and(|would| !would.retrieve.is_empty());
        if report.retrieved > 0 || waiting {
            return SUCCESS;
        }
        last = match &report.end {
            Ok(()) if report.failed.is_empty() => NO_MAIL,
            Ok(()) => ERROR,
            Err(e) => fetchmail_error(e),
        };
    }
    last
}

/// Fetchmail's "server-reported error".
const ERROR: u8 = 7;

fn fetchmail_error(error: &PollError) -> u8 {
    const SOCKET: u8 = 2;
    const AUTHENTICATION: u8 = 3;
    const PROTOCOL: u8 = 4;
    const SYNTAX: u8 = 5;
    const FILES: u8 = 6;
    const ANOTHER_RUNS: u8 = 8;
    const LOCK_BUSY: u8 = 9;
    match error {
        PollError::State(StateError::Locked { .. }) => ANOTHER_RUNS,
        PollError::Client(ClientError::Login { refusal: Refusal::Temporary, .. }) => LOCK_BUSY,
        PollError::Client(ClientError::Unwilling { .. }) => ERROR,
        other => match other.exit_status() {
            ExitStatus::Auth => AUTHENTICATION,
            ExitStatus::Protocol => PROTOCOL,
            ExitStatus::Config | ExitStatus::Usage => SYNTAX,
            ExitStatus::Local => FILES,
            _ => SOCKET,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::AccountName;
    use std::time::Duration;

    fn report() -> PollReport {
        let mut report = PollReport::new(AccountName::new("work").unwrap());
        report.duration = Duration::from_millis(840);
        report
    }

    #[test]
    fn a_line_says_what_came_how_much_how_long_and_what_is_left() {
        let mut one = report();
        (one.retrieved, one.octets, one.removed, one.on_server) = (1, 1536, 3, Some(2));
        one.renumbered = 120;
        assert_eq!(
            Line(&one).to_string(),
            "1 new message (1.5 KiB) in 0.8 s; 3 deleted on the server; 120 renumbered by the server and recognised; 2 \
             on the server"
        );
        let mut none = report();
        (none.on_server, none.recovered.finished) = (Some(0), 2);
        assert_eq!(
            Line(&none).to_string(),
            "nothing new in 0.8 s; none left there; finished 2 deliveries of an interrupted run"
        );
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
        assert_eq!(fetchmail_code([Some(&dry)].into_iter()), 0, "mail is waiting");
    }

    #[test]
    fn fetchmail_codes_are_fetchmails() {
        let (mut new, none, mut failed) = (report(), report(), report());
        new.retrieved = 1;
        failed.end = Err(PollError::NoRoom { path: "/".into() });
        let code = |reports: &[&PollReport]| fetchmail_code(reports.iter().map(|r| Some(*r)));
        assert_eq!(code(&[&none]), 1);
        assert_eq!(code(&[&failed]), 6);
        assert_eq!(code(&[&failed, &none]), 1, "the last one counts");
        assert_eq!(code(&[&new, &failed]), 0, "unless any brought mail");
    }
}
