//! Standard output and standard error, which may have no reader. What does not fit into the pipe is buffered in memory,
//! up to a limit; beyond that it is dropped and counted. No write waits longer for its reader than a command may. A
//! daemon's standard error is written by a thread ([`LogWriter`]): it may also be a file on a disk that hangs.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;
use rustix::net::SendFlags;

use super::journal;
use super::log_writer::LogWriter;
use super::unwritten;

/// The maximum size of the buffer, in bytes.
const MOST: usize = 256 << 10;

/// The size of a single write, in bytes: a pipe that accepts anything accepts this much at once.
const PIECE: usize = 4096;

/// How long a command waits for a reader that does not read, before it goes on without it.
const READER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the process waits for a reader before it ends.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// How often to retry while the reader does not read.
const PAUSE: Duration = Duration::from_millis(50);

/// A stream with its buffer.
struct Stream {
    /// Which stream it is.
    which: Which,
    /// What could not be written yet.
    waiting: Vec<u8>,
    /// The number of lines dropped since that was last reported.
    dropped: u64,
    /// The reader let a write time out; it is not waited for until it reads again.
    given_up: bool,
    /// How to write to it; determined at the first write.
    sink: Option<Sink>,
}

/// A stream that was inherited from the parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

static OUTPUT: Mutex<Stream> = Mutex::new(Stream::new(Which::Output));
static ERROR: Mutex<Stream> = Mutex::new(Stream::new(Which::Error));

/// Writes standard error, in a daemon.
static LOG: LogWriter = LogWriter::new();

/// How to write without blocking. The flags of the inherited descriptor are not changed: other processes share them.
enum Sink {
    /// A pipe or a terminal, opened again.
    Reopened(File),
    /// A socket: each write is marked as non-blocking.
    Socket,
    /// A pipe or a terminal that cannot be opened again: poll(2) is called before each write.
    Asked,
    /// A file: a write waits for no reader.
    Plain,
}

impl Sink {
    fn find(which: Which) -> Self {
        let Ok(here) = rustix::fs::fstat(which.descriptor()) else { return Self::Plain };
        match FileType::from_raw_mode(here.st_mode) {
            FileType::Socket => Self::Socket,
            FileType::Fifo | FileType::CharacterDevice => {
                let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).unwrap_or(0);
                let again = OpenOptions::new().write(true).custom_flags(flags).open(which.path());
                again.map_or(Self::Asked, Self::Reopened)
            }
            _ => Self::Plain,
        }
    }

    /// Writes some of the bytes, or fails if it would block.
    fn write(&mut self, which: Which, bytes: &[u8]) -> io::Result<usize> {
        let stream = which.descriptor();
        match self {
            Self::Reopened(file) => file.write(bytes),
            Self::Socket => Ok(rustix::net::send(stream, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?),
            Self::Asked => {
                let mut asked = [PollFd::new(&stream, PollFlags::OUT)];
                poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
                let [answer] = asked;
                if answer.revents().is_empty() {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(rustix::io::write(stream, bytes)?)
            }
            Self::Plain => Ok(rustix::io::write(stream, bytes)?),
        }
    }
}

impl Which {
    fn descriptor(self) -> BorrowedFd<'static> {
        match self {
            Self::Output => rustix::stdio::stdout(),
            Self::Error => rustix::stdio::stderr(),
        }
    }

    /// Returns the path for opening it again.
    fn path(self) -> &'static str {
        match self {
            Self::Output => "/proc/self/fd/1",
            Self::Error => "/proc/self/fd/2",
        }
    }

    fn lock(self) -> MutexGuard<'static, Stream> {
        let stream = match self {
            Self::Output => &OUTPUT,
            Self::Error => &ERROR,
        };
        stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    const fn new(which: Which) -> Self {
        Self { which, waiting: Vec::new(), dropped: 0, given_up: false, sink: None }
    }

    /// Writes the buffer as far as the reader takes it; returns whether all was written.
    fn write_waiting(&mut self) -> bool {
        let sink = self.sink.get_or_insert_with(|| Sink::find(self.which));
        let mut written = 0;
        let mut done = true;
        while let Some(rest) = self.waiting.get(written..).filter(|rest| !rest.is_empty()) {
            if self.which == Which::Output && unwritten::has_failed() {
                written = self.waiting.len();
                break;
            }
            match sink.write(self.which, rest.get(..PIECE).unwrap_or(rest)) {
                Ok(n @ 1..) => written += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    done = false;
                    break;
                }
                // The reader has gone, or the disk is full.
                failed => {
                    written = self.waiting.len();
                    if self.which == Which::Output {
                        unwritten::failed(failed.err().unwrap_or_else(|| io::ErrorKind::WriteZero.into()));
                    }
                }
            }
        }
        self.waiting.drain(..written);
        done
    }

    fn take(&mut self, line: &[u8]) {
        if self.waiting.len().saturating_add(line.len()) <= MOST {
            self.waiting.extend_from_slice(line);
        } else {
            self.dropped += 1;
        }
    }
}

