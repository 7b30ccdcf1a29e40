use super::*;
use crate::disk::RealDisk;
use crate::ids::EntryId;
use crate::state::entries::Identity;

fn header() -> Record {
    Record::Header(Identity {
        instance: crate::ids::InstanceId::new(1),
        host: "h".to_owned(),
        user: "u".to_owned(),
        created: 2,
    })
}

/// A file of three batches: the header; two records, durable; one more.
fn written() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.uids");
    let mut journal = Journal::absent(Arc::new(RealDisk), path.clone(), Some(RealDisk.open_dir(dir.path()).unwrap()));
    journal.rewrite([header()]).unwrap();
    journal
        .append(&[Record::Published(vec![EntryId::new(1)]), Record::Published(vec![EntryId::new(2)])], Durability::Now)
        .unwrap();
    assert!(journal.is_synced());
    journal.append(&[Record::Published(vec![EntryId::new(3)])], Durability::Later).unwrap();
    assert!(!journal.is_synced());
    let bytes = std::fs::read(&path).unwrap();
    (dir, path, bytes)
}

fn open(path: &Path, contents: &Contents) -> Journal {
    let file = LockedFile::open(&RealDisk, path).unwrap();
    assert!(file.is_some());
    let dir = RealDisk.open_dir(path.parent().unwrap()).unwrap();
    Journal::open(Arc::new(RealDisk), path.to_owned(), Some(dir), contents, file)
}

/// Parses a file and collects its records.
fn parse(bytes: &[u8]) -> Result<(Contents, Vec<Record>), BadJournal> {
    let mut records = Vec::new();
    let take = |record| -> Result<(), BadJournal> {
        records.push(record);
        Ok(())
    };
    super::parse(bytes, take).map(|contents| (contents, records))
}

fn published(records: &[Record]) -> Vec<u64> {
    let ids = |record: &Record| match record {
        Record::Published(ids) => ids.iter().map(|id| id.get()).collect(),
        _ => Vec::new(),
    };
    records.iter().flat_map(ids).collect()
}

#[test]
fn what_is_appended_is_read() {
    let (_dir, _, bytes) = written();
    let (contents, records) = parse(&bytes).unwrap();
    assert_eq!(published(&records), [1, 2, 3]);
    assert_eq!(contents.valid, offset(bytes.len()));
}

#[test]
fn a_file_cut_anywhere_loses_only_whole_batches_from_its_end() {
    let (_dir, _, bytes) = written();
    for cut in MAGIC.len()..=bytes.len() {
        let (_, records) = parse(&bytes[..cut]).unwrap();
        let ids = published(&records);
        assert!([&[][..], &[1, 2], &[1, 2, 3]].contains(&ids.as_slice()), "cut at {cut}: {ids:?}");
    }
}

#[test]
fn a_tail_is_cut_off_before_the_next_append() {
    let (_dir, path, bytes) = written();
    std::fs::write(&path, [&bytes[..], b"P 9\n= 1 0 0000"].concat()).unwrap();
    let (contents, _) = parse(&std::fs::read(&path).unwrap()).unwrap();
    let mut journal = open(&path, &contents);
    journal.append(&[Record::Published(vec![EntryId::new(4)])], Durability::Now).unwrap();
    assert_eq!(published(&parse(&std::fs::read(&path).unwrap()).unwrap().1), [1, 2, 3, 4]);
}

#[test]
fn a_flipped_bit_in_what_was_durable_is_damage_with_its_line() {
    let (_dir, _, bytes) = written();
    // Everything before the last batch was durable when that was written. The line end before it belongs to both, and
    // so proves neither.
    let durable = bytes.windows(4).position(|w| w == b"\nP 3").unwrap();
    for at in MAGIC.len()..durable {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        let result = parse(&flipped);
        assert!(matches!(result, Err(BadJournal::Damaged { line: 2 | 4 })), "byte {at}: {result:?}");
    }
}

