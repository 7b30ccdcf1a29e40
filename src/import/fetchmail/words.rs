//! Splits a fetchmailrc into words like fetchmail's own scanner. PURE.

/// A word and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// Its octets, with escapes resolved.
    pub(super) text: Vec<u8>,
    /// Whether it was in quotes or is taken literally, so that it is not a keyword.
    pub(super) quoted: bool,
    /// Whether it is the `=` of a mapping.
    pub(super) is_map: bool,
    /// The line where it begins, from 1.
    pub(super) line: usize,
}

/// Words that fetchmail ignores wherever they are.
const NOISE: [&[u8]; 5] = [b"and", b"with", b"has", b"wants", b"options"];

/// The word after one of these is taken literally.
const LITERAL_BEHIND: [&[u8]; 6] = [b"user", b"username", b"password", b"pass", b"is", b"to"];

/// Splits a text into words.
pub(super) fn words(text: &[u8]) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let (mut at, mut line) = (0, 1);
    // The next bare word is taken literally.
    let mut literal = false;
    while let Some(&byte) = text.get(at) {
        let rest = text.get(at..).unwrap_or_default();
        let is_joint = rest.starts_with(b"\\\n") || rest.starts_with(b"\\\r\n");
        if byte == b'\n' {
            line += 1;
            at += 1;
        } else if byte.is_ascii_whitespace() || matches!(byte, b':' | b';' | b',') || (is_joint && byte == b'\\') {
            at += 1;
        } else if byte == b'#' {
            at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        } else if byte == b'=' {
            words.push(Word { text: b"=".to_vec(), quoted: false, is_map: true, line });
            (literal, at) = (true, at + 1);
        } else {
            let ends = |at: usize| rest.get(at..).is_some_and(|rest| rest.starts_with(b"\\\n"));
            let bare = rest.iter().enumerate().take_while(|(at, c)| !ends_a_word(**c) && !ends(*at)).count();
            let quoted = quoted_length(rest).filter(|quoted| *quoted >= bare);
            let raw = rest.get(..quoted.unwrap_or(bare).max(1)).unwrap_or_default();
            let inner = if quoted.is_some() { raw.get(1..raw.len() - 1).unwrap_or_default() } else { raw };
            let word = Word { text: unescape(inner), quoted: quoted.is_some(), is_map: false, line };
            line += raw.iter().filter(|c| **c == b'\n').count();
            at += raw.len();
            if quoted.is_none() && !literal && NOISE.contains(&word.text.as_slice()) {
                continue;
            }
            let is_keyword = quoted.is_none() && !literal;
            literal = is_keyword && LITERAL_BEHIND.contains(&word.text.as_slice());
            words.push(Word { quoted: quoted.is_some() || !is_keyword, ..word });
        }
    }
    words
}

fn ends_a_word(c: u8) -> bool {
    c.is_ascii_whitespace() || matches!(c, b'=' | b':' | b';' | b',') || c == 0
}

/// Returns the length of the quoted string that begins here, including both quotes.
fn quoted_length(rest: &[u8]) -> Option<usize> {
    let quote = rest.first().copied().filter(|c| matches!(c, b'"' | b'\''))?;
    Some(memchr::memchr(quote, rest.get(1..)?)? + 2)
}

/// Resolves fetchmail's escapes: those of C, also with decimal numbers, and escaped line ends.
fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let Some((&kind, behind)) = rest.split_first() else {
            bytes.push(b'\\');
            break;
        };
        let (made, length) = match kind {
            b'n' => (Some(b'\n'), 1),
            b't' => (Some(b'\t'), 1),
            b'r' => (Some(b'\r'), 1),
            b'b' => (Some(8), 1),
            b'a' => (Some(7), 1),
            b'f' => (Some(12), 1),
            b'v' => (Some(11), 1),
            b'\n' => (None, 1),
            b'\r' if behind.first() == Some(&b'\n') => (None, 2),
            b'x' => number(behind, 16, 2).map_or((Some(b'x'), 1), |(number, digits)| (Some(number), digits + 1)),
            b'0' => number(behind, 8, 3).map_or((Some(0), 1), |(number, digits)| (Some(number), digits + 1)),
            b'1'..=b'9' => number(rest, 10, 3).map_or((Some(kind), 1), |(number, digits)| (Some(number), digits)),
            other => (Some(other), 1),
        };
        bytes.extend(made);
        rest = rest.get(length..).unwrap_or_default();
    }
    bytes
}

/// Parses a number of at most this many digits as an octet, and returns how many there were. None if there is none.
fn number(text: &[u8], base: u32, most: usize) -> Option<(u8, usize)> {
    let digits = text.iter().take(most).take_while(|c| char::from(**c).is_digit(base)).count();
    let value = u32::from_str_radix(std::str::from_utf8(text.get(..digits)?).ok()?, base).ok()?;
    Some((u8::try_from(value & 0xff).ok()?, digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        words(text.as_bytes()).into_iter().map(|word| String::from_utf8(word.text).unwrap()).collect()
    }

    #[test]
    fn words_are_those_of_fetchmails_scanner() {
        for (text, expected) in [
            ("poll a:\n b;,c # rest\nd", vec!["poll", "a", "b", "c", "d"]),
            ("poll a with options keep and ssl", vec!["poll", "a", "keep", "ssl"]),
            ("user 'p\"w' \"two words\" a#b", vec!["user", "p\"w", "two words", "a#b"]),
            ("\"ab\"cd \"a b\"cd", vec!["\"ab\"cd", "a b", "cd"]),
            ("password \\x41bc \\0101\\65x \\q\\\\", vec!["password", "Abc", "AAx", "q\\"]),
            ("\"a\\\nb\" c\\\n d", vec!["ab", "c", "d"]),
            ("is a=b to c = d", vec!["is", "a", "=", "b", "to", "c", "=", "d"]),
            ("password with user and", vec!["password", "with", "user", "and"]),
            ("'open", vec!["'open"]),
        ] {
            assert_eq!(texts(text), expected, "{text}");
        }
    }

    #[test]
    fn only_a_bare_word_that_nothing_takes_as_it_is_can_be_a_keyword() {
        let keywords = |text: &str| words(text.as_bytes()).iter().map(|word| !word.quoted).collect::<Vec<_>>();
        assert_eq!(keywords("password keep keep"), [true, false, true]);
        assert_eq!(keywords("user 12345 is list here"), [true, false, true, false, true]);
        assert_eq!(keywords("\"keep\" keep"), [false, true]);
        assert_eq!(words(b"a\n\"b\nc\"\nd").iter().map(|word| word.line).collect::<Vec<_>>(), [1, 2, 4]);
    }
}
