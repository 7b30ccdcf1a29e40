//! The `.uids` file: records in batches, each ended by a commit record.
//!
//! A commit line reads `= COUNT SYNCED CRC`: the number of records in the batch, the offset up to which the file was
//! known to be durable when the batch was written, and the CRC-32 of the batch with the first two fields. A batch
//! without a valid commit record is *tail* if nothing says that it was ever durable (a kill or a power cut during an
//! append); it is cut off before the next append. It is *damage* if a later valid commit record says that it was
//! durable: then the file is left as it is, and a person has to look at it.
//!
//! A writer that is done with a file that is durable to its end appends a batch without records, which says so and need
//! not be durable itself. If that batch is missing, the last sync may have failed, and neither what is read nor a later
//! sync proves that the last batches are on disk: such a file is rewritten before anything is appended.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::entries::Identity;
use super::record::{BadRecord, Record};
use crate::disk::{Dir, Disk, DiskFile, FileId, FileLocation, replace_whole};

/// The first line of every file that we write, with the version of the format.
const MAGIC: &[u8] = b"mailferry-uids 2\n";

/// The first line of version 1. Such files are read but never appended to: that version has no form for some of our
/// records.
const MAGIC_1: &[u8] = b"mailferry-uids 1\n";

/// The beginning of every version's first line.
const MAGIC_STEM: &[u8] = b"mailferry-uids ";

/// The contents of a file that was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Contents {
    /// The number of records in the valid batches.
    count: usize,
    /// The offset at which the last valid batch with records ends.
    valid: u64,
    /// The offset up to which the file is known to be durable.
    synced: u64,
    /// Whether an earlier version wrote the file.
    outdated: bool,
}

/// Why a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadJournal {
    /// It does not begin like a file of ours.
    NotOurs,
    /// A newer version wrote it.
    Newer,
    /// Its lines end in CRLF, which no version writes: something has rewritten it as text.
    LineEnds,
    /// It is damaged.
    Damaged {
        /// The first line of the damaged batch, counted from 1.
        line: usize,
    },
}

/// Parses a file and passes on the records of all valid batches, in order.
///
/// # Errors
/// [`BadJournal`], or the error of `take`: then the records passed on so far are void.
pub fn parse<E: From<BadJournal>>(bytes: &[u8], mut take: impl FnMut(Record) -> Result<(), E>) -> Result<Contents, E> {
    let outdated = bytes.starts_with(MAGIC_1);
    let Some(body) = body(bytes) else {
        return Err(judge_beginning(bytes).into());
    };
    let mut contents = Contents { count: 0, valid: offset(MAGIC.len()), synced: 0, outdated };
    let mut batch = Batch { start: MAGIC.len(), line: 2, lines: Vec::new() };
    let mut at = MAGIC.len();
    for end in memchr::memchr_iter(b'\n', body).map(|end| end + MAGIC.len()) {
        let line = bytes.get(at..end).unwrap_or_default();
        at = end + 1;
        if !line.starts_with(b"= ") {
            batch.lines.push(line);
            continue;
        }
        let Some(synced) = batch.check(bytes, line) else {
            judge_tail(bytes, batch.start, batch.line)?;
            return Ok(contents);
        };
        for (i, record) in batch.lines.iter().enumerate() {
            take(Record::parse(record).map_err(|bad| match bad {
                BadRecord::Newer(_) => BadJournal::Newer,
                BadRecord::Malformed => BadJournal::Damaged { line: batch.line + i },
            })?)?;
        }
        if !batch.lines.is_empty() {
            contents.count += batch.lines.len();
            contents.valid = offset(at);
        }
        contents.synced = contents.synced.max(synced);
        batch = Batch { start: at, line: batch.line + batch.lines.len() + 1, lines: Vec::new() };
    }
    Ok(contents)
}

/// Judges a file that does not begin with the first line of a known version.
fn judge_beginning(bytes: &[u8]) -> BadJournal {
    let first = bytes.split(|c| *c == b'\n').next().unwrap_or_default();
    match first.strip_prefix(MAGIC_STEM) {
        Some(version) if version.ends_with(b"\r") => BadJournal::LineEnds,
        Some(_) => BadJournal::Newer,
        None => BadJournal::NotOurs,
    }
}

