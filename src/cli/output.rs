//! Everything that is printed goes through here, and nobody has to read it: a pipe that was closed, a full disk behind
//! standard output or a reader that does not read is no reason to stop fetching mail.

use std::fmt::Display;
use std::io::{self, Write};

use super::progress;
use super::unread::{self, Which};

/// Prints a line of a report on standard output, and waits for no reader longer than a moment.
pub(super) fn report(words: impl Display) {
    progress::above(|| unread::write(Which::Output, format!("{words}\n").as_bytes()));
}

/// Prints an answer on standard output, if that can be. It waits for who reads it page by page.
pub(super) fn say(words: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{words}");
}

/// Begins a line on standard output that the user goes on with.
pub(super) fn prompt(words: impl Display) {
    let mut output = io::stdout().lock();
    let _ = write!(output, "{words} ").and_then(|()| output.flush());
}

/// Prints a line on standard error, if that can be.
pub(super) fn stderr_line(words: impl Display) {
    progress::above(|| unread::write(Which::Error, format!("{words}\n").as_bytes()));
}

/// Standard error for the log.
pub(super) struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        progress::above(|| unread::write(Which::Error, bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