#[test]
fn a_hole_of_zeros_before_a_good_batch_is_tail_if_it_was_never_durable() {
    let (_dir, path, bytes) = written();
    let (contents, _) = parse(&bytes).unwrap();
    let mut journal = open(&path, &contents);
    // One sync is to make both appends durable, and the power fails before it returns.
    journal.append(&[Record::Published(vec![EntryId::new(4)])], Durability::Later).unwrap();
    let middle = std::fs::read(&path).unwrap().len();
    journal.append(&[Record::Published(vec![EntryId::new(5)])], Durability::Now).unwrap();
    let mut torn = std::fs::read(&path).unwrap();
    // The end of the last line is on another page and may be there: then the next batch can be read.
    for end in [middle - 1, middle] {
        torn[bytes.len()..end].fill(0);
        assert_eq!(published(&parse(&torn).unwrap().1), [1, 2, 3]);
    }
}

#[test]
fn other_files_and_newer_ones_are_refused() {
    assert_eq!(parse(b""), Err(BadJournal::NotOurs));
    assert_eq!(parse(b"something else\n"), Err(BadJournal::NotOurs));
    assert_eq!(parse(b"mailferry-uids 3\n"), Err(BadJournal::Newer));
    for rewritten in [&b"mailferry-uids 2\r\nh 1\r\n"[..], b"mailferry-uids 1\r\n", b"mailferry-uids 2\r"] {
        assert_eq!(parse(rewritten), Err(BadJournal::LineEnds));
    }
    let mut bytes = MAGIC.to_vec();
    encode(&[header(), Record::Unknown(b"X 1".to_vec())], 0, &mut bytes);
    assert_eq!(parse(&bytes), Err(BadJournal::Newer));
}

#[test]
fn unknown_records_that_may_be_ignored_are_kept() {
    let mut bytes = MAGIC.to_vec();
    encode(&[header(), Record::Unknown(b"z 1 2".to_vec())], 0, &mut bytes);
    assert_eq!(parse(&bytes).unwrap().1[1], Record::Unknown(b"z 1 2".to_vec()));
}