/// The bytes after the first line, which has the same length in both versions. None if it is neither.
fn body(bytes: &[u8]) -> Option<&[u8]> {
    bytes.strip_prefix(MAGIC).or_else(|| bytes.strip_prefix(MAGIC_1))
}

/// Returns whom a file belongs to, from its first bytes.
#[must_use]
pub fn identity(head: &[u8]) -> Option<Identity> {
    let line = body(head)?.split_inclusive(|c| *c == b'\n').next()?.strip_suffix(b"\n")?;
    match Record::parse(line) {
        Ok(Record::Header(identity)) => Some(identity),
        _ => None,
    }
}

/// The lines read since the last commit record.
struct Batch<'a> {
    /// The offset of the first one.
    start: usize,
    /// The line number of the first one in the file, counted from 1.
    line: usize,
    lines: Vec<&'a [u8]>,
}

impl Batch<'_> {
    /// Returns the offset up to which the file was durable, if `commit` is the valid commit record of this batch.
    fn check(&self, bytes: &[u8], commit: &[u8]) -> Option<u64> {
        let commit = Commit::parse(commit)?;
        if commit.count != self.lines.len() {
            return None;
        }
        let length: usize = self.lines.iter().map(|line| line.len() + 1).sum();
        let records = bytes.get(self.start..self.start.checked_add(length)?)?;
        (commit.crc == checksum(records, commit.covered)).then_some(commit.synced)
    }
}

/// A parsed commit record.
struct Commit<'a> {
    /// The part that its checksum covers, in addition to the records.
    covered: &'a str,
    count: usize,
    synced: u64,
    crc: u32,
}

impl<'a> Commit<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let (covered, crc) = std::str::from_utf8(line).ok()?.rsplit_once(' ')?;
        let (count, synced) = covered.strip_prefix("= ")?.split_once(' ')?;
        let (count, synced) = (count.parse().ok()?, synced.parse().ok()?);
        Some(Self { covered, count, synced, crc: u32::from_str_radix(crc, 16).ok()? })
    }
}

/// Reads an intact file line by line, so that it is never held whole. If it turns out not to be as its writer left it,
/// [`parse`] has to judge it, and what was read so far is void.
#[derive(Debug)]
pub(crate) struct LineByLine {
    contents: Contents,
    /// The offset of the next line.
    at: u64,
    /// The checksum of the current batch.
    hasher: crc32fast::Hasher,
    /// The number of records in the current batch.
    records: usize,
}

impl LineByLine {
    /// Starts at the beginning of a file.
    #[must_use]
    pub(crate) fn new() -> Self {
        let contents = Contents { count: 0, valid: offset(MAGIC.len()), synced: 0, outdated: false };
        Self { contents, at: 0, hasher: crc32fast::Hasher::new(), records: 0 }
    }

    /// Takes the next line, without its line end. A record is passed on before it is known whether its batch is valid.
    /// None if the file is not intact, or if `take` returns None.
    pub(crate) fn line(&mut self, line: &[u8], take: impl FnOnce(Record) -> Option<()>) -> Option<()> {
        let is_first = self.at == 0;
        self.at += offset(line.len()) + 1;
        if is_first {
            return (Some(line) == MAGIC.strip_suffix(b"\n")).then_some(());
        }
        if !line.starts_with(b"= ") {
            self.hasher.update(line);
            self.hasher.update(b"\n");
            self.records += 1;
            return take(Record::parse(line).ok()?);
        }
        let commit = Commit::parse(line)?;
        let mut hasher = std::mem::take(&mut self.hasher);
        hasher.update(commit.covered.as_bytes());
        let records = std::mem::take(&mut self.records);
        if commit.count != records || commit.crc != hasher.finalize() {
            return None;
        }
        if records > 0 {
            self.contents.count += records;
            self.contents.valid = self.at;
        }
        self.contents.synced = self.contents.synced.max(commit.synced);
        Some(())
    }

    /// Returns the contents of the file if it ends after the last line. None if it is not intact.
    #[must_use]
    pub(crate) fn finish(self) -> Option<Contents> {
        (self.records == 0 && self.at > 0).then_some(self.contents)
    }
}

impl Default for LineByLine {
    fn default() -> Self {
        Self::new()
    }
}

