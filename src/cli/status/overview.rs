//! An overview of all accounts: the totals, the accounts in trouble with what to do, then a line for each of the
//! others.

use std::borrow::Cow;

use crate::account::AccountName;
use crate::advice;
use crate::cli::layout::{Mark, Row};
use crate::cli::status_text::{Account, LocalTime, Mail, words};
use crate::control::status::{AccountStatus, Came, Failure, Forwarding, SetAside, State, Status};
use crate::text::{Count, Span, plural};

/// Up to this many accounts are shown in full; if there are more, each has one line.
const IN_FULL: usize = 3;

/// The indent of a failure's text below its account, in columns.
const BELOW: usize = 4;

/// How much is shown of each account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Detail {
    /// Everything, however many accounts there are.
    Full,
    /// Everything if there are few accounts, one line each if there are many.
    AsFits,
}

/// All accounts, gathered as they arrive. An account that gets one line is kept as that line.
#[derive(Debug)]
pub(in crate::cli) struct Overview {
    /// The head of the status.
    head: Status,
    detail: Detail,
    /// The number of accounts.
    accounts: usize,
    /// The number of accounts that another mailferry holds.
    held: usize,
    /// The number of accounts that have not been polled yet.
    new: usize,
    /// The accounts in trouble.
    in_trouble: Vec<AccountStatus>,
    /// The accounts that are well and shown in full.
    well: Vec<AccountStatus>,
    /// The accounts that are well and get one line.
    lines: Vec<Line>,
}

impl Overview {
    /// Makes an overview of a status without accounts.
    pub(in crate::cli) fn new(head: Status, detail: Detail) -> Self {
        let (in_trouble, well, lines) = (Vec::new(), Vec::new(), Vec::new());
        Self { head, detail, accounts: 0, held: 0, new: 0, in_trouble, well, lines }
    }

    /// Adds the next account; they arrive sorted by name.
    pub(in crate::cli) fn add(&mut self, account: AccountStatus) {
        self.accounts += 1;
        self.held += usize::from(account.is_held());
        self.new += usize::from(account.is_new());
        // These are not shown.
        let account = AccountStatus { hours: Vec::new(), recent: Vec::new(), ..account };
        if account.is_in_trouble() {
            self.in_trouble.push(account);
        } else {
            self.well.push(account);
        }
        if self.has_lines() {
            self.lines.extend(self.well.drain(..).map(Line::of));
        }
    }

    /// The time of the status, in seconds since 1970.
    pub(in crate::cli) fn now(&self) -> i64 {
        self.head.now
    }

    /// Whether there are so many accounts that each gets one line.
    fn has_lines(&self) -> bool {
        self.detail == Detail::AsFits && self.accounts > IN_FULL
    }

    /// Returns the first rows: the totals, and the daemon that they come from.
    pub(in crate::cli) fn head(&self) -> Vec<Row> {
        let (head, in_trouble) = (&self.head, self.in_trouble.len());
        let well = self.accounts.saturating_sub(in_trouble + self.new + self.held);
        let mut sums = format!("{}: {well} well", Count::of(self.accounts, "account"));
        if in_trouble > 0 {
            sums += &format!(", {in_trouble} IN TROUBLE");
        }
        if self.held > 0 {
            sums += &format!(", {} in use by another mailferry", self.held);
        }
        if self.new > 0 {
            sums += &format!(", {} not polled yet", self.new);
        }
        // These are counted above already, as well, new or in trouble.
        sums += &format!("; {} being polled", head.polling);
        if head.queued > 0 {
            sums += &format!(", {} queued", head.queued);
        }
        let mark = if in_trouble > 0 { Mark::Failure } else { Mark::Head };
        let up = Span::between(head.started, head.now);
        let program = format!("mailferry {}, process {}, up for {up}", head.program, head.pid);
        let mut rows = vec![Row::marked(sums, mark), Row::plain(program, 2)];
        if let Some(problem) = &head.config_problem {
            let words = "The configuration was changed and has errors, so the previous one stays in force:";
            rows.push(Row::marked(words, Mark::Failure));
            rows.extend(problem.lines().map(|line| Row::plain(line, 0)));
        }
        let unclaimed = head.unclaimed_spools.iter();
        rows.extend(unclaimed.map(|it| Row::marked(format!("{}: {}", it.account, it.text), Mark::Failure)));
        rows
    }

