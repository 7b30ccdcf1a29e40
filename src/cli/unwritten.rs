//! The first write to standard output that failed. A script must not take a part of an answer for all of it, so nothing
//! is written after that, and the command ends with a message and a status of its own.

use std::io::{self, ErrorKind};
use std::sync::OnceLock;

use rustix::io::Errno;

/// The first error, of whichever thread.
static FIRST: OnceLock<io::Error> = OnceLock::new();

/// Writes to standard output, unless a write has failed before.
pub(super) fn unless_failed(write: impl FnOnce() -> io::Result<()>) {
    if !has_failed()
        && let Err(e) = write()
    {
        failed(e);
    }
}

/// Takes note that a write to standard output has failed.
pub(super) fn failed(error: io::Error) {
    // Only the first one matters.
    let _ = FIRST.set(error);
}

/// Whether a write to standard output has failed.
pub(super) fn has_failed() -> bool {
    FIRST.get().is_some()
}

/// Returns why a part of the answer is missing, such as a full disk. A reader that has gone, such as a pager, did not
/// want it.
pub(super) fn why() -> Option<&'static io::Error> {
    FIRST.get().filter(|e| e.kind() != ErrorKind::BrokenPipe && Errno::from_io_error(e) != Some(Errno::CONNRESET))
}