fn checksum(records: &[u8], covered: &str) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(records);
    hasher.update(covered.as_bytes());
    hasher.finalize()
}

/// Judges an invalid batch at `start`: it is damage if a later valid batch says that the file had been durable beyond
/// `start`, else tail.
fn judge_tail(bytes: &[u8], start: usize, line: usize) -> Result<(), BadJournal> {
    let mut lines: Vec<(usize, &[u8])> = Vec::new();
    let mut at = start;
    for text in bytes.get(start..).unwrap_or_default().split_inclusive(|c| *c == b'\n') {
        lines.push((at, text.strip_suffix(b"\n").unwrap_or(text)));
        at += text.len();
    }
    for (i, (_, commit)) in lines.iter().enumerate() {
        let Some(count) = commit.strip_prefix(b"= ").and_then(|rest| rest.split(|c| *c == b' ').next()) else {
            continue;
        };
        let Some(count) = std::str::from_utf8(count).ok().and_then(|text| text.parse::<usize>().ok()) else { continue };
        let Some(own) = i.checked_sub(count).and_then(|first| lines.get(first..i)) else { continue };
        let Some((first, _)) = own.first().or(lines.get(i)) else { continue };
        let batch = Batch { start: *first, line: 0, lines: own.iter().map(|(_, text)| *text).collect() };
        if batch.check(bytes, commit).is_some_and(|synced| synced > offset(start)) {
            return Err(BadJournal::Damaged { line });
        }
    }
    Ok(())
}

fn offset(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Returns the bytes of a new file with these records.
#[must_use]
pub fn file_of(records: &[Record]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    encode(records, 0, &mut bytes);
    bytes
}

/// Returns the bytes by which a new file grows if these records are appended.
#[must_use]
pub fn batch_of(records: &[Record]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(records, 0, &mut bytes);
    bytes
}

/// Appends a batch of records and its commit record to `bytes`.
fn encode(records: &[Record], synced: u64, bytes: &mut Vec<u8>) {
    let start = bytes.len();
    for record in records {
        record.write(bytes);
        bytes.push(b'\n');
    }
    let covered = covered(records.len(), synced);
    let crc = checksum(bytes.get(start..).unwrap_or_default(), &covered);
    bytes.extend_from_slice(commit(&covered, crc).as_bytes());
}

/// The part of a commit record that its own checksum covers.
fn covered(count: usize, synced: u64) -> String {
    format!("= {count} {synced}")
}

fn commit(covered: &str, crc: u32) -> String {
    format!("{covered} {crc:08x}\n")
}

/// Whether an append must be durable when it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// It is synced.
    Now,
    /// It becomes durable with the next append that is synced.
    Later,
}

/// A file open for appending.
pub(crate) struct Journal {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// The directory of the file. None if the file is only looked at.
    dir: Option<Dir>,
    /// The file. None if it does not exist yet, or is only looked at.
    file: Option<Open>,
    /// The end of the last valid batch with records, in octets: the next one goes there.
    length: u64,
    /// The offset up to which the file is known to be durable.
    synced: u64,
    /// The number of records in the file.
    records: usize,
    /// Whether an earlier version wrote it. Then nothing is appended.
    outdated: bool,
    /// Whether its last batches were read without proof that they are on disk. Then nothing is appended.
    unproven: bool,
    /// Whether something was appended and not synced.
    unsynced: bool,
    /// Whether a failed write or sync left it unknown what is in the file. Then nothing more is written.
    broken: bool,
}

/// An open, locked file.
struct Open {
    file: Box<dyn DiskFile>,
    id: FileId,
    /// Whether everything after the last valid batch has been cut off.
    trimmed: bool,
}

/// A journal's file, locked: while its lock is held, nobody else appends to it.
pub(crate) struct LockedFile {
    open: Open,
    /// Its size in octets.
    size: u64,
}

impl LockedFile {
    /// Its size in octets when it was locked.
    #[must_use]
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Opens a file and locks it, whatever its name. None if another process holds the lock.
    ///
    /// # Errors
    /// Disk errors; `NotFound` if there is no such file.
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> io::Result<Option<Self>> {
        loop {
            let mut file = disk.append(path)?;
            if !file.try_lock()? {
                return Ok(None);
            }
            let id = file.id()?;
            let status = disk.status(path)?;
            // The previous holder of the lock may have replaced the file.
            if status.id == id {
                return Ok(Some(Self { open: Open { file, id, trimmed: false }, size: status.size }));
            }
        }
    }
}

