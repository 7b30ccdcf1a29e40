//! A digest of a listing, made while it streams in, so that an unchanged listing is recognised without keeping it.

use sha2::{Digest as _, Sha256};

use crate::pop3::{DropListing, ReportedSize};

/// How many bytes of UIDL's answer are kept in case the listing has changed. A larger answer is asked for again.
const KEPT: usize = 64 << 10;

/// The octets of the shortest line that lists a message: `1 a` and CRLF.
const LEAST_LINE: usize = 5;

/// Identifies a listing by the answers to STAT and UIDL. STAT's total changes with the size of any message, the rest
/// with any unique-id, number or order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListingDigest {
    /// The number of messages that STAT reported.
    pub messages: u32,
    /// Their total size, as STAT reported it.
    pub octets: ReportedSize,
    /// The digest of UIDL's lines, in hexadecimal.
    pub unique_ids: String,
}

/// Computes a digest of the answers.
#[derive(Debug, Default)]
pub struct ListingDigester {
    drop: Option<DropListing>,
    lines: Sha256,
    /// Whether UIDL was answered with +OK and completely.
    is_whole: bool,
    /// Whether some line could not be parsed.
    is_odd: bool,
}

impl ListingDigester {
    /// Takes the answer to STAT.
    pub fn stat(&mut self, listing: DropListing) {
        self.drop = Some(listing);
    }

    /// Begins the answer to UIDL.
    pub fn begin(&mut self) {
        self.lines = Sha256::new();
        self.is_whole = false;
    }

    /// Takes a line of UIDL's answer, without its CRLF.
    pub fn line(&mut self, line: &[u8]) {
        self.lines.update(line);
        self.lines.update(b"\r\n");
    }

    /// Takes several lines as received, each with its CRLF; the same as taking each one by itself.
    pub fn lines(&mut self, lines: &[u8]) {
        self.lines.update(lines);
    }

    /// Ends the answer to UIDL.
    pub fn end(&mut self) {
        self.is_whole = true;
    }

    /// Records that something was malformed, so this listing cannot be recognised.
    pub fn odd(&mut self) {
        self.is_odd = true;
    }

    /// Returns the digest, if the listing is complete.
    #[must_use]
    pub fn finish(&self) -> Option<ListingDigest> {
        let drop = self.drop.filter(|_| self.is_whole && !self.is_odd)?;
        let unique_ids = self.lines.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Some(ListingDigest { messages: drop.count, octets: drop.reported_size, unique_ids })
    }
}

/// The lines of UIDL's answer, kept as long as they are few.
#[derive(Debug, Default)]
pub(super) struct KeptLines {
    /// The lines, each with its CRLF. None: there were too many.
    lines: Option<Vec<u8>>,
}

impl KeptLines {
    /// Keeps lines for this many messages; none at all if they cannot be few enough.
    pub(super) fn of(messages: u32) -> Self {
        let is_few = usize::try_from(messages).is_ok_and(|messages| messages <= KEPT / LEAST_LINE);
        Self { lines: is_few.then(Vec::new) }
    }

    /// Adds a line without its CRLF.
    pub(super) fn push(&mut self, line: &[u8]) {
        self.extend(line);
        self.extend(b"\r\n");
    }

    /// Adds lines, each with its CRLF.
    pub(super) fn extend(&mut self, more: &[u8]) {
        self.lines.take_if(|lines| lines.len() + more.len() > KEPT);
        self.lines.iter_mut().for_each(|lines| lines.extend_from_slice(more));
    }

    /// Returns all lines; None if there were too many to keep.
    pub(super) fn take(&mut self) -> Option<Vec<Vec<u8>>> {
        let lines = self.lines.take()?;
        Some(each_line(&lines).map(<[u8]>::to_vec).collect())
    }
}

/// Splits lines that end in CRLF, and strips it.
pub(super) fn each_line(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines.split_inclusive(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r\n").unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(stat: (u32, u64), lines: &[&str]) -> Option<ListingDigest> {
        let mut digester = ListingDigester::default();
        digester.stat(DropListing { count: stat.0, reported_size: ReportedSize::new(stat.1) });
        digester.begin();
        lines.iter().for_each(|line| digester.line(line.as_bytes()));
        digester.end();
        digester.finish()
    }

    #[test]
    fn any_difference_in_a_listing_makes_another_digest() {
        let same = digest((2, 30), &["1 a", "2 b"]);
        assert_eq!(same, digest((2, 30), &["1 a", "2 b"]));
        for other in [
            digest((3, 30), &["1 a", "2 b"]),
            digest((2, 31), &["1 a", "2 b"]),
            digest((2, 30), &["1 a", "2 c"]),
            digest((2, 30), &["2 b", "1 a"]),
            digest((2, 30), &["1 b", "2 a"]),
            digest((2, 30), &["1 a2 b"]),
            digest((2, 30), &["1 a"]),
        ] {
            assert_ne!(same, other);
        }
    }

    #[test]
    fn lines_together_are_the_same_as_one_by_one() {
        let mut together = ListingDigester::default();
        together.stat(DropListing { count: 2, reported_size: ReportedSize::new(30) });
        together.begin();
        together.lines(b"1 a\r\n2 b\r\n");
        together.end();
        assert_eq!(together.finish(), digest((2, 30), &["1 a", "2 b"]));
        let mut kept = KeptLines::of(3);
        kept.push(b"1 a\r");
        kept.extend(b"2 b\r\n3 c\r\n");
        assert_eq!(kept.take(), Some(vec![b"1 a\r".to_vec(), b"2 b".to_vec(), b"3 c".to_vec()]));
    }

    #[test]
    fn half_a_listing_has_no_digest() {
        let mut digester = ListingDigester::default();
        digester.begin();
        digester.line(b"1 a");
        assert_eq!(digester.finish(), None, "no end");
        digester.end();
        assert_eq!(digester.finish(), None, "no STAT");
        digester.stat(DropListing { count: 1, reported_size: ReportedSize::new(1) });
        assert!(digester.finish().is_some());
        digester.odd();
        assert_eq!(digester.finish(), None, "a line was odd");
    }

    #[test]
    fn lines_are_kept_while_they_are_few() {
        let mut kept = KeptLines::of(3);
        kept.push(b"1 a");
        kept.push(b"2 b");
        assert_eq!(kept.take(), Some(vec![b"1 a".to_vec(), b"2 b".to_vec()]));
        let mut kept = KeptLines::of(3);
        (0..KEPT).for_each(|_| kept.push(b"1 abcdef"));
        assert_eq!(kept.take(), None);
        for (messages, are_few) in [(0, true), (13_107, true), (13_108, false), (u32::MAX, false)] {
            let mut kept = KeptLines::of(messages);
            kept.push(b"1 a");
            assert_eq!(kept.take().is_some(), are_few, "{messages}");
        }
    }
}
