//! Syncs many files side by side, so that the file system commits them together: one after the other each would wait for
//! a commit of its own. One small pool for all accounts.

use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread;

use super::DiskFile;

/// How many files are synced at the same time. The threads only wait, so this is about how many the file system can
/// merge, not about processors; measured in `docs/performance.md`.
const THREADS: usize = 16;

/// Files that are synced together. Every thread takes the next one until there is none, so that a batch of hundreds wakes
/// each thread once.
struct Batch {
    /// What is still to be done, with the place of each among the files of the caller.
    files: Mutex<Vec<(usize, Box<dyn DiskFile>)>>,
}

/// A thread's share of a batch, and who waits for it.
struct Share {
    batch: Arc<Batch>,
    answer: mpsc::Sender<(usize, io::Result<()>)>,
}

/// The pool; None if no thread could be had.
static POOL: OnceLock<Option<mpsc::Sender<Share>>> = OnceLock::new();

/// Syncs all files; answers in their order. Blocks.
pub(super) fn sync_files(mut files: Vec<Box<dyn DiskFile>>) -> Vec<io::Result<()>> {
    let pool = if files.len() > 1 { POOL.get_or_init(start).as_ref() } else { None };
    let Some(pool) = pool else {
        return files.iter_mut().map(|file| file.sync()).collect();
    };
    let count = files.len();
    let mut results: Vec<io::Result<()>> = Vec::new();
    results.resize_with(count, || Err(io::Error::other("the file was not synced")));
    // The last one is taken first, so they are turned round: first written, first synced.
    let batch = Arc::new(Batch { files: Mutex::new(files.into_iter().enumerate().rev().collect()) });
    let (answer, answers) = mpsc::channel();
    for _ in 0..count.min(THREADS) {
        // The pool's threads live as long as the process; what none of them takes is not synced.
        let _ = pool.send(Share { batch: Arc::clone(&batch), answer: answer.clone() });
    }
    drop(answer);
    for (at, result) in answers {
        if let Some(slot) = results.get_mut(at) {
            *slot = result;
        }
    }
    results
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
        loop {
            let next = self.batch.files.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some((at, mut file)) = next else { return };
            let result = file.sync();
            drop(file);
            // Whoever asked may be gone.
            let _ = self.answer.send((at, result));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }

    #[test]
    fn each_file_gets_its_own_answer() {
        let files: Vec<Box<dyn DiskFile>> = (0..100).map(|n| Box::new(Odd(n % 2 == 1)) as Box<dyn DiskFile>).collect();
        let results = sync_files(files);
        assert_eq!(results.len(), 100);
        assert!(results.iter().enumerate().all(|(n, result)| result.is_err() == (n % 2 == 1)));
    }
}
