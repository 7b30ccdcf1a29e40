//! What `fetch` prints about each account and in total: successes on standard output, problems on standard error. With
//! many accounts at a terminal, failures come at the end, where they are seen.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use super::arguments::{Arguments, Fetch};
use super::dry_run::DryRun;
use super::layout::{Layout, Mark, Row};
use super::output::{report as say, stderr_line};
use super::summary::as_json;
use super::terminal::{self, width_of};
use super::wrapped::lines_of;
use crate::advice::next_step;
use crate::exit::ExitStatus;
use crate::poll::PollReport;
use crate::pop3::ReportedSize;
use crate::summary::Forwarded;
use crate::text::{Count, Size};

/// The hanging indent of wrapped lines, in columns.
const HANGING: usize = 4;

/// The maximum number of accounts named in the last line.
const NAMED: usize = 10;

/// How a run is reported.
pub(super) struct Reporter {
    /// Whether to print a JSON object per line, for scripts.
    json: bool,
    /// Whether to print problems only.
    quiet: bool,
    /// Whether to leave out the single messages of a dry run.
    brief: bool,
    /// Whether to print failures at the end, followed by the totals.
    at_terminal: bool,
    /// Whether to colour errors.
    colour: bool,
    /// Whether it is a dry run.
    dry_run: bool,
    begun: Instant,
}

impl Reporter {
    pub(super) fn new(arguments: &Arguments, fetch: &Fetch, accounts: usize) -> Self {
        let many = accounts > 1;
        Self {
            json: fetch.json,
            quiet: arguments.quiet,
            brief: many && arguments.verbose == 0,
            at_terminal: many && !fetch.json && io::stdout().is_terminal() && io::stderr().is_terminal(),
            colour: super::colour() && terminal::colour(),
            dry_run: fetch.dry_run,
            begun: Instant::now(),
        }
    }

    /// Reports a poll.
    pub(super) fn print(&self, report: &PollReport) {
        if self.json {
            return say(as_json(report));
        }
        match &report.would {
            Some(would) if !self.quiet => self.print_dry_run(&DryRun { report, would }),
            _ => self.print_line(report),
        }
        self.print_needless(report);
        for words in report.warnings() {
            print_warning(&Row::plain(format!("{}: {words}", report.account), HANGING), false);
        }
        if !self.at_terminal {
            self.print_failure(report);
        }
    }

    /// Reports a poll, with only those problems that are news.
    pub(super) fn print_notifications(&self, report: &PollReport, notifications: &[String]) {
        if self.json {
            return say(as_json(report));
        }
        self.print_line(report);
        self.print_needless(report);
        notifications.iter().for_each(|words| print_warning(&Row::plain(words, HANGING), false));
    }

    /// Reports the end of all polls.
    pub(super) fn print_end(&self, reports: &[Option<PollReport>], failures: Failures) {
        if !self.at_terminal {
            return;
        }
        if failures == Failures::All {
            let failed =
                reports.iter().flatten().filter_map(|report| Some((report.failure_text()?, report.account.as_str())));
            alike(failed.collect()).iter().for_each(|(names, failure)| self.print_error(names, failure));
        }
        if !self.quiet {
            let sums = Sums::of(reports, self.dry_run, self.begun.elapsed());
            let mark = if sums.is_well() { Mark::Head } else { Mark::Failure };
            let layout = Layout { width: width_of(&io::stdout()), colour: self.colour };
            sums.row(mark).lines(layout).iter().for_each(say);
        }
    }

    fn print_line(&self, report: &PollReport) {
        if !self.quiet && (report.end.is_ok() || report.retrieved > 0 || report.removed > 0) {
            let text = format!("{}: {}", report.account, report.line());
            // How much is on the server is no news: it is the first to go if there is no room.
            let there = text.strip_suffix(" on the server").and_then(|text| text.rsplit_once("; "));
            let shorter = there.map(|(news, _)| news.to_owned()).into_iter().collect();
            tell(&Row { shorter, ..Row::plain(text, HANGING) });
        } else if let Some(forwarded) = report.forwarded.as_deref().filter(|it| !self.quiet && it.forwarded > 0) {
            // What was in the spool has gone on, whatever became of the poll.
            tell(&Row::plain(format!("{}: {}", report.account, Forwarded(forwarded)), HANGING));
        }
    }

