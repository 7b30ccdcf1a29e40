//! A [`Disk`] over a [`Storage`], for one process at a time, with a fault on demand.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mailferry::disk::{Dir, DirSync, Disk, DiskFile, FileId, FileStatus, HeldLock, Lock, Space};

use super::fault::{Errno, Fault, FaultKind, Operation};
use super::meddling::meddle;
use super::storage::{Ino, Slot, Storage};

/// How many bytes a short write writes.
const SHORT: usize = 7;

/// The machine: its disk and the process that runs on it.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) storage: Storage,
    pub(crate) process: Process,
}

/// A process that uses the disk.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    /// Distinguishes it from earlier ones.
    pub(crate) id: u32,
    /// Whether it was killed, or the power was cut: then nothing it does has any effect.
    pub(crate) dead: bool,
    /// The fault to come.
    fault: Option<Fault>,
    /// Its operations so far, with their subjects.
    pub(crate) log: Vec<(Operation, String)>,
    /// The operation that met the fault.
    pub(crate) met: Option<String>,
    /// How the next write fails.
    next_write: Option<Errno>,
    /// How the next truncation fails.
    next_truncation: Option<Errno>,
    /// The files that it has locked.
    locks: BTreeSet<Ino>,
}

impl Process {
    pub(crate) fn new(id: u32, fault: Option<Fault>) -> Self {
        let (log, locks) = (Vec::new(), BTreeSet::new());
        Self { id, dead: false, fault, log, met: None, next_write: None, next_truncation: None, locks }
    }

    /// Returns those of its operations that write.
    pub(crate) fn writes(&self) -> Vec<String> {
        let writes = self.log.iter().filter(|(operation, _)| operation.is_write());
        writes.map(|(operation, what)| format!("{operation:?} {what}")).collect()
    }

    /// Like [`Self::writes`], without those about hints: a listing after which nothing is left to do is remembered,
    /// once.
    pub(crate) fn writes_beside_hints(&self) -> Vec<String> {
        let mut writes = self.writes();
        writes.retain(|write| !write.contains(".hints"));
        writes
    }

    /// Whether this operation only served to find out whether a listing can be recognised, or to remember one: it
    /// looked at a place right after the hints were read, or only looks followed.
    pub(crate) fn was_for_a_hint(&self, at: usize) -> bool {
        let looks = |(operation, _): &(Operation, String)| operation.looks_at_a_place();
        let (before, rest) = self.log.split_at(at);
        let begun = before.iter().rfind(|one| !looks(one));
        rest.first().is_some_and(looks)
            && (rest.iter().all(looks) || begun.is_some_and(|(_, what)| what.contains(".hints")))
    }
}

/// What happens in an operation.
enum Course {
    /// It succeeds.
    Done,
    /// A write writes only this many bytes.
    Part(usize),
    /// It fails without any effect.
    Fails(Errno),
    /// It takes effect and fails.
    DoneAndFails(Errno),
    /// The process dies, after this many bytes of a write.
    Dies(usize),
}

impl Machine {
    pub(crate) fn new(storage: Storage) -> Self {
        Self { storage, process: Process::new(0, None) }
    }

    /// Decides what happens in the next operation, which is to write this many bytes.
    fn course(&mut self, operation: Operation, what: String, length: usize) -> Course {
        let process = &mut self.process;
        let at = process.log.len();
        process.log.push((operation, what));
        if operation == Operation::Write
            && let Some(errno) = process.next_write.take()
        {
            return Course::Fails(errno);
        }
        if operation == Operation::Truncate
            && let Some(errno) = process.next_truncation.take()
        {
            return Course::Fails(errno);
        }
        let Some(fault) = process.fault else { return Course::Done };
        let lasting = matches!(fault.kind, FaultKind::FailFromHere(_) | FaultKind::ShortWrites);
        let meets = if lasting { at >= fault.at } else { at == fault.at };
        if !meets || !fault.kind.befits(operation) {
            return Course::Done;
        }
        let half = length / 2;
        process.met.get_or_insert_with(|| format!("{operation:?} {}", process.log[at].1));
        match fault.kind {
            FaultKind::Kill | FaultKind::Cut(_) => {
                process.dead = true;
                Course::Dies(usize::try_from(fault.seed % 3).unwrap_or(0) * half)
            }
            FaultKind::Fail(errno) | FaultKind::FailFromHere(errno) => Course::Fails(errno),
            FaultKind::FailDone(errno) => Course::DoneAndFails(errno),
            FaultKind::FailInTheMiddle(errno) | FaultKind::FailUncut(errno) => {
                process.next_write = Some(errno);
                process.next_truncation = matches!(fault.kind, FaultKind::FailUncut(_)).then_some(errno);
                if half > 0 { Course::Part(half) } else { Course::Fails(errno) }
            }
            FaultKind::ShortWrites => Course::Part(SHORT),
            FaultKind::Meddle(meddler) => {
                meddle(&mut self.storage, meddler);
                Course::Done
            }
        }
    }

