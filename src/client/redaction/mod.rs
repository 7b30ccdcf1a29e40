//! Hides secrets in what a server says: a server, or a device in between, may echo what it was sent, in whatever form
//! it works with it.

use std::ops::Range;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD as BASE64, BASE64_URL_SAFE};
use secrecy::zeroize::Zeroizing;

use crate::pop3::{FramingError, Response, ResponseCode, UniqueId};
use crate::sasl::plain_response;
use crate::secret::Secret;
use crate::text::{words, words_in};
use percent::PercentDecoded;

mod message;
mod percent;

pub(crate) use message::Message;

/// A form of a secret before it is stored.
type Wiped = Zeroizing<String>;

/// Replaces a secret.
const MASK: &str = "[secret]";

/// The shortest secret that is hidden, in octets. Anything shorter is hardly a secret, and masking it would garble all
/// text.
const SHORTEST: usize = 4;

/// Hides the password of an account in a server's words: verbatim, escaped for a terminal, in base64 (alone, in AUTH
/// PLAIN or within anything else), percent-encoded in part or completely, as HTML, and in hexadecimal.
///
/// It works on text that is already escaped, because that is what is shown, so it knows the escaped forms of the
/// password. It ignores case, because response codes are shown in capitals whatever the server sent.
///
/// The forms are searched for one by one: a matcher for all of them would hold copies of the password that nobody
/// wipes.
#[derive(Debug, Default)]
pub struct Redactor {
    /// The forms to hide, in lower case, longest first.
    forms: Vec<Secret>,
    /// The part of the password's base64 that does not depend on its neighbours, in lower case, for each of the three
    /// alignments.
    within_base64: Vec<Secret>,
    /// Whether the password is not ASCII, and so would be missed in text decoded from another charset.
    beyond_ascii: bool,
}

impl Redactor {
    /// Prepares to hide a password.
    #[must_use]
    pub fn new(username: &str, password: &Secret) -> Self {
        let octets = password.expose();
        if octets.len() < SHORTEST {
            return Self::default();
        }
        let plain = plain_response(username, password);
        let mut forms = as_shown(octets);
        if let Ok(text) = str::from_utf8(octets) {
            // Form encoding turns a blank into a plus.
            let with_plus = replaced(text, |c| if c == ' ' { Some("+") } else { None });
            forms.extend([with_plus, as_html(text)].map(|form| Wiped::new(words(&form))));
        }
        for encoded in [octets, plain.expose()].map(in_base64) {
            forms.extend(encoded.iter().map(|text| Wiped::new(text.trim_end_matches('=').to_owned())));
            forms.extend(encoded);
        }
        forms.extend(["", " ", ":", "-"].map(|separator| Wiped::new(hexadecimal(octets, separator))));
        // Trimmed, because the blanks at the ends of a line are not shown.
        let forms = in_lower_case(forms.iter().map(|form| form.trim()));
        let within_base64 = (0..3).flat_map(|before| within_base64(octets, before)).collect::<Vec<_>>();
        Self {
            forms,
            within_base64: in_lower_case(within_base64.iter().map(|form| form.as_str())),
            beyond_ascii: !octets.is_ascii(),
        }
    }

    /// Returns a server's words without the secrets. If an excerpt was cut off inside a secret, the remaining part is
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

    /// Returns a response that is safe to show.
    pub(crate) fn response(&self, mut response: Response) -> Response {
        response.text = self.hide(&response.text);
        response.decoded = response.decoded.filter(|_| !self.beyond_ascii).map(|decoded| self.hide(&decoded));
        response.code.take_if(|code| matches!(code, ResponseCode::Other(word) if self.hide(word) != *word));
        response
    }

    /// Returns an error that is safe to show.
    pub(super) fn framing(&self, error: FramingError) -> FramingError {
        match error {
            FramingError::NotPop3 { excerpt, speaks } => FramingError::NotPop3 { excerpt: self.hide(&excerpt), speaks },
            FramingError::Unsolicited { excerpt } => FramingError::Unsolicited { excerpt: self.hide(&excerpt) },
            FramingError::OutOfStep { to, excerpt } => FramingError::OutOfStep { to, excerpt: self.hide(&excerpt) },
            other => other,
        }
    }

