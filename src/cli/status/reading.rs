//! What is done with a status while it is read: it is printed as it arrives, gathered into an overview, or reduced to
//! the named accounts.

use super::overview::{Detail, Overview};
use crate::cli::unread::Growing;
use crate::control::StatusReader;
use crate::control::status::{AccountStatus, State, Status};
use crate::exit::ExitStatus;

/// Gathers an overview.
pub(super) struct Gathering {
    detail: Detail,
    overview: Option<Overview>,
}

impl Gathering {
    pub(super) fn new(detail: Detail) -> Self {
        Self { detail, overview: None }
    }

    /// Returns the overview, if anything was read.
    pub(super) fn finish(self) -> Option<Overview> {
        self.overview
    }
}

impl StatusReader for Gathering {
    fn head(&mut self, head: Status) {
        self.overview = Some(Overview::new(head, self.detail));
    }

    fn account(&mut self, account: AccountStatus) {
        if let Some(overview) = &mut self.overview {
            overview.add(account);
        }
    }
}

/// Picks out the named accounts.
pub(super) struct Named<'a> {
    names: &'a [String],
    status: Option<Status>,
}

impl<'a> Named<'a> {
    pub(super) fn new(names: &'a [String]) -> Self {
        Self { names, status: None }
    }

    /// Returns the status of these accounts only, if anything was read; or the names that the daemon does not know.
    pub(super) fn finish(self) -> Option<Result<Status, Vec<String>>> {
        let mut status = self.status?;
        let is_there = |name: &String| status.accounts.iter().any(|account| account.account == *name);
        let unknown: Vec<String> = self.names.iter().filter(|name| !is_there(name)).cloned().collect();
        if !unknown.is_empty() {
            return Some(Err(unknown));
        }
        let are = |states: &[State]| status.accounts.iter().filter(|account| states.contains(&account.state)).count();
        (status.polling, status.queued) = (are(&[State::Polling, State::Hung]), are(&[State::Queued]));
        Some(Ok(status))
    }
}

impl StatusReader for Named<'_> {
    fn head(&mut self, head: Status) {
        self.status = Some(head);
    }

    fn account(&mut self, account: AccountStatus) {
        // A daemon that cannot select accounts sends all of them.
        if let Some(status) = self.status.as_mut().filter(|_| self.names.contains(&account.account)) {
            status.accounts.push(account);
        }
    }
}

/// Prints the document in pieces, exactly as serde would print the whole.
pub(super) struct Printing<P> {
    print: P,
    has_account: bool,
}

/// Prints to standard output.
pub(super) fn on_standard_output(output: &mut Growing) -> Printing<impl FnMut(&str)> {
    Printing::new(|text| output.add(text.as_bytes()))
}

impl<P: FnMut(&str)> Printing<P> {
    fn new(print: P) -> Self {
        Self { print, has_account: false }
    }

    /// Ends the document.
    pub(super) fn finish(mut self) {
        (self.print)(if self.has_account { "\n  ]\n}\n" } else { "]\n}\n" });
    }
}

impl<P: FnMut(&str)> StatusReader for Printing<P> {
    fn head(&mut self, head: Status) {
        // Plain values can always be serialised.
        let text = serde_json::to_string_pretty(&head).unwrap_or_default();
        (self.print)(text.strip_suffix("]\n}").unwrap_or_default());
    }

    fn account(&mut self, account: AccountStatus) {
        let text = serde_json::to_string_pretty(&account).unwrap_or_default();
        (self.print)(if std::mem::replace(&mut self.has_account, true) { ",\n    " } else { "\n    " });
        // Strings contain no raw line breaks.
        (self.print)(&text.replace('\n', "\n    "));
    }
}

/// Determines what monitors are told, and passes the status on.
pub(super) struct Judging<R> {
    reader: R,
    is_config_wrong: bool,
    is_in_trouble: bool,
}

impl<R> Judging<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, is_config_wrong: false, is_in_trouble: false }
    }

    /// Returns the reader that the status was passed on to.
    pub(super) fn into_reader(self) -> R {
        self.reader
    }

    /// Returns the exit status for monitors.
    pub(super) fn verdict(&self) -> ExitStatus {
        match (self.is_config_wrong, self.is_in_trouble) {
            (true, _) => ExitStatus::Config,
            (false, true) => ExitStatus::Partial,
            (false, false) => ExitStatus::Ok,
        }
    }
}

impl<R: StatusReader> StatusReader for Judging<R> {
    fn head(&mut self, head: Status) {
        self.is_config_wrong = head.config_problem.is_some();
        self.is_in_trouble |= !head.unclaimed_spools.is_empty();
        self.reader.head(head);
    }

    fn account(&mut self, account: AccountStatus) {
        self.is_in_trouble |= account.is_in_trouble();
        self.reader.account(account);
    }
}

/// Feeds a complete status to a reader.
pub(super) fn read(status: Status, reader: &mut impl StatusReader) {
    let mut head = status;
    let accounts = std::mem::take(&mut head.accounts);
    reader.head(head);
    accounts.into_iter().for_each(|account| reader.account(account));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::status::Failure;
    use crate::control::status::examples::{account, status};
    use crate::schedule::Cause;

    #[test]
    fn the_document_is_printed_as_in_one_piece() {
        for names in [&[][..], &["a"], &["a", "b", "c"]] {
            let mut whole = status(names.iter().map(|name| account(name)).collect());
            whole.config_problem = Some("line 5]\n}\nis wrong".to_owned());
            let mut printed = String::new();
            let mut printing = Printing::new(|text: &str| printed.push_str(text));
            read(whole.clone(), &mut printing);
            printing.finish();
            assert_eq!(printed, serde_json::to_string_pretty(&whole).unwrap() + "\n");
        }
    }

    #[test]
    fn of_accounts_that_are_named_the_sums_are_theirs() {
        let names = ["b", "d"].map(str::to_owned);
        let accounts = ["a", "b", "c", "d"].map(|name| AccountStatus { state: State::Polling, ..account(name) });
        let picked = |names: &[String]| {
            let mut named = Named::new(names);
            read(status(accounts.to_vec()), &mut named);
            named.finish().unwrap()
        };
        let status = picked(&names).unwrap();
        assert_eq!((status.polling, status.queued, status.accounts.len()), (2, 0, 2));
        assert_eq!(picked(&["x".to_owned(), "b".to_owned()]), Err(vec!["x".to_owned()]));
    }

    #[test]
    fn a_monitor_is_told_of_the_configuration_first() {
        let failure = Failure { cause: Cause::Tls, times: 1, since: 0, text: String::new() };
        let wrong = AccountStatus { failure: Some(failure), ..account("wrong") };
        for (problem, accounts, expected) in [
            (None, vec![account("a")], ExitStatus::Ok),
            (None, vec![wrong.clone(), account("a")], ExitStatus::Partial),
            (Some("no".to_owned()), vec![wrong], ExitStatus::Config),
        ] {
            let mut judging = Judging::new(Gathering::new(Detail::AsFits));
            read(Status { config_problem: problem, ..status(accounts) }, &mut judging);
            assert_eq!(judging.verdict(), expected);
        }
    }
}
