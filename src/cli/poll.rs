//! `mailferry poll`: wakes the running daemon.

use super::arguments::{Arguments, Poll};
use super::output::{say, stderr_line};
use super::prepare;
use crate::control::{Request, Response};
use crate::exit::ExitStatus;

/// Runs the command.
pub(super) async fn run(arguments: &Arguments, poll: &Poll) -> ExitStatus {
    match prepare::ask_daemon(arguments, &Request::Poll { accounts: poll.accounts.clone() }).await {
        Ok(Response::Poll { woken, unknown }) => {
            if !arguments.quiet {
                woken.iter().for_each(|account| say(format_args!("{account}: polled now")));
            }
            for account in &unknown {
                stderr_line(format_args!(
                    "mailferry: the daemon has no account `{}`; if it is new or was disabled, reload the daemon first (SIGHUP)",
                    crate::text::value(account)
                ));
            }
            if unknown.is_empty() { ExitStatus::Ok } else { ExitStatus::Usage }
        }
        Ok(other) => {
            stderr_line(super::status::not_understood(&other));
            ExitStatus::Temporary
        }
        Err((words, status)) => {
            stderr_line(words);
            status
        }
    }
}
