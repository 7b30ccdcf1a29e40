//! Starts threads on a system that may have none left (`ulimit -u`, `TasksMax=`, `pids.max`). All blocking work goes
//! through here. tokio panics if it gets no thread; here that is an error, and the work is dropped.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinError, JoinHandle};

/// The stack of a thread, in bytes. Set explicitly, so that $RUST_MIN_STACK has no effect.
const STACK: usize = 2 << 20;

/// The stack of the main thread where the system gives it less (`ulimit -s`), in bytes: what it usually gives.
const MAIN_STACK: usize = 8 << 20;

/// The most threads for blocking work. Threads that wait for hanging disks cost next to nothing, but once they occupy
/// all of these, no work gets done.
pub(crate) const MOST_BLOCKING: usize = 1664;

/// How long making the runtime may take. It takes a millisecond, or for ever if a thread is refused halfway.
const START: Duration = Duration::from_secs(3);

/// Why blocking work failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotDone {
    /// The system has no thread left.
    NoThread,
    /// It panicked with this message, which has been printed.
    Panicked(String),
    /// It was cancelled before it began.
    Cancelled,
}

impl fmt::Display for NotDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoThread => f.write_str("the system cannot start another thread"),
            Self::Panicked(_) | Self::Cancelled => f.write_str("an internal error; see the lines above"),
        }
    }
}

impl std::error::Error for NotDone {}

impl From<JoinError> for NotDone {
    fn from(e: JoinError) -> Self {
        let Ok(panic) = e.try_into_panic() else { return Self::Cancelled };
        let words = match panic.downcast::<String>() {
            Ok(words) => *words,
            Err(panic) => panic.downcast_ref::<&str>().copied().unwrap_or_default().to_owned(),
        };
        Self::Panicked(words)
    }
}

impl From<NotDone> for io::Error {
    fn from(e: NotDone) -> Self {
        match e {
            NotDone::NoThread => rustix::io::Errno::AGAIN.into(),
            NotDone::Panicked(_) | NotDone::Cancelled => Self::other(e),
        }
    }
}

/// Blocking work on another thread. It continues whether or not this is awaited.
#[derive(Debug)]
#[must_use = "nobody hears how it ended"]
pub(crate) struct Blocking<T>(Option<JoinHandle<Option<T>>>);

impl<T> Future for Blocking<T> {
    type Output = Result<T, NotDone>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Some(handle) => Pin::new(handle).poll(cx).map(|done| done?.ok_or(NotDone::Cancelled)),
            None => Poll::Ready(Err(NotDone::NoThread)),
        }
    }
}

