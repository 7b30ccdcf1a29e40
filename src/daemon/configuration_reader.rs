//! The thread that reloads the configuration. It is always the same one, because glibc has a memory arena for each
//! thread: what reading a hundred thousand accounts allocated and freed is reused by the next reading. Another thread
//! would allocate it again.

use std::sync::mpsc::{SendError, Sender, channel};

use crate::threads;

/// The work of one reload.
pub(super) type Reading = Box<dyn FnOnce() + Send>;

/// A handle to that thread.
#[derive(Default)]
pub(super) struct ConfigurationReader {
    /// The thread's queue, once it was started. It ends when this is dropped.
    readings: Option<Sender<Reading>>,
}

impl ConfigurationReader {
    /// Queues a reading. Returns it if the system has no thread for it.
    pub(super) fn read(&mut self, reading: Reading) -> Result<(), Reading> {
        let reading = match &self.readings {
            // If a reading panicked, the thread has ended.
            Some(readings) => match readings.send(reading) {
                Ok(()) => return Ok(()),
                Err(SendError(reading)) => reading,
            },
            None => reading,
        };
        let (readings, told) = channel::<Reading>();
        if threads::start("configuration", move || told.into_iter().for_each(|reading| reading())).is_err() {
            return Err(reading);
        }
        let sent = readings.send(reading).map_err(|SendError(reading)| reading);
        self.readings = Some(readings);
        sent
    }
}

#[cfg(test)]
mod tests {
    use std::thread::{self, ThreadId};

    use super::*;

    /// Returns the thread on which a reading runs.
    fn thread_of(reader: &mut ConfigurationReader) -> ThreadId {
        let (sender, told) = channel();
        reader.read(Box::new(move || sender.send(thread::current().id()).unwrap())).ok().unwrap();
        told.recv().unwrap()
    }

    #[test]
    fn all_readings_are_on_one_thread() {
        let mut reader = ConfigurationReader::default();
        let first = thread_of(&mut reader);
        assert_ne!(first, thread::current().id());
        assert_eq!(thread_of(&mut reader), first);
    }

    #[test]
    fn a_reading_that_panics_is_not_the_last_one() {
        let mut reader = ConfigurationReader::default();
        let (begun, told) = channel::<()>();
        // The sender is dropped once the panic has unwound.
        let faulty = move || {
            let _begun = begun;
            std::panic::resume_unwind(Box::new("odd"))
        };
        reader.read(Box::new(faulty)).ok().unwrap();
        assert!(told.recv().is_err());
        // The ending thread may still accept readings and drop them.
        while {
            let (sender, told) = channel();
            reader.read(Box::new(move || sender.send(()).unwrap())).ok().unwrap();
            told.recv().is_err()
        } {}
    }
}
