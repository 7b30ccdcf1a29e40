//! Everything that is printed goes through here. A closed pipe, a full disk behind standard output or a reader that
//! does not read is no reason to stop fetching mail.

use std::fmt::Display;
use std::io::{self, BufWriter, Write};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::progress;
use super::unread::{self, Which};
use super::unwritten;

/// Prints a line of a report on standard output, without waiting long for a reader.
pub(super) fn report(words: impl Display) {
    progress::above(|| unread::write(Which::Output, format!("{words}\n").as_bytes()));
}

/// Prints an answer on standard output. Waits for the reader, such as a pager, which may end early. An error does not
/// stop the command, and is told when it ends ([`unwritten`]).
pub(super) fn say(words: impl Display) {
    answer(|output| writeln!(output, "{words}"));
}

/// Like [`say`], for an answer that is written piece by piece, up to the first error.
pub(super) fn answer(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
    unwritten::unless_failed(|| {
        let mut output = BufWriter::new(io::stdout().lock());
        write(&mut output).and_then(|()| output.flush())
    });
}

/// Whether standard output is a pipe or a socket that nobody will read any more.
pub(super) fn is_output_closed() -> bool {
    let output = io::stdout();
    let mut asked = [PollFd::new(&output, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let [answer] = match poll(&mut asked, Some(&at_once)) {
        Ok(_) => asked,
        Err(_) => return false,
    };
    answer.revents().intersects(PollFlags::ERR | PollFlags::HUP)
}

/// Prints a prompt on standard output, without a newline.
pub(super) fn prompt(words: impl Display) {
    answer(|output| write!(output, "{words} "));
}

/// Prints a line on standard error; errors are ignored.
pub(super) fn stderr_line(words: impl Display) {
    progress::above(|| unread::write(Which::Error, format!("{words}\n").as_bytes()));
}

/// Standard error, for the log.
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
