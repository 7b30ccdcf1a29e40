//! Standard error, which nobody may be reading: what does not fit into the pipe waits in memory, within a bound, and what
//! does not fit there either is dropped and counted. No write waits for its reader longer than a command may.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
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
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the end of the process waits for one.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// How often it is tried whether the reader reads again.
const PAUSE: Duration = Duration::from_millis(50);

/// What waits, and where it goes.
struct StandardError {
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

static STANDARD_ERROR: Mutex<StandardError> =
    Mutex::new(StandardError { waiting: Vec::new(), dropped: 0, waits: true, given_up: false, sink: None });

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
    fn find() -> Self {
        let Ok(here) = rustix::fs::fstat(io::stderr().as_fd()) else { return Self::Plain };
        match FileType::from_raw_mode(here.st_mode) {
            FileType::Socket => Self::Socket,
            FileType::Fifo | FileType::CharacterDevice => {
                let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).unwrap_or(0);
                let again = OpenOptions::new().write(true).custom_flags(flags).open("/proc/self/fd/2");
                again.map_or(Self::Asked, Self::Reopened)
            }
            _ => Self::Plain,
        }
    }

    /// Writes some of this, or says that it would have to wait.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let stderr = io::stderr();
        match self {
            Self::Reopened(file) => file.write(bytes),
            Self::Socket => Ok(rustix::net::send(stderr.as_fd(), bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?),
            Self::Asked => {
                let mut asked = [PollFd::new(&stderr, PollFlags::OUT)];
                poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
                let [answer] = asked;
                if answer.revents().is_empty() {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                stderr.lock().write(bytes)
            }
            Self::Plain => stderr.lock().write(bytes),
        }
    }
}

impl StandardError {
    /// Writes what waits, as far as the reader takes it; whether all of it went.
    fn write_waiting(&mut self) -> bool {
        let sink = self.sink.get_or_insert_with(Sink::find);
        let mut written = 0;
        let mut done = true;
        while let Some(rest) = self.waiting.get(written..).filter(|rest| !rest.is_empty()) {
            match sink.write(rest.get(..PIECE).unwrap_or(rest)) {
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

fn lock() -> MutexGuard<'static, StandardError> {
    STANDARD_ERROR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a line, now or later.
pub(super) fn write(line: &[u8]) {
    let mut here = lock();
    here.take(line);
    if here.write_waiting() {
        here.given_up = false;
    } else if here.waits && !here.given_up {
        here.given_up = !wait(&mut here, PATIENCE);
    } else {
        drop(here);
        BEHIND.notify_one();
    }
}

/// Waits until everything is written, as long as the reader takes something in each `patience`; whether it was. Others
/// who write wait as well.
fn wait(here: &mut StandardError, patience: Duration) -> bool {
    let mut since = Instant::now();
    let mut left = here.waiting.len();
    while !here.write_waiting() {
        if here.waiting.len() < left {
            (since, left) = (Instant::now(), here.waiting.len());
        }
        if since.elapsed() > patience {
            return false;
        }
        std::thread::sleep(PAUSE);
    }
    true
}

/// From here on nobody waits for the reader: what it does not take is written by a task, as soon as it does.
pub(super) fn never_wait() {
    lock().waits = false;
    tokio::spawn(async {
        loop {
            BEHIND.notified().await;
            while !lock().write_waiting() {
                tokio::time::sleep(PAUSE).await;
            }
            let dropped = std::mem::take(&mut lock().dropped);
            if dropped > 0 {
                tracing::warn!(event = "log", "{dropped} lines of the log were dropped, because nobody read them");
            }
        }
    });
}

/// Writes what waits before the process ends, if the reader takes it soon.
pub(super) fn finish() {
    let mut here = lock();
    if wait(&mut here, LAST_WAIT) && here.dropped > 0 {
        let dropped = std::mem::take(&mut here.dropped);
        here.take(format!("mailferry: {dropped} lines were dropped, because nobody read them\n").as_bytes());
        here.write_waiting();
    }
}
