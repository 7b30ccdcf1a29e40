//! The thread that reads the configuration anew. It is always the same one: glibc has an arena of memory for each thread,
//! and what a reading of a hundred thousand accounts has taken and given back there serves the next one. On another thread
//! it would be taken once more.

use std::sync::mpsc::{SendError, Sender, channel};

use crate::threads;

/// One reading.
pub(super) type Reading = Box<dyn FnOnce() + Send>;

/// That thread.
#[derive(Default)]
pub(super) struct ConfigurationReader {
    /// What it is told to do, once it has begun. It ends with this.
    readings: Option<Sender<Reading>>,
}

impl ConfigurationReader {
    /// Does a reading behind those that are under way. It comes back where the system has no thread for it.
    pub(super) fn read(&mut self, reading: Reading) -> Result<(), Reading> {
        let reading = match &self.readings {
            // A reading that panicked has ended the thread.
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

    /// The thread of a reading.
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
        // The sender goes when the panic has unwound it.
        let faulty = move || {
            let _begun = begun;
            std::panic::resume_unwind(Box::new("odd"))
        };
        reader.read(Box::new(faulty)).ok().unwrap();
        assert!(told.recv().is_err());
        // The thread may still be about to end, and drop what it is told.
        while {
            let (sender, told) = channel();
            reader.read(Box::new(move || sender.send(()).unwrap())).ok().unwrap();
            told.recv().is_err()
        } {}
    }
}
