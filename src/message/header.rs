//! Reads a header that comes in pieces of any size, in constant memory whatever the length of its lines (RFC 5322,
//! section 2.2).
//!
//! Line ends (CRLF or LF), folding and runs of blanks do not matter: the text of a field is passed on unfolded.

/// The longest field name of interest, in octets; a longer one is cut off here.
const NAME_MAX: usize = 16;

/// How many octets of text are collected before they are passed on.
const PENDING_MAX: usize = 512;

/// Receives the contents of a header.
pub(super) trait Fields {
    /// Begins a field; its name is in lower case and may end in blanks.
    fn field(&mut self, name: &[u8]);

    /// Receives a line that is no field, since it has no colon.
    fn odd_line(&mut self, beginning: &[u8]);

    /// Whether the text of the field or line that began last is wanted. If not, it is skipped.
    fn wants_text(&self) -> bool;

    /// Receives more text of the field that began last.
    fn text(&mut self, text: &[u8]);
}

/// How far a header has been read.
#[derive(Debug, Clone)]
pub(super) struct HeaderReader {
    /// Where in a line the next byte belongs.
    position: Position,
    /// The beginning of the current line in lower case, as long as it may still be a name.
    name: Vec<u8>,
    /// Text of the current field that has not been passed on yet, as this is done in larger pieces.
    pending: Vec<u8>,
    /// The text of the current field is wanted.
    wanted: bool,
    /// The current field has text.
    begun: bool,
    /// Blanks were seen; they count as one if text follows on both sides.
    blank: bool,
    /// A CR was seen; it counts only if no LF follows.
    cr: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    LineStart,
    Name,
    Value,
    /// After the empty line: nothing matters any more.
    Body,
}

impl Default for HeaderReader {
    fn default() -> Self {
        Self {
            position: Position::LineStart,
            name: Vec::with_capacity(NAME_MAX),
            pending: Vec::with_capacity(PENDING_MAX),
            wanted: true,
            begun: false,
            blank: false,
            cr: false,
        }
    }
}

impl HeaderReader {
    /// Takes the next bytes of the message; those after the header cost nothing.
    pub(super) fn read(&mut self, bytes: &[u8], fields: &mut impl Fields) {
        let mut rest = bytes;
        while let [first, behind @ ..] = rest {
            rest = match self.position {
                Position::Body => return,
                Position::Value if !self.cr => self.read_text(rest, fields),
                _ => {
                    self.take(*first, fields);
                    behind
                }
            };
        }
    }