impl Journal {
    /// Opens the journal that `contents` were read from. Without `dir` and `file` it can only be looked at.
    #[must_use]
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        path: PathBuf,
        dir: Option<Dir>,
        contents: &Contents,
        file: Option<LockedFile>,
    ) -> Self {
        let &Contents { count: records, valid: length, synced, outdated } = contents;
        let file = file.map(|LockedFile { open, .. }| open);
        let unproven = length > synced;
        Self { disk, path, dir, file, length, synced, records, outdated, unproven, unsynced: false, broken: false }
    }

    /// A journal whose file does not exist yet; [`Journal::rewrite`] creates it in `dir`.
    #[must_use]
    pub(crate) fn absent(disk: Arc<dyn Disk>, path: PathBuf, dir: Option<Dir>) -> Self {
        let (length, synced, records) = (0, 0, 0);
        let (file, outdated, unproven, unsynced, broken) = (None, false, false, false, false);
        Self { disk, path, dir, file, length, synced, records, outdated, unproven, unsynced, broken }
    }

    /// Creates a file in `dir` durably; it must not exist yet. `own` is part of a temporary name that is unique to the
    /// caller, so that another process may create the file at the same time.
    ///
    /// # Errors
    /// Disk errors; `AlreadyExists` if another process has created it.
    pub(crate) fn make(
        disk: &dyn Disk,
        path: &Path,
        dir: &Dir,
        own: &str,
        records: impl IntoIterator<Item = Record>,
    ) -> io::Result<()> {
        let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut new = name.to_owned();
        new.push(format!(".{own}.new"));
        let mut file = disk.create_in(dir, &new)?;
        let made = fill(&mut *file, records).and_then(|_| disk.rename_in(dir, &new, dir, name));
        made.inspect_err(|_| _ = disk.remove_in(dir, &new))?;
        disk.sync_open_dir(dir).map(|_| ())
    }

    /// The path of the file.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file exists.
    #[must_use]
    pub(crate) fn exists(&self) -> bool {
        self.length > 0
    }

    /// Whether the file must be rewritten before anything is appended: it does not exist, an earlier version wrote it,
    /// or it is [unproven](Journal::is_unproven).
    #[must_use]
    pub(crate) fn needs_rewrite(&self) -> bool {
        !self.exists() || self.outdated || self.unproven
    }

    /// Whether less than what was read may be on disk, because the last sync may have failed.
    #[must_use]
    pub(crate) fn is_unproven(&self) -> bool {
        self.unproven
    }

    /// Whether the path still leads to the open file, or to none if there is none.
    ///
    /// # Errors
    /// Disk errors.
    pub(crate) fn is_in_place(&self) -> io::Result<bool> {
        let there = match self.disk.status(&self.path) {
            Ok(status) => Some(status.id),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => None,
            Err(e) => return Err(e),
        };
        Ok(there == self.file.as_ref().map(|open| open.id))
    }

    /// Whether everything appended here is durable.
    #[must_use]
    pub(crate) fn is_synced(&self) -> bool {
        !self.unsynced
    }

    /// Whether the file is known to survive a power cut. A new file says so only with its next append: its writer may
    /// have been killed before the name was synced, or that sync may have failed.
    #[must_use]
    pub(crate) fn is_durable(&self) -> bool {
        self.synced > 0
    }

    /// Whether a failed write or sync left it unknown what is in the file.
    #[must_use]
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// The length of the valid batches in octets.
    #[must_use]
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The number of records in the file, dead ones included.
    #[must_use]
    pub(crate) fn records(&self) -> usize {
        self.records
    }

    /// Appends one batch.
    ///
    /// # Errors
    /// Disk errors. What was written of the batch is cut off again; if even that fails, or if a sync failed, every
    /// later call fails too.
    pub(crate) fn append(&mut self, records: &[Record], durability: Durability) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write to this file failed"));
        }
        let mut bytes = Vec::with_capacity(records.len().saturating_mul(160));
        encode(records, self.synced, &mut bytes);
        let length = self.length;
        let file = self.writable()?;
        if let Err(e) = file.write_all(&bytes) {
            self.broken = file.truncate(length).is_err();
            return Err(e);
        }
        let appended = length + offset(bytes.len());
        if durability == Durability::Now {
            self.sync_file(appended)?;
        }
        self.length = appended;
        self.records += records.len();
        self.unsynced = durability == Durability::Later;
        Ok(())
    }

    /// Makes everything appended here durable.
    ///
    /// # Errors
    /// Disk errors; every later call fails too.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.unsynced {
            self.sync_file(self.length)?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// Appends a mark that all of the file is durable, if it is. The mark need not be durable itself.
    ///
    /// # Errors
    /// Disk errors: then the mark is missing, and nothing else is lost.
    pub(crate) fn mark_durable(&mut self) -> io::Result<()> {
        if self.unsynced || self.broken || self.unproven || self.synced != self.length {
            return Ok(());
        }
        let mut bytes = Vec::new();
        encode(&[], self.synced, &mut bytes);
        let written = self.writable()?.write_all(&bytes);
        // Whatever was written of the mark is cut off before the next batch.
        if let Some(open) = &mut self.file {
            open.trimmed = false;
        }
        written
    }

    fn sync_file(&mut self, length: u64) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write to this file failed"));
        }
        let synced = self.writable()?.sync();
        // After a failed sync the records may or may not be on disk, and a later success would prove nothing.
        self.broken = synced.is_err();
        synced?;
        self.synced = length;
        Ok(())
    }

    /// Returns the file, with any tail cut off.
    fn writable(&mut self) -> io::Result<&mut Box<dyn DiskFile>> {
        let Some(open) = &mut self.file else { return Err(io::Error::other("it is not open for writing")) };
        if !open.trimmed {
            open.file.truncate(self.length)?;
            open.trimmed = true;
        }
        Ok(&mut open.file)
    }

    /// Replaces the file by a new one that holds only `records`, durably. Records are written as they come, so that a
    /// large state is not held in memory another two times.
    ///
    /// # Errors
    /// Disk errors. The old file is still there then, unless only the last sync failed.
    pub(crate) fn rewrite(&mut self, records: impl IntoIterator<Item = Record>) -> io::Result<()> {
        let (Some(dir), Some(name)) = (self.dir.clone(), self.path.file_name()) else {
            return Err(io::Error::other("it is not open for writing"));
        };
        let (file, filled) = replace_whole(&*self.disk, FileLocation::In(&dir, name), |file| fill(file, records))?;
        self.file = Some(Open { file, id: filled.id, trimmed: true });
        (self.length, self.records) = (filled.length, filled.records);
        (self.synced, self.outdated, self.unproven, self.unsynced) = (0, false, false, false);
        self.broken = true;
        self.disk.sync_open_dir(&dir)?;
        self.broken = false;
        self.synced = self.length;
        Ok(())
    }
}

