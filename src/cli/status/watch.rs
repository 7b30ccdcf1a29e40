//! `mailferry status --watch`: shows the overview on a terminal, kept up to date and scrollable.

use std::io;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::overview::Overview;
use super::view::{Shown, View};
use super::{NoStatus, overview};
use crate::cli::arguments::{Arguments, Status as Options};
use crate::cli::keys::Key;
use crate::cli::layout::{Layout, Mark, Row};
use crate::cli::output::stderr_line;
use crate::cli::signals::Listener;
use crate::cli::status_text::LocalTime;
use crate::cli::terminal::{self, FullScreen, Size};
use crate::exit::ExitStatus;

/// How often the daemon is asked.
pub(super) const ASK_EVERY: Duration = Duration::from_secs(1);

/// The assumed size of a terminal that does not report one.
const USUAL: Size = Size { columns: 80, rows: 24 };

/// Shows the overview until the user quits; None if there is no terminal to use.
pub(super) async fn run(arguments: &Arguments, options: &Options) -> Option<ExitStatus> {
    let stop = CancellationToken::new();
    let signals = match Listener::begin(stop.clone()) {
        Ok(signals) => signals,
        Err(e) => return Some(crate::cli::no_thread(&e)),
    };
    let mut screen = FullScreen::take().ok()?;
    let (answered, mut answers) = mpsc::channel(1);
    let ended = tokio::select! {
        ended = show(&mut screen, &mut answers) => ended,
        () = ask(arguments, options, answered) => Ended::Quit,
        () = stop.cancelled() => Ended::Quit,
    };
    drop(screen);
    match ended {
        Ended::Quit => Some(signals.status().unwrap_or(ExitStatus::Ok)),
        Ended::Interrupted => Some(ExitStatus::Interrupted),
        Ended::Refused(words) => {
            stderr_line(words);
            Some(ExitStatus::Usage)
        }
        // There is no terminal left to print the reason on.
        Ended::NoTerminal(_) => Some(ExitStatus::Temporary),
    }
}

/// Why it ended.
enum Ended {
    /// By `q`, or by a signal.
    Quit,
    /// By Ctrl-C.
    Interrupted,
    /// The daemon does not know an account that was named.
    Refused(String),
    /// The terminal has gone.
    NoTerminal(#[expect(dead_code, reason = "for who looks for a fault")] io::Error),
}

/// Asks the daemon repeatedly.
async fn ask(arguments: &Arguments, options: &Options, answers: mpsc::Sender<Result<Overview, NoStatus>>) {
    while answers.send(overview(arguments, options).await.map(|(overview, _)| overview)).await.is_ok() {
        tokio::time::sleep(ASK_EVERY).await;
    }
}

async fn show(screen: &mut FullScreen, answers: &mut mpsc::Receiver<Result<Overview, NoStatus>>) -> Ended {
    let mut picture = Picture::default();
    loop {
        if let Err(e) = picture.draw() {
            return Ended::NoTerminal(e);
        }
        tokio::select! {
            key = screen.key() => match key {
                None | Some(Key::Quit) => return Ended::Quit,
                Some(Key::Interrupt) => return Ended::Interrupted,
                Some(Key::Suspend) => match screen.suspend() {
                    Ok(()) => picture.shown.forget(),
                    Err(e) => return Ended::NoTerminal(e),
                },
                Some(Key::Redraw | Key::Resized) => picture.shown.forget(),
                Some(key) => picture.view.scroll(key),
            },
            answer = answers.recv() => match answer {
                Some(Ok(overview)) => (picture.last, picture.problem) = (Some(overview), None),
                Some(Err(NoStatus::Unknown(words))) => return Ended::Refused(words),
                Some(Err(NoStatus::None(words, _))) => picture.problem = Some(words),
                None => return Ended::Quit,
            },
        }
    }
}

/// What is known, and what is shown of it.
#[derive(Default)]
struct Picture {
    /// The last status received.
    last: Option<Overview>,
    /// Why there has been none since.
    problem: Option<String>,
    /// The visible part.
    view: View,
    /// The rows that the terminal shows.
    shown: Shown,
}

impl Picture {
    fn draw(&mut self) -> io::Result<()> {
        let size = terminal::size(io::stdout()).unwrap_or(USUAL);
        // Terminals differ in what they do when a line ends in the last column.
        let layout = Layout { width: Some(size.columns.saturating_sub(1)), colour: terminal::colour() };
        let lines = |row: Row| row.lines(layout);
        let head: Vec<String> = self.head().into_iter().flat_map(lines).collect();
        let body: Vec<String> = self.last.iter().flat_map(Overview::body).flat_map(lines).collect();
        let frame = self.view.frame(&head, &body, size);
        let foot = frame.last().map(|foot| foot.chars().take(size.columns.saturating_sub(1)).collect());
        let frame = frame.iter().take(size.rows.saturating_sub(1)).cloned().chain(foot).collect();
        let changes = self.shown.change_to(frame);
        if changes.is_empty() { Ok(()) } else { terminal::write(&changes) }
    }

    fn head(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        if let Some(problem) = &self.problem {
            rows.push(Row::marked(problem.as_str(), Mark::Failure));
            let asked = self.last.as_ref().map(|last| format!("What it said at {}:", LocalTime(last.now())));
            rows.extend(asked.map(|words| Row::plain(words, 2)));
        }
        rows.extend(self.last.as_ref().map(Overview::head).unwrap_or_default());
        if rows.is_empty() {
            rows.push(Row::plain("asking the daemon", 2));
        }
        rows
    }
}
