//! Cuts a server's bytes for display.

use super::limits;
use crate::text;

/// Returns the first [`limits::WORDS`] characters of `bytes`, with an ellipsis if there are more.
pub(super) fn words(bytes: &[u8]) -> String {
    cut(bytes, limits::WORDS)
}

/// Returns the first line of `bytes`, at most [`limits::EXCERPT`] characters, with an ellipsis if there are more.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    let line = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
    cut(line, limits::EXCERPT)
}

/// Returns at most `most` characters, with an ellipsis if there are more.
fn cut(bytes: &[u8], most: usize) -> String {
    // A character has at most four bytes, so these bytes are enough.
    let head = bytes.get(..(most + 1) * 4).unwrap_or(bytes);
    text::cut_words(String::from_utf8_lossy(head).trim_end(), most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_one_line_and_not_too_much_of_it() {
        assert_eq!(excerpt(b"220 smtp ready\r\n250 more"), "220 smtp ready");
        let long = excerpt("é".repeat(5000).as_bytes());
        assert_eq!(long.chars().count(), limits::EXCERPT + 1);
        assert!(long.ends_with('…'));
    }
}