    /// Finds secrets in lower-case text; `cut` says that it is an excerpt that ends in an ellipsis.
    fn in_text(&self, lower: &str, cut: bool) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        for form in texts(&self.forms, lower.len()).filter(|form| has(lower, form)) {
            found.extend(lower.match_indices(form).map(|(start, _)| start..start + form.len()));
        }
        for part in texts(&self.within_base64, lower.len()).filter(|part| has(lower, part)) {
            found.extend(lower.match_indices(part).map(|(start, _)| whole_base64(lower, start..start + part.len())));
        }
        if let Some(kept) = lower.strip_suffix('…').filter(|_| cut) {
            let length = self.beginning_at_the_end(kept);
            found.extend((length > 0).then(|| kept.len() - length..kept.len()));
        }
        found
    }

    /// Returns how many octets at the end of lower-case text are the beginning of a secret.
    fn beginning_at_the_end(&self, lower: &str) -> usize {
        let cuts = |form: &'_ str| {
            let lengths = form.char_indices().map(|(length, _)| length).filter(|length| *length >= SHORTEST);
            lengths.filter(|length| form.get(..*length).is_some_and(|part| lower.ends_with(part))).max()
        };
        texts(&self.forms, usize::MAX).filter_map(cuts).max().unwrap_or(0)
    }
}

/// Returns the forms of at most `longest` octets as text: searching for a longer one costs more than skipping it.
fn texts(forms: &[Secret], longest: usize) -> impl Iterator<Item = &str> {
    let forms = forms.iter().filter(move |form| form.expose().len() <= longest);
    forms.filter_map(|form| str::from_utf8(form.expose()).ok())
}

/// Whether a text contains a form. Hardly any does, and in a short text this is cheaper than the search for all
/// matches.
fn has(text: &str, form: &str) -> bool {
    memchr::memmem::find(text.as_bytes(), form.as_bytes()).is_some()
}

/// Returns the forms that are long enough in lower case, each once, longest first.
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

/// Returns the forms in which octets are shown: escaped as in C, which a server may do, and as our own messages show
/// them, as words and as a unique-id.
fn as_shown(octets: &[u8]) -> Vec<Wiped> {
    // Never grows: the old buffer of a growing string would not be wiped.
    let mut escaped = Wiped::new(String::with_capacity(octets.len() * 4));
    escaped.extend(octets.escape_ascii().map(char::from));
    let mut shown = vec![escaped, Wiped::new(words_in(octets))];
    // Any other octets look the same as a unique-id.
    if octets.iter().any(|octet| !matches!(octet, b' '..=b'[' | b']'..=b'~')) {
        shown.extend(UniqueId::new(octets).map(|id| Wiped::new(id.to_string())));
    }
    shown
}

/// Replaces characters in a text.
fn replaced(text: &str, by: impl Fn(char) -> Option<&'static str>) -> Wiped {
    let mut replaced = Wiped::new(String::with_capacity(text.len() * 6));
    for c in text.chars() {
        match by(c) {
            Some(other) => replaced.push_str(other),
            None => replaced.push(c),
        }
    }
    replaced
}

fn as_html(text: &str) -> Wiped {
    replaced(text, |c| match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\'' => Some("&#39;"),
        _ => None,
    })
}

/// Encodes in both alphabets.
fn in_base64(octets: &[u8]) -> [Wiped; 2] {
    [BASE64.encode(octets), BASE64_URL_SAFE.encode(octets)].map(Wiped::new)
}

/// Returns the part of the base64 of a text that depends only on these octets, when `before` others (0 to 2, modulo 3)
/// precede them. In both alphabets.
fn within_base64(octets: &[u8], before: usize) -> [Wiped; 2] {
    let mut text = Zeroizing::new(vec![0; before]);
    text.extend_from_slice(octets);
    // The first characters hold bits of the preceding octets, and the last one may hold bits of the following ones.
    let (first, end) = ((before * 8).div_ceil(6), text.len() * 8 / 6);
    in_base64(&text).map(|encoded| Wiped::new(encoded.get(first..end).unwrap_or_default().to_owned()))
}

/// Extends a part to the whole base64 string around it, whose ends also hold a few bits of the secret.
fn whole_base64(text: &str, part: Range<usize>) -> Range<usize> {
    let is_base64 = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_' | '=');
    let before = text.get(..part.start).unwrap_or_default().chars().rev().take_while(is_base64).count();
    let behind = text.get(part.end..).unwrap_or_default().chars().take_while(is_base64).count();
    part.start - before..part.end + behind
}

#[cfg(test)]
mod tests;
