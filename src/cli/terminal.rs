//! The terminal: its size, its colours, and taking the full screen for a while.
//!
//! The screen is restored however the process ends, except by SIGKILL: by the guard, by the panic hook, and by the code
//! that ends the process at a second signal.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGTSTP, SIGWINCH};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::keys::{Key, parse};
use crate::threads;

/// Switches to the alternate screen and hides the cursor (xterm's private modes 1049 and 25).
const TAKE: &str = "\x1b[?1049h\x1b[?25l";

/// Shows the cursor and restores the screen.
const GIVE_BACK: &str = "\x1b[?25h\x1b[?1049l";

/// The terminal that was taken, and its previous settings.
static TAKEN: Mutex<Option<(OwnedFd, Termios)>> = Mutex::new(None);

/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    /// The width of a line, in columns.
    pub(super) columns: usize,
    /// The number of lines.
    pub(super) rows: usize,
}

/// Returns the size of the terminal behind a stream; None if there is no terminal, or it does not report one.
pub(super) fn size(stream: impl AsFd) -> Option<Size> {
    let size = tcgetwinsize(stream).ok()?;
    let (columns, rows) = (usize::from(size.ws_col), usize::from(size.ws_row));
    (columns > 0 && rows > 0).then_some(Size { columns, rows })
}

/// Returns the width of the terminal behind a stream in columns, if there is one.
pub(super) fn width_of(stream: &impl AsFd) -> Option<usize> {
    size(stream).map(|size| size.columns)
}

/// Whether to colour standard output.
pub(super) fn colour() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !unwanted && !is_dumb()
}

/// Whether the terminal can only print.
pub(super) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term == "dumb")
}

/// The full screen, until dropped.
pub(super) struct FullScreen {
    /// The keys typed, and changes of the size.
    keys: UnboundedReceiver<Key>,
}

impl FullScreen {
    /// Takes the full screen.
    ///
    /// # Errors
    /// There is no terminal to type at, or the system has no thread for it.
    pub(super) fn take() -> io::Result<Self> {
        let (typed_at, kept) = (typed_at()?, typed_at()?);
        let before = tcgetattr(&typed_at)?;
        let mut raw = before.clone();
        raw.make_raw();
        let (sender, keys) = unbounded_channel();
        let (resized, signal) = UnixStream::pair()?;
        signal_hook::low_level::pipe::register(SIGWINCH, signal)?;
        *lock() = Some((kept.into(), before));
        let screen = Self { keys };
        tcsetattr(&typed_at, OptionalActions::Drain, &raw)?;
        threads::start("keys", move || read_keys(typed_at, &resized, &sender))?;
        write(TAKE)?;
        Ok(screen)
    }

    /// Restores the screen, stops the process until it is continued, and takes the screen again. In an orphaned process
    /// group, where no shell could continue it, the system does not stop it.
    ///
    /// # Errors
    /// The terminal has gone.
    pub(super) fn suspend(&self) -> io::Result<()> {
        let mut raw = None;
        if let Some((typed_at, before)) = &*lock() {
            raw = Some(tcgetattr(typed_at)?);
            write(GIVE_BACK)?;
            tcsetattr(typed_at, OptionalActions::Drain, before)?;
        }
        signal_hook::low_level::raise(SIGTSTP)?;
        if let (Some((typed_at, _)), Some(raw)) = (&*lock(), raw) {
            tcsetattr(typed_at, OptionalActions::Drain, &raw)?;
            write(TAKE)?;
        }
        Ok(())
    }

    /// Returns the next key; None if the terminal has gone.
    pub(super) async fn key(&mut self) -> Option<Key> {
        self.keys.recv().await
    }
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Restores the terminal if it was taken.
pub(super) fn give_back() {
    if let Some((typed_at, before)) = lock().take() {
        // The terminal may have gone.
        let _ = write(GIVE_BACK);
        let _ = tcsetattr(&typed_at, OptionalActions::Flush, &before);
    }
}

fn lock() -> std::sync::MutexGuard<'static, Option<(OwnedFd, Termios)>> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes text to the terminal unchanged.
pub(super) fn write(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

/// Opens the terminal that the user types at: standard input, or else the controlling terminal.
fn typed_at() -> io::Result<File> {
    if io::stdin().is_terminal() {
        return Ok(io::stdin().as_fd().try_clone_to_owned()?.into());
    }
    let flags = i32::try_from(OFlags::NOCTTY.bits()).unwrap_or(0);
    OpenOptions::new().read(true).write(true).custom_flags(flags).open("/dev/tty")
}

/// Passes on keys and changes of the size until the receiver is dropped or the terminal has gone.
fn read_keys(mut typed_at: File, mut resized: &UnixStream, keys: &UnboundedSender<Key>) {
    let mut bytes = [0; 256];
    loop {
        let mut wanted = [PollFd::new(&typed_at, PollFlags::IN), PollFd::new(resized, PollFlags::IN)];
        match poll(&mut wanted, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
        }
        let [typed, changed] = wanted.map(|descriptor| !descriptor.revents().is_empty());
        if changed {
            // One redraw is enough for several changes.
            if resized.read(&mut bytes).is_err() || keys.send(Key::Resized).is_err() {
                return;
            }
        }
        if typed {
            let count = match typed_at.read(&mut bytes) {
                Ok(0) => return,
                Ok(count) => count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            for key in parse(bytes.get(..count).unwrap_or_default()) {
                if keys.send(key).is_err() {
                    return;
                }
            }
        }
    }
}
