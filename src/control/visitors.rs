//! The connections to a socket: one that is merely held, or not read from, makes room for a new one.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

/// How long a new connection is safe: if many arrive at once, they are about to send their requests.
const GRACE: Duration = Duration::from_millis(200);

/// The connections to a socket.
#[derive(Debug)]
pub(crate) struct Visitors {
    /// The maximum number of connections.
    most: usize,
    /// The connections that are open now.
    inside: Mutex<Inside>,
    /// Notified when one is closed or may have become closable.
    changed: Notify,
}

/// The connections that are open now, by number.
#[derive(Debug, Default)]
struct Inside {
    /// How many have been accepted so far.
    count: u64,
    /// The connections by number, oldest first.
    all: BTreeMap<u64, Visitor>,
}

/// A connection, and whether it may be closed for another one.
#[derive(Debug)]
struct Visitor {
    /// Since when we have been waiting for it: for its request, or for it to read its answer. None while it waits for
    /// us.
    awaited_since: Option<Instant>,
    /// Its task. None: not known yet.
    task: Option<AbortHandle>,
}

impl Visitors {
    /// Makes room for at most `most` connections.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, inside: Mutex::default(), changed: Notify::new() })
    }

    /// Waits until there is room for another connection. If there is none, closes the one that has kept us waiting
    /// longest.
    pub(crate) async fn make_room(&self) {
        loop {
            let now = Instant::now();
            let next = match self.inside().longest_awaited(self.most) {
                Ok(None) => return,
                Ok(Some(since)) => (since + GRACE).saturating_duration_since(now),
                // All of them wait for us, which takes seconds.
                Err(AllServed) => Duration::MAX,
            };
            if next.is_zero() {
                self.inside().end_longest_awaited();
                return;
            }
            let _ = timeout(next, self.changed.notified()).await;
        }
    }

    /// Adds a connection; `serve` starts the task that serves it.
    pub(crate) fn receive(self: &Arc<Self>, serve: impl FnOnce(Arc<Visit>) -> AbortHandle) {
        let number = {
            let mut inside = self.inside();
            inside.count += 1;
            let number = inside.count;
            inside.all.insert(number, Visitor { awaited_since: Some(Instant::now()), task: None });
            number
        };
        let task = serve(Arc::new(Visit { number, visitors: Arc::clone(self) }));
        // It may have ended already.
        if let Some(visitor) = self.inside().all.get_mut(&number) {
            visitor.task = Some(task);
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// We are waiting for none of the connections.
struct AllServed;

impl Inside {
    /// Returns since when we have been waiting for the connection to be closed next. None: there is room.
    fn longest_awaited(&self, most: usize) -> Result<Option<Instant>, AllServed> {
        if self.all.len() < most {
            return Ok(None);
        }
        self.all.values().filter_map(|visitor| visitor.awaited_since).min().map(Some).ok_or(AllServed)
    }

    fn end_longest_awaited(&mut self) {
        let awaited = self.all.iter().filter_map(|(number, visitor)| Some((visitor.awaited_since?, *number)));
        if let Some((_, number)) = awaited.min()
            && let Some(Visitor { task: Some(task), .. }) = self.all.remove(&number)
        {
            task.abort();
        }
    }
}

/// A registered connection; dropping this removes it.
#[derive(Debug)]
pub(crate) struct Visit {
    number: u64,
    visitors: Arc<Visitors>,
}

impl Visit {
    /// Records that it now waits for us.
    pub(crate) fn is_served(&self) {
        self.set(|_| None);
    }

    /// Records that we now wait for it.
    pub(crate) fn is_awaited(&self) {
        self.set(|_| Some(Instant::now()));
        self.visitors.changed.notify_one();
    }

    /// Records that it has read something: if we wait for it, the wait starts again.
    fn has_taken(&self) {
        self.set(|since| since.map(|_| Instant::now()));
    }

    fn set(&self, since: impl FnOnce(Option<Instant>) -> Option<Instant>) {
        if let Some(visitor) = self.visitors.inside().all.get_mut(&self.number) {
            visitor.awaited_since = since(visitor.awaited_since);
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.visitors.inside().all.remove(&self.number);
        self.visitors.changed.notify_one();
    }
}

/// A stream that records when its peer reads something. What the peer sends does not count: that may be a byte now and
/// then.
#[derive(Debug)]
pub(crate) struct Noted<S> {
    stream: S,
    visit: Arc<Visit>,
}

impl<S> Noted<S> {
    pub(crate) fn new(stream: S, visit: Arc<Visit>) -> Self {
        Self { stream, visit }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Noted<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noted<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, octets);
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.visit.has_taken();
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, octets);
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.visit.has_taken();
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection that stays until it has to go. Returns what tells whether it is still there.
    fn come(visitors: &Arc<Visitors>) -> Arc<Visit> {
        let mut there = None;
        visitors.receive(|visit| {
            there = Some(Arc::clone(&visit));
            tokio::spawn(async move {
                let _visit = visit;
                std::future::pending::<()>().await;
            })
            .abort_handle()
        });
        there.unwrap()
    }

    fn is_there(visit: &Visit) -> bool {
        visit.visitors.inside().all.contains_key(&visit.number)
    }

    /// Returns how long it takes until another one may come in, at most a minute.
    async fn wait(visitors: &Visitors) -> Duration {
        let begun = Instant::now();
        let _ = timeout(Duration::from_secs(60), visitors.make_room()).await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_that_was_waited_for_longest_makes_room() {
        let visitors = Visitors::new(3);
        let (first, second, third) = (come(&visitors), come(&visitors), come(&visitors));
        second.is_served();
        tokio::time::advance(Duration::from_secs(1)).await;
        first.has_taken();
        assert!(is_there(&first) && is_there(&second) && is_there(&third), "nobody has to go before another one comes");
        assert_eq!(wait(&visitors).await, Duration::ZERO);
        assert!(is_there(&first) && is_there(&second) && !is_there(&third));
        let fourth = come(&visitors);
        assert!(
            wait(&visitors).await <= GRACE + Duration::from_millis(1),
            "whoever has just come is not sent away at once"
        );
        assert!(!is_there(&first) && is_there(&second) && is_there(&fourth));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_goes_who_waits_for_us() {
        let visitors = Visitors::new(2);
        let (first, second) = (come(&visitors), come(&visitors));
        first.is_served();
        second.is_served();
        second.has_taken();
        assert_eq!(wait(&visitors).await.as_secs(), 60);
        let soon = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            first.is_awaited();
        };
        assert_eq!(tokio::join!(wait(&visitors), soon).0.as_secs(), 3);
        assert!(!is_there(&first) && is_there(&second));
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_ended_leaves_room() {
        let visitors = Visitors::new(1);
        visitors.receive(|visit| tokio::spawn(async move { drop(visit) }).abort_handle());
        let gone = wait(&visitors).await;
        assert!(gone < GRACE && visitors.inside().all.is_empty(), "{gone:?}");
    }
}
