//! Joins encoded words (RFC 2047) between which a character is split. A word has to hold whole characters (section 5),
//! but many programs cut a text by its octets. So the octets of adjacent words with the same character set are joined
//! before anything is decoded.

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};

/// Base64 with and without padding, and with bits that mean nothing.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// An encoded word.
struct Word<'a> {
    charset: &'a [u8],
    octets: Vec<u8>,
    /// How long it is in the text.
    length: usize,
}

/// Joins adjacent encoded words with the same character set. All else stays as it is.
pub(super) fn joined(text: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some(at) = memchr::memmem::find(rest, b"=?") {
        let (before, here) = rest.split_at(at);
        out.extend_from_slice(before);
        let length = match Word::read(here).map(|first| first.with_those_behind(here)) {
            Some((word, length)) if length > word.length => {
                out.extend_from_slice(&word.written());
                length
            }
            // A word on its own, or none.
            Some((word, _)) => copy(&mut out, here, word.length),
            None => copy(&mut out, here, 2),
        };
        rest = here.get(length..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}

fn copy(out: &mut Vec<u8>, from: &[u8], length: usize) -> usize {
    out.extend(from.iter().take(length));
    length
}

impl<'a> Word<'a> {
    /// Reads the encoded word with which a text begins.
    fn read(text: &'a [u8]) -> Option<Self> {
        let mut parts = text.strip_prefix(b"=?")?.splitn(3, |c| *c == b'?');
        let (charset, encoding, rest) = (parts.next()?, parts.next()?, parts.next()?);
        let encoded = rest.get(..memchr::memmem::find(rest, b"?=")?)?;
        let is_plain = |part: &[u8]| part.iter().all(|c| matches!(c, 33..=126));
        if charset.is_empty() || !is_plain(charset) || encoded.iter().any(|c| matches!(c, b'\r' | b'\n' | b'?')) {
            return None;
        }
        let octets = match encoding {
            b"Q" | b"q" => of_q(encoded)?,
            b"B" | b"b" => LENIENT.decode(encoded).ok()?,
            _ => return None,
        };
        // The four signs around the parts, two of which are pairs.
        Some(Self { charset, octets, length: charset.len() + encoding.len() + encoded.len() + 6 })
    }

    /// Adds the octets of the words that follow this one in the text with nothing but blanks between them. Returns how
    /// long all of them are, too.
    fn with_those_behind(mut self, text: &'a [u8]) -> (Self, usize) {
        let mut length = self.length;
        while let Some(behind) = text.get(length..) {
            let word = behind.trim_ascii_start();
            let blanks = behind.len() - word.len();
            let next = Self::read(word).filter(|next| blanks > 0 && self.is_continued_by(next));
            let Some(next) = next else { break };
            length += blanks + next.length;
            self.octets.extend(next.octets);
        }
        (self, length)
    }

    /// Whether a character may begin in this word and end in that one.
    fn is_continued_by(&self, next: &Self) -> bool {
        let [one, other] = [self, next].map(|word| name(word.charset));
        // In these each word begins anew, whatever state the one before it has ended in.
        let has_states = ["iso-2022", "hz", "utf-7"].iter().any(|start| one.starts_with(start));
        one == other && !has_states
    }

    fn written(&self) -> Vec<u8> {
        let octets = general_purpose::STANDARD.encode(&self.octets);
        [b"=?", self.charset, b"?B?", octets.as_bytes(), b"?="].concat()
    }
}

/// Returns the name of a character set without the language that may follow it (RFC 2231, section 5).
fn name(charset: &[u8]) -> String {
    let name = charset.split(|c| *c == b'*').next().unwrap_or_default();
    String::from_utf8_lossy(name).to_ascii_lowercase()
}

/// Decodes the encoding Q (RFC 2047, section 4.2).
fn of_q(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(encoded.len());
    let mut rest = encoded.iter();
    while let Some(c) = rest.next() {
        octets.push(match c {
            b'_' => b' ',
            b'=' => {
                let mut digit = || rest.next().and_then(|c| char::from(*c).to_digit(16));
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => *other,
        });
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::joined;

    #[test]
    fn words_that_belong_together_are_joined_and_nothing_else_changes() {
        for (text, expected) in [
            ("=?utf-8?Q?Gr=C3?=\r\n =?UTF-8?q?=BC=C3=9Fe?= x", "=?utf-8?B?R3LDvMOfZQ==?= x"),
            ("a =?utf-8?B?R3LD?= =?utf-8*de?Q?=BC=C3=9F_e?=", "a =?utf-8?B?R3LDvMOfIGU=?="),
            ("=?gbk?B?1tA?=  =?gbk?B?zsQ=?=", "=?gbk?B?1tDOxA==?="),
            ("=?utf-8?Q?a?= =?utf-8?Q?b?= =?utf-8?Q?c?= =?latin1?Q?d?=", "=?utf-8?B?YWJj?= =?latin1?Q?d?="),
        ] {
            assert_eq!(String::from_utf8(joined(text.as_bytes())).unwrap(), expected, "{text}");
        }
        for same in [
            "",
            "plain =? text",
            "=?utf-8?Q?a?= b =?utf-8?Q?c?=",
            "=?utf-8?Q?a?==?utf-8?Q?c?=",
            "=?utf-8?Q?a?= =?latin1?Q?c?=",
            "=?utf-8?Q?=ZZ?= =?utf-8?Q?c?=",
            "=?utf-8?X?a?= =?utf-8?X?c?=",
            "=?iso-2022-jp?B?GyRC?= =?iso-2022-jp?B?GyRC?=",
            "=?utf-8?Q?a",
            "=?=?=?",
            "=??Q?a?= =??Q?b?=",
        ] {
            assert_eq!(String::from_utf8(joined(same.as_bytes())).unwrap(), same, "{same}");
        }
    }
}
