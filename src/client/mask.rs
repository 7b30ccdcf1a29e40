//! What a server may repeat and nobody may read: a server, or a device on the way, may echo what it was sent, in the
//! form in which it works with it.

use std::ops::Range;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD as BASE64, BASE64_URL_SAFE};

use crate::pop3::{FramingError, Response, ResponseCode, UniqueId, plain_response, printable};
use crate::secret::Secret;

/// What stands in the place of a secret.
const MASK: &str = "[secret]";

/// In octets. Something shorter is hardly a secret, and to mask it would garble everything.
const SHORTEST: usize = 4;

/// Hides the password of an account in a server's words: as it is, escaped for a terminal, in base64 alone, in AUTH PLAIN
/// or within anything else, percent-encoded in part or as a whole, as HTML, in hexadecimal.
///
/// It works on text that is escaped already, because that is what is shown, and so it knows the escaped forms of the
/// password. Upper and lower case count as alike: a response code is in capitals whatever the server sent.
///
/// The forms are searched one after the other: a matcher for all at once would hold copies of the password that nobody
/// wipes.
#[derive(Debug, Default)]
pub struct Mask {
    /// What is hidden, in lower case, the longest first.
    forms: Vec<Secret>,
    /// The part of the password's base64 that does not depend on what stands before and behind it, in lower case: one
    /// for each of the three places in which base64 can have it.
    within_base64: Vec<Secret>,
}

impl Mask {
    /// Hides a password.
    #[must_use]
    pub fn new(username: &str, password: &Secret) -> Self {
        let octets = password.expose();
        if octets.len() < SHORTEST {
            return Self::default();
        }
        let plain = plain_response(username, password);
        let in_unique_id = UniqueId::new(octets).map(|id| id.to_string()).unwrap_or_default();
        let mut forms = vec![printable(octets), octets.escape_ascii().to_string(), in_unique_id];
        if let Ok(text) = str::from_utf8(octets) {
            // A form sent by a browser has a plus in the place of a blank.
            forms.extend([printable(text.replace(' ', "+").as_bytes()), printable(as_html(text).as_bytes())]);
        }
        for encoded in [octets, plain.expose()].map(|secret| [BASE64.encode(secret), BASE64_URL_SAFE.encode(secret)]) {
            forms.extend(encoded.iter().map(|text| text.trim_end_matches('=').to_owned()));
            forms.extend(encoded);
        }
        forms.extend(["", " ", ":", "-"].map(|separator| hexadecimal(octets, separator)));
        // Without blanks at the ends: those of a line are not shown.
        let forms = in_lower_case(forms.iter().map(|form| form.trim()));
        let within_base64 = (0..3).flat_map(|before| within_base64(octets, before)).collect::<Vec<_>>();
        Self { forms, within_base64: in_lower_case(within_base64.iter().map(String::as_str)) }
    }

    /// A server's words without the secrets. Of an excerpt that was cut off in the middle of a secret, its part is
    /// hidden, too.
    #[must_use]
    pub fn hide(&self, text: &str) -> String {
        if self.forms.is_empty() {
            return text.to_owned();
        }
        let lower = text.to_ascii_lowercase();
        let mut hidden = self.in_text(&lower, text.ends_with('…'));
        if text.contains('%') {
            let decoded = PercentDecoded::of(&lower);
            let found = self.in_text(&decoded.text, text.ends_with('…'));
            hidden.extend(found.into_iter().map(|range| decoded.source(&range)));
        }
        hidden.sort_unstable_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
        let mut shown = String::with_capacity(text.len());
        let mut at = 0;
        for range in hidden {
            if range.start >= at {
                shown.push_str(text.get(at..range.start).unwrap_or_default());
                shown.push_str(MASK);
            }
            at = at.max(range.end);
        }
        shown.push_str(text.get(at..).unwrap_or_default());
        shown
    }

    /// A response as it may be shown.
    pub(super) fn response(&self, mut response: Response) -> Response {
        response.text = self.hide(&response.text);
        response.code.take_if(|code| matches!(code, ResponseCode::Other(word) if self.hide(word) != *word));
        response
    }

    /// An error as it may be shown.
    pub(super) fn framing(&self, error: FramingError) -> FramingError {
        match error {
            FramingError::NotPop3 { excerpt } => FramingError::NotPop3 { excerpt: self.hide(&excerpt) },
            FramingError::Unsolicited { excerpt } => FramingError::Unsolicited { excerpt: self.hide(&excerpt) },
            other => other,
        }
    }

