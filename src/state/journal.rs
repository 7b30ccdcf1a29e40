//! The `.uids` file: records in batches, each ended by a commit record.
//!
//! A commit line reads `= COUNT SYNCED CRC`: how many records the batch has, up to which offset the file was known to
//! be durable when it was written, and the CRC-32 of the batch with the first two fields. A batch without a valid commit
//! record is *tail* if nothing says that it was ever durable (a kill or a power cut in the middle of an append), and is
//! cut off before the next append. It is *damage* if a later valid commit record says that it was: then the file is left
//! as it is and somebody has to look.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::entries::Identity;
use super::record::{BadRecord, Record};
use crate::disk::{Disk, DiskFile};

/// The first line of every file, with the version of the format.
const MAGIC: &[u8] = b"mailferry-uids 1\n";

/// What every version's first line begins with.
const MAGIC_STEM: &[u8] = b"mailferry-uids ";

/// What a file that was read holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Contents {
    /// How many records the valid batches have.
    count: usize,
    /// Where the last valid batch ends.
    valid: u64,
    /// Up to where the file is known to be durable.
    synced: u64,
}

/// Why a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadJournal {
    /// It does not begin as one of ours.
    NotOurs,
    /// It was written by a newer version.
    Newer,
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
    let Some(body) = bytes.strip_prefix(MAGIC) else {
        let newer = bytes.starts_with(MAGIC_STEM);
        return Err(if newer { BadJournal::Newer } else { BadJournal::NotOurs }.into());
    };
    let mut contents = Contents { count: 0, valid: offset(MAGIC.len()), synced: 0 };
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
        contents.count += batch.lines.len();
        contents.valid = offset(at);
        contents.synced = contents.synced.max(synced);
        batch = Batch { start: at, line: batch.line + batch.lines.len() + 1, lines: Vec::new() };
    }
    Ok(contents)
}

/// Who the file belongs to whose first bytes these are.
#[must_use]
pub fn identity(head: &[u8]) -> Option<Identity> {
    let line = head.strip_prefix(MAGIC)?.split_inclusive(|c| *c == b'\n').next()?.strip_suffix(b"\n")?;
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
        let text = std::str::from_utf8(commit).ok()?;
        let (covered, crc) = text.rsplit_once(' ')?;
        let (count, synced) = covered.strip_prefix("= ")?.split_once(' ')?;
        if count.parse() != Ok(self.lines.len()) {
            return None;
        }
        let length: usize = self.lines.iter().map(|line| line.len() + 1).sum();
        let records = bytes.get(self.start..self.start.checked_add(length)?)?;
        (u32::from_str_radix(crc, 16).ok()? == checksum(records, covered)).then(|| synced.parse().ok())?
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
        let Some((first, _)) = own.first() else { continue };
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
    let covered = format!("= {} {synced}", records.len());
    let crc = checksum(bytes.get(start..).unwrap_or_default(), &covered);
    bytes.extend_from_slice(format!("{covered} {crc:08x}\n").as_bytes());
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
    /// Opened at the first append.
    file: Option<Box<dyn DiskFile>>,
    /// Where the last valid batch ends: the place of the next one.
    length: u64,
    /// Up to where the file is known to be durable.
    synced: u64,
    /// How many records stand in the file.
    records: usize,
    /// A write or sync failed in a way that leaves the file's fate unknown: nothing more is written to it.
    broken: bool,
}

impl Journal {
    /// The file that `contents` were read from.
    #[must_use]
    pub fn open(disk: Arc<dyn Disk>, path: PathBuf, contents: &Contents) -> Self {
        let &Contents { count: records, valid: length, synced, .. } = contents;
        Self { disk, path, file: None, length, synced, records, broken: false }
    }

    /// A file that does not exist yet; [`Journal::rewrite`] makes it.
    #[must_use]
    pub fn absent(disk: Arc<dyn Disk>, path: PathBuf) -> Self {
        Self { disk, path, file: None, length: 0, synced: 0, records: 0, broken: false }
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

    /// How many records stand in the file, dead ones included.
    #[must_use]
    pub fn records(&self) -> usize {
        self.records
    }

    /// Appends one batch.
    ///
    /// # Errors
    /// Those of the disk. What was written of the batch is cut off again; if even that fails, or a sync did, every
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
        if durability == Durability::Now
            && let Err(e) = file.sync()
        {
            // The records may be on disk or not, and a later success would prove nothing.
            self.broken = true;
            return Err(e);
        }
        self.length += offset(bytes.len());
        self.records += records.len();
        if durability == Durability::Now {
            self.synced = self.length;
        }
        Ok(())
    }

    /// The file, opened, with any tail cut off.
    fn writable(&mut self) -> io::Result<&mut Box<dyn DiskFile>> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                let mut file = self.disk.append(&self.path)?;
                file.truncate(self.length)?;
                file
            }
        };
        Ok(self.file.insert(file))
    }

    /// Replaces the file by a new one that holds just `records`, durable when this returns.
    ///
    /// # Errors
    /// Those of the disk; the old file is then still there, unless only the last sync failed.
    pub fn rewrite(&mut self, records: &[Record]) -> io::Result<()> {
        let mut bytes = MAGIC.to_vec();
        encode(records, 0, &mut bytes);
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let new = PathBuf::from(name);
        match self.disk.remove(&new) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = self.disk.create(&new)?;
        if let Err(e) = file.write_all(&bytes).and_then(|()| file.sync()) {
            // Best effort: the name is taken over by the next attempt anyway.
            let _ = self.disk.remove(&new);
            return Err(e);
        }
        self.disk.replace(&new, &self.path)?;
        self.file = Some(file);
        self.length = offset(bytes.len());
        self.records = records.len();
        self.synced = 0;
        self.broken = true;
        let parent = self.path.parent().unwrap_or(Path::new("/"));
        self.disk.sync_dir(parent)?;
        self.broken = false;
        self.synced = self.length;
        Ok(())
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("path", &self.path).field("length", &self.length).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
