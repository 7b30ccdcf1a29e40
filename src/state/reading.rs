//! Reads a `.uids` file.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use super::entries::{Inconsistent, UidState};
use super::error::{StateError, StateFile};
use super::journal::{self, BadJournal, Contents, LineByLine};
use super::record::Record;
use crate::disk::Disk;

/// The largest `.uids` file, in bytes: ten million messages.
const MAX_FILE: u64 = 2 << 30;

/// What was read from a file.
pub(super) struct Loaded {
    /// The state that its records make.
    pub(super) state: UidState,
    /// How far the file is valid and durable.
    pub(super) contents: Contents,
    /// How many deliveries the file records twice: as begun and as finished.
    pub(super) settled: usize,
}

/// The octets of a typical line about a message.
const LINE: usize = 128;

/// Reads a file, if there is one.
pub(super) fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Loaded>, StateError> {
    match read_as_left(disk, path) {
        Ok(Some(loaded)) => Ok(Some(loaded)),
        Ok(None) => judge(disk, path),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(StateError::io("read", path, e)),
    }
}

/// What has been read so far.
#[derive(Default)]
struct Reading {
    state: Option<UidState>,
    settled: usize,
}

impl Reading {
    fn take(&mut self, record: Record, length: u64) -> Result<(), Unreadable> {
        match (&mut self.state, record) {
            (None, Record::Header(identity)) => {
                let lines = usize::try_from(length).unwrap_or(0) / LINE;
                self.state.insert(UidState::new(identity)).reserve(lines);
                Ok(())
            }
            (None, _) => Err(Unreadable::Journal(BadJournal::NotOurs)),
            (Some(state), record) => {
                if let Record::Published(ids) = &record {
                    self.settled = self.settled.saturating_add(ids.len());
                }
                state.apply(record).map_err(Unreadable::Inconsistent)
            }
        }
    }
}

/// Reads an intact file in pieces, so that a million messages are not held in memory twice. None if it is not as its
/// writer left it.
fn read_as_left(disk: &dyn Disk, path: &Path) -> io::Result<Option<Loaded>> {
    let (mut reading, mut lines, mut rest) = (Reading::default(), LineByLine::new(), Vec::new());
    let (mut is_as_left, mut is_too_large) = (true, false);
    disk.read_pieces(path, &mut |piece, length| {
        let mut take = |line: &[u8]| lines.line(line, |record| reading.take(record, length).ok());
        is_too_large = length > MAX_FILE;
        is_as_left = !is_too_large && each_line(piece, &mut rest, &mut take).is_some();
        if is_as_left { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    if is_too_large {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 2 GiB"));
    }
    let contents = Some(lines).filter(|_| is_as_left && rest.is_empty()).and_then(LineByLine::finish);
    let Reading { state, settled } = reading;
    Ok(contents.zip(state).map(|(contents, state)| Loaded { state, contents, settled }))
}

/// Collects something from the records of a file as it is right now, without building the state. None if it cannot be
/// read.
pub(super) fn glance<T: Default>(disk: &dyn Disk, path: &Path, take: impl Fn(&mut T, Record)) -> Option<T> {
    let (mut made, mut lines, mut rest) = (T::default(), LineByLine::new(), Vec::new());
    let mut is_as_left = true;
    let read = disk.read_pieces(path, &mut |piece, length| {
        let mut line = |line: &[u8]| {
            lines.line(line, |record| {
                take(&mut made, record);
                Some(())
            })
        };
        is_as_left = length <= MAX_FILE && each_line(piece, &mut rest, &mut line).is_some();
        if is_as_left { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    read.ok()?;
    if is_as_left && rest.is_empty() && lines.finish().is_some() {
        return Some(made);
    }
    // Another process is writing to it, or was interrupted: only whole batches count.
    let mut made = T::default();
    let parsed = journal::parse(&disk.read(path, MAX_FILE).ok()?, |record| {
        take(&mut made, record);
        Ok::<(), BadJournal>(())
    });
    parsed.ok().map(|_| made)
}

/// Passes on the lines that end in this piece, without their line ends; `rest` is the beginning of an unfinished line.
fn each_line(piece: &[u8], rest: &mut Vec<u8>, take: &mut impl FnMut(&[u8]) -> Option<()>) -> Option<()> {
    let mut at = 0;
    for end in memchr::memchr_iter(b'\n', piece) {
        let line = piece.get(at..end)?;
        at = end + 1;
        if rest.is_empty() {
            take(line)?;
        } else {
            rest.extend_from_slice(line);
            take(&std::mem::take(rest))?;
        }
    }
    rest.extend_from_slice(piece.get(at..)?);
    Some(())
}

impl UidState {
    /// Reads the bytes of a file as a whole, without a tail. None if there is no record.
    ///
    /// # Errors
    /// If they are no file of ours, damaged, or contradict themselves.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, Unreadable> {
        Ok(read_whole(bytes)?.1.state)
    }
}

fn read_whole(bytes: &[u8]) -> Result<(Contents, Reading), Unreadable> {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let mut reading = Reading::default();
    let contents = journal::parse(bytes, |record| reading.take(record, length))?;
    Ok((contents, reading))
}

/// Reads a file as a whole: leaves out its tail, and locates damage.
fn judge(disk: &dyn Disk, path: &Path) -> Result<Option<Loaded>, StateError> {
    let bytes = match disk.read(path, MAX_FILE) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StateError::io("read", path, e)),
    };
    let unreadable = |e| match e {
        Unreadable::Journal(bad) => StateError::journal(path, StateFile::Uids, bad),
        Unreadable::Inconsistent(e) => StateError::inconsistent(path, e),
    };
    let (contents, Reading { state, settled }) = read_whole(&bytes).map_err(unreadable)?;
    let state = state.ok_or_else(|| StateError::journal(path, StateFile::Uids, BadJournal::NotOurs))?;
    Ok(Some(Loaded { state, contents, settled }))
}

/// Why a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// It is no file of ours, or damaged.
    Journal(BadJournal),
    /// Its records contradict each other.
    Inconsistent(Inconsistent),
}

impl From<BadJournal> for Unreadable {
    fn from(bad: BadJournal) -> Self {
        Self::Journal(bad)
    }
}

#[cfg(test)]
#[path = "reading_tests.rs"]
mod tests;
