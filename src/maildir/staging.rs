//! A message on its way into `tmp/`: streamed, never held whole.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::names::TmpName;
use super::room::Room;
use crate::account::MaildirMode;
use crate::disk::{Disk, DiskFile};
use crate::witness::{Digest, HeaderDigester, WholeDigester};

/// Bytes are handed to the disk in pieces of this size. A message that is smaller is written at once, by the committer.
const PIECE: usize = 128 * 1024;

/// A file in `tmp/` that goes away again unless it is published.
struct TmpFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// The permissions that the file gets.
    mode: MaildirMode,
    /// Some once it exists.
    file: Option<Box<dyn DiskFile>>,
    /// Whether it exists and is to be removed when this is dropped.
    remove: bool,
}

impl TmpFile {
    /// Takes the room for so many bytes out of `room`.
    fn take_room(&self, room: &mut Room, bytes: usize) -> io::Result<()> {
        let dir = self.path.parent().unwrap_or(&self.path);
        room.take(&*self.disk, dir, bytes).map_err(|e| io::Error::new(io::ErrorKind::StorageFull, e))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            let file = self.file.insert(self.disk.create(&self.path)?);
            self.remove = true;
            // A file is created private, so for most this costs nothing.
            if self.mode != MaildirMode::PRIVATE {
                file.set_mode(self.mode.of_files())?;
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
            // What stays behind is found by its name and removed at the next poll.
            let _ = self.disk.remove(&self.path);
        }
    }
}

/// A message that is being received.
pub struct Staging {
    tmp: TmpFile,
    name: TmpName,
    /// Bytes, as they are to be stored, that are not in the file yet.
    buffer: Vec<u8>,
    /// How many bytes are in the file.
    written: u64,
    /// The last byte taken was a CR: what follows decides whether it is stored.
    cr: bool,
    header: HeaderDigester,
    whole: Option<WholeDigester>,
}

/// Whether a digest of the whole message is wanted: only where nothing else tells messages apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestWhole {
    /// It is.
    Yes,
    /// The header is enough.
    No,
}

impl Staging {
    /// Begins a message that will be `tmp_dir`/`name`. Nothing touches the disk yet.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, tmp_dir: &Path, name: TmpName, digest_whole: DigestWhole) -> Self {
        let path = tmp_dir.join(name.as_str());
        Self {
            tmp: TmpFile { disk, path, mode: MaildirMode::PRIVATE, file: None, remove: false },
            name,
            buffer: Vec::new(),
            written: 0,
            cr: false,
            header: HeaderDigester::default(),
            whole: (digest_whole == DigestWhole::Yes).then(WholeDigester::default),
        }
    }

    /// The same with a file that has the permissions of `mode`; without this it is nobody else's to read.
    #[must_use]
    pub fn with_mode(mut self, mode: MaildirMode) -> Self {
        self.tmp.mode = mode;
        self
    }

    /// Takes the next bytes as the server sent them, unstuffed. CRLF becomes LF, nothing else changes.
    pub fn take(&mut self, mut bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.header.update(bytes);
        let start = self.buffer.len();
        if std::mem::take(&mut self.cr) && bytes.first() != Some(&b'\n') {
            self.buffer.push(b'\r');
        }
        while let Some(at) = memchr::memchr(b'\r', bytes) {
            let (before, rest) = bytes.split_at(at);
            self.buffer.extend_from_slice(before);
            bytes = rest.get(1..).unwrap_or_default();
            match bytes.first() {
                Some(b'\n') => {}
                Some(_) => self.buffer.push(b'\r'),
                None => self.cr = true,
            }
        }
        self.buffer.extend_from_slice(bytes);
        if let Some(whole) = &mut self.whole {
            whole.update(self.buffer.get(start..).unwrap_or_default());
        }
    }

    /// How many bytes were taken so far, as they are stored.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.written + length(&self.buffer)
    }

    /// Whether [`Staging::flush`] should be called before more is taken.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.buffer.len() >= PIECE
    }

    /// Writes what was taken so far into the file, if that leaves the reserve of free space alone. Blocks.
    ///
    /// # Errors
    /// Those of the disk, or no room; the message is then lost here and has to be retrieved again.
    pub fn flush(&mut self) -> io::Result<()> {
        self.tmp.take_room(&mut Room::unknown(), self.buffer.len())?;
        self.tmp.write(&self.buffer)?;
        self.written += length(&self.buffer);
        self.buffer.clear();
        Ok(())
    }

    /// The message is complete.
    #[must_use]
    pub fn finish(mut self) -> Received {
        if self.cr {
            self.buffer.push(b'\r');
            if let Some(whole) = &mut self.whole {
                whole.update(b"\r");
            }
        }
        Received {
            size: self.written + length(&self.buffer),
            header: self.header.finish(),
            whole: self.whole.map(WholeDigester::finish),
            tmp: self.tmp,
            name: self.name,
            tail: self.buffer,
        }
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// A complete message, not yet durable, its last piece not yet written.
pub struct Received {
    tmp: TmpFile,
    name: TmpName,
    tail: Vec<u8>,
    size: u64,
    header: Digest,
    whole: Option<Digest>,
}

impl Received {
    /// The digest of all of it, if one was wanted.
    #[must_use]
    pub fn whole(&self) -> Option<Digest> {
        self.whole
    }

    /// The digest of its header.
    #[must_use]
    pub fn header(&self) -> Digest {
        self.header
    }

    /// How many bytes of it are held in memory.
    #[must_use]
    pub fn held(&self) -> usize {
        self.tail.len()
    }

    /// Writes what is left, if that leaves the reserve of free space alone, and begins to write it back. `room` may be
    /// that of several messages that are written one behind the other. Blocks.
    ///
    /// # Errors
    /// Those of the disk, or no room; the message is then lost here and has to be retrieved again.
    pub fn write(self, room: &mut Room) -> io::Result<Written> {
        let Self { mut tmp, name, tail, size, header, whole } = self;
        tmp.take_room(room, tail.len())?;
        tmp.write(&tail)?;
        if let Some(file) = &mut tmp.file {
            file.begin_sync();
        }
        Ok(Written { tmp, name, size, header, whole })
    }
}

/// A complete message that is written, and not yet durable.
pub struct Written {
    tmp: TmpFile,
    name: TmpName,
    size: u64,
    header: Digest,
    whole: Option<Digest>,
}

impl Written {
    /// How many bytes it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }
}

/// A message whose file in `tmp/` is durable, and so is the name. Made only by [`stage`].
pub struct Staged {
    tmp: TmpFile,
    name: TmpName,
    size: u64,
    header: Digest,
    whole: Option<Digest>,
}

impl Staged {
    /// The name that the file will have in `new/`.
    #[must_use]
    pub fn published_name(&self) -> String {
        self.name.published(self.size)
    }

    /// The file in `tmp/`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.tmp.path
    }

    /// How many bytes it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The digest of the header.
    #[must_use]
    pub fn header(&self) -> Digest {
        self.header
    }

    /// The digest of all of it, if one was wanted.
    #[must_use]
    pub fn whole(&self) -> Option<Digest> {
        self.whole
    }

    /// From here on the file in `tmp/` stays, come what may: the journal may speak of it.
    pub fn keep(&mut self) {
        self.tmp.remove = false;
    }
}