    /// Where secrets are in a text in lower case; `cut` says that it is an excerpt that ends in an ellipsis.
    fn in_text(&self, lower: &str, cut: bool) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        for form in texts(&self.forms) {
            found.extend(lower.match_indices(form).map(|(start, _)| start..start + form.len()));
        }
        for part in texts(&self.within_base64) {
            found.extend(lower.match_indices(part).map(|(start, _)| whole_base64(lower, start..start + part.len())));
        }
        if let Some(kept) = lower.strip_suffix('…').filter(|_| cut) {
            let length = self.beginning_at_the_end(kept);
            found.extend((length > 0).then(|| kept.len() - length..kept.len()));
        }
        found
    }

    /// How much of the end of a text in lower case is the beginning of a secret.
    fn beginning_at_the_end(&self, lower: &str) -> usize {
        let cuts = |form: &'_ str| {
            let lengths = form.char_indices().map(|(length, _)| length).filter(|length| *length >= SHORTEST);
            lengths.filter(|length| form.get(..*length).is_some_and(|part| lower.ends_with(part))).max()
        };
        texts(&self.forms).filter_map(cuts).max().unwrap_or(0)
    }
}

fn texts(forms: &[Secret]) -> impl Iterator<Item = &str> {
    forms.iter().filter_map(|form| str::from_utf8(form.expose()).ok())
}

/// Those that are long enough, each once, the longest first.
fn in_lower_case<'a>(forms: impl Iterator<Item = &'a str>) -> Vec<Secret> {
    let mut lower: Vec<Secret> = Vec::new();
    for form in forms.filter(|form| form.len() >= SHORTEST) {
        let form = Secret::new(form.to_ascii_lowercase().into_bytes());
        if !lower.contains(&form) {
            lower.push(form);
        }
    }
    lower.sort_by_key(|form| std::cmp::Reverse(form.expose().len()));
    lower
}

fn hexadecimal(octets: &[u8], separator: &str) -> String {
    let digits: Vec<String> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    digits.join(separator)
}

fn as_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// What the base64 of any text has for these octets when so many others (0 to 2, counted by threes) stand before them,
/// as far as it depends on nothing else. In both alphabets.
fn within_base64(octets: &[u8], before: usize) -> [String; 2] {
    let mut text = vec![0; before];
    text.extend_from_slice(octets);
    // The first characters hold bits of what stands before, the last one may hold bits of what comes behind.
    let (first, end) = ((before * 8).div_ceil(6), text.len() * 8 / 6);
    let encoded = [BASE64.encode(&text), BASE64_URL_SAFE.encode(&text)];
    secrecy::zeroize::Zeroize::zeroize(&mut text);
    encoded.map(|encoded| encoded.get(first..end).unwrap_or_default().to_owned())
}

/// All of the base64 around a part of it: its ends hold a few bits of the secret, too.
fn whole_base64(text: &str, part: Range<usize>) -> Range<usize> {
    let is_base64 = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_' | '=');
    let before = text.get(..part.start).unwrap_or_default().chars().rev().take_while(is_base64).count();
    let behind = text.get(part.end..).unwrap_or_default().chars().take_while(is_base64).count();
    part.start - before..part.end + behind
}

/// A text in which percent-encoded octets (RFC 3986, section 2.1) are decoded, wherever there are any.
struct PercentDecoded {
    /// The text, in lower case, octets that are not UTF-8 replaced.
    text: String,
    /// For each octet of it, and for its end, where in the source it comes from.
    places: Vec<usize>,
}