    /// Returns the rows of the accounts.
    pub(in crate::cli) fn body(&self) -> Box<dyn Iterator<Item = Row> + '_> {
        let now = self.head.now;
        let mut in_trouble: Vec<&AccountStatus> = self.in_trouble.iter().collect();
        // Accounts with the same failure are grouped, with its text once.
        in_trouble.sort_by_key(|account| (what(account), &account.host, text(account), &account.account));
        if !self.has_lines() {
            return Box::new(in_trouble.into_iter().chain(&self.well).flat_map(move |account| in_full(account, now)));
        }
        let mut rows = rows_in_trouble(&in_trouble, now);
        if !self.lines.is_empty() {
            rows.push(Row::default());
        }
        let width = widest(self.lines.iter().map(|line| &line.name));
        Box::new(rows.into_iter().chain(self.lines.iter().map(move |line| line.row(width, now))))
    }
}

fn in_full(account: &AccountStatus, now: i64) -> Vec<Row> {
    let lines = Account(account, now).to_string();
    let mut rows = vec![Row::default()];
    rows.extend(lines.lines().map(|line| Row::plain(line, Account::LABEL)));
    if let Some(first) = rows.get_mut(1) {
        first.marked = account.account.len();
        first.mark = if account.is_in_trouble() { Mark::Failure } else { Mark::Head };
    }
    rows
}

/// The label of an account whose poll succeeded but whose mail is not forwarded.
const NOT_FORWARDED: &str = "not forwarded";

/// The label of an account of which some messages were set aside.
const SET_ASIDE: &str = "set aside";

/// Labels the failure.
fn what(account: &AccountStatus) -> &'static str {
    match (&account.failure, account.hung_since) {
        (Some(failure), None) => failure.cause.name(),
        (_, Some(_)) => words(State::Hung),
        (None, None) if account.forward.as_ref().is_some_and(Forwarding::is_held_up) => NOT_FORWARDED,
        (None, None) => SET_ASIDE,
    }
}

/// Says what happened and what to do about it.
fn text(account: &AccountStatus) -> Option<Cow<'_, str>> {
    let failure = || account.failure.as_ref().map(|failure| failure.text.as_str().into());
    let forward = || account.not_forwarded().and_then(|forward| forward_text(forward, &account.account));
    if account.hung_since.is_some() { None } else { failure().or_else(forward) }
}

/// Returns the rows of the accounts in trouble: cause, since when and the next try of each, followed by what to do for
/// each group with the same failure.
fn rows_in_trouble(in_trouble: &[&AccountStatus], now: i64) -> Vec<Row> {
    let width = widest(in_trouble.iter().map(|account| &account.account));
    let alike = |one: &&AccountStatus, other: &&AccountStatus| {
        (what(one), &one.host, text(one)) == (what(other), &other.host, text(other))
    };
    let mut rows = Vec::new();
    for group in in_trouble.chunk_by(alike) {
        rows.push(Row::default());
        rows.extend(group.iter().map(|account| failure_line(account, width, now)));
        let words = group.first().and_then(|account| text(account));
        rows.extend(words.map(|words| Row::plain(format!("{:BELOW$}{words}", ""), BELOW)));
    }
    rows
}

fn failure_line(account: &AccountStatus, width: usize, now: i64) -> Row {
    let name = &account.account;
    let mut about = match (&account.failure, account.hung_since) {
        (Some(failure), None) => about_failure(account, failure, now),
        (_, Some(since)) => vec![format!("{} since {}", words(State::Hung), LocalTime(since))],
        (None, None) => account.not_forwarded().map(|forward| forward_line(forward, now)).into_iter().collect(),
    };
    about.iter_mut().for_each(|about| *about = format!("{name:width$}  {about}"));
    let mut about = about.into_iter();
    Row {
        text: about.next().unwrap_or_else(|| name.clone()),
        mark: Mark::Failure,
        marked: name.len(),
        hanging: width + 2,
        shorter: about.collect(),
    }
}

/// Says what is wrong, where, since when, and when the next try is; then the same in shorter versions.
fn about_failure(account: &AccountStatus, failure: &Failure, now: i64) -> Vec<String> {
    let since = Span::between(failure.since, now);
    let times = match failure.times {
        ..=1 => String::new(),
        times => format!(", {times} {}", plural(times.into(), "poll")),
    };
    // A local problem is not the server's fault.
    let place = if failure.cause.is_local() { String::new() } else { format!(" at {}", account.host) };
    let (cause, next) = (failure.cause.name(), next_try(account, now));
    let briefly = next.replacen("next try", "next", 1);
    vec![
        format!("{cause}{place} for {since}{times}; {next}"),
        format!("{cause}{place} for {since}; {next}"),
        format!("{cause}{place} for {since}; {briefly}"),
        format!("{cause} for {since}; {next}"),
    ]
}

