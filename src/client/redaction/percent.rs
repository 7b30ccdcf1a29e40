//! Decodes percent-encoded text and remembers where each part came from.

use std::ops::Range;

use crate::text::words;

/// A text in which percent-encoded octets (RFC 3986, section 2.1) are decoded, wherever there are any.
pub(super) struct PercentDecoded {
    /// The text in lower case, with octets that are not UTF-8 replaced.
    pub(super) text: String,
    /// For each octet of the text, and for its end, the position in the source.
    places: Vec<usize>,
}

impl PercentDecoded {
    /// Decodes lower-case text; an excerpt that was cut off ends in an ellipsis.
    pub(super) fn of(source: &str) -> Self {
        let bytes = source.as_bytes();
        let (mut octets, mut places) = (Vec::with_capacity(bytes.len()), Vec::with_capacity(bytes.len() + 1));
        let mut at = 0;
        while let Some(&octet) = bytes.get(at) {
            let digits = source.get(at + 1..at + 3).filter(|two| two.bytes().all(|b| b.is_ascii_hexdigit()));
            let decoded = digits.filter(|_| octet == b'%').and_then(|two| u8::from_str_radix(two, 16).ok());
            octets.push(decoded.unwrap_or(octet));
            places.push(at);
            at += if decoded.is_some() { 3 } else { 1 };
        }
        // An escape that the excerpt cut off is dropped.
        if let Some(cut) = source.strip_suffix('…') {
            let half = cut.len() - cut.trim_end_matches(|c: char| c.is_ascii_hexdigit()).len();
            if half < 2 && cut.get(..cut.len() - half).is_some_and(|text| text.ends_with('%')) {
                let end = octets.len() - '…'.len_utf8();
                octets.drain(end - half - 1..end);
                places.drain(end - half - 1..end);
            }
        }
        places.push(bytes.len());
        Self::printed(&octets, &places)
    }

    /// Escapes the octets as a response would, so that the escaped forms of a password are found.
    fn printed(octets: &[u8], places: &[usize]) -> Self {
        let (mut text, mut sources) = (String::new(), Vec::new());
        let mut at = 0;
        for chunk in octets.utf8_chunks() {
            for c in chunk.valid().chars() {
                let shown =
                    if c.is_control() || !c.is_ascii() { words(c.encode_utf8(&mut [0; 4])) } else { c.to_string() };
                sources.extend(std::iter::repeat_n(places.get(at).copied().unwrap_or(0), shown.len()));
                text.push_str(&shown.to_ascii_lowercase());
                at += c.len_utf8();
            }
            if !chunk.invalid().is_empty() {
                sources.extend(std::iter::repeat_n(places.get(at).copied().unwrap_or(0), '\u{fffd}'.len_utf8()));
                text.push('\u{fffd}');
                at += chunk.invalid().len();
            }
        }
        sources.push(places.last().copied().unwrap_or(0));
        Self { text, places: sources }
    }

    /// Returns where in the source a part of the text comes from.
    pub(super) fn source(&self, part: &Range<usize>) -> Range<usize> {
        let place = |at: usize| self.places.get(at).copied().unwrap_or(0);
        place(part.start)..place(part.end)
    }
}
