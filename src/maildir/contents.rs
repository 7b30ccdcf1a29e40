//! Reads what is in a Maildir, whoever delivered it, to find out which messages of a server are there already.
//!
//! Files are only read, and none is held in memory as a whole.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::names::{self, UniqueIdHash};
use crate::ids::InstanceId;
use crate::message::{Digest, HeaderDigester, MessageDigester, StoredSize, WireSize};

/// Files are read in pieces of this many bytes.
const PIECE: usize = 128 << 10;

/// A message in a Maildir.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The state that delivered it, if its file has a name of ours.
    pub instance: Option<InstanceId>,
    /// The hash of its unique-id, if its file has a name of ours with one.
    pub unique_id_hash: Option<UniqueIdHash>,
    /// The digest of its header.
    pub header: Digest,
    /// The digest of all its bytes.
    pub whole: Digest,
    /// Its size as RFC 1939 counts it.
    pub size_on_wire: WireSize,
    /// The size of what follows the empty line after its header.
    pub body: BodySize,
}

/// The size of a message's body, which stays the same when a program adds fields to the header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct BodySize {
    /// As RFC 1939 counts it.
    pub on_wire: WireSize,
    /// With LF alone at the end of each line, as some servers count.
    pub stored: StoredSize,
}

/// Counts the octets of a body.
#[derive(Debug)]
struct BodyCounter {
    /// The empty line after the header has come.
    is_in_body: bool,
    /// Nothing has come of the current line of the header.
    is_line_empty: bool,
    octets: u64,
    lines: u64,
}

impl BodyCounter {
    fn new() -> Self {
        Self { is_in_body: false, is_line_empty: true, octets: 0, lines: 0 }
    }

    /// Takes the next bytes of the message.
    fn update(&mut self, mut bytes: &[u8]) {
        while !self.is_in_body {
            let Some((byte, rest)) = bytes.split_first() else { return };
            match byte {
                b'\n' if self.is_line_empty => self.is_in_body = true,
                b'\n' => self.is_line_empty = true,
                b'\r' => {}
                _ => self.is_line_empty = false,
            }
            bytes = rest;
        }
        let lines = memchr::memchr_iter(b'\n', bytes).count();
        self.octets = self.octets.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.lines = self.lines.saturating_add(u64::try_from(lines).unwrap_or(u64::MAX));
    }

    fn finish(&self) -> BodySize {
        let on_wire = WireSize::new(self.octets.saturating_add(self.lines));
        BodySize { on_wire, stored: StoredSize::new(self.octets) }
    }
}

/// Returns all messages of a Maildir. Blocks.
///
/// # Errors
/// System errors. A file that is removed or renamed meanwhile, as for new flags, is left out.
pub fn contents(path: &Path) -> io::Result<Vec<Stored>> {
    let mut all = Vec::new();
    for part in ["new", "cur"] {
        let dir = path.join(part);
        for entry in std::fs::read_dir(&dir)? {
            let name = entry?.file_name();
            match stored(&dir.join(&name), name.as_bytes()) {
                Ok(stored) => all.extend(stored),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(all)
}

/// Reads one message. None if it is not a regular file.
fn stored(path: &Path, name: &[u8]) -> io::Result<Option<Stored>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::LOOP) => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let (mut header, mut whole, mut size_on_wire) = (HeaderDigester::default(), MessageDigester::default(), 0_u64);
    let mut body = BodyCounter::new();
    let mut piece = vec![0; PIECE];
    let mut file = file;
    loop {
        let length = match file.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => length,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        let bytes = piece.get(..length).unwrap_or_default();
        header.update(bytes);
        whole.update(bytes);
        body.update(bytes);
        let octets = length.saturating_add(memchr::memchr_iter(b'\n', bytes).count());
        size_on_wire = size_on_wire.saturating_add(u64::try_from(octets).unwrap_or(u64::MAX));
    }
    Ok(Some(Stored {
        instance: names::instance_of(name),
        unique_id_hash: names::unique_id_hash_of(name),
        header: header.finish(),
        whole: whole.finish(),
        size_on_wire: WireSize::new(size_on_wire),
        body: body.finish(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_in_both_directories_are_found_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        for part in ["new", "cur"] {
            std::fs::create_dir(dir.path().join(part)).unwrap();
        }
        let ours = "1.M2P3Q4_mf-00000000000000ab-0000cafe.h,S=17:2,S";
        std::fs::write(dir.path().join("cur").join(ours), "Message-ID: <a>\n\nx\n").unwrap();
        std::fs::write(dir.path().join("new/1.foreign"), "Date: x\n\n").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("new/link")).unwrap();
        std::fs::create_dir(dir.path().join("new/dir")).unwrap();
        let mut found = contents(dir.path()).unwrap();
        found.sort_by_key(|stored| stored.size_on_wire);
        let [foreign, known] = &found[..] else { panic!("{found:?}") };
        assert_eq!((foreign.unique_id_hash, foreign.size_on_wire), (None, WireSize::new(11)));
        assert_eq!(
            (known.unique_id_hash, known.size_on_wire),
            (names::unique_id_hash_of(ours.as_bytes()), WireSize::new(22))
        );
        assert!(known.unique_id_hash.is_some());
        assert_eq!((foreign.instance, known.instance), (None, Some(InstanceId::new(0xab))));
        assert_eq!(foreign.body, BodySize::default());
        assert_eq!(known.body, BodySize { on_wire: WireSize::new(3), stored: StoredSize::new(2) });
        let mut header = HeaderDigester::default();
        header.update(b"Message-ID: <a>\r\n\r\n");
        assert_eq!(known.header, header.finish());
        assert!(contents(&dir.path().join("none")).is_err());
    }
}