/// New files are written in pieces of about this many octets.
const PIECE: usize = 256 << 10;

/// A new file that was written.
struct Filled {
    id: FileId,
    /// The length in octets.
    length: u64,
    /// The number of records.
    records: usize,
}

/// Writes these records into a new file, which is locked and durable when this returns.
fn fill(file: &mut dyn DiskFile, records: impl IntoIterator<Item = Record>) -> io::Result<Filled> {
    if !file.try_lock()? {
        return Err(io::Error::other("another process holds the new file"));
    }
    let (mut piece, mut length, mut count) = (MAGIC.to_vec(), 0, 0);
    let mut hasher = crc32fast::Hasher::new();
    for record in records {
        let start = piece.len();
        record.write(&mut piece);
        piece.push(b'\n');
        hasher.update(piece.get(start..).unwrap_or_default());
        count += 1;
        if piece.len() >= PIECE {
            file.write_all(&piece)?;
            length += offset(piece.len());
            piece.clear();
        }
    }
    let covered = covered(count, 0);
    hasher.update(covered.as_bytes());
    piece.extend_from_slice(commit(&covered, hasher.finalize()).as_bytes());
    file.write_all(&piece)?;
    file.sync()?;
    Ok(Filled { id: file.id()?, length: length + offset(piece.len()), records: count })
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("path", &self.path).field("length", &self.length).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
