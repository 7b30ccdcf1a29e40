//! Syncs many files side by side, so that the file system commits them together: one after the other each would wait for
//! a commit of its own. One small pool for all accounts.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread;

use super::DiskFile;

/// How many files are synced at the same time. The threads only wait, so this is about how many the file system can
/// merge, not about processors; measured in `docs/performance.md`.
const THREADS: usize = 16;

/// Files that are synced together. Every thread takes the next one until there is none, so that a batch of hundreds wakes
/// each thread once, and each thread wakes the caller once.
struct Batch {
    /// The files with what came of them. Each place is taken by one thread, so nobody ever waits for one.
    places: Vec<Mutex<Place>>,
    /// The place that is taken next.
    next: AtomicUsize,
}

/// A file of a batch.
enum Place {
    Waiting(Box<dyn DiskFile>),
    Synced(io::Result<()>),
}

/// A thread's share of a batch. Who waits for it notices that it is dropped.
struct Share {
    batch: Arc<Batch>,
    _done: mpsc::Sender<()>,
}

/// The pool; None if no thread could be had.
static POOL: OnceLock<Option<mpsc::Sender<Share>>> = OnceLock::new();

/// Syncs all files; answers in their order. Blocks.
pub(super) fn sync_files(mut files: Vec<Box<dyn DiskFile>>) -> Vec<io::Result<()>> {
    let pool = if files.len() > 1 { POOL.get_or_init(start).as_ref() } else { None };
    let Some(pool) = pool else {
        return files.iter_mut().map(|file| file.sync()).collect();
    };
    let threads = files.len().min(THREADS);
    let places = files.into_iter().map(|file| Mutex::new(Place::Waiting(file))).collect();
    let batch = Arc::new(Batch { places, next: AtomicUsize::new(0) });
    let (done, all_done) = mpsc::channel();
    for _ in 0..threads {
        // The pool's threads live as long as the process; what none of them takes is not synced.
        let _ = pool.send(Share { batch: Arc::clone(&batch), _done: done.clone() });
    }
    drop(done);
    // Nothing is ever sent: this ends when the last share is dropped.
    let _ = all_done.recv();
    batch.places.iter().map(|place| result(&mut lock(place))).collect()
}

fn lock(place: &Mutex<Place>) -> MutexGuard<'_, Place> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What came of a file; one that nobody got to is not synced.
fn result(place: &mut Place) -> io::Result<()> {
    match std::mem::replace(place, Place::Synced(Ok(()))) {
        Place::Synced(result) => result,
        Place::Waiting(_) => Err(io::Error::other("the file was not synced")),
    }
}

fn start() -> Option<mpsc::Sender<Share>> {
    let (sender, receiver) = mpsc::channel::<Share>();
    let receiver = Arc::new(Mutex::new(receiver));
    let mut started = 0;
    for _ in 0..THREADS {
        let receiver = Arc::clone(&receiver);
        let work = move || {
            while let Some(share) = next(&receiver) {
                share.work();
            }
        };
        started += usize::from(thread::Builder::new().name("sync".to_owned()).spawn(work).is_ok());
    }
    (started > 0).then_some(sender)
}

fn next(receiver: &Mutex<mpsc::Receiver<Share>>) -> Option<Share> {
    receiver.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

impl Share {
    fn work(self) {
        while let Some(place) = self.batch.places.get(self.batch.next.fetch_add(1, Ordering::Relaxed)) {
            let mut place = lock(place);
            if let Place::Waiting(file) = &mut *place {
                // The file is closed with this, too.
                *place = Place::Synced(file.sync());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::FileId;

    struct Odd(bool);

    impl DiskFile for Odd {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn sync(&mut self) -> io::Result<()> {
            if self.0 { Err(io::Error::other("odd")) } else { Ok(()) }
        }

        fn truncate(&mut self, _: u64) -> io::Result<()> {
            Ok(())
        }

        fn id(&self) -> io::Result<FileId> {
            Ok(FileId { device: 0, inode: 0 })
        }

        fn try_lock(&mut self) -> io::Result<bool> {
            Ok(true)
        }

        fn set_mode(&mut self, _: u32) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_file_gets_its_own_answer() {
        let file = |odd| Box::new(Odd(odd)) as Box<dyn DiskFile>;
        let results = sync_files((0..100).map(|n| file(n % 2 == 1)).collect());
        assert_eq!(results.len(), 100);
        assert!(results.iter().enumerate().all(|(n, result)| result.is_err() == (n % 2 == 1)));
        // A single one is synced without the pool.
        for odd in [false, true] {
            assert!(matches!(sync_files(vec![file(odd)]).as_slice(), [result] if result.is_err() == odd));
        }
    }

    #[test]
    fn a_file_that_no_thread_came_to_is_not_synced() {
        let mut places = [Place::Waiting(Box::new(Odd(false))), Place::Synced(Ok(()))];
        assert_eq!(places.each_mut().map(|place| result(place).is_ok()), [false, true]);
    }
}
