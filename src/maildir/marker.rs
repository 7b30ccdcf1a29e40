//! A marker file of ours by which a Maildir is recognised where inode numbers do not last: on overlay, FUSE, FAT and
//! some network file systems a directory may get another one each time it is mounted.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::Disk;

/// Mail readers ignore it: it is not a directory, and its name begins with a dot.
const NAME: &str = ".mailferry-id";

/// The length of its contents in octets: 16 hexadecimal digits and a line end.
const LENGTH: u64 = 17;

fn path_in(maildir: &Path) -> PathBuf {
    maildir.join(NAME)
}

/// Returns the number in the marker file; None if there is no file with a number.
pub(super) fn read(disk: &dyn Disk, maildir: &Path) -> io::Result<Option<u64>> {
    match disk.read(&path_in(maildir), LENGTH) {
        Ok(bytes) => Ok(parse(&bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn parse(bytes: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(bytes.strip_suffix(b"\n")?).ok()?;
    let is_ours = digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_ours.then(|| u64::from_str_radix(digits, 16).ok())?
}

/// Creates the file, replacing one without a number. All accounts that deliver into the Maildir share the file: if two
/// create it at the same time, the second one takes the number of the first.
pub(super) fn make(disk: &dyn Disk, maildir: &Path) -> io::Result<u64> {
    let path = path_in(maildir);
    let number = fastrand::u64(..);
    let mut file = match disk.create(&path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            if let Some(theirs) = read(disk, maildir)? {
                return Ok(theirs);
            }
            // Left by a process that died while writing it.
            disk.remove(&path)?;
            disk.create(&path)?
        }
        created => created?,
    };
    file.write_all(format!("{number:016x}\n").as_bytes())?;
    file.sync()?;
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn the_first_marker_stays_and_a_broken_one_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(&RealDisk, dir.path()).unwrap(), None);
        let number = make(&RealDisk, dir.path()).unwrap();
        assert_eq!(read(&RealDisk, dir.path()).unwrap(), Some(number));
        assert_eq!(make(&RealDisk, dir.path()).unwrap(), number);
        for broken in ["", "0123", "0123456789abcdef", "0123456789abcdeg\n", "+123456789abcdef\n"] {
            std::fs::write(path_in(dir.path()), broken).unwrap();
            let parsed = read(&RealDisk, dir.path()).unwrap();
            assert_eq!(parsed, None, "{broken:?}");
        }
        let other = make(&RealDisk, dir.path()).unwrap();
        assert_eq!(read(&RealDisk, dir.path()).unwrap(), Some(other));
    }
}
