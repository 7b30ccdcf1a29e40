//! Parses the responses of an IMAP server, as far as APPEND needs them. PURE: lines in, values out.

use crate::text;

/// One line of a response, without the octets of a literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// `+`: the server waits for more.
    Continue,
    /// `* OK`, `NO`, `BAD`, `BYE` or `PREAUTH`.
    Condition(Condition),
    /// Other untagged data: what follows the star.
    Data(Vec<u8>),
    /// The tag and the result of a command that has ended.
    Tagged(Vec<u8>, Condition),
}

/// A status response (RFC 9051, section 7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) kind: Kind,
    /// The response code: its name in capitals, and its arguments.
    pub(super) code: Option<(String, String)>,
    /// The human-readable text, with control characters escaped.
    pub(super) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ok,
    No,
    Bad,
    Bye,
    PreAuth,
}

impl Condition {
    /// Returns the arguments of the response code with this name. None if the code is another one.
    pub(super) fn code(&self, name: &str) -> Option<&str> {
        self.code.as_ref().filter(|(code, _)| code == name).map(|(_, rest)| rest.as_str())
    }

    /// Returns the code and the text, for people.
    pub(super) fn words(&self) -> String {
        match &self.code {
            Some((name, rest)) if rest.is_empty() => format!("[{name}] {}", self.text),
            Some((name, rest)) => format!("[{name} {}] {}", text::value(rest), self.text),
            None => self.text.clone(),
        }
    }
}

/// Parses a line. None if it is not IMAP.
pub(super) fn line(line: &[u8]) -> Option<Line> {
    if line.first() == Some(&b'+') {
        return Some(Line::Continue);
    }
    let space = memchr::memchr(b' ', line)?;
    let (tag, rest) = (line.get(..space)?, line.get(space + 1..)?);
    match condition(rest) {
        Some(condition) if tag == b"*" => Some(Line::Condition(condition)),
        None if tag == b"*" => Some(Line::Data(rest.to_vec())),
        Some(condition) if matches!(condition.kind, Kind::Ok | Kind::No | Kind::Bad) => {
            Some(Line::Tagged(tag.to_vec(), condition))
        }
        _ => None,
    }
}

fn condition(rest: &[u8]) -> Option<Condition> {
    let end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
    let kind = match rest.get(..end)?.to_ascii_uppercase().as_slice() {
        b"OK" => Kind::Ok,
        b"NO" => Kind::No,
        b"BAD" => Kind::Bad,
        b"BYE" => Kind::Bye,
        b"PREAUTH" => Kind::PreAuth,
        _ => return None,
    };
    let text = String::from_utf8_lossy(rest.get(end + 1..).unwrap_or_default()).into_owned();
    let coded = text.strip_prefix('[').and_then(|text| text.split_once(']'));
    let Some((code, text)) = coded else { return Some(Condition { kind, code: None, text: text::value(&text) }) };
    let (name, arguments) = code.split_once(' ').unwrap_or((code, ""));
    let code = Some((name.to_ascii_uppercase(), arguments.to_owned()));
    Some(Condition { kind, code, text: text::value(text.trim_start()) })
}