/// Says why mail is not forwarded, and what to do about it.
fn forward_text<'a>(forward: &'a Forwarding, account: &str) -> Option<Cow<'a, str>> {
    let why = forward.why.as_deref().filter(|_| forward.is_held_up());
    if forward.first_set_aside.is_empty() {
        return why.map(Cow::from);
    }
    let before = why.map_or_else(String::new, |why| format!("{why}. "));
    let advised = |account| advice::after_setting_aside(&account, &forward.first_set_aside);
    let next = AccountName::new(account).map(advised).unwrap_or_default();
    let listed = SetAside::listed(&forward.first_set_aside, forward.set_aside);
    Some(format!("{before}Set aside: {listed}. {next}").into())
}

fn forward_line(forward: &Forwarding, now: i64) -> String {
    let aside = match forward.set_aside {
        0 => None,
        aside => Some(format!("{} {SET_ASIDE}", Count(aside, "message"))),
    };
    if let Some(aside) = aside.as_ref().filter(|_| !forward.is_held_up()) {
        return aside.clone();
    }
    let aside = aside.map_or_else(String::new, |aside| format!("; {aside}"));
    let since = forward.since.map_or_else(String::new, |since| format!(" for {}", Span::between(since, now)));
    let next = match forward.next_try {
        None if forward.stranded => format!("{} in the spool", Count(forward.messages, "message")),
        Some(next) => format!("tried again in {}", Span::between(now, next)),
        None => "tried again now".to_owned(),
    };
    format!("{NOT_FORWARDED}{since}; {next}{aside}")
}

/// The line of an account that is well.
#[derive(Debug)]
struct Line {
    name: String,
    state: &'static str,
    /// The time of the last poll, in seconds since 1970.
    last: Option<i64>,
    /// The time of the next poll, in seconds since 1970.
    next: Option<i64>,
    /// The mail of today.
    today: Came,
    /// The number of messages in quarantine.
    quarantined: usize,
}

impl Line {
    fn of(account: AccountStatus) -> Self {
        let state = match account.state {
            State::Idle => "well",
            State::Queued => "queued",
            State::Polling => "polling",
            State::Held => "in use",
            _ => "new",
        };
        Self {
            name: account.account,
            state,
            last: account.last_poll,
            next: account.next_poll,
            today: account.today,
            quarantined: account.quarantine.len(),
        }
    }

    /// Returns the row with names padded to `width` columns.
    fn row(&self, width: usize, now: i64) -> Row {
        let Self { name, state, .. } = self;
        let last = self.last.map_or_else(|| "-".to_owned(), |time| ago(now.saturating_sub(time)));
        let next = self.next.map_or_else(|| "now".to_owned(), |time| in_one_unit(time.saturating_sub(now)));
        let today = Mail(self.today);
        let quarantined = match self.quarantined {
            0 => String::new(),
            count => format!(", {count} in quarantine"),
        };
        let begin = format!("{name:width$}  {state:7}  last {last:11}");
        let text = format!("{begin}  next {next:7}  today {today}{quarantined}");
        let shorter = vec![format!("{begin}  {today}{quarantined}"), begin, format!("{name:width$}  {state}")];
        Row { shorter, ..Row::plain(text, width + 2) }
    }
}

/// Says how long ago, to the minute: nobody can read many times that change every second.
fn ago(seconds: i64) -> String {
    if seconds < 60 { "just now".to_owned() } else { format!("{} ago", in_one_unit(seconds)) }
}

/// Formats a time in seconds in one unit, never in seconds.
fn in_one_unit(seconds: i64) -> String {
    match (seconds / 60, seconds / 3600, seconds / 86_400) {
        (..=0, _, _) => "< 1 min".to_owned(),
        (minutes, 0, _) => format!("{minutes} min"),
        (_, hours, 0) => format!("{hours} h"),
        (_, _, 1) => "1 day".to_owned(),
        (_, _, days) => format!("{days} days"),
    }
}

fn widest<'a>(names: impl Iterator<Item = &'a String>) -> usize {
    names.map(|name| name.chars().count()).max().unwrap_or(0)
}

