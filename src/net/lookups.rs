//! Look-ups of host names: shared by all who need the same name, and bounded, because a resolver may hang for ever and
//! each look-up takes a thread.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout_at};

use crate::threads::{NotDone, blocking};

/// How many look-ups may be under way simultaneously. All but these threads remain for other work.
pub(super) const MOST: usize = 128;

/// How a look-up ended.
type LookupResult = Result<Result<Vec<SocketAddr>, Arc<io::Error>>, NotDone>;

/// A name and a port.
type Key = (String, u16);

/// Those under way, each with where its answer will be.
type UnderWay = HashMap<Key, watch::Receiver<Option<LookupResult>>>;

/// Why there are no addresses.
#[derive(Debug)]
pub(super) enum Failed {
    /// The resolver said so.
    Resolver(io::Error),
    /// The look-up could not be done.
    NotDone(NotDone),
    /// It did not end in time.
    Late,
    /// It did not begin in time: as many others were under way as may be.
    NoRoom,
}

/// The look-ups of the process.
#[derive(Debug)]
pub(super) struct Lookups {
    under_way: Arc<Mutex<UnderWay>>,
    room: Arc<Semaphore>,
}

impl Lookups {
    /// Allows this many look-ups simultaneously.
    pub(super) fn new(most: usize) -> Self {
        Self { under_way: Arc::default(), room: Arc::new(Semaphore::new(most)) }
    }

    /// Waits until the deadline for the addresses of a name. `look_up` is called only if no look-up of the same name is
    /// under way; it goes on when the deadline has passed.
    pub(super) async fn find(
        &self,
        name: &str,
        port: u16,
        deadline: Instant,
        look_up: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
    ) -> Result<Vec<SocketAddr>, Failed> {
        let key = (name.to_owned(), port);
        let joined = locked(&self.under_way).get(&key).cloned();
        let mut answer = match joined {
            Some(answer) => answer,
            None => match timeout_at(deadline, Arc::clone(&self.room).acquire_owned()).await {
                Ok(Ok(room)) => self.begin(key, room, look_up),
                _ => return Err(Failed::NoRoom),
            },
        };
        let answer = match timeout_at(deadline, answer.wait_for(Option::is_some)).await {
            Ok(Ok(answer)) => answer.clone(),
            // The runtime is ending.
            Ok(Err(_closed)) => None,
            Err(_elapsed) => return Err(Failed::Late),
        };
        match answer.unwrap_or(Err(NotDone::Cancelled)) {
            Ok(found) => found.map_err(|e| Failed::Resolver(once_more(&e))),
            Err(e) => Err(Failed::NotDone(e)),
        }
    }

    /// Begins a look-up, unless another one began while this one waited for room.
    fn begin(
        &self,
        key: Key,
        room: OwnedSemaphorePermit,
        look_up: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
    ) -> watch::Receiver<Option<LookupResult>> {
        let mut under_way = locked(&self.under_way);
        if let Some(answer) = under_way.get(&key) {
            return answer.clone();
        }
        let (sender, answer) = watch::channel(None);
        under_way.insert(key.clone(), answer.clone());
        let (theirs, work) = (Arc::clone(&self.under_way), blocking(look_up));
        tokio::spawn(async move {
            let found = work.await.map(|found| found.map_err(Arc::new));
            locked(&theirs).remove(&key);
            drop(room);
            sender.send_replace(Some(found));
        });
        answer
    }
}

fn locked(under_way: &Mutex<UnderWay>) -> MutexGuard<'_, UnderWay> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The same error for another one who waited for it.
fn once_more(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    fn address() -> SocketAddr {
        ([192, 0, 2, 1], 995).into()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    /// A look-up that hangs until the sender is dropped.
    fn hanging(begun: &Arc<AtomicUsize>) -> (mpsc::Sender<()>, impl FnOnce() -> io::Result<Vec<SocketAddr>> + use<>) {
        let (sender, hung) = mpsc::channel();
        let begun = Arc::clone(begun);
        let look_up = move || {
            begun.fetch_add(1, Ordering::SeqCst);
            let _ = hung.recv();
            Ok(vec![address()])
        };
        (sender, look_up)
    }

    #[tokio::test]
    async fn a_name_that_hangs_takes_one_thread_however_often_it_is_asked_for() {
        let (lookups, begun) = (Lookups::new(8), Arc::default());
        let (hung, look_up) = hanging(&begun);
        assert!(matches!(lookups.find("pop.example", 995, soon(), look_up).await, Err(Failed::Late)));
        for _ in 0..3 {
            let again = lookups.find("pop.example", 995, soon(), || unreachable!());
            assert!(matches!(again.await, Err(Failed::Late)));
        }
        assert_eq!(begun.load(Ordering::SeqCst), 1);
        let other = lookups.find("pop.example", 110, later(), || Ok(vec![address()]));
        assert_eq!(other.await.unwrap(), [address()]);
        // Who waits when it ends at last gets its answer.
        let waiting = lookups.find("pop.example", 995, later(), || unreachable!());
        let (found, ()) = tokio::join!(waiting, async { drop(hung) });
        assert_eq!(found.unwrap(), [address()]);
        let anew = lookups.find("pop.example", 995, later(), || Ok(Vec::new()));
        assert_eq!(anew.await.unwrap(), []);
    }

    #[tokio::test]
    async fn who_finds_no_room_is_told_and_room_comes_back() {
        let (lookups, begun) = (Lookups::new(2), Arc::default());
        let mut hung = Vec::new();
        for name in ["one", "two"] {
            let (sender, look_up) = hanging(&begun);
            assert!(matches!(lookups.find(name, 995, soon(), look_up).await, Err(Failed::Late)));
            hung.push(sender);
        }
        let none = lookups.find("three", 995, soon(), || unreachable!());
        assert!(matches!(none.await, Err(Failed::NoRoom)));
        let joined = lookups.find("one", 995, soon(), || unreachable!());
        assert!(matches!(joined.await, Err(Failed::Late)), "it needs no room");
        let waiting = lookups.find("three", 995, later(), || Ok(vec![address()]));
        let (found, ()) = tokio::join!(waiting, async { drop(hung.pop()) });
        assert_eq!(found.unwrap(), [address()]);
    }

    #[tokio::test]
    async fn an_error_is_the_same_for_all() {
        let lookups = Lookups::new(2);
        for error in [io::Error::from_raw_os_error(24), io::Error::other("Name or service not known")] {
            let expected = (error.kind(), error.raw_os_error(), error.to_string());
            match lookups.find("pop.example", 995, later(), || Err(error)).await {
                Err(Failed::Resolver(e)) => assert_eq!((e.kind(), e.raw_os_error(), e.to_string()), expected),
                other => panic!("{other:?}"),
            }
        }
    }
}
