//! `mailferry status`: what the running daemon did and will do.

pub(super) mod layout;
pub(super) mod overview;
mod view;
mod watch;

use std::io::{self, IsTerminal as _};

use self::layout::Layout;
use self::overview::Detail;
use super::arguments::{Arguments, Status as Options};
use super::output::{say, stderr_line};
use super::{prepare, terminal};
use crate::control::status::{AccountStatus, State, Status};
use crate::control::{Request, Response};
use crate::exit::ExitStatus;

/// Runs the command.
pub(super) async fn run(arguments: &Arguments, options: &Options) -> ExitStatus {
    if options.watch
        && io::stdout().is_terminal()
        && let Some(ended) = watch::run(arguments, options).await
    {
        return ended;
    }
    loop {
        let shown = show(arguments, options).await;
        if !options.watch || shown == ExitStatus::Usage {
            return shown;
        }
        tokio::time::sleep(watch::ASK_EVERY).await;
    }
}

/// What came of asking.
enum Answer {
    /// How the accounts are that were asked for.
    Status(Box<Status>),
    /// It has no such account: what to print.
    Unknown(String),
    /// There is none: what to print, and how to end.
    None(String, ExitStatus),
}

/// Asks the daemon once.
async fn question(arguments: &Arguments, options: &Options) -> Answer {
    match prepare::ask_daemon(arguments, &Request::status_of(&options.accounts)).await {
        Ok(Response::Status(mut status)) => match only_named(&mut status, &options.accounts) {
            unknown if unknown.is_empty() => Answer::Status(status),
            unknown => Answer::Unknown(prepare::why_unknown(arguments, &unknown).join("\n")),
        },
        Ok(other) => Answer::None(not_understood(&other), ExitStatus::Temporary),
        Err((words, status)) => Answer::None(words, status),
    }
}

async fn show(arguments: &Arguments, options: &Options) -> ExitStatus {
    match question(arguments, options).await {
        Answer::Status(status) => print(&status, options, arguments),
        Answer::Unknown(words) => {
            stderr_line(words);
            ExitStatus::Usage
        }
        Answer::None(words, status) => {
            stderr_line(words);
            status
        }
    }
}

/// Leaves only the accounts that are named, if any is; gives back the names that the daemon does not know.
fn only_named(status: &mut Status, names: &[String]) -> Vec<String> {
    let is_there = |name: &String| status.accounts.iter().any(|account| account.account == *name);
    let unknown = names.iter().filter(|name| !is_there(name)).cloned().collect();
    if !names.is_empty() {
        status.accounts.retain(|account| names.contains(&account.account));
        let are = |states: &[State]| status.accounts.iter().filter(|account| states.contains(&account.state)).count();
        (status.polling, status.queued) = (are(&[State::Polling, State::Hung]), are(&[State::Queued]));
    }
    unknown
}

fn print(status: &Status, options: &Options, arguments: &Arguments) -> ExitStatus {
    let healthy = if options.check { judge(status) } else { ExitStatus::Ok };
    if options.json {
        return match serde_json::to_string_pretty(status) {
            Ok(text) => {
                say(text);
                healthy
            }
            Err(e) => {
                stderr_line(format_args!("mailferry: cannot write this as JSON: {e}. Please report it"));
                ExitStatus::Temporary
            }
        };
    }
    if !(arguments.quiet && options.check) {
        let full = arguments.verbose > 0 || !options.accounts.is_empty();
        let mut rows = overview::head(status);
        rows.extend(overview::body(status, if full { Detail::Full } else { Detail::AsFits }));
        let width = io::stdout().is_terminal().then(|| terminal::size(io::stdout())).flatten().map(|size| size.columns);
        say(layout::text(&rows, Layout { width, colour: terminal::colour() }));
    }
    healthy
}

/// What a monitor is told.
fn judge(status: &Status) -> ExitStatus {
    let in_trouble = status.accounts.iter().any(AccountStatus::is_in_trouble);
    match (&status.config_problem, in_trouble) {
        (Some(_), _) => ExitStatus::Config,
        (None, true) => ExitStatus::Partial,
        (None, false) => ExitStatus::Ok,
    }
}

/// The daemon is of another version.
pub(super) fn not_understood(answer: &Response) -> String {
    let why = match answer {
        Response::NotUnderstood { why } => crate::text::value(why),
        _ => "it gave another answer".to_owned(),
    };
    format!(
        "mailferry: the daemon did not understand the request ({why}). Restart it, so that both are of the same version"
    )
}
