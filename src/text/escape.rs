//! Text that somebody else has chosen, as a terminal and a log can show it.
//!
//! Shown raw, it could move the cursor, forge a log line or turn the reading direction round.

use std::fmt::Display;
use std::path::Path;

/// What a server says, for people to read: what does not print is shown by its escape, all else as it is. Quotes and
/// backslashes stay, so it does no harm to pass through here twice.
pub(crate) fn words(text: &str) -> String {
    escaped(text.chars(), text.len())
}

/// The same of bytes. Invalid UTF-8 becomes U+FFFD.
pub(crate) fn words_in(bytes: &[u8]) -> String {
    words(&String::from_utf8_lossy(bytes))
}

/// At most so many characters of a text, with an ellipsis if there are more.
pub(crate) fn cut_words(text: &str, most: usize) -> String {
    let mut shown = escaped(text.chars().take(most), text.len().min(most));
    if text.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}

/// So many octets are reserved: what prints does not grow, and leaves no part of itself behind in freed memory.
fn escaped(chars: impl Iterator<Item = char>, room: usize) -> String {
    let mut text = String::with_capacity(room);
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

/// A value in a message: a name, a word of the configuration, what a command printed. All that does not print is
/// escaped, tabs and combining characters as well, since a value is compared letter by letter.
pub(crate) fn value(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    shown
}

/// A path in a message.
pub(crate) fn path(path: &Path) -> String {
    value(&path.to_string_lossy())
}

/// What the system says of an error, without the number behind it, which is for programs.
pub(crate) fn system(error: impl Display) -> String {
    let text = error.to_string();
    text.split_once(" (os error ").map_or(text.as_str(), |(words, _)| words).to_owned()
}

/// What somebody said, as the end of a sentence; nothing if he said nothing. The words are escaped already.
pub(crate) fn saying(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(", saying \"{words}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_stay() {
        assert_eq!(words_in("+OK Grüße, 你好".as_bytes()), "+OK Grüße, 你好");
        assert_eq!(value("Grüße, \"你好\" it's C:\\x"), "Grüße, \"你好\" it's C:\\x");
    }

    #[test]
    fn what_would_steer_a_terminal_is_escaped() {
        assert_eq!(words_in(b"a\x1b[2J\x07\x00\r\nb"), "a\\u{1b}[2J\\u{7}\\u{0}\\r\\nb");
        let turned = "c1 \u{9b}2J, turned \u{202e}round";
        assert_eq!(words(turned), "c1 \\u{9b}2J, turned \\u{202e}round");
        assert_eq!(value(turned), words(turned));
        assert_eq!(path(Path::new("/a\n\u{1b}[31m")), "/a\\n\\u{1b}[31m");
    }

    #[test]
    fn escaped_words_stay_as_they_are() {
        let once = words("a\x1b[2J\\ \"x\"");
        assert_eq!(words(&once), once);
    }

    #[test]
    fn a_tab_is_a_blank_in_words() {
        assert_eq!(words_in(b"2\t320"), "2 320");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_replaced() {
        assert_eq!(words_in(b"caf\xe9"), "caf\u{fffd}");
    }

    #[test]
    fn what_is_cut_off_is_shown_by_an_ellipsis() {
        assert_eq!(cut_words("äöü", 3), "äöü");
        assert_eq!(cut_words("äöü\n", 3), "äöü…");
    }
}
