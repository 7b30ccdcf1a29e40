//! Which configured file is being read: if that takes too long, the user should know which disk to check.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The file that is being read, if one is.
#[derive(Debug, Default)]
pub(super) struct Reading(Mutex<Option<PathBuf>>);

impl Reading {
    /// Reads a file.
    pub(super) fn of<T>(&self, path: &Path, read: impl FnOnce() -> T) -> T {
        self.note(Some(path.to_owned()));
        let done = read();
        self.note(None);
        done
    }

    /// Returns the file that is being read.
    pub(super) fn file(&self) -> Option<PathBuf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, file: Option<PathBuf>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = file;
    }
}
