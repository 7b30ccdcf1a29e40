//! Limits how many threads look at files with secrets. A directory may be on a disk that hangs, and a look there keeps
//! its thread: so only a few take place at the same time, and others wait without a thread.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::watch;

/// How many threads look into one directory at the same time. A look takes no time, or hangs.
const AT_ONCE: usize = 4;

/// The looks of this process.
static LOOKS: LazyLock<Looks> = LazyLock::new(Looks::default);

/// The looks in progress and those waiting, by directory.
#[derive(Debug, Default)]
struct Looks(Mutex<HashMap<PathBuf, Arc<Semaphore>>>);

/// A permit to look, valid until dropped; it is moved to the thread that looks.
#[derive(Debug)]
pub(crate) struct Turn {
    // Dropped first, before checking whether others need the semaphore.
    permit: Option<OwnedSemaphorePermit>,
    looks: &'static Looks,
    directory: PathBuf,
}

/// Waits until a file may be looked at. The poll counts as waiting for a disk meanwhile.
pub(crate) async fn turn_at(file: &Path) -> Turn {
    let _seen = watch::waits_for_disk();
    LOOKS.turn_in(file.parent().unwrap_or(file)).await
}

impl Looks {
    async fn turn_in(&'static self, directory: &Path) -> Turn {
        let directory = directory.to_owned();
        let turns = {
            let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(looks.entry(directory.clone()).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))))
        };
        // The semaphore is never closed.
        Turn { permit: turns.acquire_owned().await.ok(), looks: self, directory }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.permit.take());
        let mut looks = self.looks.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Others that wait or look hold it, too.
        if looks.get(&self.directory).is_some_and(|turns| Arc::strong_count(turns) == 1) {
            looks.remove(&self.directory);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn few_look_into_a_directory_at_a_time_and_others_into_another_one() {
        let looks: &'static Looks = Box::leak(Box::default());
        let mut turns = Vec::new();
        for _ in 0..AT_ONCE {
            turns.push(looks.turn_in(Path::new("/hangs")).await);
        }
        let soon = Duration::from_millis(20);
        let mut one_more = tokio::spawn(looks.turn_in(Path::new("/hangs")));
        drop(tokio::time::timeout(soon, looks.turn_in(Path::new("/good"))).await.expect("nobody looks there"));
        assert!(tokio::time::timeout(soon, &mut one_more).await.is_err(), "as many as may look there do");
        turns.pop();
        drop(one_more.await.unwrap());
        drop(turns);
        assert!(looks.0.lock().unwrap().is_empty(), "what nobody looks into is forgotten");
    }
}
