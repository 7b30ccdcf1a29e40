//! What identifies a message besides its unique-id: a digest of its header, computed while the message streams by.
//!
//! Unique-ids repeat, are reused, and all change when a server is migrated. The header does not, so nothing is
//! considered the same message, or deleted in a later session, without comparing it.

use std::fmt;
use std::num::NonZeroU64;

use sha2::{Digest as _, Sha256};

use super::header::{Fields, HeaderReader};

/// The first 127 bits of a SHA-256 digest; the last bit of a header's digest tells whether it is strong.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    /// The first half. It is never 0, so that an absent digest takes no extra memory in a state of a million messages;
    /// the one digest in 2^64 that begins with 0 is recorded as beginning with 1.
    first: NonZeroU64,
    /// The second half.
    second: u64,
}

impl Digest {
    /// Parses the 32 hexadecimal digits that `Display` writes.
    #[must_use]
    pub fn parse(hex: &[u8]) -> Option<Self> {
        let mut bytes = [0; 16];
        let (pairs, rest) = hex.as_chunks::<2>();
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return None;
        }
        let mut odd = false;
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            let ((high, odd_high), (low, odd_low)) = (hex_digit(*high), hex_digit(*low));
            odd |= odd_high | odd_low;
            *byte = high << 4 | low;
        }
        (!odd).then(|| Self::from_bytes(bytes))
    }

    /// Whether it covers something that two messages hardly ever share: a Message-ID, a Date or a Received field. A
    /// device that sends nothing but "From: ups, Subject: alarm" gives every alarm the same weak digest.
    #[must_use]
    pub(crate) fn is_strong(self) -> bool {
        self.second & 1 == 1
    }

    /// Returns the same digest, marked as weak.
    #[must_use]
    pub(crate) fn weakened(self) -> Self {
        self.with_strength(false)
    }

    fn with_strength(mut self, strong: bool) -> Self {
        self.second = self.second & !1 | u64::from(strong);
        self
    }

    /// Returns the 32 hexadecimal digits that `Display` writes.
    #[must_use]
    pub(crate) fn digits(self) -> [u8; 32] {
        let both = u128::from(self.first.get()) << 64 | u128::from(self.second);
        let mut digits = [0; 32];
        let (pairs, _) = digits.as_chunks_mut::<2>();
        for (pair, byte) in pairs.iter_mut().zip(both.to_be_bytes()) {
            *pair = [byte >> 4, byte & 15].map(|digit| if digit < 10 { b'0' + digit } else { b'a' - 10 + digit });
        }
        digits
    }

    fn from_bytes(bytes: [u8; 16]) -> Self {
        let both = u128::from_be_bytes(bytes);
        let [first, second] = [both >> 64, both].map(|half| u64::try_from(half & u128::from(u64::MAX)).unwrap_or(0));
        Self { first: NonZeroU64::new(first).unwrap_or(NonZeroU64::MIN), second }
    }

    fn of(hasher: Sha256) -> Self {
        let full: [u8; 32] = hasher.finalize().into();
        let (first, _) = full.split_at(16);
        Self::from_bytes(first.try_into().unwrap_or([0; 16]))
    }
}

/// Returns the value of a hexadecimal digit, and whether it is invalid. Has no branches, so that sixteen digits are
/// parsed at a time.
fn hex_digit(c: u8) -> (u8, bool) {
    let (digit, letter) = (c.wrapping_sub(b'0'), c.wrapping_sub(b'a'));
    if digit < 10 { (digit, false) } else { (letter.wrapping_add(10), letter > 5) }
}

/// What identifies a completely received message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digests {
    /// The digest of its header.
    pub header: Digest,
    /// The digest of all its bytes, as stored.
    pub whole: Digest,
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Digests a whole message, to tell messages apart on a server that has neither UIDL nor TOP.
#[derive(Debug, Clone, Default)]
pub struct MessageDigester(Sha256);

impl MessageDigester {
    /// Takes the next bytes of the message.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the digest of everything taken.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest::of(self.0)
    }
}

/// The fields that the header digest covers, in this order (RFC 5322, section 3.6): those that tell messages apart and
/// that no server changes. If a field occurs several times, the first counts: for Received this is the last hop.
const FIELDS: [&[u8]; 5] = [b"message-id", b"date", b"from", b"subject", b"received"];