    fn seed(&self) -> u64 {
        self.process.fault.map_or(0, |fault| fault.seed)
    }
}

/// The machine, shared by all that may look at it.
pub(crate) type Shared = Arc<Mutex<Machine>>;

/// Locks the machine, even if another thread has panicked.
pub(crate) fn look(machine: &Shared) -> MutexGuard<'_, Machine> {
    machine.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many bytes are read at a time.
const PIECE: usize = 100;

/// The disk as seen by one process.
#[derive(Clone)]
pub(crate) struct SimDisk {
    machine: Shared,
    /// The process that it belongs to.
    process: u32,
}

impl SimDisk {
    pub(crate) fn new(machine: &Shared, process: u32) -> Self {
        Self { machine: Arc::clone(machine), process }
    }

    fn machine(&self) -> io::Result<MutexGuard<'_, Machine>> {
        let machine = look(&self.machine);
        if machine.process.dead || machine.process.id != self.process { Err(dead()) } else { Ok(machine) }
    }

    fn operate<T>(
        &self,
        operation: Operation,
        path: &Path,
        act: impl FnOnce(&mut Storage) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut machine = self.machine()?;
        match machine.course(operation, path.display().to_string(), 0) {
            Course::Done | Course::Part(_) => act(&mut machine.storage),
            Course::Fails(errno) => Err(errno.error()),
            Course::DoneAndFails(errno) => {
                let _done = act(&mut machine.storage);
                Err(errno.error())
            }
            Course::Dies(_) => Err(dead()),
        }
    }

    fn opened(&self, ino: Ino, path: &Path) -> Box<dyn DiskFile> {
        Box::new(SimFile { disk: self.clone(), ino, path: path.to_owned(), locked: None })
    }

    /// Takes a lock, held until the value is dropped; None if it is taken.
    fn take_lock(&self, ino: Ino) -> io::Result<Option<SimLock>> {
        let mut machine = self.machine()?;
        let free = machine.process.locks.insert(ino);
        Ok(free.then(|| SimLock { disk: self.clone(), ino }))
    }
}

/// Returns what distinguishes a file from others.
fn id(ino: Ino) -> FileId {
    FileId { device: 1, inode: ino }
}

/// Returns a name in an open directory.
fn slot(dir: &Dir, name: &OsStr) -> Slot {
    (dir.id().inode, name.to_owned())
}

fn status_of(storage: &Storage, ino: Ino) -> FileStatus {
    let links = u64::try_from(storage.names_of(ino)).unwrap();
    let mode = if storage.is_dir(ino) { 0o040_700 } else { 0o100_600 };
    // The user who runs the test owns everything.
    let (changed, size) = storage.file(ino).map_or((0, 0), |file| (file.changes, file.written.len()));
    let size = u64::try_from(size).unwrap();
    FileStatus { id: id(ino), links, owner: mailferry::user::effective(), mode, changed, size }
}

/// The error that a dead process gets.
fn dead() -> io::Error {
    io::Error::other("the process is dead")
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the disk of process {}", self.process)
    }
}