/// Begins blocking work on a thread of its own, or after other work if the system has no more threads. If it has none
/// at all, the work is dropped with everything that it holds.
pub(crate) fn blocking<T, F>(work: F) -> Blocking<T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    // What the work logs is about the same account as here.
    let span = tracing::Span::current();
    // tokio keeps work that got no thread until there is one. Nobody waits for it then, and it may hold a lock, so it
    // is taken out again.
    let place = Arc::new(Mutex::new(Some(work)));
    let theirs = Arc::clone(&place);
    let spawn = || {
        tokio::task::spawn_blocking(move || {
            let work = theirs.lock().unwrap_or_else(PoisonError::into_inner).take();
            work.map(|work| span.in_scope(work))
        })
    };
    let begun = quietly(spawn);
    if begun.is_none() {
        drop(place.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
    Blocking(begun)
}

thread_local! {
    /// Whether a panic of this thread is expected, so that it is not printed.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs something that panics if the system has no thread. None if it panicked.
fn quietly<T>(work: impl FnOnce() -> T) -> Option<T> {
    QUIET.set(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    QUIET.set(false);
    done.ok()
}

/// Whether a panic is one that ends as [`NotDone::NoThread`].
pub(crate) fn is_expected(_panic: &PanicHookInfo<'_>) -> bool {
    QUIET.get()
}

/// Runs the program with enough stack, whatever `ulimit -s` says: on the main thread, or on one whose stack has a size of
/// its own.
///
/// # Errors
/// The system has no thread, or no memory for its stack.
pub(crate) fn with_enough_stack<T: Send + 'static>(main: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let most = rustix::process::getrlimit(rustix::process::Resource::Stack).current;
    if most.is_none_or(|most| most >= u64::try_from(MAIN_STACK).unwrap_or(u64::MAX)) {
        return Ok(main());
    }
    let thread = thread::Builder::new().name("main".to_owned()).stack_size(MAIN_STACK).spawn(main)?;
    Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

/// Starts a named thread.
pub(crate) fn start(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    named(name).spawn(work).map(drop)
}

fn named(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.to_owned()).stack_size(STACK)
}

/// Makes the runtime for polls: with a thread for each processor, or with a single one if there are not enough.
/// `beside` is the number of other threads that will be needed.
///
/// # Errors
/// The system has too few threads.
pub(crate) fn runtime(beside: usize) -> io::Result<Runtime> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let workers =
        if can_be_had(processors + beside).is_ok() { processors } else { can_be_had(1 + beside).map(|()| 1)? };
    // The threads may have been taken meanwhile. Then building the runtime panics, and waits for the workers that were
    // started, so it is done on a thread that may hang. The number of workers is set, so that $TOKIO_WORKER_THREADS has
    // no effect.
    let (sender, built) = mpsc::channel();
    start("start", move || {
        let build = || {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(workers).max_blocking_threads(MOST_BLOCKING).thread_stack_size(STACK);
            builder.enable_all().build()
        };
        // The receiver is gone if this took too long.
        let _ = sender.send(quietly(build).unwrap_or_else(|| Err(NotDone::NoThread.into())));
    })?;
    built.recv_timeout(START).unwrap_or_else(|_| Err(NotDone::NoThread.into()))
}

/// Makes the runtime of a command that only asks, or polls a single account: it needs no second thread except for
/// blocking work.
///
/// # Errors
/// Those of the system, such as too many open files.
pub(crate) fn small_runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().thread_stack_size(STACK).enable_all().build()
}

/// Checks whether this many threads can be started, by starting them all for a moment.
fn can_be_had(threads: usize) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel::<()>();
    let receiver = Arc::new(Mutex::new(receiver));
    let mut taken = Vec::new();
    let mut refused = Ok(());
    for _ in 0..threads {
        let receiver = Arc::clone(&receiver);
        // Nothing is ever sent: this ends when the sender is dropped.
        let wait = move || _ = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match named("probe").spawn(wait) {
            Ok(thread) => taken.push(thread),
            Err(e) => {
                refused = Err(e);
                break;
            }
        }
    }
    drop(sender);
    taken.into_iter().for_each(|thread| drop(thread.join()));
    refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_blocks_is_done_and_a_panic_is_its_end() {
        assert_eq!(blocking(|| 6 * 7).await, Ok(42));
        let faulty = blocking(|| if QUIET.get() { 1 } else { std::panic::resume_unwind(Box::new("odd")) });
        assert_eq!(faulty.await, Err(NotDone::Panicked("odd".to_owned())));
    }

    #[test]
    fn a_thread_that_is_refused_is_an_error_and_what_it_was_for_is_dropped() {
        // A runtime that may have no thread for blocking work refuses it as the system does: by a panic.
        let held = Arc::new(());
        let copy = Arc::clone(&held);
        // Without a runtime tokio panics, too.
        let refused = blocking(move || drop(copy));
        assert!(refused.0.is_none());
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[test]
    fn threads_are_given_back_after_the_look() {
        can_be_had(3).unwrap();
        let runtime = runtime(2).unwrap();
        assert_eq!(runtime.block_on(async { blocking(|| 1).await }), Ok(1));
        runtime.shutdown_background();
    }
}
