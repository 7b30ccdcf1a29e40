//! A server's bytes as text that a terminal and a log can show.
//!
//! A server chooses these bytes. Shown raw, they could move the cursor, forge a log line or turn the reading
//! direction round, so everything that does not print is shown by its escape.

use super::limits;

/// The whole of `bytes`. Invalid UTF-8 becomes U+FFFD.
pub(crate) fn printable(bytes: &[u8]) -> String {
    escaped(String::from_utf8_lossy(bytes).chars())
}

/// The first [`limits::WORDS`] characters of `bytes`, with an ellipsis if there is more.
pub(super) fn words(bytes: &[u8]) -> String {
    cut(bytes, limits::WORDS)
}

/// The first line of `bytes`, at most [`limits::EXCERPT`] characters of it, with an ellipsis if there is more.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    let line = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
    cut(line, limits::EXCERPT)
}

/// At most so many characters, with an ellipsis if there are more.
fn cut(bytes: &[u8], most: usize) -> String {
    // A character has at most four bytes, so this many bytes are enough, and no more need be looked at.
    let head = bytes.get(..most * 4).unwrap_or(bytes);
    let text = String::from_utf8_lossy(head);
    let text = text.trim_end();
    let mut shown = escaped(text.chars().take(most));
    if text.chars().count() > most {
        shown.push('…');
    }
    shown
}

fn escaped(chars: impl Iterator<Item = char>) -> String {
    let mut text = String::new();
    for c in chars {
        match c {
            // Some servers part their words with tabs. In a line of text it is a blank as well.
            '\t' => text.push(' '),
            c if is_printable(c) => text.push(c),
            c => text.extend(c.escape_default()),
        }
    }
    text
}

/// Neither a control character nor an invisible one that changes how its neighbours are shown.
fn is_printable(c: char) -> bool {
    let changes_its_neighbours = matches!(
        c,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    !c.is_control() && !changes_its_neighbours
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_plain_words_alone() {
        assert_eq!(printable("+OK Grüße, 你好".as_bytes()), "+OK Grüße, 你好");
    }

    #[test]
    fn escapes_what_would_steer_a_terminal() {
        assert_eq!(printable(b"a\x1b[2J\x07\x00\r\nb"), "a\\u{1b}[2J\\u{7}\\u{0}\\r\\nb");
        assert_eq!(printable("c1 \u{9b}2J, turned \u{202e}round".as_bytes()), "c1 \\u{9b}2J, turned \\u{202e}round");
    }

    #[test]
    fn shows_a_tab_as_a_blank() {
        assert_eq!(printable(b"2\t320"), "2 320");
    }

    #[test]
    fn replaces_bytes_that_are_not_utf8() {
        assert_eq!(printable(b"caf\xe9"), "caf\u{fffd}");
    }

    #[test]
    fn quotes_one_line_and_not_too_much_of_it() {
        assert_eq!(excerpt(b"220 smtp ready\r\n250 more"), "220 smtp ready");
        let long = excerpt("é".repeat(5000).as_bytes());
        assert_eq!(long.chars().count(), limits::EXCERPT + 1);
        assert!(long.ends_with('…'));
    }
}
