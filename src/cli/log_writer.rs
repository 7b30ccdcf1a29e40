//! A thread that writes the log, so that nothing else waits for what takes it: a pipe, a terminal, a file on a disk that
//! hangs, the journal. What waits to be written is kept in memory, up to a limit; further lines are dropped and counted.

use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::threads;

/// The maximum size of what waits, in bytes.
const MOST: usize = 256 << 10;

/// How long the end waits for all to be written, even if some of it still is.
const LONGEST_END: Duration = Duration::from_secs(5);

/// What waits to be written, and the thread that writes it.
pub(super) struct LogWriter {
    backlog: Mutex<Backlog>,
    /// Notified when a line was added, and when one was written.
    changed: Condvar,
}

/// What waits to be written.
struct Backlog {
    /// Whether there is a thread that writes.
    is_started: bool,
    /// Lines of text or entries of the journal, oldest first.
    lines: VecDeque<Vec<u8>>,
    /// The size of `lines` and of the line that is being written, in bytes.
    size: usize,
    /// The number of lines dropped since that was last reported.
    dropped: u64,
}

impl LogWriter {
    /// Has no thread yet.
    pub(super) const fn new() -> Self {
        let backlog = Backlog { is_started: false, lines: VecDeque::new(), size: 0, dropped: 0 };
        Self { backlog: Mutex::new(backlog), changed: Condvar::new() }
    }

    /// Starts the thread. `first` is written before all else; `write` writes a line, and may block.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(super) fn start(
        &'static self,
        name: &str,
        first: Vec<u8>,
        mut write: impl FnMut(&[u8]) + Send + 'static,
    ) -> io::Result<()> {
        threads::start(name, move || {
            loop {
                let line = self.next();
                write(&line);
                self.is_written(line.len());
            }
        })?;
        self.lock().is_started = true;
        self.add(&first);
        Ok(())
    }

    /// Adds a line, or drops it. False if there is no thread to write it.
    pub(super) fn add(&self, line: &[u8]) -> bool {
        let mut backlog = self.lock();
        if !backlog.is_started {
            return false;
        }
        if backlog.size.saturating_add(line.len()) > MOST {
            backlog.dropped += 1;
        } else if !line.is_empty() {
            backlog.size += line.len();
            backlog.lines.push_back(line.to_vec());
            self.changed.notify_all();
        }
        true
    }

    /// Waits until all is written, for as long as a line is written within each `timeout`.
    pub(super) fn finish(&self, timeout: Duration) {
        let begun = Instant::now();
        let mut backlog = self.lock();
        let (mut since, mut left) = (begun, backlog.size);
        while backlog.size > 0 && since.elapsed() < timeout && begun.elapsed() < LONGEST_END {
            let waited = self.changed.wait_timeout(backlog, timeout.saturating_sub(since.elapsed()));
            backlog = waited.unwrap_or_else(PoisonError::into_inner).0;
            if backlog.size < left {
                (since, left) = (Instant::now(), backlog.size);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a line to write.
    fn next(&self) -> Vec<u8> {
        let mut backlog = self.lock();
        loop {
            if let Some(line) = backlog.lines.pop_front() {
                return line;
            }
            backlog = self.changed.wait(backlog).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes note that a line of this size was written, or could not be. Once all are, tells how many were dropped.
    fn is_written(&self, size: usize) {
        let mut backlog = self.lock();
        let dropped = if backlog.lines.is_empty() { std::mem::take(&mut backlog.dropped) } else { 0 };
        drop(backlog);
        // The line about that is added before the last one counts as written: the end waits for both.
        if dropped > 0 {
            tracing::warn!(event = "log", "{dropped} lines of the log were dropped, because nothing read them");
        }
        self.lock().size -= size;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A writer that hangs in each line until it is let go, with what it has written.
    fn hanging() -> (&'static LogWriter, Sender<()>, Receiver<String>) {
        let writer: &'static LogWriter = Box::leak(Box::new(LogWriter::new()));
        let ((go, gate), (written, lines)) = (channel(), channel());
        let write = move |line: &[u8]| {
            let _ = gate.recv();
            let _ = written.send(String::from_utf8_lossy(line).into_owned());
        };
        assert!(!writer.add(b"nobody takes it"));
        writer.start("log", b"first".to_vec(), write).unwrap();
        (writer, go, lines)
    }

    #[test]
    fn nothing_waits_for_a_write_that_hangs_and_what_is_too_much_is_counted() {
        let (writer, go, lines) = hanging();
        let line = [b'x'; 1024];
        for _ in 0..1000 {
            assert!(writer.add(&line));
        }
        let backlog = writer.lock();
        let (size, dropped, kept) = (backlog.size, backlog.dropped, backlog.lines.len());
        drop(backlog);
        assert!(size <= MOST && size > MOST - 1024, "{size}");
        assert!(dropped > 700 && kept < 300, "{dropped} {kept}");
        drop(go);
        writer.finish(Duration::from_secs(30));
        let lines: Vec<_> = lines.try_iter().collect();
        assert_eq!(lines[0], "first");
        assert_eq!(lines.len() as u64 + dropped, 1001);
        assert_eq!(writer.lock().dropped, 0, "it was told");
    }

    #[test]
    fn lines_keep_their_order_and_the_end_waits_for_the_last() {
        let (writer, go, lines) = hanging();
        for number in 0..100 {
            writer.add(number.to_string().as_bytes());
        }
        drop(go);
        writer.finish(Duration::from_secs(30));
        let expected: Vec<_> = std::iter::once("first".to_owned()).chain((0..100).map(|n| n.to_string())).collect();
        assert_eq!(lines.try_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_end_does_not_wait_for_ever() {
        let (writer, _go, _lines) = hanging();
        let begun = Instant::now();
        writer.finish(Duration::from_millis(50));
        assert!(begun.elapsed() >= Duration::from_millis(50));
        assert_eq!(writer.lock().size, 5, "nothing was written");
    }
}
