//! Standard error and standard output, which nobody may be reading: what does not fit into the pipe waits in memory, within
//! a bound, and what does not fit there either is dropped and counted. No write waits for its reader longer than a command
//! may.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, OFlags};
use rustix::net::SendFlags;
use tokio::sync::Notify;

/// How much may wait for the reader, in bytes.
const MOST: usize = 256 << 10;

/// What is written at a time, in bytes: a pipe that takes anything takes as much as this at once.
const PIECE: usize = 4096;

/// How long a command waits for a reader that does not read, before it goes on without.
const READER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the end of the process waits for one.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// How often it is tried whether the reader reads again.
const PAUSE: Duration = Duration::from_millis(50);

/// What waits, and where it goes.
struct Stream {
    /// Which one it is.
    which: Which,
    /// What could not be written yet.
    waiting: Vec<u8>,
    /// How many lines were dropped since that was told last.
    dropped: u64,
    /// Whether a writer waits for the reader: a command does, a daemon does not.
    waits: bool,
    /// The reader let a writer wait in vain, and is not waited for again until it reads.
    given_up: bool,
    /// How it is written to; found out at the first write.
    sink: Option<Sink>,
}

/// A stream that a parent has opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

static OUTPUT: Mutex<Stream> = Mutex::new(Stream::new(Which::Output));
static ERROR: Mutex<Stream> = Mutex::new(Stream::new(Which::Error));

/// Wakes who writes what waits.
static BEHIND: Notify = Notify::const_new();

/// How to write without waiting. The flags of standard error itself stay as they are: others share them.
enum Sink {
    /// A pipe or a terminal, opened once more.
    Reopened(File),
    /// A socket: each write says that it does not wait.
    Socket,
    /// A pipe or a terminal that cannot be opened again. It is asked before each write.
    Asked,
    /// A file: writing never waits for a reader.
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

    /// Writes some of this, or says that it would have to wait.
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

    /// Opens it once more, for itself.
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
        Self { which, waiting: Vec::new(), dropped: 0, waits: true, given_up: false, sink: None }
    }

    /// Writes what waits, as far as the reader takes it; whether all of it went.
    fn write_waiting(&mut self) -> bool {
        let sink = self.sink.get_or_insert_with(|| Sink::find(self.which));
        let mut written = 0;
        let mut done = true;
        while let Some(rest) = self.waiting.get(written..).filter(|rest| !rest.is_empty()) {
            match sink.write(self.which, rest.get(..PIECE).unwrap_or(rest)) {
                Ok(n @ 1..) => written += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    done = false;
                    break;
                }
                // Nobody is there, or the disk is full.
                Ok(_) | Err(_) => written = self.waiting.len(),
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
    let mut here = which.lock();
    here.take(line);
    if here.write_waiting() {
        here.given_up = false;
    } else if here.waits && !here.given_up {
        here.given_up = !wait(&mut here, READER_TIMEOUT);
    } else {
        drop(here);
        BEHIND.notify_one();
    }
}

/// Waits until everything is written, as long as the reader takes something in each `timeout`; whether it was. Others
/// who write wait as well.
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

/// So much is added to a growing answer before it is tried whether the reader takes it, in bytes.
const TRY: usize = 64 << 10;

/// An answer on standard output that grows. What the reader does not take yet waits in memory, however much it is: whoever
/// has more to say does not wait for him.
pub(super) struct Growing {
    stream: Stream,
    /// It is tried again when so much waits.
    try_at: usize,
}

impl Growing {
    /// Says nothing yet.
    pub(super) fn new() -> Self {
        Self { stream: Stream::new(Which::Output), try_at: TRY }
    }

    /// Adds to it.
    pub(super) fn add(&mut self, text: &[u8]) {
        self.stream.waiting.extend_from_slice(text);
        if self.stream.waiting.len() >= self.try_at {
            self.stream.write_waiting();
            // What is left is moved at each try, so they become rarer with it.
            self.try_at = TRY + self.stream.waiting.len() / 2 * 3;
        }
    }

    /// That was all: the reader is waited for.
    pub(super) fn finish(self) {
        let mut output = io::stdout().lock();
        // Nobody has to read it.
        let _ = output.write_all(&self.stream.waiting).and_then(|()| output.flush());
    }
}

/// From here on nobody waits for the reader of standard error: what it does not take is written by a task, as soon as it does.
pub(super) fn never_wait() {
    Which::Error.lock().waits = false;
    tokio::spawn(async {
        loop {
            BEHIND.notified().await;
            while !Which::Error.lock().write_waiting() {
                tokio::time::sleep(PAUSE).await;
            }
            let dropped = std::mem::take(&mut Which::Error.lock().dropped);
            if dropped > 0 {
                tracing::warn!(event = "log", "{dropped} lines of the log were dropped, because nothing read them");
            }
        }
    });
}

/// Writes what waits before the process ends, if the readers take it soon.
pub(super) fn finish() {
    for which in [Which::Output, Which::Error] {
        let mut here = which.lock();
        if wait(&mut here, LAST_WAIT) && here.dropped > 0 {
            let dropped = std::mem::take(&mut here.dropped);
            here.take(format!("mailferry: {dropped} lines were dropped, because nothing read them\n").as_bytes());
            here.write_waiting();
        }
    }
}
