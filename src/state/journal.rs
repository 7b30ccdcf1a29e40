//! The `.uids` file: records in batches, each ended by a commit record.
//!
//! A commit line reads `= COUNT SYNCED CRC`: how many records the batch has, up to which offset the file was known to
//! be durable when it was written, and the CRC-32 of the batch with the first two fields. A batch without a valid commit
//! record is *tail* if nothing says that it was ever durable (a kill or a power cut in the middle of an append), and is
//! cut off before the next append. It is *damage* if a later valid commit record says that it was: then the file is left
//! as it is and somebody has to look.
//!
//! Whoever is done with a file that is durable to its end appends a batch without records, which says so and need not be
//! durable itself. Where it is missing, the last sync may have failed, and then neither what is read nor a later sync
//! proves that the last batches are on disk: such a file is written anew before anything is added to it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::entries::Identity;
use super::record::{BadRecord, Record};
use crate::disk::{Dir, Disk, DiskFile, FileId, Place, replace_whole};

/// The first line of every file that is written, with the version of the format.
const MAGIC: &[u8] = b"mailferry-uids 2\n";

/// That of the version before, which is read and never added to: it has no word for some of our records.
const MAGIC_1: &[u8] = b"mailferry-uids 1\n";

/// What every version's first line begins with.
const MAGIC_STEM: &[u8] = b"mailferry-uids ";

/// What a file that was read holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Contents {
    /// How many records the valid batches have.
    count: usize,
    /// Where the last valid batch that has records ends.
    valid: u64,
    /// Up to where the file is known to be durable.
    synced: u64,
    /// It was written by an earlier version.
    outdated: bool,
}

/// Why a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadJournal {
    /// It does not begin as one of ours.
    NotOurs,
    /// It was written by a newer version.
    Newer,
    /// Its lines end in CRLF, as no version writes them: somebody has rewritten it as text.
    LineEnds,
    /// It is damaged at this line.
    Damaged {
        /// The first line of the batch that is not what was written, from 1.
        line: usize,
    },
}

/// Reads a file's bytes and hands over the records of all valid batches, in their order.
///
/// # Errors
/// [`BadJournal`], or that of `take`: what was handed over before counts for nothing.
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

/// What a file is that does not begin with the first line of a version that we know.
fn judge_beginning(bytes: &[u8]) -> BadJournal {
    let first = bytes.split(|c| *c == b'\n').next().unwrap_or_default();
    match first.strip_prefix(MAGIC_STEM) {
        Some(version) if version.ends_with(b"\r") => BadJournal::LineEnds,
        Some(_) => BadJournal::Newer,
        None => BadJournal::NotOurs,
    }
}

/// What follows the first line; both versions' are of the same length. None if it is not one of them.
fn body(bytes: &[u8]) -> Option<&[u8]> {
    bytes.strip_prefix(MAGIC).or_else(|| bytes.strip_prefix(MAGIC_1))
}

/// Who the file belongs to whose first bytes these are.
#[must_use]
pub fn identity(head: &[u8]) -> Option<Identity> {
    let line = body(head)?.split_inclusive(|c| *c == b'\n').next()?.strip_suffix(b"\n")?;
    match Record::parse(line) {
        Ok(Record::Header(identity)) => Some(identity),
        _ => None,
    }
}

/// Lines that wait for their commit record.
struct Batch<'a> {
    /// Where the first one begins.
    start: usize,
    /// The number of the first one in the file, from 1.
    line: usize,
    lines: Vec<&'a [u8]>,
}

impl Batch<'_> {
    /// The offset up to which the file was durable, if `commit` is this batch's commit record.
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

/// What a commit record says.
struct Commit<'a> {
    /// What its checksum covers beside the records.
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

/// Reads a file that is as its writer left it, line by line, so that it is never held whole. What is found to be otherwise
/// is for [`parse`] to judge, and what was read so far counts for nothing.
#[derive(Debug)]
pub struct LineByLine {
    contents: Contents,
    /// Where the next line begins.
    at: u64,
    /// Of the current batch.
    hasher: crc32fast::Hasher,
    /// How many the current batch has.
    records: usize,
}

