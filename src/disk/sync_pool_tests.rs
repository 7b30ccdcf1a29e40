use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::*;

/// The limit for every wait here.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A file whose sync calls this function.
struct Odd<F>(F);

impl<F: FnMut() -> io::Result<()> + Send + Sync> DiskFile for Odd<F> {
    fn begin_sync(&mut self) {}

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn sync(&mut self) -> io::Result<()> {
        (self.0)()
    }

    fn truncate(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn set_mode(&mut self, _: u32) -> io::Result<()> {
        Ok(())
    }

    fn device(&self) -> Option<u64> {
        None
    }

    fn id(&self) -> io::Result<crate::disk::FileId> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn try_lock(&mut self) -> io::Result<bool> {
        Ok(true)
    }
}

fn file(sync: impl FnMut() -> io::Result<()> + Send + Sync + 'static) -> Box<dyn DiskFile> {
    Box::new(Odd(sync))
}

fn pools(most_threads: usize, idle: Duration) -> &'static Pools {
    Box::leak(Box::new(Pools::new(most_threads, idle)))
}

fn threads(pools: &Pools) -> usize {
    lock(&pools.pools).values().map(|pool| pool.threads).sum()
}

#[track_caller]
fn wait_for(mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < TIMEOUT, "it does not happen");
        thread::sleep(Duration::from_millis(1)); // the pace of looking
    }
}

/// A file system whose syncs hang until it is released.
#[derive(Clone, Default)]
struct Hanging {
    released: Arc<AtomicBool>,
    hit: Arc<AtomicUsize>,
}

impl Hanging {
    fn file(&self) -> Box<dyn DiskFile> {
        let this = self.clone();
        file(move || {
            this.hit.fetch_add(1, Ordering::Relaxed);
            wait_for(|| this.released.load(Ordering::Relaxed));
            Ok(())
        })
    }
}

#[test]
fn each_file_gets_its_own_answer() {
    let odd = |odd| file(move || if odd { Err(io::Error::other("odd")) } else { Ok(()) });
    for (count, device) in [0, 1, 2, 16, 17, 100].into_iter().flat_map(|count| [(count, Some(7)), (count, None)]) {
        let results = sync_files(device, (0..count).map(|n| odd(n % 2 == 1)).collect());
        assert_eq!(results.len(), count);
        assert!(results.iter().enumerate().all(|(n, result)| result.is_err() == (n % 2 == 1)));
    }
    assert!(sync_files(Some(7), vec![odd(true)])[0].is_err(), "nor is one by itself");
}

#[test]
fn a_file_that_no_thread_came_to_is_not_synced() {
    let mut places = [Place::Waiting(file(|| Ok(()))), Place::Synced(Ok(()))];
    assert_eq!(places.each_mut().map(|place| result(place).is_ok()), [false, true]);
}

#[test]
fn a_panic_costs_one_file() {
    let pools = pools(0, IDLE);
    let batch = Arc::new(Batch::new(vec![file(|| panic!("odd")), file(|| Ok(()))]));
    pools.offer(1, &batch);
    let theirs = Arc::clone(&batch);
    assert!(thread::spawn(move || theirs.sync_next()).join().is_err());
    assert!(batch.sync_next() && !batch.sync_next());
    assert_eq!(batch.results().iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn a_file_system_that_hangs_holds_up_no_other_and_not_even_its_own() {
    let pools = pools(MOST_THREADS, IDLE);
    let hanging = Hanging::default();
    let stuck: Vec<_> = (0..3)
        .map(|_| {
            let files: Vec<_> = (0..100).map(|_| hanging.file()).collect();
            thread::spawn(move || pools.sync_files(Some(1), files))
        })
        .collect();
    wait_for(|| hanging.hit.load(Ordering::Relaxed) == THREADS + 3);
    // Even on device 1, files that do not hang are synced by the owner of their batch.
    for device in [2, 1] {
        let results = pools.sync_files(Some(device), (0..20).map(|_| file(|| Ok(()))).collect());
        assert!(results.iter().all(Result::is_ok), "device {device}");
    }
    hanging.released.store(true, Ordering::Relaxed);
    for stuck in stuck {
        assert!(stuck.join().unwrap().iter().all(Result::is_ok));
    }
}

#[test]
fn batches_of_one_file_system_take_turns() {
    let pools = pools(MOST_THREADS, IDLE);
    let (large, small) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let slow = |count: &Arc<AtomicUsize>| {
        let count = Arc::clone(count);
        file(move || {
            thread::sleep(Duration::from_millis(5)); // a slow disk
            count.fetch_add(1, Ordering::SeqCst);
            Ok(())
        })
    };
    let files: Vec<_> = (0..2000).map(|_| slow(&large)).collect();
    let first = thread::spawn(move || pools.sync_files(Some(1), files));
    wait_for(|| large.load(Ordering::SeqCst) > 0);
    pools.sync_files(Some(1), (0..20).map(|_| slow(&small)).collect());
    assert!(large.load(Ordering::SeqCst) < 1500, "the small batch did not wait for the large one");
    first.join().unwrap();
}

#[test]
fn threads_are_bounded_and_end_when_there_is_nothing_to_do() {
    let pools = pools(20, Duration::from_millis(50));
    let hanging = Hanging::default();
    let stuck: Vec<_> = (0..10)
        .map(|device| {
            let files: Vec<_> = (0..10).map(|_| hanging.file()).collect();
            thread::spawn(move || pools.sync_files(Some(device), files))
        })
        .collect();
    wait_for(|| hanging.hit.load(Ordering::Relaxed) == 20 + 10);
    assert_eq!(threads(pools), 20);
    hanging.released.store(true, Ordering::Relaxed);
    stuck.into_iter().for_each(|stuck| drop(stuck.join().unwrap()));
    wait_for(|| lock(&pools.pools).is_empty());
    assert!(pools.sync_files(Some(1), (0..5).map(|_| file(|| Ok(()))).collect()).iter().all(Result::is_ok));
}