/// Writes a line, now or later.
pub(super) fn write(which: Which, line: &[u8]) {
    if which == Which::Error && LOG.add(line) {
        return;
    }
    let mut here = which.lock();
    here.take(line);
    if here.write_waiting() {
        here.given_up = false;
    } else if !here.given_up {
        here.given_up = !wait(&mut here, READER_TIMEOUT);
    }
}

/// Waits until everything is written, as long as the reader takes something within each `timeout`; returns whether it
/// was. Other writers wait meanwhile.
fn wait(here: &mut Stream, timeout: Duration) -> bool {
    let mut since = Instant::now();
    let mut left = here.waiting.len();
    while !here.write_waiting() {
        if here.waiting.len() < left {
            (since, left) = (Instant::now(), here.waiting.len());
        }
        if since.elapsed() > timeout {
            return false;
        }
        std::thread::sleep(PAUSE);
    }
    true
}

/// How much is added to a growing answer before a write is tried, in bytes.
const TRY: usize = 64 << 10;

/// An answer on standard output that grows. What the reader has not taken is buffered without limit, so that the
/// producer does not wait for it.
pub(super) struct Growing {
    stream: Stream,
    /// The size of the buffer at which a write is tried.
    try_at: usize,
}

impl Growing {
    /// Starts with nothing.
    pub(super) fn new() -> Self {
        Self { stream: Stream::new(Which::Output), try_at: TRY }
    }

    /// Appends text.
    pub(super) fn add(&mut self, text: &[u8]) {
        self.stream.waiting.extend_from_slice(text);
        if self.stream.waiting.len() >= self.try_at {
            self.stream.write_waiting();
            // Each try moves what is left, so the more there is, the rarer the tries.
            self.try_at = TRY + self.stream.waiting.len() / 2 * 3;
        }
    }

    /// Writes the rest, waiting for the reader.
    pub(super) fn finish(self) {
        unwritten::unless_failed(|| {
            let mut output = io::stdout().lock();
            output.write_all(&self.stream.waiting).and_then(|()| output.flush())
        });
    }
}

/// From now on no write to standard error waits: a thread does it all.
///
/// # Errors
/// The system has no thread for it.
pub(super) fn never_wait() -> io::Result<()> {
    let mut here = Which::Error.lock();
    LOG.start("log", std::mem::take(&mut here.waiting), write_blocking)
}

/// Writes to standard error, however long it takes; what cannot be written is lost.
fn write_blocking(mut line: &[u8]) {
    while !line.is_empty() {
        match rustix::io::write(Which::Error.descriptor(), line) {
            Ok(count @ 1..) => line = line.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            // Another process made it non-blocking.
            Err(Errno::AGAIN) => std::thread::sleep(PAUSE),
            // The reader has gone, or the disk is full.
            Ok(_) | Err(_) => return,
        }
    }
}

/// Writes the buffers before the process ends, if the readers take them soon.
pub(super) fn finish() {
    finish_log(LAST_WAIT);
    for which in [Which::Output, Which::Error] {
        let mut here = which.lock();
        if wait(&mut here, LAST_WAIT) && here.dropped > 0 {
            let dropped = std::mem::take(&mut here.dropped);
            here.take(format!("mailferry: {dropped} lines were dropped, because nothing read them\n").as_bytes());
            here.write_waiting();
        }
    }
}

/// Writes what waits of the log, for as long as some of it is taken within each `timeout`.
pub(super) fn finish_log(timeout: Duration) {
    LOG.finish(timeout);
    journal::finish(timeout);
}