impl LineByLine {
    /// Nothing is read yet.
    #[must_use]
    pub fn new() -> Self {
        let contents = Contents { count: 0, valid: offset(MAGIC.len()), synced: 0, outdated: false };
        Self { contents, at: 0, hasher: crc32fast::Hasher::new(), records: 0 }
    }

    /// The next line, without its end; a record is handed over before it is known whether its batch is valid. None if the
    /// file is not as it was left, or `take` gives it back.
    pub fn line(&mut self, line: &[u8], take: impl FnOnce(Record) -> Option<()>) -> Option<()> {
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

    /// What the file holds, if it ended behind the last line. None if it is not as it was left.
    #[must_use]
    pub fn finish(self) -> Option<Contents> {
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

/// The batch at `start` is not valid. That is damage if some later batch is valid and says that the file had been
/// durable beyond `start`; else it is tail.
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

/// A batch of records with its commit record, as bytes.
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

/// What a commit record says, and its own checksum covers.
fn covered(count: usize, synced: u64) -> String {
    format!("= {count} {synced}")
}

fn commit(covered: &str, crc: u32) -> String {
    format!("{covered} {crc:08x}\n")
}

/// Whether an append must be durable when it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It is synced.
    Now,
    /// It becomes durable with the next append that is.
    Later,
}

/// A file that is written to.
pub struct Journal {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// The directory that the file is in. None where it is only looked at.
    dir: Option<Dir>,
    /// The file. None if there is none yet, and where it is only looked at.
    file: Option<Open>,
    /// Where the last valid batch that has records ends, in octets: the place of the next one.
    length: u64,
    /// Up to where the file is known to be durable.
    synced: u64,
    /// How many records stand in the file.
    records: usize,
    /// It was written by an earlier version: nothing is added to it.
    outdated: bool,
    /// Its last batches were read, and nothing says that they are on disk: nothing is added to it.
    unproven: bool,
    /// This value has appended something that was not synced.
    unsynced: bool,
    /// A write or sync failed in a way that leaves the file's fate unknown: nothing more is written to it.
    broken: bool,
}

/// A file that is open, and locked.
struct Open {
    file: Box<dyn DiskFile>,
    id: FileId,
    /// What stood behind the last valid batch is cut off.
    trimmed: bool,
}

/// A journal's file, locked: whoever has the lock on its name, nobody else adds to the file.
pub struct LockedFile {
    open: Open,
    /// Its octets.
    size: u64,
}

impl LockedFile {
    /// How many octets it had when it was locked.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Opens a file and locks it, whatever its name. None if another process holds it.
    ///
    /// # Errors
    /// Disk errors; `NotFound` if there is none.
    pub fn open(disk: &dyn Disk, path: &Path) -> io::Result<Option<Self>> {
        loop {
            let mut file = disk.append(path)?;
            if !file.try_lock()? {
                return Ok(None);
            }
            let id = file.id()?;
            let status = disk.status(path)?;
            // Whoever held it before may have replaced it.
            if status.id == id {
                return Ok(Some(Self { open: Open { file, id, trimmed: false }, size: status.size }));
            }
        }
    }
}

impl Journal {
    /// The file that `contents` were read from. Without its directory and the file it can be looked at, and not be written
    /// to.
    #[must_use]
    pub fn open(
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

    /// A file that does not exist yet; [`Journal::rewrite`] makes it in `dir`.
    #[must_use]
    pub fn absent(disk: Arc<dyn Disk>, path: PathBuf, dir: Option<Dir>) -> Self {
        let (length, synced, records) = (0, 0, 0);
        let (file, outdated, unproven, unsynced, broken) = (None, false, false, false, false);
        Self { disk, path, dir, file, length, synced, records, outdated, unproven, unsynced, broken }
    }

    /// Makes a file in `dir` that is not there yet, durable. `own` is a part of a name that nobody else has: whoever makes the
    /// file at the same time is not in the way.
    ///
    /// # Errors
    /// Disk errors; `AlreadyExists` if somebody else has made it.
    pub fn make(
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

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is a file.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.length > 0
    }

    /// Whether it must be written anew before anything is added: there is none, it is of an earlier version, or
    /// [unproven](Journal::is_unproven).
    #[must_use]
    pub fn needs_rewrite(&self) -> bool {
        !self.exists() || self.outdated || self.unproven
    }

    /// Whether what was read may be less on disk: the last sync may have failed.
    #[must_use]
    pub fn is_unproven(&self) -> bool {
        self.unproven
    }

    /// Whether its path still leads to the file that is open, or to none if there is none.
    ///
    /// # Errors
    /// Disk errors.
    pub fn is_in_place(&self) -> io::Result<bool> {
        let there = match self.disk.status(&self.path) {
            Ok(status) => Some(status.id),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => None,
            Err(e) => return Err(e),
        };
        Ok(there == self.file.as_ref().map(|open| open.id))
    }

    /// Whether everything that this value appended is durable.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        !self.unsynced
    }

    /// Whether the file is known to be there after a power cut. A new one says so only in what is appended to it: whoever
    /// made it may have been killed before its name was synced, or that sync may have failed.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.synced > 0
    }

    /// Whether a write or sync failed in a way that leaves open what is in the file.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// How far the valid batches go, in octets.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// How many records stand in the file, dead ones included.
    #[must_use]
    pub fn records(&self) -> usize {
        self.records
    }

    /// Appends one batch.
    ///
    /// # Errors
    /// Disk errors. What was written of the batch is cut off again; if even that fails, or a sync did, every
    /// later call fails too.
    pub fn append(&mut self, records: &[Record], durability: Durability) -> io::Result<()> {
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

    /// Makes everything durable that this value appended.
    ///
    /// # Errors
    /// Disk errors; every later call fails too.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.unsynced {
            self.sync_file(self.length)?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// Says at the file's end that all of it is durable, if it is. This need not be durable itself.
    ///
    /// # Errors
    /// Disk errors: it is not said, and nothing else is lost.
    pub fn mark_durable(&mut self) -> io::Result<()> {
        if self.unsynced || self.broken || self.unproven || self.synced != self.length {
            return Ok(());
        }
        let mut bytes = Vec::new();
        encode(&[], self.synced, &mut bytes);
        let written = self.writable()?.write_all(&bytes);
        // Whatever of it was written makes room for the next batch.
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
        // The records may be on disk or not, and a later success would prove nothing.
        self.broken = synced.is_err();
        synced?;
        self.synced = length;
        Ok(())
    }

    /// The file, with any tail cut off.
    fn writable(&mut self) -> io::Result<&mut Box<dyn DiskFile>> {
        let Some(open) = &mut self.file else { return Err(io::Error::other("it is not open for writing")) };
        if !open.trimmed {
            open.file.truncate(self.length)?;
            open.trimmed = true;
        }
        Ok(&mut open.file)
    }

    /// Replaces the file by a new one that holds just `records`, durable when this returns. They are written as they come,
    /// so that a large state is not held in memory twice more.
    ///
    /// # Errors
    /// Disk errors; the old file is then still there, unless only the last sync failed.
    pub fn rewrite(&mut self, records: impl IntoIterator<Item = Record>) -> io::Result<()> {
        let (Some(dir), Some(name)) = (self.dir.clone(), self.path.file_name()) else {
            return Err(io::Error::other("it is not open for writing"));
        };
        let (file, filled) = replace_whole(&*self.disk, Place::In(&dir, name), |file| fill(file, records))?;
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

/// A new file is written in pieces of about so many octets.
const PIECE: usize = 256 << 10;

/// A new file.
struct Filled {
    id: FileId,
    /// In octets.
    length: u64,
    /// How many stand in it.
    records: usize,
}

/// Makes a new file hold just this, locked and durable.
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
