//! A message of the spool as it goes over the wire: measured first, then read in pieces, never held in memory as a
//! whole.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::date;
use super::spool::Spooled;
use crate::disk::Disk;
use crate::message::{Digest, HeaderDigester, MessageDigester};
use crate::watch::blocking;

/// How much is read at a time, in bytes.
const PIECE: usize = 64 << 10;

/// How much of the header is searched for fields, in bytes.
const HEADER: usize = 256 << 10;

/// A message that has been measured.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    disk: Arc<dyn Disk>,
    /// Its file in the spool.
    pub(super) spooled: Spooled,
    /// What is prepended to it, in wire form.
    prefix: Vec<u8>,
    /// The size of its file, in bytes.
    file_size: u64,
    /// Its size on the wire, in octets: each LF becomes CRLF.
    pub(super) size: u64,
    /// Whether it contains octets beyond ASCII.
    pub(super) is_8bit: bool,
    /// Whether it contains NUL, which IMAP accepts only in a `literal8`.
    pub(super) has_nul: bool,
    /// Whether its header does: then a server may show another header than was sent.
    pub(super) has_nul_in_header: bool,
    /// The digest of its header.
    pub(super) header: Digest,
    /// The digest of its Message-ID, without surrounding white space and in lower case. None if it has none.
    pub(super) message_id: Option<Digest>,
    /// The digest of its octets as they go over the wire, without what is prepended.
    pub(super) whole: Digest,
    /// The digest of the bytes of its file.
    pub(super) stored: Digest,
    /// When it was sent, by its `Date`; else when it was delivered. In the form of IMAP's `date-time` (RFC 9051).
    pub(super) date: String,
}

impl Letter {
    /// Reads a message once to measure it; `prefix` is to be prepended. Blocks on another thread.
    pub(super) async fn measure(disk: Arc<dyn Disk>, spooled: Spooled, prefix: String) -> io::Result<Self> {
        let measured = blocking(move || measure(disk, spooled, prefix.into_bytes())).await;
        measured.unwrap_or_else(|e| Err(e.into()))
    }

    /// Returns the digest of its octets if it contains NUL.
    pub(super) fn whole_with_nul(&self) -> Option<Digest> {
        self.has_nul.then_some(self.whole)
    }

    /// Returns the size of its file, in bytes.
    pub(super) fn file_size(&self) -> u64 {
        self.file_size
    }

    /// Returns its octets as they go over the wire, with CRLF for each LF.
    pub(super) fn octets(&self) -> Octets {
        Octets { letter: self.clone(), offset: 0, first: true }
    }
}

fn measure(disk: Arc<dyn Disk>, spooled: Spooled, prefix: Vec<u8>) -> io::Result<Letter> {
    let (mut offset, mut lines, mut is_8bit, mut has_nul) = (0_u64, 0_u64, false, false);
    let (mut digester, mut whole, mut head) = (HeaderDigester::default(), MessageDigester::default(), Vec::new());
    let mut stored = MessageDigester::default();
    let mut buffer = vec![0; PIECE];
    loop {
        let count = disk.read_at(&spooled.dir, &spooled.file, offset, &mut buffer)?;
        let piece = buffer.get(..count).unwrap_or_default();
        if piece.is_empty() {
            break;
        }
        digester.update(piece);
        whole.update(&with_crlf(piece));
        stored.update(piece);
        is_8bit |= !piece.is_ascii();
        has_nul |= memchr::memchr(0, piece).is_some();
        lines += length(memchr::memchr_iter(b'\n', piece).count());
        let room = HEADER.saturating_sub(head.len()).min(piece.len());
        head.extend_from_slice(piece.get(..room).unwrap_or_default());
        offset += length(count);
    }
    let (date, message_id) = (
        date::of(field(&head, "date").as_deref(), field(&head, "received").as_deref(), spooled.delivered()),
        message_id_of(&head),
    );
    let has_nul_in_header = has_nul && lines_of_header(&head).any(|line| memchr::memchr(0, line).is_some());
    let size = offset.saturating_add(lines).saturating_add(length(prefix.len()));
    let (header, whole, stored) = (digester.finish(), whole.finish(), stored.finish());
    Ok(Letter {
        disk,
        spooled,
        prefix,
        file_size: offset,
        size,
        is_8bit,
        has_nul,
        has_nul_in_header,
        header,
        message_id,
        whole,
        stored,
        date,
    })
}

fn length(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// The octets of a letter, piece by piece.
#[derive(Debug)]
pub(super) struct Octets {
    letter: Letter,
    offset: u64,
    first: bool,
}

impl Octets {
    /// Returns the next piece; None at the end. Fails if the file is no longer what was measured, because the other
    /// side was told its size.
    pub(super) async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        if std::mem::take(&mut self.first) && !self.letter.prefix.is_empty() {
            return Ok(Some(self.letter.prefix.clone()));
        }
        let (disk, spooled, offset) = (Arc::clone(&self.letter.disk), self.letter.spooled.clone(), self.offset);
        let left = usize::try_from(self.letter.file_size.saturating_sub(offset)).unwrap_or(usize::MAX).min(PIECE);
        if left == 0 {
            return Ok(None);
        }
        let read = move || {
            let mut buffer = vec![0; left];
            let count = disk.read_at(&spooled.dir, &spooled.file, offset, &mut buffer)?;
            buffer.truncate(count);
            Ok::<_, io::Error>(buffer)
        };
        let piece = blocking(read).await.unwrap_or_else(|e| Err(e.into()))?;
        if piece.len() < left {
            return Err(io::Error::other("the file has become shorter"));
        }
        self.offset += length(piece.len());
        Ok(Some(with_crlf(&piece)))
    }
}

