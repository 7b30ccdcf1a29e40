//! `mailferry status`: shows what the running daemon did and will do.

pub(super) mod overview;
mod reading;
mod spools;
mod view;
mod watch;

use std::io::{self, IsTerminal as _};

use self::overview::{Detail, Overview};
use self::reading::{Gathering, Judging, Named};
use super::arguments::{Arguments, Status as Options};
use super::forward::unclaimed;
use super::layout::{self, Layout};
use super::output::{is_output_closed, say, stderr_line};
use super::status_text::InSpool;
use super::unread::Growing;
use super::{prepare, terminal, unwritten};
use crate::clock::{Clock as _, RealClock};
use crate::control::StatusReader;
use crate::control::status::Forwarding;
use crate::daemon_error::AskError;
use crate::exit::ExitStatus;

/// Runs the command.
pub(super) async fn run(arguments: &Arguments, options: &Options) -> ExitStatus {
    if options.watch
        && io::stdout().is_terminal()
        && let Some(ended) = watch::run(arguments, options).await
    {
        return ended;
    }
    let mut told = None;
    loop {
        let shown = if options.json { document(arguments, options).await } else { words(arguments, options).await };
        let shown = match shown {
            Ok(status) => {
                told = None;
                status
            }
            Err(none) => {
                if matches!(none, NoStatus::None(..)) {
                    tell_spools(arguments, options);
                }
                none.print(&mut told)
            }
        };
        if !options.watch || shown == ExitStatus::Usage || is_output_closed() || unwritten::has_failed() {
            return shown;
        }
        tokio::time::sleep(watch::ASK_EVERY).await;
    }
}

/// Why there is nothing to show.
enum NoStatus {
    /// The daemon has no such account: the text to print.
    Unknown(String),
    /// There is no answer: the text to print, and the exit status.
    None(String, ExitStatus),
}

impl NoStatus {
    /// Prints it, unless it was told the last time.
    fn print(self, told: &mut Option<String>) -> ExitStatus {
        let (words, status) = match self {
            Self::Unknown(words) => (words, ExitStatus::Usage),
            Self::None(words, status) => (words, status),
        };
        if told.as_ref() != Some(&words) {
            stderr_line(&words);
            *told = Some(words);
        }
        status
    }
}

/// Prints what waits in the spools: it is on disk, so no daemon has to run.
fn tell_spools(arguments: &Arguments, options: &Options) {
    let Some(alone) = prepare::alone(arguments) else { return };
    let clock = RealClock::new().read();
    let now = clock.wall;
    let spools = spools::of(&alone, &options.accounts, clock);
    if options.json {
        return say(spools::document(&spools, &alone.config.path, &alone.state_dir, now));
    }
    let is_shown = |forward: &Forwarding| forward.messages > 0 || forward.set_aside > 0 || forward.counted.is_none();
    for (account, forward) in spools.iter().filter(|(_, forward)| is_shown(forward)) {
        if !(arguments.quiet && options.check) {
            say(InSpool(account, forward, now));
        }
    }
    if options.accounts.is_empty() && !(arguments.quiet && options.check) {
        unclaimed(&alone.config, &alone.state_dir).into_iter().for_each(say);
    }
}

/// Asks the daemon once, and reads the answer as it arrives.
async fn ask(arguments: &Arguments, options: &Options, reader: &mut impl StatusReader) -> Result<(), NoStatus> {
    if options.accounts.is_empty() {
        return ask_about_all(arguments, options, reader).await;
    }
    let mut named = Named::new(&options.accounts);
    ask_about_all(arguments, options, &mut named).await?;
    match named.finish() {
        Some(Ok(status)) => reading::read(status, reader),
        Some(Err(unknown)) => {
            return Err(NoStatus::Unknown(prepare::why_unknown(arguments, &unknown).await.join("\n")));
        }
        None => {}
    }
    Ok(())
}

/// Like [`ask`], but passes on every account that the daemon sends.
async fn ask_about_all(
    arguments: &Arguments,
    options: &Options,
    reader: &mut impl StatusReader,
) -> Result<(), NoStatus> {
    match prepare::ask_status(arguments, &options.accounts, reader).await {
        Ok(None) => Ok(()),
        Ok(Some(other)) => Err(no_status(prepare::not_understood(other))),
        Err(unanswered) => Err(no_status(unanswered)),
    }
}

/// Asks the daemon once for everything to show, and for the status that monitors get.
async fn overview(arguments: &Arguments, options: &Options) -> Result<(Overview, ExitStatus), NoStatus> {
    let full = arguments.verbose > 0 || !options.accounts.is_empty();
    let mut reader = Judging::new(Gathering::new(if full { Detail::Full } else { Detail::AsFits }));
    ask(arguments, options, &mut reader).await?;
    let verdict = reader.verdict();
    let nothing = || no_status(prepare::unanswered(&AskError::NothingSaid));
    Ok((reader.into_reader().finish().ok_or_else(nothing)?, verdict))
}

/// Prints the status for people.
async fn words(arguments: &Arguments, options: &Options) -> Result<ExitStatus, NoStatus> {
    let (overview, verdict) = overview(arguments, options).await?;
    if !(arguments.quiet && options.check) {
        let width = io::stdout().is_terminal().then(|| terminal::size(io::stdout())).flatten().map(|size| size.columns);
        let layout = Layout { width, colour: terminal::colour() };
        say(layout::text(overview.head().into_iter().chain(overview.body()), layout));
    }
    Ok(if options.check { verdict } else { ExitStatus::Ok })
}

/// Prints the status for scripts.
async fn document(arguments: &Arguments, options: &Options) -> Result<ExitStatus, NoStatus> {
    let mut output = Growing::new();
    let mut reader = Judging::new(reading::on_standard_output(&mut output));
    ask(arguments, options, &mut reader).await?;
    let verdict = reader.verdict();
    reader.into_reader().finish();
    output.finish();
    Ok(if options.check { verdict } else { ExitStatus::Ok })
}

fn no_status((words, status): (String, ExitStatus)) -> NoStatus {
    NoStatus::None(words, status)
}
