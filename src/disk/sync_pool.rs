//! Syncs many files side by side, so that the file system commits them together: one after the other each would wait for
//! a commit of its own.
//!
//! Each file system has a pool of threads of its own, so that one that is slow or hangs holds up no other. On one file
//! system the batches of several accounts take turns, file by file. And whoever has a batch works on it himself: so it
//! gets on even where all threads of its pool are stuck, or where there may be no more of them.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::DiskFile;

/// How many files of one file system are synced at the same time, the one of the batch's owner not counted. The threads
/// only wait, so this is about how many the file system can merge, not about processors; measured in
/// `docs/performance.md`.
const THREADS: usize = 15;

/// How many threads there are in all pools: those of a file system that hangs may never come back.
const MOST_THREADS: usize = 16 * THREADS;

/// What a thread has for its stack, in bytes. It is said, so that $RUST_MIN_STACK is not looked at.
const STACK: usize = 256 << 10;

/// A thread that had nothing to do for so long ends.
const IDLE: Duration = Duration::from_secs(10);

/// The pools of this process.
static POOLS: Pools = Pools::new(MOST_THREADS, IDLE);

/// Syncs all files, which are on one file system, that of this device number; answers in their order. Without a number no
/// thread helps. Blocks.
pub(super) fn sync_files(device: Option<u64>, files: Vec<Box<dyn DiskFile>>) -> Vec<io::Result<()>> {
    POOLS.sync_files(device, files)
}

/// A pool for each file system, by the number of its device.
struct Pools {
    /// Those that have threads. Held for moments only, never while a file is synced.
    pools: Mutex<BTreeMap<u64, Pool>>,
    /// How many threads there may be in all.
    most_threads: usize,
    /// How long a thread waits for work.
    idle: Duration,
}

/// The threads of one file system.
#[derive(Default)]
struct Pool {
    /// Batches with files that nobody has taken yet; the next file is one of the first.
    batches: VecDeque<Arc<Batch>>,
    /// How many threads there are.
    threads: usize,
    /// How many of them wait for work.
    waiting: usize,
    /// Wakes those.
    work: Arc<Condvar>,
}

/// Files that are synced together.
struct Batch {
    /// The files with what came of them. Each place is taken by one thread, so nobody ever waits for one.
    places: Vec<Mutex<Place>>,
    /// The place that is taken next.
    next: AtomicUsize,
    /// How many are done.
    done: Mutex<usize>,
    /// Rings when all are.
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

    /// Lets the threads of a file system help with a batch, and starts further ones.
    fn offer(&'static self, device: u64, batch: &Arc<Batch>) {
        let wanted = (batch.places.len() - 1).min(THREADS);
        let missing = {
            let mut pools = lock(&self.pools);
            let in_all: usize = pools.values().map(|pool| pool.threads).sum();
            let pool = pools.entry(device).or_default();
            // Those that their owners finished while all threads were stuck.
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
                // The owner of the batch gets it done alone.
                self.leave(&mut lock(&self.pools), device);
            }
        }
    }

    /// What a thread does: a file of each batch in turn, as long as there are any.
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

    /// A thread ends, and with the last one its pool.
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

    /// Takes a file that nobody has taken yet.
    fn take(&self) -> Option<&Mutex<Place>> {
        self.places.get(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether there may be another one.
    fn has_more(&self) -> bool {
        self.next.load(Ordering::Relaxed) < self.places.len()
    }

    /// Syncs one more file; false if all are taken.
    fn sync_next(&self) -> bool {
        self.take().map(|place| self.sync(place)).is_some()
    }

    fn sync(&self, place: &Mutex<Place>) {
        // Counted even if the sync panics: nobody may wait for it for ever.
        let _counted = Counted(self);
        let mut place = lock(place);
        if let Place::Waiting(file) = &mut *place {
            // The file is closed with this, too.
            *place = Place::Synced(file.sync());
        }
    }

    /// Waits until all are done.
    fn results(&self) -> Vec<io::Result<()>> {
        let done = lock(&self.done);
        drop(self.all_done.wait_while(done, |done| *done < self.places.len()));
        self.places.iter().map(|place| result(&mut lock(place))).collect()
    }
}

/// A file whose turn is over when this is dropped.
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

/// What came of a file; one that nobody got to is not synced.
fn result(place: &mut Place) -> io::Result<()> {
    match std::mem::replace(place, Place::Synced(Ok(()))) {
        Place::Synced(result) => result,
        Place::Waiting(_) => Err(io::Error::other("the file was not synced")),
    }
}

#[cfg(test)]
#[path = "sync_pool_tests.rs"]
mod tests;
