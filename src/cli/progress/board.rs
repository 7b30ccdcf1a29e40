//! All accounts of a run: which of them have a line, and the totals below.

use std::sync::Arc;
use std::time::Duration;

use super::account::{Progress, rate_in_words};
use crate::cli::terminal::Size;
use crate::poll::progress::{Phase, Progress as Numbers, Snapshot};
use crate::text::{Count, Size as Octets, shortened};

/// The maximum number of accounts with a line; nobody can follow more.
const MOST_LINES: usize = 10;

/// A poll that ends sooner than this gets no line: it would only flicker.
const WORTH_A_LINE: Duration = Duration::from_secs(1);

/// The accounts of a run.
#[derive(Debug)]
pub(super) struct Board {
    /// The number of accounts in total.
    accounts: usize,
    /// The running polls, in the order in which they began.
    running: Vec<Running>,
    /// The number of accounts that are done.
    done: usize,
    /// The number of those that failed.
    failed: usize,
    /// What the finished polls brought.
    came: Snapshot,
    /// The time of the last look, since the start of the run.
    now: Duration,
}

/// A running poll.
#[derive(Debug)]
struct Running {
    account: String,
    /// The counters of the poll.
    numbers: Arc<Numbers>,
    /// Whether the command that prints its password may ask for something on this terminal.
    may_ask: bool,
    /// When it began, since the start of the run.
    begun: Duration,
    progress: Progress,
}

impl Running {
    /// Whether the user may be asked for a password on this terminal now.
    fn is_asking(&self) -> bool {
        self.may_ask && self.progress.seen().phase == Phase::Begun
    }
}

impl Board {
    pub(super) fn new(accounts: usize) -> Self {
        Self { accounts, running: Vec::new(), done: 0, failed: 0, came: Snapshot::default(), now: Duration::ZERO }
    }

    pub(super) fn began(&mut self, account: &str, numbers: Arc<Numbers>, may_ask: bool) {
        let (begun, progress) = (self.now, Progress::new(self.now));
        self.running.retain(|running| running.account != account);
        self.running.push(Running { account: account.to_owned(), numbers, may_ask, begun, progress });
    }

    pub(super) fn ended(&mut self, account: &str, failed: bool) {
        self.done += 1;
        self.failed += usize::from(failed);
        if let Some(at) = self.running.iter().position(|running| running.account == account) {
            let seen = self.running.remove(at).numbers.snapshot();
            self.came.delivered = self.came.delivered.saturating_add(seen.delivered);
            self.came.octets = self.came.octets.saturating_add(seen.octets);
        }
    }

    /// Looks at all polls and returns the lines to show.
    pub(super) fn look(&mut self, now: Duration, size: Size) -> Vec<String> {
        self.now = now;
        for running in &mut self.running {
            running.progress.take(running.numbers.snapshot(), now);
        }
        if self.running.iter().any(Running::is_asking) {
            return Vec::new();
        }
        // Terminals differ in what they do when a line reaches the last column.
        let columns = size.columns.saturating_sub(1);
        let slow: Vec<&Running> =
            self.running.iter().filter(|running| now.saturating_sub(running.begun) >= WORTH_A_LINE).collect();
        let most = MOST_LINES.min(size.rows / 2).max(1);
        // Accounts beyond that are only in the totals.
        let shown = slow.get(..most.min(slow.len())).unwrap_or_default();
        let width = shown.iter().map(|running| running.account.chars().count()).max().unwrap_or(0).min(columns / 3);
        let most = shown.iter().map(|running| running.progress.seen().planned).max().unwrap_or(0);
        let line = |running: &&Running| {
            let name = shortened(&running.account, width);
            running.progress.line(&format!("{name:width$}"), columns, most)
        };
        let mut lines: Vec<String> = shown.iter().map(line).collect();
        if self.accounts > 1 && (now >= WORTH_A_LINE || !lines.is_empty()) {
            lines.push(self.sums(columns));
        }
        lines
    }

