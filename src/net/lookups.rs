//! Lookups of host names: shared by all who need the same name, and bounded, because a resolver may hang for ever and
//! each lookup takes a thread. Those that hang leave room to the others ([`rooms`]). Who finds no room nevertheless may
//! use the addresses of the last lookup ([`past`]).

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::threads::{NotDone, blocking};
use past::Past;
use rooms::{Rooms, Slot};

pub(super) use rooms::Limits;

mod past;
mod rooms;

/// Who may use addresses of an earlier lookup waits this long for room first.
const PATIENCE: Duration = Duration::from_secs(5);

/// How a lookup ended.
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
    /// The lookup could not be done.
    NotDone(NotDone),
    /// It did not end in time.
    Late,
    /// It did not begin in time: as many others were under way as may be.
    NoRoom {
        /// How many were under way.
        others: usize,
    },
}

/// The lookups of the process.
#[derive(Debug)]
pub(super) struct Lookups {
    under_way: Arc<Mutex<UnderWay>>,
    past: Arc<Mutex<Past>>,
    rooms: Arc<Rooms>,
}

/// Whose addresses to find, and until when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The name, without brackets.
    pub(super) name: &'a str,
    /// The port, which some resolvers take into account.
    pub(super) port: u16,
    /// When to give up.
    pub(super) deadline: Instant,
    /// Whether addresses of an earlier lookup will do if there is no room for another one: whoever answers there has to
    /// prove the name.
    pub(super) may_be_outdated: bool,
}

impl Lookups {
    /// Allows so many lookups simultaneously.
    pub(super) fn new(limits: Limits) -> Self {
        Self { under_way: Arc::default(), past: Arc::default(), rooms: Arc::new(Rooms::new(limits)) }
    }