/// Replaces each LF by CRLF.
fn with_crlf(piece: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(piece.len() + piece.len() / 16);
    let mut from = 0;
    for end in memchr::memchr_iter(b'\n', piece) {
        wire.extend_from_slice(piece.get(from..end).unwrap_or_default());
        wire.extend_from_slice(b"\r\n");
        from = end + 1;
    }
    wire.extend_from_slice(piece.get(from..).unwrap_or_default());
    wire
}

/// Returns the digest of the header field that a server may identify a message by.
fn message_id_of(head: &[u8]) -> Option<Digest> {
    let text = field(head, "message-id")?;
    let id = text.trim_ascii().to_ascii_lowercase();
    let mut digester = MessageDigester::default();
    digester.update(&id);
    (!id.is_empty()).then(|| digester.finish())
}

/// Returns the lines of a header, without their ends and without the empty line.
fn lines_of_header(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = head.split(|c| *c == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.take_while(|line| !line.is_empty())
}

/// Returns the text of the first field with this name, in lower case and unfolded. What follows a thousand octets may
/// be left out.
fn field(head: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut text: Option<Vec<u8>> = None;
    for line in lines_of_header(head) {
        let is_folded = line.first().is_some_and(|c| matches!(c, b' ' | b'\t'));
        match &mut text {
            Some(text) if is_folded && text.len() < 1000 => text.extend_from_slice(line),
            Some(_) => break,
            None => {
                if let Some((begin, rest)) = line.split_at_checked(name.len())
                    && begin.eq_ignore_ascii_case(name.as_bytes())
                {
                    text = rest.strip_prefix(b":").map(<[u8]>::to_vec);
                }
            }
        }
    }
    text
}

/// Returns an identifier of the message that is the same at each try: a digest of its file's name, which is unique.
pub(super) fn delivery_id(name: &str) -> String {
    let mut digester = MessageDigester::default();
    digester.update(name.as_bytes());
    digester.finish().to_string()
}

/// Returns the path of the spool.
pub(super) fn place(spooled: &Spooled) -> &Path {
    spooled.dir.path()
}

/// Returns the path of its file, for messages.
pub(super) fn file(spooled: &Spooled) -> PathBuf {
    place(spooled).join(&spooled.file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[tokio::test]
    async fn a_letter_is_as_long_as_it_was_measured() {
        let dir = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let opened = RealDisk.open_dir(dir.path()).unwrap();
        let mut long = b"Message-ID: <a>\n\n".to_vec();
        (0..50_000)
            .for_each(|n| long.extend_from_slice([format!("{n}\n\r").as_bytes(), b"\xff\n"].concat().as_slice()));
        for bytes in [&long[..], b"", b"\n", b"x", b"a\nb", b"a\0b\n", b"x\n\na\0", b"x\n\r\na\0"] {
            std::fs::write(dir.path().join("f"), bytes).unwrap();
            let spooled = Spooled { name: "f".to_owned(), dir: opened.clone(), file: "f".into() };
            let letter = Letter::measure(Arc::clone(&disk), spooled, "X: y\r\n".to_owned()).await.unwrap();
            let (mut octets, mut wire) = (letter.octets(), Vec::new());
            while let Some(piece) = octets.next().await.unwrap() {
                wire.extend_from_slice(&piece);
            }
            let expected = [b"X: y\r\n".to_vec(), String::from_utf8_lossy(bytes).replace('\n', "\r\n").into_bytes()];
            assert!(wire == expected.concat() || !bytes.is_ascii());
            assert_eq!(length(wire.len()), letter.size);
            assert_eq!((letter.is_8bit, letter.has_nul), (!bytes.is_ascii(), bytes.contains(&0)));
            assert_eq!(letter.has_nul_in_header, bytes.starts_with(b"a\0"));
            let mut whole = MessageDigester::default();
            whole.update(&wire["X: y\r\n".len()..]);
            assert_eq!(letter.whole, whole.finish());
        }
    }

    #[tokio::test]
    async fn a_file_that_becomes_shorter_while_it_is_sent_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let opened = RealDisk.open_dir(dir.path()).unwrap();
        std::fs::write(dir.path().join("f"), vec![b'x'; PIECE + 9]).unwrap();
        let spooled = Spooled { name: "f".to_owned(), dir: opened, file: "f".into() };
        let letter = Letter::measure(disk, spooled, String::new()).await.unwrap();
        let mut octets = letter.octets();
        assert_eq!(octets.next().await.unwrap().unwrap().len(), PIECE);
        std::fs::write(dir.path().join("f"), vec![b'x'; PIECE + 8]).unwrap();
        assert!(octets.next().await.is_err(), "the other side was told a size");
    }
}
