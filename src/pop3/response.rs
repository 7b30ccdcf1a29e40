//! The greeting and the status line of an answer (RFC 1939, section 3; RFC 2449, section 8).

use std::fmt;

use super::error::FramingError;
use super::gb18030;
use super::limits;
use super::listing::UniqueId;
use super::printable::words;

/// The status line of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Whether the command was carried out.
    pub status: Status,
    /// The response code, if there is one, for programs.
    pub code: Option<ResponseCode>,
    /// The text for the user, without status and code, with control characters escaped; not to be parsed except where
    /// an RFC says so (STAT). Octets that are not UTF-8 are replaced by U+FFFD. At most [`limits::WORDS`] characters
    /// and an ellipsis.
    pub text: String,
    /// The same text for display only, if a Chinese server sent it in its own encoding: [`words`](Self::words).
    pub decoded: Option<String>,
    /// The unique-id in the answer to UIDL with a number, if it is for that message. Boxed, because few answers have
    /// one.
    pub unique_id: Option<Box<UniqueId>>,
}

/// The status indicator (RFC 1939, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// `+OK`, exactly.
    Ok,
    /// `-ERR`, or anything else in its place: only `+OK` is success.
    Err,
}

impl Response {
    /// Parses a status line without its line end.
    ///
    /// # Errors
    /// [`FramingError::NotPop3`] if it begins with neither `+` nor `-`.
    pub(super) fn parse(line: &[u8]) -> Result<Self, FramingError> {
        let (status, rest) = match line {
            [b'+', ..] => match after_indicator(line, b"+OK") {
                Some(rest) => (Status::Ok, rest),
                // "+ERR", "+OKAY", a bare "+": the whole line is kept as the text, so that nothing is lost.
                None => (Status::Err, line),
            },
            [b'-', ..] => (Status::Err, after_indicator(line, b"-ERR").unwrap_or(line)),
            _ => return Err(FramingError::not_pop3(line)),
        };
        let (code, text) = ResponseCode::split_off(rest.trim_ascii());
        let text = text.trim_ascii();
        let decoded = gb18030::decoded(text).map(|decoded| words(decoded.as_bytes()));
        Ok(Self { status, code, text: words(text), decoded, unique_id: None })
    }

    /// Returns the text to show to the user. Nothing is decided by it.
    #[must_use]
    pub fn words(&self) -> &str {
        self.decoded.as_deref().unwrap_or(&self.text)
    }
}

/// Returns what follows the indicator; `None` if the line begins with another word.
fn after_indicator<'a>(line: &'a [u8], indicator: &[u8]) -> Option<&'a [u8]> {
    let (word, rest) = line.split_at_checked(indicator.len())?;
    let ends_here = matches!(rest, [] | [b' ' | b'\t', ..]);
    (ends_here && word.eq_ignore_ascii_case(indicator)).then_some(rest)
}

/// An extended response code: the words in brackets directly after the status (RFC 2449, section 8; RFC 3206).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ResponseCode {
    /// IN-USE: another session holds the maildrop (RFC 2449, section 8.1.2).
    InUse,
    /// LOGIN-DELAY: the login came too soon after the last one (RFC 2449, section 8.1.1).
    LoginDelay,
    /// SYS/TEMP: a problem of the server that is probably temporary (RFC 3206, section 4).
    SysTemp,
    /// SYS/PERM: a problem of the server that someone has to fix (RFC 3206, section 4).
    SysPerm,
    /// AUTH: the credentials are wrong or not accepted (RFC 3206, section 5).
    Auth,
    /// UTF8: the message requires UTF8 mode (RFC 6856, section 5).
    Utf8,
    /// Any other, in capitals.
    Other(String),
}

impl ResponseCode {
    /// Splits `[CODE] text`. Brackets that contain something else than a code are text.
    fn split_off(rest: &[u8]) -> (Option<Self>, &[u8]) {
        let Some(inner) = rest.strip_prefix(b"[") else { return (None, rest) };
        let mut parts = inner.splitn(2, |&octet| octet == b']');
        match (parts.next().and_then(Self::parse), parts.next()) {
            (Some(code), Some(text)) => (Some(code), text),
            _ => (None, rest),
        }
    }

