//! `mailferry poll`: makes the running daemon poll now.

use std::time::Duration;

use super::arguments::{Arguments, Poll};
use super::output::{say, stderr_line};
use super::prepare;
use super::status_text::LocalTime;
use crate::advice::by_request::{DOES_NOT_POLL_OFTEN, Failing, tried_again};
use crate::control::{Request, Response, TriedAgain};
use crate::exit::ExitStatus;

/// Runs the command.
pub(super) async fn run(arguments: &Arguments, poll: &Poll) -> ExitStatus {
    if poll.test_notify {
        return test_notify(arguments).await;
    }
    let often_for = poll.often_for.map(|time| time.as_secs());
    let request = Request::Poll { accounts: poll.accounts.clone(), often_for };
    match prepare::ask_daemon(arguments, &request).await {
        Ok(Response::Poll { woken, unknown, often_until, troubles }) => {
            let often = often_until.map(|until| format!(", and often until {}", LocalTime(until))).unwrap_or_default();
            if !arguments.quiet {
                woken.iter().for_each(|account| say(format_args!("{account}: will be polled now{often}")));
            }
            if often_for.is_some() && often_until.is_none() {
                stderr_line(format_args!("mailferry: {DOES_NOT_POLL_OFTEN}"));
            }
            troubles.iter().for_each(|account| stderr_line(tried_again(failing(account), often_until.is_some())));
            if !unknown.is_empty() {
                prepare::why_unknown(arguments, &unknown).await.iter().for_each(stderr_line);
            }
            if unknown.is_empty() { ExitStatus::Ok } else { ExitStatus::Usage }
        }
        Ok(other) => {
            let (words, status) = prepare::not_understood(other);
            stderr_line(words);
            status
        }
        Err((words, status)) => {
            stderr_line(words);
            status
        }
    }
}

fn failing(account: &TriedAgain) -> Failing<'_> {
    let [time, next_wait] = [account.for_seconds, account.next_wait].map(Duration::from_secs);
    Failing { account: &account.account, time, text: &account.text, next_wait }
}

/// Makes the daemon run the command of `[notify]`, under the daemon's own restrictions.
async fn test_notify(arguments: &Arguments) -> ExitStatus {
    match prepare::ask_daemon(arguments, &Request::TestNotify).await {
        Ok(Response::Notified { well: true, text, .. }) => {
            if !arguments.quiet {
                say(text);
            }
            ExitStatus::Ok
        }
        Ok(Response::Notified { configured, text, .. }) => {
            stderr_line(format_args!("mailferry: {text}"));
            if configured { ExitStatus::Partial } else { ExitStatus::Config }
        }
        Ok(other) => {
            let (words, status) = prepare::not_understood(other);
            stderr_line(words);
            status
        }
        Err((words, status)) => {
            stderr_line(words);
            status
        }
    }
}
