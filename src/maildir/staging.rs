//! Streams incoming messages into `tmp/`, without ever holding a whole one.
//!
//! A message carries a payload (`T`: which message of the session it is), so that no position in a list decides later
//! what is deleted.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::names::TmpName;
use super::os;
use crate::account::MaildirMode;
use crate::disk::free_space::{FreeSpace, InsufficientSpace};
use crate::disk::{Dir, Disk, DiskFile, FileId, unless_it_has_none};
use crate::message::{Digests, HeaderDigester, MessageDigester, StoredSize, WireSize};

/// Bytes are passed to the disk in pieces of this size. A smaller message is written as a whole by the committer.
const PIECE: usize = 128 * 1024;

/// A file in `tmp/` that is removed again unless it is kept.
struct TmpFile {
    disk: Arc<dyn Disk>,
    /// The Maildir's `tmp/`.
    dir: Dir,
    /// Its name there.
    name: TmpName,
    /// The permissions of the file.
    mode: MaildirMode,
    /// The file, once it exists.
    file: Option<Box<dyn DiskFile>>,
    /// Whether it exists and is to be removed on drop.
    remove: bool,
}

/// A message could not be written or made durable.
#[derive(Debug)]
pub struct NotWritten {
    /// The `tmp/` of the Maildir that failed.
    pub dir: PathBuf,
    /// The error of the system call that failed.
    pub source: io::Error,
}

impl fmt::Display for NotWritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.dir.display(), self.source)
    }
}

impl std::error::Error for NotWritten {}

impl TmpFile {
    /// A file of the same name in another `tmp/`.
    fn beside(&self, dir: &Dir) -> Self {
        let (disk, name) = (Arc::clone(&self.disk), self.name.clone());
        Self { disk, dir: dir.clone(), name, mode: self.mode, file: None, remove: false }
    }

    fn failed(&self, source: io::Error) -> NotWritten {
        NotWritten { dir: self.dir.path().to_owned(), source }
    }

    /// Writes the bytes, unless that would use up the reserve of free space.
    fn write_within(&mut self, free_space: &mut FreeSpace, bytes: &[u8]) -> Result<(), NotWritten> {
        let written = self.take_space(free_space, bytes.len()).and_then(|()| self.write(bytes));
        written.map_err(|source| self.failed(source))
    }

    /// Takes this many bytes out of `free_space`.
    fn take_space(&self, free_space: &mut FreeSpace, bytes: usize) -> io::Result<()> {
        free_space.take(&*self.disk, &self.dir, bytes).map_err(|e| match e {
            InsufficientSpace::TooLittle { .. } => io::Error::new(io::ErrorKind::StorageFull, e),
            InsufficientSpace::Unknown { source, .. } => source,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            let file = self.file.insert(self.disk.create_in(&self.dir, os(self.name.as_str()))?);
            self.remove = true;
            // Files are created private, so usually there is nothing to do.
            if self.mode != MaildirMode::PRIVATE {
                unless_it_has_none(file.set_mode(self.mode.of_files()))?;
            }
        }
        match &mut self.file {
            Some(file) => file.write_all(bytes),
            None => Ok(()),
        }
    }
}

impl Drop for TmpFile {
    fn drop(&mut self) {
        if self.remove {
            // If this fails, a later poll finds the file by its name and removes it.
            let _ = self.disk.remove_in(&self.dir, os(self.name.as_str()));
        }
    }
}

/// The free space beyond the reserve, in bytes, as it was while a message was written; of several file systems that of
/// the fullest.
#[derive(Debug, Clone, Copy)]
pub struct SpaceSeen {
    /// Behind its first piece.
    pub first: u64,
    /// Behind its last piece so far.
    pub last: u64,
}

/// A message that is being received.
pub struct Staging {
    tmp: TmpFile,
    /// Files with the same bytes in other Maildirs.
    also: Vec<TmpFile>,
    /// Whether the message is digested and counted, but not stored.
    discarded: bool,
    /// Bytes in the form to be stored, not yet written to the file.
    buffer: Vec<u8>,
    /// How many bytes have been written so far.
    written: u64,
    /// The free space when pieces of it were written; None before the first.
    space_seen: Option<SpaceSeen>,
    /// How many octets the server has sent so far, unstuffed.
    octets: u64,
    /// How many of these were LF.
    line_feeds: usize,
    /// How many CRs before an LF were left out.
    carriage_returns: usize,
    /// Whether the last byte was a CR: the next one decides whether it is stored.
    cr: bool,
    header: HeaderDigester,
    whole: MessageDigester,
}

impl Staging {
    /// Begins a message with this name in `tmp/`. Nothing is written yet.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, tmp: &Dir, name: TmpName) -> Self {
        Self {
            tmp: TmpFile { disk, dir: tmp.clone(), name, mode: MaildirMode::PRIVATE, file: None, remove: false },
            also: Vec::new(),
            discarded: false,
            buffer: Vec::new(),
            written: 0,
            space_seen: None,
            octets: 0,
            line_feeds: 0,
            carriage_returns: 0,
            cr: false,
            header: HeaderDigester::default(),
            whole: MessageDigester::default(),
        }
    }