/// Digests a header that comes in pieces of any size, in constant memory, whatever the length of its lines.
///
/// Line ends (CRLF or LF), folding and runs of blanks do not matter. If none of the fields is present, it digests the
/// whole header without the fields that servers rewrite (Status and X-).
#[derive(Debug, Clone, Default)]
pub struct HeaderDigester {
    reader: HeaderReader,
    hashers: Hashers,
}

/// The hashers for the fields of a header.
#[derive(Debug, Clone)]
struct Hashers {
    /// The field whose text is being read.
    field: Field,
    /// A hasher for each of [`FIELDS`], created at its first occurrence.
    fields: [Option<Sha256>; 5],
    /// Hashes everything, as long as none of the fields has occurred.
    whole: Sha256,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    /// One of [`FIELDS`], for the first time.
    Covered(usize),
    /// A field that servers rewrite, or a repetition.
    Ignored,
    /// Any other field.
    Other,
}

impl Default for Hashers {
    fn default() -> Self {
        Self { field: Field::Other, fields: [None, None, None, None, None], whole: Sha256::new() }
    }
}

impl HeaderDigester {
    /// Takes the next bytes of the message; those after the header cost nothing.
    pub fn update(&mut self, bytes: &[u8]) {
        self.reader.read(bytes, &mut self.hashers);
    }

    /// Returns the digest of the header.
    #[must_use]
    pub fn finish(mut self) -> Digest {
        self.reader.finish(&mut self.hashers);
        self.hashers.digest()
    }
}

impl Fields for Hashers {
    fn field(&mut self, name: &[u8]) {
        self.field = self.classify(name.trim_ascii_end());
        match self.field {
            Field::Covered(i) => {
                if let Some(slot) = self.fields.get_mut(i) {
                    *slot = Some(Sha256::new());
                }
            }
            Field::Other => self.begin_other(name),
            Field::Ignored => {}
        }
    }

    // It is part of the header all the same.
    fn odd_line(&mut self, beginning: &[u8]) {
        self.field = Field::Other;
        self.begin_other(beginning);
    }

    fn wants_text(&self) -> bool {
        match self.field {
            Field::Covered(_) => true,
            Field::Other => self.has_none(),
            Field::Ignored => false,
        }
    }

    fn text(&mut self, text: &[u8]) {
        let hasher = match self.field {
            Field::Covered(i) => self.fields.get_mut(i).and_then(Option::as_mut),
            Field::Other => Some(&mut self.whole),
            Field::Ignored => None,
        };
        if let Some(hasher) = hasher {
            hasher.update(text);
        }
    }
}

impl Hashers {
    fn begin_other(&mut self, name: &[u8]) {
        if self.has_none() {
            self.whole.update(b"\n");
            self.whole.update(name);
        }
    }

    /// Whether none of [`FIELDS`] has occurred so far. Once one has, the text of other fields does not count.
    fn has_none(&self) -> bool {
        self.fields.iter().all(Option::is_none)
    }

    fn classify(&self, name: &[u8]) -> Field {
        if let Some(i) = FIELDS.iter().position(|field| *field == name) {
            let seen = self.fields.get(i).is_some_and(Option::is_some);
            return if seen { Field::Ignored } else { Field::Covered(i) };
        }
        if name == b"status" || name.starts_with(b"x-") { Field::Ignored } else { Field::Other }
    }