    /// Returns the totals, with less detail if there is less room.
    fn sums(&self, columns: usize) -> String {
        let failed = if self.failed > 0 { format!(", {} failed", self.failed) } else { String::new() };
        let seen = self.running.iter().map(|running| *running.progress.seen());
        let (messages, octets) = seen.fold((self.came.delivered, self.came.octets), |(messages, octets), seen| {
            (messages.saturating_add(seen.delivered), octets.saturating_add(seen.octets))
        });
        let rates: Vec<f64> = self.running.iter().filter_map(|running| running.progress.rate()).collect();
        let rate = if rates.is_empty() { String::new() } else { format!(", {}", rate_in_words(rates.iter().sum())) };
        let done = format!("{} of {} done{failed}", self.done, Count::of(self.accounts, "account"));
        let polled = format!(", {} being polled", self.running.len());
        let size = Octets(octets);
        let lines = [
            format!("{done}{polled}; {} ({size}){rate}", Count(messages, "message")),
            format!("{done}{polled}; {size}{rate}"),
            format!("{done}; {size}{rate}"),
        ];
        lines.into_iter().find(|line| line.chars().count() <= columns).unwrap_or_else(|| shortened(&done, columns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Redactor;
    use crate::ids::EntryId;
    use crate::message::StoredSize;
    use crate::plan::Plan;
    use crate::plan::maildrop::Listed;
    use crate::poll::events::{Observer as _, PollEvent};
    use crate::pop3::{MessageNumber, ReportedSize};
    use crate::secret::Secret;

    const TERMINAL: Size = Size { columns: 80, rows: 24 };

    fn listed(number: u32) -> Listed {
        Listed {
            number: MessageNumber::new(number).unwrap(),
            unique_id: None,
            reported_size: Some(ReportedSize::new(10_486)),
        }
    }

    /// Half of a hundred messages of a mebibyte in total have arrived.
    fn half() -> Arc<Numbers> {
        let numbers = Numbers::default();
        let plan = Plan { retrieve: (1..=100).map(listed).collect(), ..Plan::default() };
        numbers.on_event(&PollEvent::Planned { on_server: 100, plan: &plan });
        for number in 1..=50 {
            let (listed, entry) = (&listed(number), EntryId::new(u64::from(number)));
            numbers.on_event(&PollEvent::MessageOctets { number: listed.number, octets: 10_486 });
            numbers.on_event(&PollEvent::MessageDelivered {
                listed,
                entry,
                file_name: "1",
                maildirs: &[],
                octets: StoredSize::new(10_000),
            });
        }
        Arc::new(numbers)
    }

    fn board(accounts: usize) -> Board {
        let mut board = Board::new(accounts);
        (0..accounts.min(32)).for_each(|number| board.began(&format!("acc{number:02}"), half(), true));
        board
    }

    #[test]
    fn few_lines_stand_for_many_accounts_and_fit_any_terminal() {
        let mut board = board(50);
        assert_eq!(board.look(Duration::from_millis(500), TERMINAL), [""; 0], "what is soon over has no line");
        (0..5).for_each(|number| board.ended(&format!("acc{number:02}"), number == 0));
        let lines = board.look(Duration::from_secs(5), TERMINAL);
        assert_eq!(lines.len(), 11);
        assert!(lines[0].starts_with("acc05   50/100 messages"), "{lines:?}");
        assert!(lines[10].starts_with("5 of 50 accounts done, 1 failed, 27 being polled; 16.0 MiB, "), "{lines:?}");
        for columns in [20, 60, 80, 200] {
            for rows in [1, 5, 24, 100] {
                let lines = board.look(Duration::from_secs(6), Size { columns, rows });
                assert!(lines.len() <= rows.max(2), "{rows}: {lines:?}");
                assert!(lines.iter().all(|line| line.chars().count() < columns), "{columns}: {lines:?}");
            }
        }
    }

    #[test]
    fn one_account_has_one_line() {
        let mut board = board(1);
        let lines = board.look(Duration::from_secs(3), TERMINAL);
        assert!(lines.len() == 1 && lines[0].starts_with("acc00   50/100 messages"), "{lines:?}");
    }

    #[test]
    fn nothing_is_drawn_while_somebody_may_be_asked_for_a_password() {
        let mut board = board(3);
        let numbers = Arc::new(Numbers::default());
        board.began("asks", Arc::clone(&numbers), true);
        assert_eq!(board.look(Duration::from_secs(5), TERMINAL), [""; 0]);
        let redactor = Arc::new(Redactor::new("a", &Secret::new(b"secret".to_vec())));
        numbers.on_event(&PollEvent::CredentialObtained { redactor: &redactor, token: None });
        assert_eq!(board.look(Duration::from_secs(6), TERMINAL).len(), 5, "it was had");
        board.ended("asks", false);
        board.began("reads a file", Arc::default(), false);
        assert_eq!(board.look(Duration::from_secs(7), TERMINAL).len(), 5, "nobody is asked");
        board.ended("reads a file", false);
        assert_eq!(board.look(Duration::from_secs(8), TERMINAL).len(), 4);
    }
}
