//! What identifies a message beside its unique-id: a digest of its header, taken while the message streams by.
//!
//! Unique-ids repeat, are used again and change as a whole when a server is migrated. The header does not, so
//! nothing is called "the same message" or deleted in a later session without comparing it. PURE.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// The first 127 bits of a SHA-256; of a header's digest, the last bit tells how much it says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 16]);

impl Digest {
    /// Reads the 32 hexadecimal digits that `Display` writes.
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
        (!odd).then_some(Self(bytes))
    }

    /// Whether it covers something that hardly two messages share: a Message-ID, a Date or a Received field. A machine that
    /// sends "From: ups, Subject: alarm" and no more makes the same weak digest for every alarm.
    #[must_use]
    pub fn is_strong(self) -> bool {
        let [.., last] = self.0;
        last & 1 == 1
    }

    fn with_strength(mut self, strong: bool) -> Self {
        let [.., last] = &mut self.0;
        *last = *last & !1 | u8::from(strong);
        self
    }

    fn of(hasher: Sha256) -> Self {
        let full: [u8; 32] = hasher.finalize().into();
        let (first, _) = full.split_at(16);
        Self(first.try_into().unwrap_or([0; 16]))
    }
}

/// What identifies a message that came in whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digests {
    /// That of its header.
    pub header: Digest,
    /// That of all its bytes, as they are stored.
    pub whole: Digest,
}

/// What a hexadecimal digit is worth, and whether it is none. Without branches, so that sixteen are read at a time.
fn hex_digit(c: u8) -> (u8, bool) {
    let (digit, letter) = (c.wrapping_sub(b'0'), c.wrapping_sub(b'a'));
    if digit < 10 { (digit, false) } else { (letter.wrapping_add(10), letter > 5) }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Digests a whole message: what tells messages apart on a server that has neither UIDL nor TOP.
#[derive(Debug, Clone, Default)]
pub struct MessageDigester(Sha256);

impl MessageDigester {
    /// Takes the next bytes of the message.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything taken.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest::of(self.0)
    }
}

/// The fields that the header digest covers, in the order in which it covers them (RFC 5322, section 3.6): those that
/// tell messages apart and that no server touches. Of several, the first counts: for Received that is the last hop.
const FIELDS: [&[u8]; 5] = [b"message-id", b"date", b"from", b"subject", b"received"];

/// No name of interest is longer; a longer one is cut off here and so matches none.
const NAME_MAX: usize = 16;

/// So much text is collected before it is hashed.
const PENDING_MAX: usize = 512;

/// Digests a header that comes in pieces of any size, in constant memory, whatever the length of its lines.
///
/// Line ends (CRLF or LF), folding and runs of blanks do not count. If none of the fields is there, the digest is that
/// of the whole header without the fields that servers rewrite (Status and X-).
#[derive(Debug, Clone)]
pub struct HeaderDigester {
    /// Where in a line the next byte stands.
    place: Place,
    /// The field that the current line belongs to.
    field: Field,
    /// The beginning of the current line, lower case, as long as it may still be a name.
    name: Vec<u8>,
    /// One hasher for each of [`FIELDS`], made at its first occurrence.
    fields: [Option<Sha256>; 5],
    /// Everything, for a header that has none of the fields.
    whole: Sha256,
    /// Text of the current field that no hasher has seen yet: they are fed in larger pieces.
    pending: Vec<u8>,
    /// The current field has text.
    begun: bool,
    /// Blanks were seen and will count as one if they stand between two texts.
    blank: bool,
    /// A CR was seen and counts only if no LF follows.
    cr: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    LineStart,
    Name,
    Value,
    /// Behind the empty line: nothing counts any more.
    Body,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    /// One of [`FIELDS`], for the first time.
    Covered(usize),
    /// Rewritten by servers, or a repetition.
    Ignored,
    /// Any other.
    Other,
}

