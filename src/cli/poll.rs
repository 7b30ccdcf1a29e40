//! `mailferry poll`: wakes the running daemon.

use super::arguments::{Arguments, Poll};
use super::output::{complain, say};
use super::prepare;
use crate::daemon::control::{Answer, Question};
use crate::exit::ExitStatus;

/// Runs the command.
pub(super) async fn run(arguments: &Arguments, poll: &Poll) -> ExitStatus {
    match prepare::ask_daemon(arguments, &Question::Poll { accounts: poll.accounts.clone() }).await {
        Ok(Answer::Poll { woken, unknown }) => {
            if !arguments.quiet {
                woken.iter().for_each(|account| say(format_args!("{account}: polled now")));
            }
            for account in &unknown {
                complain(format_args!(
                    "the daemon has no account `{}`; if it is new or was disabled, reload the daemon first (SIGHUP)",
                    account.escape_debug()
                ));
            }
            if unknown.is_empty() { ExitStatus::Ok } else { ExitStatus::Usage }
        }
        Ok(other) => {
            complain(super::status::not_understood(&other));
            ExitStatus::Temporary
        }
        Err((words, status)) => {
            complain(words);
            status
        }
    }
}
