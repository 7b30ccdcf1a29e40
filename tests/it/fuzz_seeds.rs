//! The seeds of fuzz targets are what these targets look for: files that are read, not refused.

use std::path::Path;

use mailferry::account::AccountName;
use mailferry::disk::RealDisk;
use mailferry::forward::journal::Read;
use mailferry::oauth::store;
use mailferry::state::record::Record;

fn seed(of: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(of).join("whole")).unwrap()
}

/// Returns a journal of these batches of lines.
fn journal(batches: &[Vec<String>]) -> Vec<u8> {
    let mut file = "mailferry-uids 2\n".to_owned();
    for lines in batches {
        let covered =
            format!("{}= {} 0", lines.iter().map(|line| format!("{line}\n")).collect::<String>(), lines.len());
        file += &format!("{covered} {:08x}\n", crc32fast::hash(covered.as_bytes()));
    }
    file.into_bytes()
}

fn lines(records: impl Iterator<Item = Record>) -> Vec<String> {
    let line = |record: Record| {
        let mut line = Vec::new();
        record.write(&mut line);
        String::from_utf8(line).unwrap()
    };
    records.map(line).collect()
}

#[test]
fn the_journal_of_a_forwarder_is_rewritten_with_what_it_says() {
    let header = "H 209bef719ce334cf 1795705070 127.0.0.1 jo".to_owned();
    let mut batches = vec![vec![header.clone()]];
    batches.extend(seed("forward_journal").split("\n\n").map(|batch| batch.lines().map(str::to_owned).collect()));
    let read = Read::parse(&journal(&batches)).unwrap();
    let least = [
        header.as_str(),
        "J 1795705070.a b9505229027af63344390826c9ddbc85 7 12",
        "I 1795705070.c Archive/2026 1 1",
        "J 1795705070.d - 7 13",
        "J 1795705070.e -",
    ];
    let rewritten = lines(read.records());
    assert_eq!(rewritten, least);
    let again = Read::parse(&journal(std::slice::from_ref(&rewritten))).unwrap();
    assert_eq!(lines(again.records()), rewritten);
}

#[test]
fn a_token_file_is_read_written_and_read_again() {
    let (dir, account) = (tempfile::tempdir().unwrap(), AccountName::new("a").unwrap());
    std::fs::write(store::path(dir.path(), &account), seed("token")).unwrap();
    let read = || store::read(&RealDisk, dir.path(), &account).unwrap().unwrap();
    let tokens = read();
    store::write(&RealDisk, dir.path(), &account, &tokens).unwrap();
    assert_eq!(read(), tokens);
    assert_eq!(std::fs::read_to_string(store::path(dir.path(), &account)).unwrap(), seed("token"));
}