#[test]
fn a_file_of_the_version_before_is_read_and_written_anew_before_anything_is_added() {
    let (_dir, path, bytes) = written();
    let old = [MAGIC_1, &bytes[MAGIC.len()..]].concat();
    std::fs::write(&path, old).unwrap();
    let (contents, records) = parse(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(published(&records), [1, 2, 3]);
    let mut journal = open(&path, &contents);
    assert!(journal.needs_rewrite() && journal.exists());
    journal.rewrite(records.clone()).unwrap();
    assert!(!journal.needs_rewrite() && std::fs::read(&path).unwrap().starts_with(MAGIC));
}

#[test]
fn a_file_is_locked_under_any_name_and_after_a_rewrite() {
    let (_dir, path, bytes) = written();
    let mut journal = open(&path, &parse(&bytes).unwrap().0);
    let moved = path.with_extension("moved");
    for rewritten in [false, true] {
        std::fs::rename(&path, &moved).unwrap();
        assert!(LockedFile::open(&RealDisk, &moved).unwrap().is_none(), "{rewritten}");
        assert!(!journal.is_in_place().unwrap());
        std::fs::rename(&moved, &path).unwrap();
        assert!(journal.is_in_place().unwrap());
        journal.rewrite([header()]).unwrap();
    }
    drop(journal);
    assert!(LockedFile::open(&RealDisk, &path).unwrap().is_some());
}

#[test]
fn a_file_that_is_only_looked_at_is_not_written_to() {
    let (_dir, path, bytes) = written();
    let mut journal = Journal::open(Arc::new(RealDisk), path.clone(), None, &parse(&bytes).unwrap().0, None);
    assert!(journal.append(&[Record::Published(vec![EntryId::new(4)])], Durability::Now).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_commit_record_without_its_line_end_is_none() {
    let (_dir, _path, bytes) = written();
    let whole = parse(&bytes).unwrap().0;
    let cut = parse(&bytes[..bytes.len() - 1]).unwrap().0;
    assert!(cut.valid < whole.valid && cut.count < whole.count);
}

#[test]
fn what_is_not_known_to_be_on_disk_is_written_anew_before_anything_is_added() {
    let (_dir, path, bytes) = written();
    let (contents, records) = parse(&bytes).unwrap();
    let mut journal = open(&path, &contents);
    assert!(journal.is_unproven() && journal.needs_rewrite(), "the last batch was not synced");
    journal.mark_durable().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "nobody knows that it is");
    journal.rewrite(records.clone()).unwrap();
    assert!(!journal.is_unproven());
    journal.append(&[Record::Published(vec![EntryId::new(4)])], Durability::Later).unwrap();
    journal.mark_durable().unwrap();
    drop(journal);
    assert!(open(&path, &parse(&std::fs::read(&path).unwrap()).unwrap().0).is_unproven(), "it was not synced");
}

#[test]
fn a_file_that_says_that_all_of_it_is_durable_is_added_to() {
    let (_dir, path, bytes) = written();
    let (contents, records) = parse(&bytes).unwrap();
    let mut journal = open(&path, &contents);
    journal.rewrite(records.clone()).unwrap();
    let unmarked = std::fs::read(&path).unwrap();
    journal.mark_durable().unwrap();
    drop(journal);
    let marked = std::fs::read(&path).unwrap();
    assert!(marked.len() > unmarked.len());
    let (contents, read) = parse(&marked).unwrap();
    assert_eq!((read, contents.valid, contents.synced), (records, offset(unmarked.len()), offset(unmarked.len())));
    let mut journal = open(&path, &contents);
    assert!(!journal.needs_rewrite());
    journal.append(&[Record::Published(vec![EntryId::new(4)])], Durability::Now).unwrap();
    let added = std::fs::read(&path).unwrap();
    assert!(added.starts_with(&unmarked) && !added.starts_with(&marked), "the mark makes room");
    assert_eq!(published(&parse(&added).unwrap().1), [1, 2, 3, 4]);
}

#[test]
fn a_mark_shows_damage_below_it() {
    let (_dir, path, bytes) = written();
    let (contents, records) = parse(&bytes).unwrap();
    let mut journal = open(&path, &contents);
    journal.rewrite(records.clone()).unwrap();
    journal.mark_durable().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[MAGIC.len() + 5] ^= 1;
    assert_eq!(parse(&bytes), Err(BadJournal::Damaged { line: 2 }));
}

/// A file that measures what is written to it.
#[derive(Default)]
struct Counting {
    bytes: Vec<u8>,
    /// The largest single write.
    most: usize,
}

impl DiskFile for Counting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        self.most = self.most.max(bytes.len());
        Ok(bytes.len())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn set_mode(&mut self, _mode: u32) -> io::Result<()> {
        Ok(())
    }

    fn device(&self) -> Option<u64> {
        None
    }

    fn begin_sync(&mut self) {}

    fn truncate(&mut self, _length: u64) -> io::Result<()> {
        Ok(())
    }

    fn id(&self) -> io::Result<FileId> {
        Ok(FileId { device: 1, inode: 1 })
    }

    fn try_lock(&mut self) -> io::Result<bool> {
        Ok(true)
    }
}

#[test]
fn a_large_file_is_written_anew_in_pieces_and_is_one_batch() {
    let mut file = Counting::default();
    let ids = || (0..200_000).map(|id| Record::Published(vec![EntryId::new(id)]));
    let filled = fill(&mut file, std::iter::once(header()).chain(ids())).unwrap();
    assert!(file.bytes.len() > 4 * PIECE && file.most < PIECE + 1024, "{} of {}", file.most, file.bytes.len());
    let (contents, records) = parse(&file.bytes).unwrap();
    assert_eq!((contents.valid, contents.count), (filled.length, filled.records));
    assert!(records.into_iter().eq(std::iter::once(header()).chain(ids())));
}

#[test]
fn bytes_made_outside_are_those_that_a_journal_writes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.uids");
    let mut journal = Journal::absent(Arc::new(RealDisk), path.clone(), Some(RealDisk.open_dir(dir.path()).unwrap()));
    journal.rewrite([header()]).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), file_of(&[header()]));
    let appended = [Record::Published(vec![EntryId::new(1)]), Record::Published(vec![EntryId::new(2)])];
    let bytes = [file_of(&[header()]), batch_of(&appended)].concat();
    let (contents, records) = parse(&bytes).unwrap();
    assert_eq!((published(&records), contents.valid), (vec![1, 2], offset(bytes.len())));
}
