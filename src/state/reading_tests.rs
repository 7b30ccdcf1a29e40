use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::account::AccountName;
use crate::disk::RealDisk;
use crate::ids::{EntryId, InstanceId};
use crate::state::entries::{Entry, Identity};
use crate::state::journal::{Durability, Journal};

fn entry(id: u64) -> Record {
    Record::Entry(Entry::bare(id, None))
}

/// A file of several batches, the last one without records.
fn written() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.uids");
    let opened = RealDisk.open_dir(dir.path()).unwrap();
    let mut journal = Journal::absent(Arc::new(RealDisk), path.clone(), Some(opened));
    let (host, user) = ("h".to_owned(), "u".to_owned());
    let header = Record::Header(Identity { instance: InstanceId::new(1), host, user, created: 2 });
    journal.rewrite([header, entry(1), entry(2)]).unwrap();
    journal.append(&[entry(3), Record::Published(vec![EntryId::new(1)])], Durability::Now).unwrap();
    journal.append(&[Record::Forgotten(vec![EntryId::new(2)])], Durability::Now).unwrap();
    journal.mark_durable().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    (dir, path, bytes)
}

/// Reads these octets in pieces of this size.
fn in_pieces(bytes: &[u8], piece: usize) -> Option<Contents> {
    let (mut reading, mut lines, mut rest) = (Reading::default(), LineByLine::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        let mut take = |line: &[u8]| lines.line(line, |record| reading.take(record, 0).ok());
        each_line(piece, &mut rest, &mut take)?;
    }
    lines.finish().filter(|_| rest.is_empty())
}

/// Reads them as [`judge`] does.
fn judged(bytes: &[u8]) -> Result<Contents, BadJournal> {
    let mut reading = Reading::default();
    let taken = |e| match e {
        Unreadable::Journal(bad) => bad,
        Unreadable::Inconsistent(e) => panic!("{e:?}"),
    };
    journal::parse(bytes, |record| reading.take(record, 0)).map_err(taken)
}

#[test]
fn what_is_read_in_pieces_is_what_is_read_whole() {
    let (_dir, path, bytes) = written();
    let whole = judged(&bytes).unwrap();
    for piece in [1, 2, 3, 17, 100, bytes.len() - 1, bytes.len()] {
        assert_eq!(in_pieces(&bytes, piece).as_ref(), Some(&whole), "in pieces of {piece}");
    }
    let loaded = read_as_left(&RealDisk, &path).unwrap().unwrap();
    assert_eq!((loaded.contents, loaded.settled), (whole, 1));
    assert_eq!(loaded.state.entries().map(|entry| entry.id.get()).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn what_was_cut_or_changed_anywhere_is_judged_whole() {
    let (_dir, _, bytes) = written();
    for cut in 0..bytes.len() {
        // Where a batch ends nothing is missing.
        if let Some(contents) = in_pieces(&bytes[..cut], 50) {
            assert_eq!(judged(&bytes[..cut]), Ok(contents), "cut at {cut}");
        }
        let mut changed = bytes.clone();
        changed[cut] ^= 1;
        if let Some(contents) = in_pieces(&changed, 50) {
            assert_eq!(judged(&changed), Ok(contents), "changed at {cut}");
        }
    }
    assert_eq!(in_pieces(&bytes[..bytes.len() - 1], 50), None);
}

#[test]
fn a_file_that_is_too_large_is_refused_unread() {
    let (_dir, path, _) = written();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(MAX_FILE + 1).unwrap();
    let Err(error) = read(&RealDisk, &path) else { panic!("it was read") };
    let told = crate::advice::told_of_state(&error, &AccountName::new("a").unwrap());
    assert!(told.contains("more than 2 GiB") && told.contains("uids adopt --from-maildir"), "{told}");
}

#[test]
fn a_tail_is_left_out_and_damage_told() {
    let (_dir, path, bytes) = written();
    std::fs::write(&path, [&bytes[..], b"P 9\n= 1 0 0000"].concat()).unwrap();
    let loaded = read(&RealDisk, &path).unwrap().unwrap();
    assert_eq!(loaded.state.len(), 2);
    let mut damaged = bytes;
    let at = damaged.len() / 4;
    damaged[at] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    assert!(read(&RealDisk, &path).is_err());
    assert!(read(&RealDisk, &path.with_extension("none")).unwrap().is_none());
}

#[test]
fn a_number_that_nobody_counts_to_is_refused() {
    for id in [u64::MAX / 2 + 1, u64::MAX - 1, u64::MAX] {
        assert!(Reading::default().take(entry(id), 0).is_err(), "{id}");
    }
}