    fn print_dry_run(&self, dry_run: &DryRun<'_>) {
        tell(&Row::plain(dry_run.line(), HANGING));
        let messages = if self.brief { Vec::new() } else { dry_run.messages() };
        messages.into_iter().for_each(|line| tell(&Row::plain(line, HANGING)));
    }

    /// Says which options had no effect.
    fn print_needless(&self, report: &PollReport) {
        for decision in report.needless.iter().filter(|_| !self.quiet) {
            let words = next_step::needless(*decision);
            print_warning(&Row::plain(format!("{}: {words}", report.account), HANGING), false);
        }
    }

    fn print_failure(&self, report: &PollReport) {
        if let Some(failure) = report.failure_text() {
            print_warning(&Row::plain(format!("{}: {failure}", report.account), HANGING), false);
        }
    }

    fn print_error(&self, names: &str, failure: &str) {
        let row = Row::marked(format!("{names}: {failure}"), Mark::Failure);
        print_warning(&Row { marked: names.len() + 1, hanging: HANGING, ..row }, self.colour);
    }
}

/// Groups the accounts that failed for the same reason, with that reason once.
fn alike(mut failed: Vec<(String, &str)>) -> Vec<(String, String)> {
    failed.sort_unstable_by_key(|(_, name)| *name);
    let mut together: Vec<(Vec<&str>, String)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (failure, name) in failed {
        let place = *places.entry(failure).or_insert_with_key(|failure| {
            together.push((Vec::new(), failure.clone()));
            together.len() - 1
        });
        if let Some((names, _)) = together.get_mut(place) {
            names.push(name);
        }
    }
    together.into_iter().map(|(names, failure)| (names.join(", "), failure)).collect()
}

/// Prints on standard output, wrapped if that is a terminal.
fn tell(row: &Row) {
    lines_of(row, Layout { width: width_of(&io::stdout()), colour: false }).iter().for_each(say);
}

/// Prints on standard error, wrapped if that is a terminal.
fn print_warning(row: &Row, colour: bool) {
    lines_of(row, Layout { width: width_of(&io::stderr()), colour }).iter().for_each(stderr_line);
}

/// Which failures are printed at the end: with `--scheduled`, those that are news have been printed already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failures {
    /// All of them.
    All,
    /// None.
    None,
}

/// The totals of all polls.
struct Sums {
    /// The number of polls without any problem.
    good: usize,
    /// The accounts with problems in some messages only.
    in_part: Vec<String>,
    /// The accounts that failed.
    failed: Vec<String>,
    /// The number of messages that are new, or would be fetched.
    messages: u64,
    /// Their total size in octets.
    octets: u64,
    dry_run: bool,
    took: Duration,
}

impl Sums {
    fn of(reports: &[Option<PollReport>], dry_run: bool, took: Duration) -> Self {
        let (good, in_part, failed, messages, octets) = (0, Vec::new(), Vec::new(), 0, 0);
        let mut sums = Self { good, in_part, failed, messages, octets, dry_run, took };
        for report in reports {
            let Some(report) = report else {
                sums.failed.push("one because of an internal error".to_owned());
                continue;
            };
            sums.add(report);
        }
        sums.in_part.sort_unstable();
        sums.failed.sort_unstable();
        sums
    }

    fn add(&mut self, report: &PollReport) {
        let name = report.account.as_str().to_owned();
        match (&report.end, report.exit_status()) {
            (Err(_), _) => self.failed.push(name),
            (Ok(()), ExitStatus::Ok) => self.good += 1,
            (Ok(()), _) => self.in_part.push(name),
        }
        let (messages, octets) = match &report.would {
            Some(would) => {
                let sizes = would.retrieve.iter().filter_map(|listed| listed.reported_size);
                (u64::try_from(would.retrieve.len()).unwrap_or(u64::MAX), ReportedSize::saturating_sum(sizes).get())
            }
            None => (report.retrieved, report.octets),
        };
        self.messages = self.messages.saturating_add(messages);
        self.octets = self.octets.saturating_add(octets);
    }

