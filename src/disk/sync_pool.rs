//! Syncs many files concurrently, so that the file system commits them together: one after the other, each would wait
//! for a commit of its own.
//!
//! Each file system has its own pool of threads, so that one that is slow or hangs does not hold up the others. On one
//! file system the batches of several accounts take turns, file by file. The owner of a batch works on it as well, so
//! it makes progress even if all threads of the pool are stuck, or no more can be started.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::DiskFile;

/// How many files of one file system are synced at the same time, besides the one that the owner of a batch works on.
/// The threads only wait, so this is about how many syncs the file system can merge, not about processors. Measured in
/// `docs/performance.md`.
const THREADS: usize = 15;

/// The limit for the threads of all pools: those on a hanging file system may never return.
const MOST_THREADS: usize = 16 * THREADS;

/// The stack size of a thread in bytes. Set explicitly, so that $RUST_MIN_STACK has no effect.
const STACK: usize = 256 << 10;

/// A thread without work ends after this time.
const IDLE: Duration = Duration::from_secs(10);

/// The pools of this process.
static POOLS: Pools = Pools::new(MOST_THREADS, IDLE);

/// Syncs all files, helped by the threads for the file system with this device number; returns the results in order.
/// Without a number no threads help. Blocks.
pub(super) fn sync_files(device: Option<u64>, files: Vec<Box<dyn DiskFile>>) -> Vec<io::Result<()>> {
    POOLS.sync_files(device, files)
}

/// The pools of threads, one for each file system, by device number.
struct Pools {
    /// Those that have threads. Locked for moments only, never during a sync.
    pools: Mutex<BTreeMap<u64, Pool>>,
    /// The limit for the threads of all pools.
    most_threads: usize,
    /// How long a thread waits for work.
    idle: Duration,
}

/// The threads of one file system.
#[derive(Default)]
struct Pool {
    /// Batches with files left to sync. The next file is taken from the first batch.
    batches: VecDeque<Arc<Batch>>,
    /// How many threads it has.
    threads: usize,
    /// How many of them wait for work.
    waiting: usize,
    /// Wakes waiting threads.
    work: Arc<Condvar>,
}

/// Files to be synced together.
struct Batch {
    /// The files with their results. Each place is taken by one thread only, so nobody waits for its lock.
    places: Vec<Mutex<Place>>,
    /// The next place to take.
    next: AtomicUsize,
    /// How many files are done.
    done: Mutex<usize>,
    /// Signalled when all files are done.
    all_done: Condvar,
}

/// A file of a batch.
enum Place {
    Waiting(Box<dyn DiskFile>),
    Synced(io::Result<()>),
}

impl Pools {
    const fn new(most_threads: usize, idle: Duration) -> Self {
        Self { pools: Mutex::new(BTreeMap::new()), most_threads, idle }
    }

    fn sync_files(&'static self, device: Option<u64>, mut files: Vec<Box<dyn DiskFile>>) -> Vec<io::Result<()>> {
        let Some(device) = device.filter(|_| files.len() > 1) else {
            return files.iter_mut().map(|file| file.sync()).collect();
        };
        let batch = Arc::new(Batch::new(files));
        self.offer(device, &batch);
        while batch.sync_next() {}
        batch.results()
    }

    /// Offers a batch to the threads of a file system, starting more of them if needed.
    fn offer(&'static self, device: u64, batch: &Arc<Batch>) {
        let wanted = (batch.places.len() - 1).min(THREADS);
        let missing = {
            let mut pools = lock(&self.pools);
            let in_all: usize = pools.values().map(|pool| pool.threads).sum();
            let pool = pools.entry(device).or_default();
            // Drops batches that their owners finished while all threads were stuck.
            pool.batches.retain(|batch| batch.has_more());
            pool.batches.push_back(Arc::clone(batch));
            (0..wanted.min(pool.waiting)).for_each(|_| pool.work.notify_one());
            let missing = wanted.saturating_sub(pool.waiting).min(THREADS.saturating_sub(pool.threads));
            let missing = missing.min(self.most_threads.saturating_sub(in_all));
            pool.threads += missing;
            if pool.threads == 0 {
                pools.remove(&device);
            }
            missing
        };
        for _ in 0..missing {
            let work = move || self.work(device);
            if thread::Builder::new().name("sync".to_owned()).stack_size(STACK).spawn(work).is_err() {
                // The owner of the batch syncs it alone.
                self.leave(&mut lock(&self.pools), device);
            }
        }
    }

    /// The main loop of a thread: takes a file from each batch in turn.
    fn work(&self, device: u64) {
        let mut pools = lock(&self.pools);
        while let Some(pool) = pools.get_mut(&device) {
            let Some(batch) = pool.batches.pop_front() else {
                pool.waiting += 1;
                let work = Arc::clone(&pool.work);
                let waited = work.wait_timeout(pools, self.idle).unwrap_or_else(PoisonError::into_inner);
                pools = waited.0;
                let Some(pool) = pools.get_mut(&device) else { return };
                pool.waiting -= 1;
                if waited.1.timed_out() && pool.batches.is_empty() {
                    return self.leave(&mut pools, device);
                }
                continue;
            };
            let Some(place) = batch.take() else { continue };
            if batch.has_more() {
                pool.batches.push_back(Arc::clone(&batch));
            }
            drop(pools);
            batch.sync(place);
            drop(batch);
            pools = lock(&self.pools);
        }
    }

    /// Ends a thread, and with the last one its pool.
    fn leave(&self, pools: &mut BTreeMap<u64, Pool>, device: u64) {
        if let Some(pool) = pools.get_mut(&device) {
            pool.threads -= 1;
            if pool.threads == 0 {
                pools.remove(&device);
            }
        }
    }
}

impl Batch {
    fn new(files: Vec<Box<dyn DiskFile>>) -> Self {
        let places = files.into_iter().map(|file| Mutex::new(Place::Waiting(file))).collect();
        Self { places, next: AtomicUsize::new(0), done: Mutex::new(0), all_done: Condvar::new() }
    }

    /// Takes the next file.
    fn take(&self) -> Option<&Mutex<Place>> {
        self.places.get(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether files may be left to take.
    fn has_more(&self) -> bool {
        self.next.load(Ordering::Relaxed) < self.places.len()
    }

    /// Syncs one more file; false if all are taken.
    fn sync_next(&self) -> bool {
        self.take().map(|place| self.sync(place)).is_some()
    }

    fn sync(&self, place: &Mutex<Place>) {
        // Counted even if the sync panics, so that nobody waits forever.
        let _counted = Counted(self);
        let mut place = lock(place);
        if let Place::Waiting(file) = &mut *place {
            // This also closes the file.
            *place = Place::Synced(file.sync());
        }
    }

    /// Waits until all files are done.
    fn results(&self) -> Vec<io::Result<()>> {
        let done = lock(&self.done);
        drop(self.all_done.wait_while(done, |done| *done < self.places.len()));
        self.places.iter().map(|place| result(&mut lock(place))).collect()
    }
}

/// Counts a file as done when dropped.
struct Counted<'a>(&'a Batch);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let mut done = lock(&self.0.done);
        *done += 1;
        if *done == self.0.places.len() {
            self.0.all_done.notify_all();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The result of a file. A file that was never reached counts as not synced.
fn result(place: &mut Place) -> io::Result<()> {
    match std::mem::replace(place, Place::Synced(Ok(()))) {
        Place::Synced(result) => result,
        Place::Waiting(_) => Err(io::Error::other("the file was not synced")),
    }
}

#[cfg(test)]
#[path = "sync_pool_tests.rs"]
mod tests;
