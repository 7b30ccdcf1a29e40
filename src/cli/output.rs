//! Everything that is printed goes through here, and nobody has to read it: a pipe that was closed or a full disk behind
//! standard output is no reason to stop fetching mail.

use std::fmt::Display;
use std::io::{self, Write};

/// Prints a line on standard output, if that can be.
pub(super) fn say(words: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{words}");
}

/// Prints a line on standard error, if that can be.
pub(super) fn complain(words: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{words}");
}

/// Standard error for the log, which panics when it cannot be written to.
pub(super) struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
