//! `mailferry status`: what the running daemon did and will do.

use std::io::IsTerminal as _;
use std::time::Duration;

use super::arguments::{Arguments, Status};
use super::output::{say, stderr_line};
use super::prepare;
use super::status_text::Overview;
use crate::control::{Request, Response};
use crate::exit::ExitStatus;

/// How often `--watch` asks.
const WATCH: Duration = Duration::from_secs(1);

/// Clears the screen and goes to its top (ECMA-48).
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Runs the command.
pub(super) async fn run(arguments: &Arguments, status: &Status) -> ExitStatus {
    let clear = std::io::stdout().is_terminal();
    loop {
        let shown = show(arguments, status, clear).await;
        if !status.watch {
            return shown;
        }
        tokio::time::sleep(WATCH).await;
    }
}

async fn show(arguments: &Arguments, options: &Status, clear: bool) -> ExitStatus {
    let answer = prepare::ask_daemon(arguments, &Request::Status).await;
    if options.watch && clear {
        say(CLEAR);
    }
    match answer {
        Ok(Response::Status(status)) if options.json => match serde_json::to_string_pretty(&status) {
            Ok(text) => {
                say(text);
                ExitStatus::Ok
            }
            Err(e) => {
                stderr_line(format_args!("mailferry: cannot write this as JSON: {e}. Please report it"));
                ExitStatus::Temporary
            }
        },
        Ok(Response::Status(status)) => {
            say(Overview(&status));
            ExitStatus::Ok
        }
        Ok(other) => {
            stderr_line(not_understood(&other));
            ExitStatus::Temporary
        }
        Err((words, status)) => {
            stderr_line(words);
            status
        }
    }
}

/// The daemon is of another version.
pub(super) fn not_understood(answer: &Response) -> String {
    let why = match answer {
        Response::NotUnderstood { why } => crate::text::value(why),
        _ => "it gave another answer".to_owned(),
    };
    format!("mailferry: the daemon did not understand the question ({why}). Restart it, so that it is of this version")
}