/// Returns the length, in octets, of the literal that a line announces at its end.
pub(super) fn literal(line: &[u8]) -> Option<u64> {
    let inner = line.strip_suffix(b"}")?;
    let at = memchr::memrchr(b'{', inner)?;
    let digits = inner.get(at + 1..)?;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Returns the number of a FETCH response's item such as `UID`, outside all quotes. Names are compared without regard
/// to case.
pub(super) fn item(data: &[u8], name: &str) -> Option<u64> {
    let text = String::from_utf8_lossy(data).to_ascii_uppercase();
    let inner = text.split_once(" FETCH (").map(|(_, inner)| inner)?;
    let mut words = inner.split([' ', '(', ')']);
    while let Some(word) = words.next() {
        if word == name {
            return words.next()?.parse().ok();
        }
    }
    None
}

/// Returns the number at the beginning of the data, and the word after it, such as `EXISTS`.
pub(super) fn numbered(data: &[u8]) -> Option<(u32, &[u8])> {
    let mut words = data.split(|octet| *octet == b' ');
    let number = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
    Some((number, words.next()?))
}

/// Returns the hierarchy separator in an answer to LIST (RFC 9051, section 7.3.1). None if it is NIL, or the data is
/// something else.
pub(super) fn separator(data: &[u8]) -> Option<char> {
    let text = String::from_utf8_lossy(data);
    let rest = text.get(..6).filter(|verb| verb.eq_ignore_ascii_case("LIST (")).and(text.split_once(") "))?.1;
    let quoted = rest.strip_prefix('"')?;
    quoted.strip_prefix('\\').unwrap_or(quoted).chars().next()
}

/// Encodes the name of a mailbox in modified UTF-7 (RFC 3501, section 5.1.3), in quotes.
pub(super) fn mailbox(name: &str) -> String {
    let mut wire = String::from("\"");
    let mut run: Vec<u16> = Vec::new();
    for c in name.chars() {
        if c.is_ascii() {
            shift(&mut run, &mut wire);
            match c {
                '&' => wire.push_str("&-"),
                '"' | '\\' => wire.extend(['\\', c]),
                _ => wire.push(c),
            }
        } else {
            run.extend(c.encode_utf16(&mut [0; 2]).iter());
        }
    }
    shift(&mut run, &mut wire);
    wire.push('"');
    wire
}

/// Writes a run of characters beyond ASCII.
fn shift(run: &mut Vec<u16>, wire: &mut String) {
    use base64::Engine as _;
    if run.is_empty() {
        return;
    }
    let bytes: Vec<u8> = std::mem::take(run).into_iter().flat_map(u16::to_be_bytes).collect();
    wire.push('&');
    wire.push_str(&base64::prelude::BASE64_STANDARD_NO_PAD.encode(bytes).replace('/', ","));
    wire.push('-');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        let ok = |code: Option<(&str, &str)>, text: &str| Condition {
            kind: Kind::Ok,
            code: code.map(|(name, rest)| (name.to_owned(), rest.to_owned())),
            text: text.to_owned(),
        };
        assert_eq!(line(b"+ go on"), Some(Line::Continue));
        assert_eq!(line(b"+"), Some(Line::Continue));
        assert_eq!(line(b"* 12 EXISTS"), Some(Line::Data(b"12 EXISTS".to_vec())));
        let tagged = Line::Tagged(b"a1".to_vec(), ok(Some(("APPENDUID", "641429830 111")), "(Success)"));
        assert_eq!(line(b"a1 ok [appenduid 641429830 111] (Success)"), Some(tagged));
        assert_eq!(line(b"* OK [UIDNEXT 9]"), Some(Line::Condition(ok(Some(("UIDNEXT", "9")), ""))));
        assert_eq!(line(b"* OK"), Some(Line::Condition(ok(None, ""))));
        let Some(Line::Condition(bye)) = line(b"* BYE \x1b[31m over") else { panic!() };
        assert_eq!((bye.kind, bye.words().as_str()), (Kind::Bye, "\\u{1b}[31m over"));
        for none in [&b""[..], b"x", b"a1 BYE over", b"a1 12 EXISTS"] {
            assert_eq!(line(none), None);
        }
    }

    #[test]
    fn literals_and_items_are_found() {
        assert_eq!(literal(b"* 1 FETCH (UID 7 BODY[HEADER] {42}"), Some(42));
        assert_eq!([&b"{}"[..], b"{x}", b"42}", b"{42} ", b"{99999999999999999999}"].map(literal), [None; 5]);
        let data = b"1 FETCH (UID 7 FLAGS (\\Seen UID) RFC822.SIZE 4712)";
        assert_eq!((item(data, "UID"), item(data, "RFC822.SIZE"), item(data, "X")), (Some(7), Some(4712), None));
        assert_eq!(item(b"1 EXPUNGE UID 7", "UID"), None);
        assert_eq!(numbered(b"12 EXISTS"), Some((12, &b"EXISTS"[..])));
        assert_eq!(numbered(data), Some((1, &b"FETCH"[..])));
        assert_eq!([&b"FLAGS (x)"[..], b"12", b""].map(numbered), [None; 3]);
    }

    #[test]
    fn the_separator_of_mailboxes_is_read() {
        for (data, expected) in [
            (&b"LIST (\\Noselect) \"/\" \"\""[..], Some('/')),
            (b"list (\\Noselect \\x) \".\" {0}", Some('.')),
            (b"LIST () \"\\\\\" \"\"", Some('\\')),
            (b"LIST (\\Noselect) NIL \"\"", None),
            (b"LSUB () \"/\" x", None),
            (b"LIST", None),
        ] {
            assert_eq!(separator(data), expected);
        }
    }

    #[test]
    fn mailboxes_are_written_as_rfc_3501_has_them() {
        for (name, wire) in [
            ("INBOX", "\"INBOX\""),
            ("a \"b\\", "\"a \\\"b\\\\\""),
            ("R&D", "\"R&-D\""),
            ("~peter/mail/台北/日本語", "\"~peter/mail/&U,BTFw-/&ZeVnLIqe-\""),
            ("Entwürfe", "\"Entw&APw-rfe\""),
            ("😀", "\"&2D3eAA-\""),
        ] {
            assert_eq!(mailbox(name), wire);
        }
    }
}
