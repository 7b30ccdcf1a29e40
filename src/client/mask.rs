//! What a server may repeat and nobody may read: a server, or a device on the way, may echo what it was sent.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;

use crate::pop3::{FramingError, Response, ResponseCode, UniqueId, plain_response, printable};
use crate::secret::Secret;

/// What stands in the place of a secret.
const MASK: &str = "[secret]";

/// In octets. Something shorter is hardly a secret, and to mask it would garble everything.
const SHORTEST: usize = 4;

/// Hides the password of an account in a server's words.
///
/// It works on text that is escaped already, because that is what is shown, and so it knows the escaped forms of the
/// password. Upper and lower case count as alike: a response code is in capitals whatever the server sent.
#[derive(Debug, Default)]
pub struct Mask {
    /// What is hidden, in lower case, the longest first.
    forms: Vec<Secret>,
}

impl Mask {
    /// Hides a password, as it is and as AUTH PLAIN (RFC 4616) has it.
    #[must_use]
    pub fn new(username: &str, password: &Secret) -> Self {
        let password_octets = password.expose();
        if password_octets.len() < SHORTEST {
            return Self::default();
        }
        let in_unique_id = UniqueId::new(password_octets).map(|id| id.to_string()).unwrap_or_default();
        let encoded = BASE64.encode(plain_response(username, password).expose());
        // Without blanks at the ends: those of a line are not shown.
        let mut forms: Vec<Secret> =
            [printable(password_octets), password_octets.escape_ascii().to_string(), in_unique_id, encoded]
                .into_iter()
                .map(|form| form.trim().to_ascii_lowercase())
                .filter(|form| form.len() >= SHORTEST)
                .map(|form| Secret::new(form.into_bytes()))
                .collect();
        forms.sort_by_key(|form| std::cmp::Reverse(form.expose().len()));
        Self { forms }
    }

    /// A server's words without the secrets. Of an excerpt that was cut off in the middle of a secret, its part is
    /// hidden, too.
    #[must_use]
    pub fn hide(&self, text: &str) -> String {
        let lower = text.to_ascii_lowercase();
        let mut shown = String::with_capacity(text.len());
        let mut at = 0;
        while let Some((start, length)) = self.first(lower.get(at..).unwrap_or_default()) {
            shown.push_str(text.get(at..at + start).unwrap_or_default());
            shown.push_str(MASK);
            at += start + length;
        }
        shown.push_str(text.get(at..).unwrap_or_default());
        if let Some(cut) = shown.strip_suffix('…') {
            let kept = cut.len() - self.beginning_at_the_end(&cut.to_ascii_lowercase());
            if kept < cut.len() {
                shown.truncate(kept);
                shown.push_str(MASK);
                shown.push('…');
            }
        }
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

    /// The first secret in a text in lower case: where it begins, and its length.
    fn first(&self, lower: &str) -> Option<(usize, usize)> {
        let places = self.texts().filter_map(|form| Some((lower.find(form)?, form.len())));
        places.min_by_key(|(start, _)| *start)
    }

    /// How much of the end of a text in lower case is the beginning of a secret.
    fn beginning_at_the_end(&self, lower: &str) -> usize {
        let cuts = |form: &'_ str| {
            let lengths = form.char_indices().map(|(length, _)| length).filter(|length| *length >= SHORTEST);
            lengths.filter(|length| form.get(..*length).is_some_and(|part| lower.ends_with(part))).max()
        };
        self.texts().filter_map(cuts).max().unwrap_or(0)
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        self.forms.iter().filter_map(|form| str::from_utf8(form.expose()).ok())
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
            let response =
                Response { status: crate::pop3::Status::Err, code: Some(code), text: String::new(), unique_id: None };
            mask(password).response(response).code
        };
        assert_eq!(code("auth", ResponseCode::Auth), Some(ResponseCode::Auth));
        assert_eq!(code("s3cret", ResponseCode::Other("X-S3CRET".to_owned())), None);
    }
}