/// Says when the account is tried again.
fn next_try(account: &AccountStatus, now: i64) -> String {
    match (account.state, account.next_poll) {
        (State::Polling, _) | (_, None) => "tried now".to_owned(),
        (State::Queued, _) => "queued for its next try".to_owned(),
        (_, Some(time)) if time <= now => "next try now".to_owned(),
        (_, Some(time)) => format!("next try in {}", Span::between(now, time)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::layout::{self, Layout};
    use crate::cli::status_text::tests::account;
    use crate::control::status::examples::status;
    use crate::schedule::Cause;

    fn of(number: usize) -> AccountStatus {
        let next_poll = Some(90_240);
        AccountStatus { account: format!("person{number:02}"), last_poll: Some(89_940), next_poll, ..account() }
    }

    fn refused(number: usize) -> AccountStatus {
        let text = "the server refused the login. Check username and password".to_owned();
        let failure = Failure { cause: Cause::LoginRefused, times: 2, since: 89_000, text };
        AccountStatus { state: State::Failing, failure: Some(failure), next_poll: Some(93_600), ..of(number) }
    }

    fn shown(status: &Status, detail: Detail, width: Option<usize>) -> String {
        let mut overview = Overview::new(Status { accounts: Vec::new(), ..status.clone() }, detail);
        status.accounts.iter().cloned().for_each(|account| overview.add(account));
        layout::text(overview.head().into_iter().chain(overview.body()), Layout { width, colour: false })
    }

    #[test]
    fn the_first_line_has_the_sums_and_a_wrong_configuration_is_told() {
        let mut status = status((0..30).map(of).chain([refused(30), refused(31)]).collect());
        status.accounts.push(AccountStatus { state: State::New, last_poll: None, ..of(32) });
        // An account that waits for its first poll does not count as well yet.
        status.accounts.push(AccountStatus { state: State::Queued, last_poll: None, ..of(33) });
        status.config_problem = Some("line 5 is wrong\nhere".into());
        let text = shown(&status, Detail::AsFits, None);
        let first: Vec<&str> = text.lines().take(5).collect();
        assert_eq!(
            first,
            [
                "34 accounts: 30 well, 2 IN TROUBLE, 2 not polled yet; 1 being polled, 2 queued",
                "mailferry 1, process 7, up for 25 h",
                "The configuration was changed and has errors, so the previous one stays in force:",
                "line 5 is wrong",
                "here"
            ]
        );
    }

    #[test]
    fn an_account_whose_mail_is_not_forwarded_is_not_well() {
        let forward = Forwarding {
            to: "INBOX at imaps://imap.example.org:993".into(),
            running: false,
            counted: Some(90_000),
            messages: 2,
            octets: 2048,
            oldest: Some(89_000),
            why: Some("the server refused the login. Check username and password".into()),
            since: Some(89_000),
            next_try: Some(90_600),
            forwarded: 0,
            last_forwarded: None,
            set_aside: 0,
            first_set_aside: Vec::new(),
            spool_full: false,
            stranded: false,
        };
        let waits = AccountStatus { forward: Some(forward.clone()), ..of(1) };
        let text = shown(&status(vec![waits.clone(), of(2)]), Detail::AsFits, None);
        assert!(text.starts_with("2 accounts: 1 well, 1 IN TROUBLE"), "{text}");
        assert!(text.contains("person01: its mail is not forwarded"), "{text}");
        let text = shown(&status((2..9).map(of).chain([waits]).collect()), Detail::AsFits, None);
        let expected = "person01  not forwarded for 17 min; tried again in 10 min\n    the server refused the login.";
        assert!(text.contains(expected), "{text}");
        let aside = SetAside { name: "1.x".into(), unique_id: None, octets: 7, since: 1, reason: "too large".into() };
        let both = Forwarding { set_aside: 30, first_set_aside: vec![aside], ..forward.clone() };
        let of_forward = |forward: &Forwarding| {
            let accounts = (0..5).map(|n| AccountStatus { forward: Some(forward.clone()).filter(|_| n == 1), ..of(n) });
            shown(&status(accounts.collect()), Detail::AsFits, None)
        };
        let text = of_forward(&both);
        assert!(text.contains("tried again in 10 min; 30 messages set aside\n"), "{text}");
        let named =
            "username and password. Set aside: file 1.x (7 B): too large; and 29 more. Once the cause is fixed: ";
        assert!(text.contains(named), "{text}");
        let text = of_forward(&Forwarding { messages: 0, why: None, ..both });
        assert!(
            text.contains("person01  30 messages set aside\n    Set aside: file 1.x (7 B): too large; and"),
            "{text}"
        );
        assert!(text.contains("forward --again person01"), "{text}");
        let idle = Forwarding { messages: 0, why: None, ..forward.clone() };
        assert!(!AccountStatus { forward: Some(idle.clone()), ..of(1) }.is_in_trouble());
        assert!(AccountStatus { forward: Some(Forwarding { set_aside: 1, ..idle }), ..of(1) }.is_in_trouble());
    }

    #[test]
    fn of_many_accounts_those_in_trouble_stand_first_and_each_of_the_others_has_a_line() {
        let mut accounts: Vec<AccountStatus> = (0..30).map(of).collect();
        accounts[7] = refused(7);
        accounts[19] = refused(19);
        accounts[3] = AccountStatus { state: State::Hung, hung_since: Some(89_000), ..of(3) };
        accounts[5].state = State::Polling;
        accounts[5].next_poll = None;
        accounts[5].today = Came { messages: 20, octets: 5 << 20 };
        let text = shown(&status(accounts), Detail::AsFits, None);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[3].starts_with("person03  hung: waiting for the disk since 19"), "{text}");
        // Accounts with the same failure have its text once.
        assert_eq!(
            lines[5..8],
            [
                "person07  login-refused at pop.example.org for 17 min, 2 polls; next try in 60 min",
                "person19  login-refused at pop.example.org for 17 min, 2 polls; next try in 60 min",
                "    the server refused the login. Check username and password"
            ]
        );
        assert_eq!(lines[9], "person00  well     last 1 min ago    next 4 min    today 1 message (2.0 KiB)");
        assert_eq!(lines[13], "person05  polling  last 1 min ago    next now      today 20 messages (5.0 MiB)");
        assert_eq!(lines.len(), 9 + 27, "{text}");
    }

    #[test]
    fn a_failure_has_one_line_on_any_usual_terminal() {
        let accounts: Vec<AccountStatus> = (0..30).map(|n| if n == 7 { refused(7) } else { of(n) }).collect();
        let status = status(accounts);
        for (columns, line) in [
            (90, "person07  login-refused at pop.example.org for 17 min, 2 polls; next try in 60 min"),
            (80, "person07  login-refused at pop.example.org for 17 min; next try in 60 min"),
            (70, "person07  login-refused at pop.example.org for 17 min; next in 60 min"),
            (60, "person07  login-refused for 17 min; next try in 60 min"),
        ] {
            let text = shown(&status, Detail::AsFits, Some(columns));
            assert!(text.lines().any(|one| one == line), "{columns}: {text}");
        }
    }

    #[test]
    fn what_is_wrong_on_this_machine_names_no_server() {
        let mut full = refused(7);
        if let Some(failure) = &mut full.failure {
            failure.cause = Cause::Storage;
        }
        let accounts = (0..30).map(|n| if n == 7 { full.clone() } else { of(n) });
        let text = shown(&status(accounts.collect()), Detail::AsFits, None);
        assert!(text.contains("person07  storage for 17 min, 2 polls; next try in 60 min"), "{text}");
    }

    #[test]
    fn few_accounts_and_those_that_are_asked_for_are_told_in_full_and_failures_first() {
        let text = shown(&status(vec![of(0), refused(1)]), Detail::AsFits, None);
        let (failure, well) = (text.find("person01: in trouble"), text.find("person00: all is well"));
        assert!(failure.is_some() && failure < well, "{text}");
        let text = shown(&status((0..30).map(of).collect()), Detail::Full, None);
        assert_eq!(text.matches("  last new mail -").count(), 30);
    }

    #[test]
    fn nothing_is_wider_than_the_terminal() {
        let accounts: Vec<AccountStatus> = (0..30).map(|n| if n % 3 == 0 { refused(n) } else { of(n) }).collect();
        let status = status(accounts);
        for width in [40, 60, 80, 200] {
            for detail in [Detail::AsFits, Detail::Full] {
                let text = shown(&status, detail, Some(width));
                assert!(text.lines().all(|line| line.chars().count() <= width), "{width}: {text}");
                let has_line = |n: usize| text.lines().any(|line| line.starts_with(&format!("person{n:02}  well")));
                assert!(detail == Detail::Full || (1..30).filter(|n| n % 3 > 0).all(has_line), "{width}: {text}");
            }
        }
    }
}
