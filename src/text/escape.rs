//! Escapes text from elsewhere so that a terminal and a log can show it.
//!
//! Shown raw, it could move the cursor, forge a log line or reverse the reading direction.

use std::fmt::Display;
use std::path::Path;

/// Escapes what a server says, for people to read: unprintable characters are shown as escapes, all others as they are.
/// Quotes and backslashes stay, so that escaping twice does no harm.
pub(crate) fn words(text: &str) -> String {
    escaped(text.chars(), text.len())
}

/// Escapes bytes like [`words`]. Invalid UTF-8 becomes U+FFFD.
pub(crate) fn words_in(bytes: &[u8]) -> String {
    words(&String::from_utf8_lossy(bytes))
}

/// Returns at most this many characters of a text, with an ellipsis if there are more.
pub(crate) fn cut_words(text: &str, most: usize) -> String {
    let mut shown = escaped(text.chars().take(most), text.len().min(most));
    if text.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}

/// Returns a text of at most this many characters; if it is longer, the last one is an ellipsis. Nothing is escaped.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    if text.chars().nth(most).is_none() {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Escapes characters. `room` octets are reserved, so that text without escapes does not grow and leaves no part of
/// itself behind in freed memory.
fn escaped(chars: impl Iterator<Item = char>, room: usize) -> String {
    let mut text = String::with_capacity(room);
    for c in chars {
        match c {
            // Some servers separate words with tabs. In a line of text a blank does as well.
            '\t' => text.push(' '),
            c if is_printable(c) => text.push(c),
            c => text.extend(c.escape_default()),
        }
    }
    text
}

/// Whether this is neither a control character nor an invisible one that changes how its neighbours are shown.
pub(crate) fn is_printable(c: char) -> bool {
    let changes_its_neighbours = matches!(
        c,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    !c.is_control() && !changes_its_neighbours
}

/// Escapes a value in a message: a name, a word of the configuration, the output of a command. Unlike in [`words`],
/// tabs and combining characters are escaped as well, because values are compared letter by letter.
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

/// Escapes a path in a message.
pub(crate) fn path(path: &Path) -> String {
    value(&path.to_string_lossy())
}

/// Returns a name as TOML takes it in the header of a table: in quotes, where it is not a bare key.
pub(crate) fn key(name: &str) -> String {
    if is_bare_key(name) { name.to_owned() } else { format!("{:?}", value(name)) }
}

/// Whether TOML takes a word as a key without quotes.
pub(crate) fn is_bare_key(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

/// Returns the system's words for an error, without the number after them, which is for programs.
pub(crate) fn system(error: impl Display) -> String {
    let text = error.to_string();
    text.split_once(" (os error ").map_or(text.as_str(), |(words, _)| words).to_owned()
}

/// Returns words, already escaped, as the end of a sentence: empty if there are none.
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
        let short = |most| shortened("äöü\n", most);
        assert_eq!([4, 3, 1].map(short), ["äöü\n", "äö…", "…"]);
    }
}