    /// Waits until the deadline for the addresses of a name. `look_up` is called only if no lookup of the same name is
    /// under way; it goes on when the deadline has passed.
    pub(super) async fn find(
        &self,
        wanted: Wanted<'_>,
        look_up: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
    ) -> Result<Vec<SocketAddr>, Failed> {
        let Wanted { name, port, deadline, may_be_outdated } = wanted;
        let (key, now) = ((name.to_owned(), port), Instant::now());
        let joined = locked(&self.under_way).get(&key).cloned();
        let mut answer = match joined {
            Some(answer) => answer,
            None => {
                let (expected, last) = {
                    let past = locked(&self.past);
                    (past.expected(&key), may_be_outdated.then(|| past.addresses(&key, now)).flatten())
                };
                let until = if last.is_some() { deadline.min(now + PATIENCE) } else { deadline };
                match (self.rooms.enter(expected, until).await, last) {
                    (Some(slot), _) => self.begin(key, slot, look_up),
                    (None, Some(addresses)) => {
                        tracing::debug!("no room to look up {name}: using the addresses found before");
                        return Ok(addresses);
                    }
                    (None, None) => return Err(Failed::NoRoom { others: locked(&self.under_way).len() }),
                }
            }
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

    /// Begins a lookup, unless another one began while this one waited for room.
    fn begin(
        &self,
        key: Key,
        slot: Slot,
        look_up: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
    ) -> watch::Receiver<Option<LookupResult>> {
        let mut under_way = locked(&self.under_way);
        if let Some(answer) = under_way.get(&key) {
            return answer.clone();
        }
        let (sender, answer) = watch::channel(None);
        under_way.insert(key.clone(), answer.clone());
        let (theirs, past, rooms) = (Arc::clone(&self.under_way), Arc::clone(&self.past), Arc::clone(&self.rooms));
        let work = blocking(look_up);
        tokio::spawn(async move {
            let (found, took_long) = rooms.follow(slot, work).await;
            let found = found.map(|found| found.map_err(Arc::new));
            locked(&past).ended(&key, &found, took_long, Instant::now());
            locked(&theirs).remove(&key);
            sender.send_replace(Some(found));
        });
        answer
    }
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// A lookup that hangs until the sender is dropped.
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

    fn lookups(most: usize, prompt: usize, long: usize) -> Lookups {
        Lookups::new(Limits { most, prompt, long, ..Limits::default() })
    }

    fn wanted(name: &str, deadline: Instant) -> Wanted<'_> {
        Wanted { name, port: 995, deadline, may_be_outdated: false }
    }

    /// Lets everything go on that can.
    async fn settle() {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }

    /// Waits for a result while ten seconds pass, in a test whose time stands still.
    async fn in_ten_seconds<T>(result: impl Future<Output = T>) -> T {
        let pass = async {
            settle().await;
            tokio::time::advance(Duration::from_secs(10)).await;
            settle().await;
        };
        tokio::join!(result, pass).0
    }

    fn in_five_seconds() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    /// Begins lookups of these names that hang until the senders are dropped.
    async fn hang(lookups: &Lookups, names: &[&str]) -> Vec<mpsc::Sender<()>> {
        let mut hung = Vec::new();
        for name in names {
            let (sender, look_up) = hanging(&Arc::default());
            let found = in_ten_seconds(lookups.find(wanted(name, in_five_seconds()), look_up)).await;
            assert!(matches!(found, Err(Failed::Late)));
            hung.push(sender);
        }
        hung
    }

    /// Looks up a name, for which there is room.
    async fn finds(lookups: &Lookups, name: &str) {
        let in_vain = async {
            for _ in 0..30_000 {
                std::thread::sleep(Duration::from_millis(1));
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            found = lookups.find(wanted(name, in_five_seconds()), || Ok(vec![address()])) => {
                assert_eq!(found.unwrap(), [address()]);
            }
            () = in_vain => panic!("no room for {name}"),
        }
    }

    /// Whether there is no room for a lookup.
    async fn has_no_room(lookups: &Lookups, name: &str) -> bool {
        let look_up = lookups.find(wanted(name, in_five_seconds()), || unreachable!());
        matches!(in_ten_seconds(look_up).await, Err(Failed::NoRoom { .. }))
    }

    #[tokio::test]
    async fn a_name_that_hangs_takes_one_thread_however_often_it_is_asked_for() {
        let (lookups, begun) = (lookups(8, 8, 8), Arc::default());
        let (hung, look_up) = hanging(&begun);
        assert!(matches!(lookups.find(wanted("pop.example", soon()), look_up).await, Err(Failed::Late)));
        for _ in 0..3 {
            let again = lookups.find(wanted("pop.example", soon()), || unreachable!());
            assert!(matches!(again.await, Err(Failed::Late)));
        }
        assert_eq!(begun.load(Ordering::SeqCst), 1);
        let other = lookups.find(Wanted { port: 110, ..wanted("pop.example", later()) }, || Ok(vec![address()]));
        assert_eq!(other.await.unwrap(), [address()]);
        // Who waits when it ends at last gets its answer.
        let waiting = lookups.find(wanted("pop.example", later()), || unreachable!());
        let (found, ()) = tokio::join!(waiting, async { drop(hung) });
        assert_eq!(found.unwrap(), [address()]);
        let anew = lookups.find(wanted("pop.example", later()), || Ok(Vec::new()));
        assert_eq!(anew.await.unwrap(), []);
    }

    #[tokio::test]
    async fn who_finds_no_room_is_told_and_room_comes_back() {
        let (lookups, begun) = (lookups(2, 0, 0), Arc::default());
        let mut hung = Vec::new();
        for name in ["one", "two"] {
            let (sender, look_up) = hanging(&begun);
            assert!(matches!(lookups.find(wanted(name, soon()), look_up).await, Err(Failed::Late)));
            hung.push(sender);
        }
        let none = lookups.find(wanted("three", soon()), || unreachable!());
        assert!(matches!(none.await, Err(Failed::NoRoom { others: 2 })));
        let joined = lookups.find(wanted("one", soon()), || unreachable!());
        assert!(matches!(joined.await, Err(Failed::Late)), "it needs no room");
        let waiting = lookups.find(wanted("three", later()), || Ok(vec![address()]));
        let (found, ()) = tokio::join!(waiting, async { drop(hung.pop()) });
        assert_eq!(found.unwrap(), [address()]);
    }

    #[tokio::test]
    async fn an_error_is_the_same_for_all() {
        let lookups = lookups(2, 0, 0);
        for error in [io::Error::from_raw_os_error(24), io::Error::other("Name or service not known")] {
            let expected = (error.kind(), error.raw_os_error(), error.to_string());
            match lookups.find(wanted("pop.example", later()), || Err(error)).await {
                Err(Failed::Resolver(e)) => assert_eq!((e.kind(), e.raw_os_error(), e.to_string()), expected),
                other => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_long_makes_room_for_names_that_were_never_looked_up() {
        let lookups = lookups(1, 0, 2);
        let _hung = hang(&lookups, &["one"]).await;
        finds(&lookups, "two").await;
        let _more = hang(&lookups, &["three", "four"]).await;
        assert!(has_no_room(&lookups, "five").await, "no more than so many");
    }

    #[tokio::test(start_paused = true)]
    async fn names_found_last_time_have_room_whatever_hangs() {
        let lookups = lookups(2, 1, 1);
        finds(&lookups, "known").await;
        let _hung = hang(&lookups, &["one", "two", "three"]).await;
        assert!(has_no_room(&lookups, "new").await);
        for _ in 0..3 {
            finds(&lookups, "known").await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn names_that_hung_last_time_have_only_a_part_of_the_room() {
        let lookups = lookups(1, 0, 1);
        for name in ["one", "two"] {
            drop(hang(&lookups, &[name]).await);
            while !locked(&lookups.under_way).is_empty() {
                tokio::task::yield_now().await;
            }
        }
        let _hung = hang(&lookups, &["one"]).await;
        assert!(has_no_room(&lookups, "two").await);
        for _ in 0..3 {
            finds(&lookups, "new").await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_room_may_use_the_addresses_found_before() {
        let lookups = lookups(1, 0, 0);
        finds(&lookups, "known").await;
        let _hung = hang(&lookups, &["hangs"]).await;
        let ask = |name, may_be_outdated| {
            let wanted = Wanted { may_be_outdated, ..wanted(name, in_five_seconds()) };
            in_ten_seconds(lookups.find(wanted, || unreachable!()))
        };
        assert_eq!(ask("known", true).await.unwrap(), [address()]);
        assert!(matches!(ask("known", false).await, Err(Failed::NoRoom { others: 1 })), "it must be up to date");
        assert!(matches!(ask("unknown", true).await, Err(Failed::NoRoom { others: 1 })));
        assert!(matches!(ask("hangs", true).await, Err(Failed::Late)), "its own lookup hangs");
    }
}