    /// Returns the line, without the time taken if there is no room.
    fn row(&self, mark: Mark) -> Row {
        let text = self.to_string();
        let without = text.rsplit_once(" in ").filter(|_| !self.dry_run).map(|(before, _)| before.to_owned());
        let shorter = without.into_iter().collect();
        Row { shorter, ..Row::marked(text, mark) }
    }

    fn is_well(&self) -> bool {
        self.in_part.is_empty() && self.failed.is_empty()
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = if self.dry_run { "checked" } else { "polled" };
        write!(f, "{} {done}", Count::of(self.good, "account"))?;
        if !self.in_part.is_empty() {
            write!(f, ", {} in part ({})", self.in_part.len(), names(&self.in_part))?;
        }
        if !self.failed.is_empty() {
            write!(f, ", {} failed: {}", self.failed.len(), names(&self.failed))?;
        }
        let (count, size) = (Count(self.messages, "message"), Size(self.octets));
        if self.dry_run {
            return write!(f, "; {count} ({size}) would be fetched");
        }
        let new = Count(self.messages, "new message");
        write!(f, "; {new} ({size}) in {:.1} s", self.took.as_secs_f64())
    }
}

fn names(names: &[String]) -> String {
    let shown = names.get(..NAMED.min(names.len())).unwrap_or_default().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::AccountName;
    use crate::poll::PollError;

    fn report(name: &str) -> PollReport {
        PollReport::new(AccountName::new(name).unwrap())
    }

    #[test]
    fn the_last_line_names_what_failed() {
        let mut reports: Vec<Option<PollReport>> = (1..30).map(|n| Some(report(&format!("acc{n:02}")))).collect();
        let took = Duration::from_millis(12_340);
        let text = |reports: &[Option<PollReport>]| Sums::of(reports, false, took).to_string();
        assert_eq!(text(&reports), "29 accounts polled; 0 new messages (0 B) in 12.3 s");
        let mut failed = report("acc00");
        failed.end = Err(PollError::Stopped);
        (failed.retrieved, failed.octets) = (1, 2048);
        reports.push(Some(failed));
        let line = "29 accounts polled, 1 failed: acc00; 1 new message (2.0 KiB) in 12.3 s";
        assert_eq!(text(&reports), line);
        let narrow = Layout { width: Some(62), colour: true };
        let short = "\x1b[1;31m29 accounts polled, 1 failed: acc00; 1 new message (2.0 KiB)\x1b[0m";
        assert_eq!(Sums::of(&reports, false, took).row(Mark::Failure).lines(narrow), [short]);
        for n in 30..60 {
            let mut failed = report(&format!("acc{n}"));
            failed.end = Err(PollError::Stopped);
            reports.push(Some(failed));
        }
        assert!(text(&reports).contains(", 31 failed: acc00, acc30, acc31"), "{}", text(&reports));
        assert!(text(&reports).contains("acc38 and 21 more; 1 new"), "{}", text(&reports));
        assert!(!Sums::of(&reports, false, took).is_well());
    }

    #[test]
    fn what_failed_for_the_same_reason_stands_together() {
        let failed = [("refused", "b"), ("full", "c"), ("refused", "a"), ("refused", "d")];
        let failed = failed.into_iter().map(|(failure, name)| (failure.to_owned(), name)).collect();
        let together: Vec<String> =
            alike(failed).iter().map(|(names, failure)| format!("{names}: {failure}")).collect();
        assert_eq!(together, ["a, b, d: refused", "c: full"]);
    }

    #[test]
    fn a_dry_run_says_what_would_be() {
        let text = Sums::of(&[Some(report("a")), Some(report("b"))], true, Duration::ZERO).to_string();
        assert_eq!(text, "2 accounts checked; 0 messages (0 B) would be fetched");
    }
}