    /// Takes text up to a possible line end, which is most of a header, in one go. Returns the rest.
    fn read_text<'b>(&mut self, bytes: &'b [u8], fields: &mut impl Fields) -> &'b [u8] {
        let end = if self.wanted { memchr::memchr2(b'\r', b'\n', bytes) } else { memchr::memchr(b'\n', bytes) };
        let (text, rest) = end.and_then(|end| bytes.split_at_checked(end)).unwrap_or((bytes, &[]));
        if self.wanted {
            for (number, word) in text.split(|byte| is_blank(*byte)).enumerate() {
                self.blank |= number > 0;
                self.word(word, fields);
            }
        }
        let [end, behind @ ..] = rest else { return rest };
        self.take(*end, fields);
        behind
    }

    /// Ends the header.
    pub(super) fn finish(&mut self, fields: &mut impl Fields) {
        if self.position == Position::Name {
            self.end_of_line(fields);
        }
        self.pass_on(fields);
    }

    fn take(&mut self, byte: u8, fields: &mut impl Fields) {
        if byte == b'\n' {
            self.cr = false;
            return self.end_of_line(fields);
        }
        if std::mem::take(&mut self.cr) {
            self.octet(b'\r', fields);
        }
        if byte == b'\r' { self.cr = true } else { self.octet(byte, fields) }
    }

    fn end_of_line(&mut self, fields: &mut impl Fields) {
        match self.position {
            Position::LineStart => self.position = Position::Body,
            Position::Name => {
                self.begin(fields);
                fields.odd_line(&self.name);
                self.wanted = fields.wants_text();
                self.position = Position::LineStart;
            }
            Position::Value | Position::Body => self.position = Position::LineStart,
        }
        self.blank = true;
    }

    fn octet(&mut self, byte: u8, fields: &mut impl Fields) {
        match self.position {
            Position::LineStart if is_blank(byte) => self.position = Position::Value,
            Position::LineStart => {
                self.name.clear();
                self.name.push(byte.to_ascii_lowercase());
                self.position = Position::Name;
            }
            Position::Name if byte == b':' => self.begin_field(fields),
            Position::Name if self.name.len() < NAME_MAX => self.name.push(byte.to_ascii_lowercase()),
            Position::Name => {
                self.begin_field(fields);
                self.value(byte, fields);
            }
            Position::Value => self.value(byte, fields),
            Position::Body => {}
        }
    }

    fn begin_field(&mut self, fields: &mut impl Fields) {
        self.begin(fields);
        fields.field(&self.name);
        self.wanted = fields.wants_text();
        self.position = Position::Value;
    }

    fn begin(&mut self, fields: &mut impl Fields) {
        self.pass_on(fields);
        self.begun = false;
        self.blank = false;
    }

    fn value(&mut self, byte: u8, fields: &mut impl Fields) {
        if is_blank(byte) {
            self.blank = true;
        } else if self.wanted {
            self.word(&[byte], fields);
        }
    }

    /// Takes text without blanks; `blank` tells whether blanks came before it.
    fn word(&mut self, word: &[u8], fields: &mut impl Fields) {
        if word.is_empty() {
            return;
        }
        if std::mem::take(&mut self.blank) && self.begun {
            self.pending.push(b' ');
        }
        self.begun = true;
        if word.len() >= PENDING_MAX {
            self.pass_on(fields);
            return fields.text(word);
        }
        self.pending.extend_from_slice(word);
        if self.pending.len() >= PENDING_MAX {
            self.pass_on(fields);
        }
    }

    fn pass_on(&mut self, fields: &mut impl Fields) {
        fields.text(&self.pending);
        self.pending.clear();
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names, odd lines and texts.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Seen(Vec<(String, String)>);

    impl Seen {
        fn begin(&mut self, name: &[u8]) {
            self.0.push((String::from_utf8_lossy(name).into_owned(), String::new()));
        }
    }

    impl Fields for Seen {
        fn field(&mut self, name: &[u8]) {
            self.begin(name);
        }

        fn wants_text(&self) -> bool {
            self.0.last().is_none_or(|(name, _)| !name.starts_with("x-"))
        }

        fn odd_line(&mut self, beginning: &[u8]) {
            self.begin(&[b"?", beginning].concat());
        }

        fn text(&mut self, text: &[u8]) {
            if let Some((_, all)) = self.0.last_mut() {
                all.push_str(&String::from_utf8_lossy(text));
            }
        }
    }

    fn read(message: &[u8], piece: usize) -> Seen {
        let (mut reader, mut seen) = (HeaderReader::default(), Seen::default());
        message.chunks(piece).for_each(|bytes| reader.read(bytes, &mut seen));
        reader.finish(&mut seen);
        seen
    }

    #[test]
    fn fields_come_out_unfolded_in_pieces_of_any_size() {
        let message =
            b"From: a@example.org\r\nSubject :one \r\n two\t\t three \r\nno colon\nX-A: q\rr\r\n\r s\r\n\tu\r\nTo: x\ry\n\nBody: not read\n";
        let whole = read(message, message.len());
        let expected = [
            ("from", "a@example.org"),
            ("subject ", "one two three"),
            ("?no colon", ""),
            ("x-a", ""),
            ("?\r s", "u"),
            ("to", "x\ry"),
        ];
        assert_eq!(whole.0, expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
        for piece in 1..message.len() {
            assert_eq!(read(message, piece), whole, "{piece}");
        }
    }

    #[test]
    fn a_name_or_a_value_of_any_length_is_read_in_constant_memory() {
        let long = "x".repeat(100_000);
        let seen = read(format!("{long}: 1\nTo: {long}\n\n").as_bytes(), 7);
        assert_eq!(seen.0[0].0, "x".repeat(NAME_MAX));
        assert_eq!(seen.0[1], ("to".to_owned(), long.clone()));
        let mut reader = HeaderReader::default();
        reader.read(format!("To: {long}").as_bytes(), &mut Seen::default());
        assert!(reader.pending.capacity() <= 2 * PENDING_MAX && reader.name.capacity() <= 2 * NAME_MAX);
    }
}