impl Disk for SimDisk {
    fn sync_files(&self, files: Vec<Box<dyn DiskFile>>) -> Vec<io::Result<()>> {
        files.into_iter().map(|mut file| file.sync()).collect()
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.operate(Operation::MakeDir, path, |storage| storage.make_dir(path).map(|_| ()))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<DirSync> {
        self.operate(Operation::SyncDir, path, |storage| {
            let ino = storage.directory(path)?;
            Ok(storage.sync_if_possible(ino))
        })
    }

    fn open_dir(&self, path: &Path) -> io::Result<Dir> {
        let ino = self.operate(Operation::OpenDir, path, |storage| storage.directory(path))?;
        Ok(Dir::new(path, id(ino), None))
    }

    fn status(&self, path: &Path) -> io::Result<FileStatus> {
        self.operate(Operation::Status, path, |storage| Ok(status_of(storage, storage.find(path)?)))
    }

    fn owner(&self, path: &Path) -> io::Result<u32> {
        self.status(path).map(|status| status.owner)
    }

    fn status_in(&self, dir: &Dir, name: &OsStr) -> io::Result<FileStatus> {
        let path = dir.path().join(name);
        self.operate(Operation::Status, &path, |storage| Ok(status_of(storage, storage.named(&slot(dir, name))?)))
    }

    fn list_in(&self, dir: &Dir) -> io::Result<Vec<OsString>> {
        self.operate(Operation::List, dir.path(), |storage| storage.list_of(dir.id().inode))
    }

    fn create_in(&self, dir: &Dir, name: &OsStr) -> io::Result<Box<dyn DiskFile>> {
        let path = dir.path().join(name);
        let ino = self.operate(Operation::Create, &path, |storage| storage.create_at(slot(dir, name)))?;
        Ok(self.opened(ino, &path))
    }

    fn link(&self, from: &Dir, name: &OsStr, to: &Dir, new_name: &OsStr) -> io::Result<()> {
        let path = to.path().join(new_name);
        self.operate(Operation::Link, &path, |storage| storage.link(&slot(from, name), slot(to, new_name)))
    }

    fn rename_in(&self, from: &Dir, name: &OsStr, to: &Dir, new_name: &OsStr) -> io::Result<()> {
        let path = to.path().join(new_name);
        self.operate(Operation::Rename, &path, |storage| storage.rename_at(slot(from, name), slot(to, new_name)))
    }

    fn replace_in(&self, dir: &Dir, name: &OsStr, new_name: &OsStr) -> io::Result<()> {
        let path = dir.path().join(new_name);
        self.operate(Operation::Replace, &path, |storage| storage.replace_at(slot(dir, name), slot(dir, new_name)))
    }

    fn remove_in(&self, dir: &Dir, name: &OsStr) -> io::Result<()> {
        self.operate(Operation::Remove, &dir.path().join(name), |storage| storage.remove_at(slot(dir, name)))
    }

    fn sync_open_dir(&self, dir: &Dir) -> io::Result<DirSync> {
        self.operate(Operation::SyncDir, dir.path(), |storage| Ok(storage.sync_if_possible(dir.id().inode)))
    }

    fn keeps_inode_numbers(&self, _dir: &Dir) -> io::Result<bool> {
        Ok(self.machine()?.storage.lasting)
    }

    fn created(&self, dir: &Dir) -> io::Result<Option<u64>> {
        Ok(Some(dir.id().inode))
    }

    fn set_mode(&self, _dir: &Path, _mode: u32) -> io::Result<()> {
        Ok(())
    }

    fn file_system(&self, _path: &Path) -> io::Result<u64> {
        Ok(0)
    }

    fn mode_open_to_all(&self, _path: &Path) -> io::Result<Option<u32>> {
        Ok(None)
    }

    fn dir_inode(&self, path: &Path) -> io::Result<u64> {
        self.operate(Operation::DirInode, path, |storage| storage.directory(path))
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.operate(Operation::Resolve, path, |storage| storage.find(path).map(|_| path.to_owned()))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.operate(Operation::List, path, |storage| storage.list(path))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let ino = self.operate(Operation::Create, path, |storage| storage.create(path))?;
        Ok(self.opened(ino, path))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let ino = self.operate(Operation::Append, path, |storage| {
            storage.read(path)?;
            storage.find(path)
        })?;
        Ok(self.opened(ino, path))
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.operate(Operation::Read, path, |storage| {
            let bytes = storage.read(path)?;
            Ok(bytes[..bytes.len().min(limit)].to_vec())
        })
    }

    fn read_pieces(&self, path: &Path, take: &mut dyn FnMut(&[u8], u64) -> ControlFlow<()>) -> io::Result<()> {
        let bytes = self.read(path, u64::MAX)?;
        let length = u64::try_from(bytes.len()).unwrap();
        // In small pieces, so that lines are cut.
        let _broken_off = bytes.chunks(PIECE).try_for_each(|piece| take(piece, length));
        Ok(())
    }

    fn read_at(&self, dir: &Dir, name: &OsStr, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.operate(Operation::Read, &dir.path().join(name), |storage| {
            let bytes = &storage.file(storage.named(&slot(dir, name))?)?.written;
            let rest = bytes.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        })
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.operate(Operation::Replace, to, |storage| storage.replace(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.operate(Operation::Remove, path, |storage| storage.remove(path))
    }

    fn space(&self, dir: &Dir) -> io::Result<Space> {
        self.operate(Operation::Space, dir.path(), |_| Ok(Space { available: 1 << 30, total: 1 << 31 }))
    }

    fn lock(&self, path: &Path, holder: &str) -> io::Result<Lock> {
        let ino = self.operate(Operation::Lock, path, |storage| match storage.find(path) {
            Ok(ino) => Ok(ino),
            Err(_) => storage.create(path),
        })?;
        Ok(match self.take_lock(ino)? {
            Some(lock) => Lock::Acquired(Box::new(lock)),
            None => Lock::Held(holder.to_owned()),
        })
    }

    fn lock_holder(&self, _path: &Path) -> Option<String> {
        // All processes of the simulation are this one.
        None
    }
}

/// A lock, held until it is dropped or its process ends.
struct SimLock {
    disk: SimDisk,
    ino: Ino,
}

impl HeldLock for SimLock {
    fn file(&self) -> FileId {
        id(self.ino)
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        if let Ok(mut machine) = self.disk.machine() {
            machine.process.locks.remove(&self.ino);
        }
    }
}

/// An open file.
struct SimFile {
    disk: SimDisk,
    ino: Ino,
    path: PathBuf,
    locked: Option<SimLock>,
}

impl SimFile {
    fn course(&self, operation: Operation, length: usize) -> io::Result<(MutexGuard<'_, Machine>, Course)> {
        let mut machine = self.disk.machine()?;
        let course = machine.course(operation, self.path.display().to_string(), length);
        Ok((machine, course))
    }
}

impl DiskFile for SimFile {
    fn id(&self) -> io::Result<FileId> {
        Ok(id(self.ino))
    }

    fn try_lock(&mut self) -> io::Result<bool> {
        self.locked = self.disk.take_lock(self.ino)?;
        Ok(self.locked.is_some())
    }

    fn device(&self) -> Option<u64> {
        None
    }

    fn begin_sync(&mut self) {}

    fn set_mode(&mut self, _mode: u32) -> io::Result<()> {
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (mut machine, course) = self.course(Operation::Write, bytes.len())?;
        let (count, result) = match course {
            Course::Done => (bytes.len(), Ok(bytes.len())),
            Course::Part(part) => (part.min(bytes.len()), Ok(part.min(bytes.len()))),
            Course::Fails(errno) | Course::DoneAndFails(errno) => (0, Err(errno.error())),
            Course::Dies(part) => (part.min(bytes.len()), Err(dead())),
        };
        machine.storage.write(self.ino, &bytes[..count]);
        result
    }

    fn sync(&mut self) -> io::Result<()> {
        let (mut machine, course) = self.course(Operation::Sync, 0)?;
        let seed = machine.seed();
        match course {
            Course::Done | Course::Part(_) => {
                machine.storage.sync(self.ino);
                Ok(())
            }
            Course::Fails(errno) | Course::DoneAndFails(errno) => {
                machine.storage.fail_sync(self.ino, seed);
                Err(errno.error())
            }
            Course::Dies(_) => Err(dead()),
        }
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let (mut machine, course) = self.course(Operation::Truncate, 0)?;
        match course {
            Course::Done | Course::Part(_) => machine.storage.truncate(self.ino, length),
            Course::Fails(errno) => return Err(errno.error()),
            Course::DoneAndFails(errno) => {
                machine.storage.truncate(self.ino, length);
                return Err(errno.error());
            }
            Course::Dies(_) => return Err(dead()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
