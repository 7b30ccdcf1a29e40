//! What a poll reports to the schedule. The library runs in the tests' own process; nothing waits here.

mod cron;

use std::time::Duration;

use mailferry::account::{AccountName, Interval};
use mailferry::poll::PollReport;
use mailferry::schedule::{Cause, End, History, Next, PollTiming, Reason, TimeOfWeek, next, seed};
use mailferry::secret::Secret;

use crate::mail::small_ones;
use crate::quarantine::Bench;
use crate::scripted::maildrop::Maildrop;

/// Returns when the next poll is due after one that has just ended and took a second.
fn after(history: &mut History, report: &PollReport) -> (Duration, Reason) {
    let timing = PollTiming::new(Interval::fixed(Duration::from_secs(300)), "pop.example.org");
    let end = Duration::from_secs(1_000_000);
    let seed = seed(1, &AccountName::new("a").unwrap());
    let polled = end - Duration::from_secs(1)..end;
    let Next { at, reason } = next(&timing, history, &report.outcome(), seed, polled, TimeOfWeek::new(0));
    (at - end, reason)
}

/// The server lists 250 messages at a time and allows no second login within its LOGIN-DELAY.
#[test]
fn a_backlog_that_the_server_does_not_give_away_at_once_is_fetched_at_its_pace() {
    let maildrop = Maildrop::with(small_ones(500), |behaviour| {
        behaviour.window = Some(250);
        behaviour.capabilities.as_mut().unwrap().push("LOGIN-DELAY 600".to_owned());
    });
    let bench = Bench::at(&maildrop);
    let mut history = History::default();
    for new in [250, 250] {
        maildrop.change(|contents| contents.behaviour.logins = Some(1));
        let report = bench.poll();
        assert!(report.end.is_ok() && report.retrieved == new, "{report:?}");
        let (wait, reason) = after(&mut history, &report);
        assert!((600..=602).contains(&wait.as_secs()) && reason == Reason::Backlog, "{wait:?} {reason:?}");
    }
    maildrop.change(|contents| contents.behaviour.logins = Some(1));
    let report = bench.poll();
    assert_eq!((report.retrieved, report.outcome().end), (0, End::Dealt { more: false }));
    let (wait, reason) = after(&mut history, &report);
    assert!(
        (600..=720).contains(&wait.as_secs()) && matches!(reason, Reason::MinInterval { .. }),
        "{wait:?} {reason:?}"
    );

    // Now it is too soon.
    maildrop.change(|contents| contents.behaviour.logins = Some(0));
    let (wait, reason) = after(&mut history, &bench.poll());
    assert!((600..=660).contains(&wait.as_secs()), "{wait:?}");
    assert_eq!(reason, Reason::Failure { cause: Cause::RateLimited, times: 1 });
}

#[test]
fn a_refused_login_is_told_as_what_it_is() {
    let maildrop = Maildrop::new(small_ones(1));
    let mut bench = Bench::at(&maildrop);
    let end = |bench: &Bench| bench.poll().outcome().end;
    for (answer, expected) in [
        ("-ERR [IN-USE] locked", End::Failed(Cause::ServerBusy)),
        ("-ERR [SYS/PERM] busy", End::Failed(Cause::AccessRefused)),
        ("-ERR no", End::Refused { explicit: false }),
        ("-ERR [AUTH] no", End::Refused { explicit: true }),
    ] {
        maildrop.change(|contents| contents.behaviour.login_answer = Some(answer.to_owned()));
        assert_eq!(end(&bench), expected, "{answer}");
        assert!(!bench.poll().outcome().logged_in);
    }
    maildrop.change(|contents| contents.behaviour.login_answer = None);
    assert!(bench.poll().outcome().logged_in);
    for (answer, expected) in [("[SYS/PERM] off", Cause::AccessRefused), ("[SYS/TEMP] off", Cause::ServerBusy)] {
        let answers = ["STAT", "UIDL", "LIST"].map(|command| (command.to_owned(), format!("-ERR {answer}\r\n")));
        maildrop.change(|contents| contents.behaviour.answers = answers.into());
        let outcome = bench.poll().outcome();
        assert_eq!((outcome.end, outcome.logged_in), (End::Failed(expected), true), "{answer}");
    }
    maildrop.change(|contents| contents.behaviour.answers.clear());
    bench.account.credential = mailferry::account::CredentialSource::Inline(Secret::new(b"wrong".to_vec()));
    assert_eq!(end(&bench), End::Refused { explicit: true });
}