    /// Parses a code: levels separated by slashes, each of printable ASCII without slash and bracket. A code below a
    /// known one means at least what the known one means (RFC 2449, section 8).
    fn parse(code: &[u8]) -> Option<Self> {
        if code.len() > limits::RESPONSE_CODE {
            return None;
        }
        let code = str::from_utf8(code).ok()?.to_ascii_uppercase();
        let mut levels = code.split('/');
        if levels.clone().any(|level| level.is_empty() || !level.bytes().all(|octet| octet.is_ascii_graphic())) {
            return None;
        }
        Some(match (levels.next(), levels.next()) {
            (Some("IN-USE"), _) => Self::InUse,
            (Some("LOGIN-DELAY"), _) => Self::LoginDelay,
            (Some("SYS"), Some("TEMP")) => Self::SysTemp,
            (Some("SYS"), Some("PERM")) => Self::SysPerm,
            (Some("AUTH"), _) => Self::Auth,
            (Some("UTF8"), _) => Self::Utf8,
            _ => Self::Other(code),
        })
    }
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InUse => "IN-USE",
            Self::LoginDelay => "LOGIN-DELAY",
            Self::SysTemp => "SYS/TEMP",
            Self::SysPerm => "SYS/PERM",
            Self::Auth => "AUTH",
            Self::Utf8 => "UTF8",
            Self::Other(code) => code,
        })
    }
}

/// The first line of a session (RFC 1939, section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// Whether the server accepts the session, and its text.
    pub response: Response,
    /// The timestamp for APOP's digest, including `<` and `>`, exactly as sent (RFC 1939, section 7).
    pub timestamp: Option<String>,
}

impl Greeting {
    /// Parses the greeting without its line end.
    ///
    /// # Errors
    /// [`FramingError::NotPop3`] if it begins with neither `+` nor `-`.
    pub(super) fn parse(line: &[u8]) -> Result<Self, FramingError> {
        let response = Response::parse(line)?;
        let timestamp = match response.status {
            Status::Ok => timestamp(line),
            Status::Err => None,
        };
        Ok(Self { response, timestamp })
    }
}

