//! The contents of a Maildir: listed, checked and compared.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Returns the files of a directory, sorted; none if there is no such directory.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Checks that a delivered file has its size in its name and is private.
pub(crate) fn check_delivered_file(path: &Path, length: usize) {
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(name.ends_with(&format!(",S={length}")), "{name} holds {length} bytes");
    assert_eq!(fs::metadata(path).unwrap().mode() & 0o7777, 0o600, "the mode of {name}");
    let dir = path.parent().unwrap();
    for dir in [dir, dir.parent().unwrap()] {
        assert_eq!(fs::metadata(dir).unwrap().mode() & 0o7777, 0o700, "the mode of {}", dir.display());
    }
}

/// Makes the directories of a Maildir, as a user would.
pub(crate) fn make_maildir(path: &Path) {
    for part in ["tmp", "new", "cur"] {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path.join(part)).unwrap();
    }
}

/// Compares two sorted lists of messages without printing megabytes.
#[track_caller]
pub(crate) fn assert_same_mail(actual: &[Vec<u8>], expected: &[Vec<u8>]) {
    let brief = |message: &Vec<u8>| {
        let start = &message[..message.len().min(60)];
        format!("{} bytes beginning {:?}", message.len(), String::from_utf8_lossy(start))
    };
    let too_many: Vec<_> = actual.iter().filter(|message| count(actual, message) > count(expected, message)).collect();
    let missing: Vec<_> = expected.iter().filter(|message| count(expected, message) > count(actual, message)).collect();
    assert!(
        too_many.is_empty() && missing.is_empty(),
        "{} messages instead of {}\n too many or different: {:#?}\n missing: {:#?}",
        actual.len(),
        expected.len(),
        too_many.into_iter().take(5).map(brief).collect::<Vec<_>>(),
        missing.into_iter().take(5).map(brief).collect::<Vec<_>>(),
    );
}

/// How often a sorted list contains a message.
fn count(messages: &[Vec<u8>], message: &[u8]) -> usize {
    messages.partition_point(|other| other.as_slice() <= message)
        - messages.partition_point(|other| other.as_slice() < message)
}
