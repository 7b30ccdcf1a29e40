//! The fields of a header (RFC 5322, section 2.2): found, unfolded and decoded (RFC 2047).

use mail_parser::HeaderValue;
use mail_parser::parsers::MessageStream;

use super::encoded_words;

/// Finds the empty line after a header in a growing text.
#[derive(Debug, Default)]
pub struct HeaderEnd {
    /// How many octets were searched before: no empty line begins among them.
    searched: usize,
}

impl HeaderEnd {
    /// Returns the length of the header in octets, once the empty line after it is there. `beginning` is the beginning
    /// of the message, the same as before or longer.
    pub fn find(&mut self, beginning: &[u8]) -> Option<usize> {
        while let Some(line) = beginning.get(self.searched..) {
            let length = memchr::memchr(b'\n', line)?;
            if matches!(line.get(..length), Some(b"" | b"\r")) {
                return Some(self.searched);
            }
            self.searched += length + 1;
        }
        None
    }
}

/// Returns the wanted fields, decoded: the names in lower case with the texts, in the order of the header. Runs of
/// blanks are reduced to one blank and trimmed at both ends.
pub(super) fn fields(header: &[u8], is_wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    read(header, is_wanted, decoded)
}

/// The same without any decoding.
pub(super) fn raw_fields(header: &[u8], is_wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    read(header, is_wanted, |folded| String::from_utf8_lossy(&folded).into_owned())
}

fn read(header: &[u8], is_wanted: impl Fn(&str) -> bool, text_of: impl Fn(Vec<u8>) -> String) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut lines = header.split_inclusive(|c| *c == b'\n').peekable();
    while let Some(line) = lines.next() {
        let mut folded = Vec::new();
        let name = name_of(line).filter(|name| is_wanted(name));
        if name.is_some() {
            folded.extend_from_slice(value_of(line));
        }
        while let Some(more) = lines.next_if(|more| matches!(more.first(), Some(b' ' | b'\t'))) {
            if name.is_some() {
                folded.extend_from_slice(more);
            }
        }
        found.extend(name.map(|name| (name, on_one_line(&text_of(folded)))));
    }
    found
}

/// Returns the name before the colon, in lower case; `None` for a line that begins no field.
fn name_of(line: &[u8]) -> Option<String> {
    let name = line.get(..memchr::memchr(b':', line)?)?.trim_ascii_end();
    let is_name = !name.is_empty() && name.iter().all(|c| matches!(c, 33..=126));
    is_name.then(|| String::from_utf8_lossy(name).to_ascii_lowercase())
}

fn value_of(line: &[u8]) -> &[u8] {
    memchr::memchr(b':', line).and_then(|colon| line.get(colon + 1..)).unwrap_or_default()
}

fn on_one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

/// Decodes the text of a field that may be folded.
fn decoded(folded: Vec<u8>) -> String {
    let mut folded = encoded_words::joined(&folded);
    // The parser needs an end of line.
    folded.push(b'\n');
    match MessageStream::new(&folded).parse_unstructured() {
        HeaderValue::Text(text) => text.into_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_header_is_found_in_pieces_of_any_size() {
        for (message, expected) in [
            ("A: 1\nB: 2\n\nbody\n\n", Some(10)),
            ("A: 1\r\nB: 2\r\n\r\nbody", Some(12)),
            ("\nbody", Some(0)),
            ("\r\nbody", Some(0)),
            ("A: 1\n \n\n", Some(7)),
            ("A: 1\r\n\r", None),
            ("A: 1\nB", None),
            ("", None),
        ] {
            for piece in 1..=message.len().max(1) {
                let mut end = HeaderEnd::default();
                let pieces = (piece..message.len() + piece).step_by(piece).map(|to| to.min(message.len()));
                let found = pieces.filter_map(|to| end.find(&message.as_bytes()[..to])).next();
                assert_eq!(found, expected, "{message:?} in pieces of {piece}");
            }
        }
    }

    fn texts(header: &str, name: &str) -> Vec<String> {
        fields(header.as_bytes(), |one| one == name).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn fields_are_unfolded_and_decoded() {
        let header = "From jo Thu Nov 26\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= =?utf-8?B?IGF1cw==?=\r\n  Berlin \r\n\
                      LIST-ID :\tThe list\r\n\t<dev.\r\n example.org>\r\nno colon\r\n more of it\r\nTo: a\nTo:  b  c \n\
                      X-Gbk: =?gbk?B?1tDOxA==?=\nX-Raw: 8 \u{fc}\nX-Bad: =?utf-8?Q?=ZZ?= =?what?\nLast: end";
        assert_eq!(texts(header, "subject"), ["Grüße aus Berlin"]);
        assert_eq!(texts(header, "list-id"), ["The list <dev. example.org>"]);
        assert_eq!(texts(header, "to"), ["a", "b c"]);
        assert_eq!(texts(header, "x-gbk"), ["中文"]);
        assert_eq!(texts(header, "x-raw"), ["8 ü"]);
        assert_eq!(texts(header, "last"), ["end"]);
        assert_eq!(texts(header, "x-bad").len(), 1);
        let split =
            "Subject: =?utf-8?Q?Gr=C3?=\r\n =?utf-8?B?vMOfZQ==?= =?gb18030?B?1tA=?=\r\n\t=?gb18030?B?zsQ=?=\r\n";
        assert_eq!(texts(split, "subject"), ["Grüße中文"]);
        assert!(texts(header, "more of it").is_empty() && texts(header, "from jo thu nov 26").is_empty());
    }

    #[test]
    fn no_bytes_are_too_much() {
        for odd in [&b":"[..], b" folded first\n", b"\xff\xfe: \xff\n", b"a:\0\n=?\n", b"To:", b"To:\n=?=?=?\n ?=\n"] {
            let found = fields(odd, |_| true);
            assert!(found.len() <= 1, "{odd:?}: {found:?}");
        }
    }
}