/// Returns the first `<local@domain>` in a greeting.
///
/// Only printable ASCII with exactly one `@` counts. APOP's MD5 can be attacked by a server that chooses a timestamp
/// with odd octets (CVE-2007-1558); a well-formed one leaves it far fewer options.
fn timestamp(line: &[u8]) -> Option<String> {
    line.split(|&octet| octet == b'<').skip(1).find_map(|candidate| {
        let end = candidate.iter().position(|&octet| octet == b'>')?;
        let inner = str::from_utf8(candidate.get(..end)?).ok()?;
        let (local, domain) = inner.split_once('@')?;
        let well_formed = |part: &str| !part.is_empty() && part.bytes().all(|o| o.is_ascii_graphic() && o != b'@');
        (well_formed(local) && well_formed(domain)).then(|| format!("<{inner}>"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop3::OtherProtocol;

    fn parsed(line: &str) -> (Status, Option<ResponseCode>, String) {
        let response = Response::parse(line.as_bytes()).unwrap();
        (response.status, response.code, response.text)
    }

    #[test]
    fn takes_ok_alone_for_success() {
        for line in ["+OK", "+ok", "+Ok ", "+OK\t"] {
            assert_eq!(parsed(line), (Status::Ok, None, String::new()), "{line:?}");
        }
        assert_eq!(parsed("+OK 2 320"), (Status::Ok, None, "2 320".to_owned()));
        for line in ["+ERR no", "+OKAY", "+OK!", "+", "+ ", "+ OK", "+O", "+NO +OK"] {
            assert_eq!(Response::parse(line.as_bytes()).unwrap().status, Status::Err, "{line:?}");
        }
    }

    #[test]
    fn takes_everything_with_a_minus_for_failure() {
        assert_eq!(parsed("-ERR"), (Status::Err, None, String::new()));
        assert_eq!(parsed("-err no such message"), (Status::Err, None, "no such message".to_owned()));
        assert_eq!(parsed("-"), (Status::Err, None, "-".to_owned()));
        assert_eq!(parsed("-NO way"), (Status::Err, None, "-NO way".to_owned()));
        assert_eq!(parsed("-ERROR"), (Status::Err, None, "-ERROR".to_owned()));
    }

    #[test]
    fn refuses_what_is_not_pop3() {
        for line in ["220 smtp.example.org ESMTP", "* OK IMAP4rev1", "HTTP/1.1 400 Bad Request", "", " +OK", "OK"] {
            let error = Response::parse(line.as_bytes()).unwrap_err();
            let speaks = if line.starts_with('*') { OtherProtocol::Imap } else { OtherProtocol::Unknown };
            assert_eq!(error, FramingError::NotPop3 { excerpt: line.to_owned(), speaks });
        }
    }

    #[test]
    fn reads_the_codes_of_the_rfcs_in_any_case() {
        let code = |line: &str| parsed(line).1;
        assert_eq!(code("-ERR [IN-USE] Do you have another POP session running?"), Some(ResponseCode::InUse));
        assert_eq!(code("-ERR [login-delay] wait"), Some(ResponseCode::LoginDelay));
        assert_eq!(code("-ERR [SYS/TEMP] try later"), Some(ResponseCode::SysTemp));
        assert_eq!(code("-ERR [Sys/Perm]"), Some(ResponseCode::SysPerm));
        assert_eq!(code("-ERR [AUTH] Authentication failed."), Some(ResponseCode::Auth));
        assert_eq!(code("-ERR [UTF8] needs UTF8"), Some(ResponseCode::Utf8));
        assert_eq!(code("+OK [x-new/a] fine"), Some(ResponseCode::Other("X-NEW/A".to_owned())));
    }

    #[test]
    fn takes_a_longer_code_for_the_known_one_it_begins_with() {
        assert_eq!(parsed("-ERR [SYS/TEMP/DISK] full").1, Some(ResponseCode::SysTemp));
        assert_eq!(parsed("-ERR [SYS] ?").1, Some(ResponseCode::Other("SYS".to_owned())));
        assert_eq!(parsed("-ERR [SYSTEMP] ?").1, Some(ResponseCode::Other("SYSTEMP".to_owned())));
    }

    #[test]
    fn cuts_the_code_from_the_text() {
        assert_eq!(parsed("-ERR [AUTH] wrong password").2, "wrong password");
        assert_eq!(parsed("-ERR [AUTH]").2, "");
    }

    #[test]
    fn leaves_brackets_in_the_text_when_they_hold_no_code() {
        for text in ["[not a code] x", "[] x", "[AUTH x", "[SYS//TEMP] x", "[\u{e9}] x"] {
            assert_eq!(parsed(&format!("-ERR {text}")), (Status::Err, None, text.to_owned()));
        }
        assert_eq!(parsed("-ERR login [AUTH] failed"), (Status::Err, None, "login [AUTH] failed".to_owned()));
    }

    #[test]
    fn keeps_a_bounded_part_of_the_text() {
        let text = |length: usize| parsed(&format!("-ERR {}", "é".repeat(length))).2;
        assert_eq!(text(limits::WORDS), "é".repeat(limits::WORDS));
        assert_eq!(text(limits::WORDS + 1), format!("{}…", "é".repeat(limits::WORDS)));
    }

    #[test]
    fn takes_a_long_code_for_text() {
        let longest = "X".repeat(limits::RESPONSE_CODE);
        assert_eq!(parsed(&format!("-ERR [{longest}] x")).1, Some(ResponseCode::Other(longest.clone())));
        assert_eq!(parsed(&format!("-ERR [{longest}X] x")).1, None);
    }

    #[test]
    fn escapes_control_bytes_in_the_text() {
        let response = Response::parse(b"-ERR \x1b]0;owned\x07\r \xff").unwrap();
        assert_eq!(response.text, "\\u{1b}]0;owned\\u{7}\\r \u{fffd}");
    }

    #[test]
    fn chinese_is_read_by_people_and_decides_nothing() {
        let response = Response::parse(b"-ERR [AUTH] \xc3\xdc\xc2\xeb\xb4\xed\xce\xf3\x1b").unwrap();
        assert_eq!((response.words(), response.code.as_ref()), ("密码错误\\u{1b}", Some(&ResponseCode::Auth)));
        assert!(response.text.starts_with('\u{fffd}'), "{}", response.text);
    }

    #[test]
    fn finds_the_timestamp_in_the_greeting() {
        let timestamp = |line: &str| Greeting::parse(line.as_bytes()).unwrap().timestamp;
        assert_eq!(
            timestamp("+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>").as_deref(),
            Some("<1896.697170952@dbc.mtview.ca.us>")
        );
        assert_eq!(timestamp("+OK <1972.987654321@curl> hello").as_deref(), Some("<1972.987654321@curl>"));
        assert_eq!(timestamp("+OK <ready> go <1.2@h>").as_deref(), Some("<1.2@h>"));
        assert_eq!(timestamp("+OK <<1.2@h>").as_deref(), Some("<1.2@h>"));
    }

    #[test]
    fn finds_no_timestamp_where_there_is_none() {
        for line in [
            "+OK ready",
            "+OK <no-at-sign>",
            "+OK <@h>",
            "+OK <a@>",
            "+OK <a b@h>",
            "+OK <a@b@h>",
            "+OK <1@h",
            "+OK 1@h>",
            "+OK <\u{e9}@h>",
            "+OK <a\u{1}@h>",
            "-ERR <1.2@h>",
        ] {
            assert_eq!(Greeting::parse(line.as_bytes()).unwrap().timestamp, None, "{line:?}");
        }
    }
}
