//! The progress that `fetch` shows on a terminal: a few last lines, redrawn in place, with everything that is printed
//! above them.

mod account;
mod board;
mod region;

use std::io::{self, IsTerminal as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::{CancellationToken, DropGuard};

use self::board::Board;
use self::region::Region;
use super::terminal::{self, Size};
use super::unread::{self, Which};
use crate::account::{Account, CredentialSource};
use crate::poll::events::{Observer, Observers};
use crate::poll::progress::Progress;

/// How often it is redrawn.
const DRAW_EVERY: Duration = Duration::from_millis(250);

/// The assumed size of a terminal that does not report one.
const USUAL: Size = Size { columns: 80, rows: 24 };

/// What the last lines of the terminal show; it is erased before anything is printed.
static SHOWN: Mutex<Region> = Mutex::new(Region::new());

/// Prints something above the progress.
pub(super) fn above(print: impl FnOnce()) {
    let mut shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    // It is redrawn only at the next tick, so that many prints do not each cause a redraw.
    draw(&shown.erase(size().columns));
    print();
}

fn size() -> Size {
    terminal::size(io::stderr()).unwrap_or(USUAL)
}

fn draw(changes: &str) {
    if !changes.is_empty() {
        unread::write(Which::Error, changes.as_bytes());
    }
}

/// The progress display of a run, shown until the guard is dropped.
#[derive(Debug, Clone, Default)]
pub(super) struct Display {
    /// None if there is no terminal or nothing is to be shown.
    board: Option<Arc<Mutex<Board>>>,
}

impl Display {
    /// Starts the display for this many accounts if standard error is a terminal. Dropping the guard ends it.
    pub(super) fn begin(wanted: bool, accounts: usize) -> (Self, Option<DropGuard>) {
        if !wanted || !io::stderr().is_terminal() || terminal::is_dumb() {
            return (Self::default(), None);
        }
        let board = Arc::new(Mutex::new(Board::new(accounts)));
        let stop = CancellationToken::new();
        tokio::spawn(keep_drawing(Arc::clone(&board), stop.clone()));
        (Self { board: Some(board) }, Some(stop.drop_guard()))
    }

    /// Adds a poll to the display; returns the observers through which it reports its progress.
    pub(super) fn observers(&self, account: &Account) -> Observers {
        let Some(board) = &self.board else { return Observers::new() };
        let progress = Arc::new(Progress::default());
        lock(board).began(account.name.as_str(), Arc::clone(&progress), may_ask(&account.credential));
        vec![progress as Arc<dyn Observer>]
    }

    /// Records the end of a poll.
    pub(super) fn ended(&self, account: &str, failed: bool) {
        if let Some(board) = &self.board {
            lock(board).ended(account, failed);
        }
    }
}

fn lock(board: &Mutex<Board>) -> std::sync::MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn keep_drawing(board: Arc<Mutex<Board>>, stop: CancellationToken) {
    let begun = Instant::now();
    let mut ticks = tokio::time::interval(DRAW_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            _ = ticks.tick() => {}
        }
        let size = size();
        let lines = lock(&board).look(begun.elapsed(), size);
        let mut shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = if stop.is_cancelled() { String::new() } else { shown.change_to(lines, size.columns) };
        draw(&changes);
    }
    above(|| {});
}

/// Whether a command of the user may ask for something on this terminal: then nothing is drawn.
const fn may_ask(credential: &CredentialSource) -> bool {
    matches!(credential, CredentialSource::Command(_) | CredentialSource::TokenCommand(_))
}
