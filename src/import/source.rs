//! Reads the files of other programs: whole, with a size limit, and trusting nothing in them.

use std::io;
use std::path::{Path, PathBuf};

use secrecy::zeroize::Zeroizing;

use super::ImportError;
use crate::credential::private_file::{self, ReadFault};

/// The largest configuration that is read, in bytes.
const MAX_CONFIG: usize = 16 << 20;

/// The largest record of fetched messages that is read, in bytes: enough for millions of messages.
const MAX_RECORD: usize = 512 << 20;

/// Reads a configuration. It may contain passwords, and is wiped when dropped.
pub(super) fn config(path: &Path) -> Result<Zeroizing<Vec<u8>>, ImportError> {
    read(path, MAX_CONFIG)
}

/// Reads a record of fetched messages. None if there is none.
pub(super) fn record(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, ImportError> {
    match private_file::read(path, MAX_RECORD) {
        Ok(file) => Ok(Some(file.contents)),
        Err(ReadFault::Io(e)) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(fault) => Err(unreadable(path, &fault)),
    }
}

fn read(path: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>, ImportError> {
    private_file::read(path, limit).map(|file| file.contents).map_err(|fault| unreadable(path, &fault))
}

fn unreadable(path: &Path, fault: &ReadFault) -> ImportError {
    ImportError::Unreadable { path: path.to_owned(), why: fault.to_string() }
}

/// Lists the names in a directory, sorted.
pub(super) fn names(dir: &Path) -> Result<Vec<std::ffi::OsString>, ImportError> {
    let unreadable = |e: io::Error| ImportError::Unreadable { path: dir.to_owned(), why: e.to_string() };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        names.push(entry.map_err(unreadable)?.file_name());
    }
    names.sort();
    Ok(names)
}

/// Expands a path of another program: `~` is the home directory, and relative paths start from `base`.
pub(super) fn expand(text: &str, home: Option<&Path>, base: &Path) -> PathBuf {
    let text = match (home, text.strip_prefix("~")) {
        (Some(home), Some("")) => return home.to_owned(),
        (Some(home), Some(rest)) if rest.starts_with('/') => return home.join(rest.trim_start_matches('/')),
        _ => text,
    };
    base.join(text)
}

/// Converts text of any encoding, to be shown or compared.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