    fn digest(self) -> Digest {
        if self.has_none() {
            return Digest::of(self.whole).with_strength(false);
        }
        let [message_id, date, _, _, received] = &self.fields;
        let strong = message_id.is_some() || date.is_some() || received.is_some();
        let mut all = Sha256::new();
        for field in self.fields {
            match field {
                None => all.update([0]),
                Some(hasher) => {
                    all.update([1]);
                    all.update(hasher.finalize());
                }
            }
        }
        Digest::of(all).with_strength(strong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(message: &[u8]) -> Digest {
        let mut digester = HeaderDigester::default();
        digester.update(message);
        digester.finish()
    }

    const PLAIN: &[u8] =
        b"Received: by b; 2\r\nReceived: by a; 1\r\nFrom: a@example.org\r\nSubject: one two\r\n\r\nbody\r\n";

    #[test]
    fn line_ends_folding_and_blanks_do_not_count() {
        let folded = b"Received: by b;\n\t2\nReceived: by a; 1\nfrom:a@example.org\nSubject :one \n two \n\nother";
        assert_eq!(digest(PLAIN), digest(folded));
        assert_ne!(digest(b"Subject: one two\n\n"), digest(b"Subject: onetwo\n\n"));
    }

    #[test]
    fn the_body_and_fields_that_servers_rewrite_do_not_count() {
        let rewritten = [b"Status: RO\r\nX-UID: 5\r\n", PLAIN].concat();
        assert_eq!(digest(PLAIN), digest(&rewritten));
    }

    #[test]
    fn each_covered_field_counts() {
        for field in ["Message-ID", "Date", "From", "Subject", "Received"] {
            let a = format!("To: x\n{field}: 1\n\nbody");
            let b = format!("To: x\n{field}: 2\n\nbody");
            assert_ne!(digest(a.as_bytes()), digest(b.as_bytes()), "{field}");
        }
        assert_ne!(digest(b"Date: 1\n\n"), digest(b"Subject: 1\n\n"));
    }

    #[test]
    fn the_topmost_received_counts() {
        assert_ne!(digest(b"Received: 1\nReceived: 0\n\n"), digest(b"Received: 2\nReceived: 0\n\n"));
        assert_eq!(digest(b"Received: 1\nReceived: 0\n\n"), digest(b"Received: 1\n\n"));
    }

    #[test]
    fn without_the_fields_the_whole_header_counts() {
        assert_ne!(digest(b"To: a\n\n"), digest(b"To: b\n\n"));
        assert_eq!(digest(b"To: a\n\nq"), digest(b"To: a\nX-A-Very-Long-Name: 1\n\nr"));
        assert_eq!(digest(b"To: a\nX-Z: 1\nStatus: O\n\nq"), digest(b"To: a\n\nr"));
        assert_ne!(digest(b"no colon here\n\n"), digest(b"another line\n\n"));
        assert_ne!(digest(b"cut off in a name"), digest(b"cut off in another"));
    }

    #[test]
    fn a_digest_knows_whether_it_tells_messages_apart() {
        for strong in ["Message-ID: 1", "Date: 2", "Received: 3"] {
            assert!(digest(format!("From: ups\n{strong}\n\n").as_bytes()).is_strong(), "{strong}");
        }
        for weak in [&b"From: ups\nSubject: alarm\n\n"[..], b"To: x\n\n", b"no header"] {
            assert!(!digest(weak).is_strong());
        }
        let again = Digest::parse(digest(PLAIN).to_string().as_bytes());
        assert!(again.is_some_and(Digest::is_strong));
    }

    #[test]
    fn chunks_do_not_matter() {
        let whole = digest(PLAIN);
        for size in 1..PLAIN.len() {
            let mut digester = HeaderDigester::default();
            PLAIN.chunks(size).for_each(|chunk| digester.update(chunk));
            assert_eq!(digester.finish(), whole);
        }
    }

    /// States hold digests made by earlier versions; these were computed with another SHA-256 program.
    #[test]
    fn a_digest_stays_what_it_was() {
        let of_fields = "9eaebf00695f8967ad47aa1112f43ecf";
        assert_eq!(digest(PLAIN).to_string(), of_fields);
        let among_others = [b"To: x\r\nno colon\r\n", PLAIN].concat();
        assert_eq!(digest(&among_others).to_string(), of_fields);
        let of_all = b"To: a\r\nX-Z: 1\r\n 2\r\nno colon\r\n b  c\r\n\r\nbody";
        assert_eq!(digest(of_all).to_string(), "b8e3600dd67b9ddc6a02259faf5c710e");
    }

    #[test]
    fn a_digest_survives_being_written_down() {
        let one = digest(PLAIN);
        assert_eq!(Digest::parse(one.to_string().as_bytes()), Some(one));
        assert_eq!(Digest::parse(b"123"), None);
        assert_eq!(Digest::parse(&[b'g'; 32]), None);
    }
}