    /// Sets the permissions of the file; by default it is private.
    #[must_use]
    pub fn with_mode(mut self, mode: MaildirMode) -> Self {
        self.tmp.mode = mode;
        self
    }

    /// Changes the `tmp/` directories that it goes to; ignored once anything is in a file.
    pub fn direct_to<'a>(&mut self, tmp: &Dir, also: impl Iterator<Item = &'a Dir>) {
        if self.tmp.file.is_none() {
            self.tmp.dir = tmp.clone();
            self.also = also.map(|dir| self.tmp.beside(dir)).collect();
        }
    }

    /// Stops storing the message. What is in files already is removed on drop.
    pub fn discard(&mut self) {
        self.discarded = true;
    }

    /// Returns what was taken so far, in the form to be stored; empty once anything is in a file.
    #[must_use]
    pub fn beginning(&self) -> &[u8] {
        if self.tmp.file.is_none() { &self.buffer } else { &[] }
    }

    /// Takes the next bytes as the server sent them, unstuffed. CRLF becomes LF, nothing else changes.
    pub fn take(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.octets += length(bytes);
        self.header.update(bytes);
        let start = self.buffer.len();
        self.buffer.reserve(bytes.len() + 1);
        if std::mem::take(&mut self.cr) {
            match bytes.first() {
                Some(b'\n') => self.carriage_returns += 1,
                _ => self.buffer.push(b'\r'),
            }
        }
        let bytes = match bytes {
            [before @ .., b'\r'] => {
                self.cr = true;
                before
            }
            _ => bytes,
        };
        let mut from = 0;
        for at in memchr::memchr_iter(b'\n', bytes) {
            self.line_feeds += 1;
            if let Some(line) = bytes.get(from..at).and_then(|line| line.strip_suffix(b"\r")) {
                self.carriage_returns += 1;
                self.buffer.extend_from_slice(line);
                from = at;
            }
        }
        self.buffer.extend_from_slice(bytes.get(from..).unwrap_or_default());
        self.whole.update(self.buffer.get(start..).unwrap_or_default());
    }

    /// How many bytes were taken so far, in the form to be stored.
    #[must_use]
    pub fn size(&self) -> StoredSize {
        StoredSize::new(self.written + length(&self.buffer))
    }

    /// Whether [`Staging::flush`] should be called before more is taken.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.buffer.len() >= PIECE
    }

    /// How many of the bytes taken are not written yet.
    #[must_use]
    pub fn unwritten(&self) -> u64 {
        length(&self.buffer)
    }

    /// How many octets have come so far, with their original line ends.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.octets
    }

    /// How many octets have come so far as a server should count them: with CRLF line ends (RFC 1939, section 11), even
    /// if this server ends lines with a bare LF.
    #[must_use]
    pub fn octets(&self) -> WireSize {
        let bare = self.line_feeds.saturating_sub(self.carriage_returns);
        WireSize::new(self.octets.saturating_add(u64::try_from(bare).unwrap_or(u64::MAX)))
    }

    /// Writes what was taken so far into the files, unless that would use up the reserve of free space, and `kept` bytes
    /// besides that which other messages were promised on the file system of the first file. Blocks.
    ///
    /// # Errors
    /// Disk errors, or too little space. The message is lost here then, and has to be retrieved again.
    pub fn flush(&mut self, kept: u64) -> Result<(), NotWritten> {
        let mut least = None;
        let promised_on = self.tmp.dir.id().device;
        for tmp in std::iter::once(&mut self.tmp).chain(&mut self.also).filter(|_| !self.discarded) {
            let kept = if tmp.dir.id().device == promised_on { kept } else { 0 };
            let mut free_space = FreeSpace::besides(kept);
            tmp.write_within(&mut free_space, &self.buffer)?;
            let left = free_space.left();
            least = Some(least.map_or(left, |least: u64| least.min(left)));
        }
        if let Some(last) = least {
            let first = self.space_seen.map_or(last, |seen| seen.first);
            self.space_seen = Some(SpaceSeen { first, last });
        }
        self.written += length(&self.buffer);
        self.buffer.clear();
        Ok(())
    }

    /// The free space when pieces of it were written; None before the first.
    #[must_use]
    pub fn space_seen(&self) -> Option<SpaceSeen> {
        self.space_seen
    }

    /// Completes the message, which carries `payload` from here on.
    #[must_use]
    pub fn finish<T>(mut self, payload: T) -> Received<T> {
        if self.cr {
            self.buffer.push(b'\r');
            self.whole.update(b"\r");
        }
        let size = self.size();
        let digests = Digests { header: self.header.finish(), whole: self.whole.finish() };
        let file = Message { tmp: self.tmp, also: self.also, size, digests, payload };
        Received { file, tail: self.buffer, discarded: self.discarded }
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// A message in a file, or about to be.
struct Message<T> {
    tmp: TmpFile,
    /// Files with the same bytes in other Maildirs.
    also: Vec<TmpFile>,
    /// Its size as stored.
    size: StoredSize,
    digests: Digests,
    payload: T,
}

impl<T> Message<T> {
    fn files(&self) -> impl Iterator<Item = &TmpFile> {
        std::iter::once(&self.tmp).chain(&self.also)
    }

    fn files_mut(&mut self) -> impl Iterator<Item = &mut TmpFile> {
        std::iter::once(&mut self.tmp).chain(&mut self.also)
    }
}

/// A complete message whose last piece is not written yet.
pub struct Received<T> {
    file: Message<T>,
    tail: Vec<u8>,
    /// Whether it was discarded, and is not stored as a whole.
    discarded: bool,
}

impl<T> Received<T> {
    /// Returns the digests of its header and of all its bytes.
    #[must_use]
    pub fn digests(&self) -> Digests {
        self.file.digests
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &T {
        &self.file.payload
    }

    /// How many of its bytes are held in memory.
    #[must_use]
    pub fn held(&self) -> usize {
        self.tail.len()
    }

    /// Writes the rest, unless that would use up the reserve of free space, and starts writeback. `free_space` may be
    /// shared by messages that are written in sequence. Blocks.
    ///
    /// # Errors
    /// Disk errors, or too little space. The message is lost here then, and has to be retrieved again.
    pub fn write(self, free_space: &mut FreeSpace) -> Result<Written<T>, NotWritten> {
        let Self { mut file, tail, discarded } = self;
        if discarded {
            return Err(file.tmp.failed(io::Error::other("it was discarded while it came in")));
        }
        file.tmp.write_within(free_space, &tail)?;
        for tmp in &mut file.also {
            tmp.write_within(&mut FreeSpace::unknown(), &tail)?;
        }
        file.files_mut().filter_map(|tmp| tmp.file.as_mut()).for_each(|file| file.begin_sync());
        Ok(Written(file))
    }
}

/// A complete message that is written, but not yet durable.
pub struct Written<T>(Message<T>);

impl<T> Written<T> {
    /// The size of the file.
    #[must_use]
    pub fn size(&self) -> StoredSize {
        self.0.size
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &T {
        &self.0.payload
    }
}

/// A message whose file in `tmp/` and its name are durable. Made only by [`stage`].
pub struct Staged<T>(Message<T>);

impl<T> Staged<T> {
    /// The name that the file will have in `new/`.
    #[must_use]
    pub fn published_name(&self) -> String {
        self.0.tmp.name.published(self.0.size)
    }

    /// The name of the file in `tmp/`.
    #[must_use]
    pub fn tmp_name(&self) -> &TmpName {
        &self.0.tmp.name
    }

    /// The size of the file.
    #[must_use]
    pub fn size(&self) -> StoredSize {
        self.0.size
    }

    /// Returns the digests of its header and of all its bytes.
    #[must_use]
    pub fn digests(&self) -> Digests {
        self.0.digests
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &T {
        &self.0.payload
    }

    /// Keeps the file in `tmp/` from now on, whatever happens, since the journal may refer to it. Returns the payload.
    pub fn keep(mut self) -> T {
        self.0.files_mut().for_each(|tmp| tmp.remove = false);
        self.0.payload
    }
}

/// Step 1 of the path of a message: syncs the files, then each `tmp/` that they are in. Blocks.
///
/// If the sync of a file fails, its contents are unknown: the message is dropped with its file, and an error returned
/// in its place. If the sync of a `tmp/` fails, this happens to all messages in it. What each message carries besides
/// its payload (`K`) comes back with its result.
pub fn stage<K, T>(disk: &dyn Disk, batch: Vec<(K, Written<T>)>) -> Vec<(K, Result<Staged<T>, NotWritten>)> {
    let mut batch: Vec<(K, Message<T>)> = batch.into_iter().map(|(key, Written(message))| (key, message)).collect();
    let mut files = Vec::with_capacity(batch.len());
    // Each file is named by its message and by its number among the files of that message.
    for (message_number, (_, message)) in batch.iter_mut().enumerate() {
        for (file_number, tmp) in message.files_mut().enumerate() {
            if let Some(file) = tmp.file.take() {
                files.push((tmp.dir.id().device, ((message_number, file_number), file)));
            }
        }
    }
    let mut synced = sync_by_device(files, |files| disk.sync_files(files));
    let mut after_sync = |message_number, message: Message<T>| {
        for (file_number, tmp) in message.files().enumerate() {
            match synced.remove(&(message_number, file_number)) {
                Some(Ok(())) => {}
                Some(Err(source)) => return Err(tmp.failed(source)),
                None => return Err(tmp.failed(io::Error::other("the file was not synced"))),
            }
        }
        Ok(message)
    };
    let batch = batch.into_iter().enumerate().map(|(number, (key, message))| (key, after_sync(number, message)));
    let batch: Vec<(K, Result<Message<T>, NotWritten>)> = batch.collect();
    let failed = sync_dirs(disk, batch.iter().filter_map(|(_, synced)| synced.as_ref().ok()));
    let after_dirs = |message: Message<T>| {
        let error = message.files().find_map(|tmp| {
            let (_, e) = failed.iter().find(|(dir, _)| *dir == tmp.dir.id())?;
            Some(tmp.failed(io::Error::new(e.kind(), e.to_string())))
        });
        error.map_or(Ok(Staged(message)), Err)
    };
    batch.into_iter().map(|(key, synced)| (key, synced.and_then(after_dirs))).collect()
}

/// Syncs each `tmp/` that these messages are in; returns those that failed.
fn sync_dirs<'a, T: 'a>(disk: &dyn Disk, messages: impl Iterator<Item = &'a Message<T>>) -> Vec<(FileId, io::Error)> {
    let mut dirs: Vec<&Dir> = Vec::new();
    for tmp in messages.flat_map(Message::files) {
        if dirs.iter().all(|dir| dir.id() != tmp.dir.id()) {
            dirs.push(&tmp.dir);
        }
    }
    dirs.into_iter().filter_map(|dir| Some((dir.id(), disk.sync_open_dir(dir).err()?))).collect()
}

/// Syncs files, each with its device and its name: those of each device by a call of their own. A batch may go to
/// several Maildirs, and a file system that hangs must not keep those who help with another one. A file without a result
/// counts as not synced.
fn sync_by_device<N: Ord, F>(
    files: Vec<(u64, (N, F))>,
    sync: impl Fn(Vec<F>) -> Vec<io::Result<()>>,
) -> BTreeMap<N, io::Result<()>> {
    let mut by_device: BTreeMap<u64, (Vec<N>, Vec<F>)> = BTreeMap::new();
    for (device, (name, file)) in files {
        let (names, files) = by_device.entry(device).or_default();
        names.push(name);
        files.push(file);
    }
    by_device.into_values().flat_map(|(names, files)| names.into_iter().zip(sync(files))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use crate::disk::limited::LimitedDisk;
    use crate::maildir::names::NameSource;
    use std::fs;
    use std::path::Path;

    #[test]
    fn each_file_system_is_synced_by_itself_and_no_file_gets_the_result_of_another() {
        let calls = std::cell::RefCell::new(Vec::new());
        let files = || vec![(7, ("a", 1)), (8, ("b", 2)), (7, ("c", 3)), (9, ("d", 4)), (8, ("e", 5))];
        let sync = |files: Vec<u8>| {
            calls.borrow_mut().push(files.clone());
            files.into_iter().map(|file| if file == 3 { Err(io::Error::other("3")) } else { Ok(()) }).collect()
        };
        let results = sync_by_device(files(), sync);
        let results: Vec<_> = results.into_iter().map(|(name, result)| (name, result.is_ok())).collect();
        assert_eq!(results, [("a", true), ("b", true), ("c", false), ("d", true), ("e", true)]);
        assert_eq!(*calls.borrow(), [vec![1, 3], vec![2, 5], vec![4]]);
        // A result too few of one device leaves a file of that device without one.
        let one_too_few = |files: Vec<u8>| files.into_iter().skip(1).map(|_| Ok(())).collect();
        assert_eq!(sync_by_device(files(), one_too_few).into_keys().collect::<Vec<_>>(), ["a", "b"]);
    }

    fn staging(dir: &Path) -> Staging {
        let name = NameSource::new(1, b"h").next(std::time::Duration::ZERO, crate::ids::InstanceId::new(1), None);
        Staging::new(Arc::new(RealDisk), &RealDisk.open_dir(dir).unwrap(), name)
    }

    fn staged(staging: Staging) -> Staged<&'static str> {
        let written = staging.finish("carried").write(&mut FreeSpace::unknown()).unwrap();
        stage(&RealDisk, vec![((), written)]).remove(0).1.unwrap()
    }

    fn stored(dir: &Path, chunks: &[&[u8]]) -> Vec<u8> {
        let mut staging = staging(dir);
        for chunk in chunks {
            staging.take(chunk);
        }
        let sent = chunks.concat();
        let bare = sent.iter().enumerate().filter(|(at, byte)| **byte == b'\n' && (*at == 0 || sent[at - 1] != b'\r'));
        assert_eq!(staging.octets().get(), length(&sent) + length(&vec![0; bare.count()]));
        let staged = staged(staging);
        let path = dir.join(staged.tmp_name().as_str());
        assert_eq!(staged.published_name(), format!("{},S={}", staged.tmp_name().as_str(), staged.size().get()));
        let bytes = fs::read(&path).unwrap();
        assert_eq!(staged.size().get(), length(&bytes));
        let mut whole = MessageDigester::default();
        whole.update(&bytes);
        assert_eq!(staged.digests().whole, whole.finish());
        assert_eq!(staged.keep(), "carried");
        fs::remove_file(path).unwrap();
        bytes
    }

    #[test]
    fn crlf_becomes_lf_and_nothing_else_changes() {
        let dir = tempfile::tempdir().unwrap();
        let sent = b"a\r\nb\nc\rd\r\r\n\r\n\0\xff.\r\n..\r\nend\r";
        let expected = b"a\nb\nc\rd\r\n\n\0\xff.\n..\nend\r";
        for size in 1..=sent.len() {
            assert_eq!(stored(dir.path(), &sent.chunks(size).collect::<Vec<_>>()), expected, "chunks of {size}");
        }
        assert_eq!(stored(dir.path(), &[]), b"");
    }

    #[test]
    fn what_is_not_finished_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let mut one = staging(dir.path());
        one.take(b"half");
        one.flush(0).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        drop(one);
        let mut two = staging(dir.path());
        two.take(b"whole");
        drop(staged(two));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_without_a_result_is_not_durable() {
        let dir = tempfile::tempdir().unwrap();
        let disk = LimitedDisk { loses_last_sync: true, ..LimitedDisk::default() };
        let names = NameSource::new(1, b"h");
        let batch = ["one", "two"].into_iter().map(|payload| {
            let name = names.next(std::time::Duration::ZERO, crate::ids::InstanceId::new(1), None);
            let staging = Staging::new(Arc::new(RealDisk), &RealDisk.open_dir(dir.path()).unwrap(), name);
            (payload, staging.finish(payload).write(&mut FreeSpace::unknown()).unwrap())
        });
        let staged = stage(&disk, batch.collect());
        let durable: Vec<_> = staged.iter().map(|(payload, staged)| (*payload, staged.is_ok())).collect();
        assert_eq!(durable, [("one", true), ("two", false)]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "the other file is removed");
    }

    #[test]
    fn a_message_that_cannot_be_written_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let tmp = dir.path().join("tmp");
        fs::create_dir(&tmp).unwrap();
        let mut bad = staging(&tmp);
        fs::remove_dir(&tmp).unwrap();
        bad.take(b"x");
        assert!(bad.finish(()).write(&mut FreeSpace::unknown()).is_err());
    }
}