impl Default for HeaderDigester {
    fn default() -> Self {
        Self {
            place: Place::LineStart,
            field: Field::Other,
            name: Vec::with_capacity(NAME_MAX),
            fields: [None, None, None, None, None],
            whole: Sha256::new(),
            pending: Vec::with_capacity(PENDING_MAX),
            begun: false,
            blank: false,
            cr: false,
        }
    }
}

impl HeaderDigester {
    /// Takes the next bytes of the message; those behind the header cost nothing.
    pub fn update(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.place == Place::Body {
                return;
            }
            self.take(byte);
        }
    }

    /// The digest of the header.
    #[must_use]
    pub fn finish(mut self) -> Digest {
        if self.place == Place::Name {
            self.end_of_line();
        }
        self.hash_pending();
        if self.fields.iter().all(Option::is_none) {
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

    fn take(&mut self, byte: u8) {
        if byte == b'\n' {
            self.cr = false;
            return self.end_of_line();
        }
        if std::mem::take(&mut self.cr) {
            self.text(b'\r');
        }
        if byte == b'\r' { self.cr = true } else { self.text(byte) }
    }

    fn end_of_line(&mut self) {
        match self.place {
            Place::LineStart => self.place = Place::Body,
            // A line without a colon is no field, but it is text of the header.
            Place::Name => {
                self.begin_field(Field::Other);
                self.place = Place::LineStart;
            }
            Place::Value | Place::Body => self.place = Place::LineStart,
        }
        self.blank = true;
    }

    fn text(&mut self, byte: u8) {
        let is_blank = matches!(byte, b' ' | b'\t');
        match self.place {
            Place::LineStart if is_blank => self.place = Place::Value,
            Place::LineStart => {
                self.name.clear();
                self.name.push(byte.to_ascii_lowercase());
                self.place = Place::Name;
            }
            Place::Name if byte == b':' => {
                let field = self.classify();
                self.begin_field(field);
                self.place = Place::Value;
            }
            Place::Name if self.name.len() < NAME_MAX => self.name.push(byte.to_ascii_lowercase()),
            Place::Name => {
                let field = self.classify();
                self.begin_field(field);
                self.place = Place::Value;
                self.value(byte, is_blank);
            }
            Place::Value => self.value(byte, is_blank),
            Place::Body => {}
        }
    }

    fn classify(&self) -> Field {
        let name = self.name.trim_ascii_end();
        if let Some(i) = FIELDS.iter().position(|field| *field == name) {
            let seen = self.fields.get(i).is_some_and(Option::is_some);
            return if seen { Field::Ignored } else { Field::Covered(i) };
        }
        if name == b"status" || name.starts_with(b"x-") { Field::Ignored } else { Field::Other }
    }

    fn begin_field(&mut self, field: Field) {
        self.hash_pending();
        self.field = field;
        self.begun = false;
        self.blank = false;
        match field {
            Field::Covered(i) => {
                if let Some(slot) = self.fields.get_mut(i) {
                    *slot = Some(Sha256::new());
                }
            }
            Field::Other => {
                self.whole.update(b"\n");
                self.whole.update(&self.name);
            }
            Field::Ignored => {}
        }
    }

    fn value(&mut self, byte: u8, is_blank: bool) {
        if is_blank {
            self.blank = true;
            return;
        }
        if std::mem::take(&mut self.blank) && self.begun {
            self.pending.push(b' ');
        }
        self.begun = true;
        self.pending.push(byte);
        if self.pending.len() >= PENDING_MAX {
            self.hash_pending();
        }
    }

    fn hash_pending(&mut self) {
        let hasher = match self.field {
            Field::Covered(i) => self.fields.get_mut(i).and_then(Option::as_mut),
            Field::Other => Some(&mut self.whole),
            Field::Ignored => None,
        };
        if let Some(hasher) = hasher {
            hasher.update(&self.pending);
        }
        self.pending.clear();
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

    #[test]
    fn a_digest_survives_being_written_down() {
        let one = digest(PLAIN);
        assert_eq!(Digest::parse(one.to_string().as_bytes()), Some(one));
        assert_eq!(Digest::parse(b"123"), None);
        assert_eq!(Digest::parse(&[b'g'; 32]), None);
    }
}