impl PercentDecoded {
    fn of(source: &str) -> Self {
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
        // What an excerpt was cut off in stands for nothing.
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

    /// As a response would show it, so that the forms of a password that is shown escaped are found.
    fn printed(octets: &[u8], places: &[usize]) -> Self {
        let (mut text, mut sources) = (String::new(), Vec::new());
        let mut at = 0;
        for chunk in octets.utf8_chunks() {
            for c in chunk.valid().chars() {
                let shown = if c.is_control() || !c.is_ascii() {
                    printable(c.encode_utf8(&mut [0; 4]).as_bytes())
                } else {
                    c.to_string()
                };
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

    /// Where in the source a part of the text comes from.
    fn source(&self, part: &Range<usize>) -> Range<usize> {
        let place = |at: usize| self.places.get(at).copied().unwrap_or(0);
        place(part.start)..place(part.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(password: &str) -> Mask {
        Mask::new("jo", &Secret::new(password.as_bytes().to_vec()))
    }

    #[test]
    fn hides_a_password_in_any_case_and_as_auth_plain_has_it() {
        assert_eq!(mask("s3cret").hide("no s3cret, S3CRET or AGpvAHMzY3JldA=="), "no [secret], [secret] or [secret]");
        assert_eq!(mask("secret").hide("secretsecret"), "[secret][secret]");
    }

    #[test]
    fn hides_a_password_that_is_shown_escaped() {
        for password in
            ["hunt\ter2", "h\u{1b}unter2", "\u{200b}hunter2", "hünter2", "hun\\ter2", "hun'ter2", " hunter2 "]
        {
            let octets = password.as_bytes();
            let unique_id = UniqueId::new(octets).unwrap().to_string();
            for shown in [printable(octets), octets.escape_ascii().to_string(), unique_id] {
                let hidden = mask(password).hide(&format!("it said {}", shown.trim()));
                assert_eq!(hidden, "it said [secret]", "{password:?}");
            }
        }
    }

    /// Percent-encoded as a whole, and as far as a browser does it.
    fn percent(octets: &[u8], all: bool) -> String {
        let plain = |octet: &u8| !all && octet.is_ascii_alphanumeric();
        octets.iter().map(|o| if plain(o) { char::from(*o).to_string() } else { format!("%{o:02X}") }).collect()
    }

    #[test]
    fn hides_a_password_however_it_is_encoded() {
        for password in ["Tr0ub4dor&3 x", "hünter2 <5>", "a%41+b/c?d", "p\u{a0}ssw\tord", "1234", "===="] {
            let (octets, mask) = (password.as_bytes(), mask(password));
            let plain = plain_response("jo", &Secret::new(octets.to_vec()));
            let mut forms =
                vec![percent(octets, true), percent(octets, false), percent(octets, false).replace("%20", "+")];
            for secret in
                [octets, plain.expose(), &[b"jo:", octets].concat(), &[b"\0other\0jo\0", octets, b"!"].concat()]
            {
                forms.extend([BASE64.encode(secret), BASE64_URL_SAFE.encode(secret)]);
            }
            forms.extend(["", " ", ":", "-"].map(|separator| hexadecimal(octets, separator)));
            forms.push(as_html(password));
            for form in forms {
                for form in [
                    form.trim_end_matches('=').to_owned(),
                    form.clone(),
                    form.to_ascii_lowercase(),
                    form.to_ascii_uppercase(),
                ] {
                    if form.is_empty() {
                        continue;
                    }
                    let hidden = mask.hide(&printable(format!("it said <{form}> twice").as_bytes()));
                    assert!(hidden.starts_with("it said <[secret]"), "{password:?}: {form} shown as {hidden}");
                    assert!(
                        hidden.trim_end_matches("> twice").trim_end_matches('=').ends_with("[secret]"),
                        "{form}: {hidden}"
                    );
                }
            }
        }
    }

    #[test]
    fn hides_a_part_of_an_encoded_password_at_which_an_excerpt_was_cut() {
        for cut in ["it is hun%74%65%7", "it is hun%74%65%", "it is %68%75%6e%74%65"] {
            assert_eq!(mask("hunter2").hide(&format!("{cut}…")).split("[secret]").next(), Some("it is "), "{cut}");
        }
        assert_eq!(mask("hunter2").hide("100%…"), "100%…");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_hidden_in_without_harm(text in ".{0,60}", password in ".{0,12}") {
            let hidden = mask(&password).hide(&text);
            let longer = Mask::new("jo", &Secret::new(b"a longer one".to_vec()));
            proptest::prop_assert_eq!(longer.hide(&text), text);
            proptest::prop_assert!(password.len() < SHORTEST || !password.is_ascii() || !hidden.replace(MASK, "").contains(&password));
        }
    }

    #[test]
    fn hides_a_part_of_a_password_at_which_an_excerpt_was_cut() {
        assert_eq!(mask("hunter2").hide("it is hunte…"), "it is [secret]…");
        assert_eq!(mask("hunter2").hide("it is hun…"), "it is hun…");
        assert_eq!(mask("hünter2").hide("it is H\u{fc}nt…"), "it is [secret]…");
    }

    #[test]
    fn leaves_other_words_and_short_passwords_alone() {
        assert_eq!(mask("hunter2").hide("+OK ready…"), "+OK ready…");
        assert_eq!(mask("hun").hide("a hundred"), "a hundred");
    }

    #[test]
    fn leaves_a_code_that_decides_something() {
        let code = |password, code| {
            let response = Response { status: crate::pop3::Status::Err, code: Some(code), text: String::new() };
            mask(password).response(response).code
        };
        assert_eq!(code("auth", ResponseCode::Auth), Some(ResponseCode::Auth));
        assert_eq!(code("s3cret", ResponseCode::Other("X-S3CRET".to_owned())), None);
    }
}