/// Step 1 of the path of a message: syncs the files, then `tmp/`. Blocks.
///
/// The answers come in the order of the messages. A message whose file could not be synced is dropped with its file: what
/// such a file holds is unknown. If `tmp/` cannot be synced, all are.
pub fn stage(disk: &dyn Disk, tmp_dir: &Path, mut batch: Vec<Written>) -> Vec<io::Result<Staged>> {
    let files: Vec<_> = batch.iter_mut().filter_map(|written| written.tmp.file.take()).collect();
    let mut synced = disk.sync_files(files).into_iter();
    let staged: Vec<io::Result<Staged>> = batch
        .into_iter()
        .map(|Written { tmp, name, size, header, whole }| {
            synced.next().unwrap_or_else(|| Err(io::Error::other("the file was not synced")))?;
            Ok(Staged { tmp, name, size, header, whole })
        })
        .collect();
    if staged.iter().any(Result::is_ok)
        && let Err(e) = disk.sync_dir(tmp_dir)
    {
        let again = || io::Error::new(e.kind(), e.to_string());
        return staged.into_iter().map(|one| one.and_then(|_| Err(again()))).collect();
    }
    staged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use crate::maildir::names::NameSource;
    use std::fs;

    fn staging(dir: &Path) -> Staging {
        let name = NameSource::new(1, b"h").next(std::time::Duration::ZERO, 1, None);
        Staging::new(Arc::new(RealDisk), dir, name, DigestWhole::Yes)
    }

    fn stored(dir: &Path, chunks: &[&[u8]]) -> Vec<u8> {
        let mut staging = staging(dir);
        for chunk in chunks {
            staging.take(chunk);
        }
        let mut staged =
            stage(&RealDisk, dir, vec![staging.finish().write(&mut Room::unknown()).unwrap()]).remove(0).unwrap();
        staged.keep();
        assert_eq!(staged.published_name(), format!("{}{SIZE}{}", staged.name.as_str(), staged.size, SIZE = ",S="));
        let bytes = fs::read(staged.path()).unwrap();
        assert_eq!(staged.size, length(&bytes));
        let mut whole = WholeDigester::default();
        whole.update(&bytes);
        assert_eq!(staged.whole(), Some(whole.finish()));
        fs::remove_file(staged.path()).unwrap();
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
        one.flush().unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        drop(one);
        let mut two = staging(dir.path());
        two.take(b"whole");
        drop(stage(&RealDisk, dir.path(), vec![two.finish().write(&mut Room::unknown()).unwrap()]));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_message_that_cannot_be_written_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let mut bad = staging(&dir.path().join("missing"));
        bad.take(b"x");
        assert!(bad.finish().write(&mut Room::unknown()).is_err());
    }
}
