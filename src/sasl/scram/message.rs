//! The server's messages in SCRAM (RFC 5802, section 7).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;

use crate::sasl::SaslError;
use crate::text::words_in;

/// The first message: nonce, salt and number of iterations.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ServerFirst<'a> {
    /// The whole message, as received.
    pub(super) text: &'a str,
    /// The client's nonce followed by the server's.
    pub(super) nonce: &'a str,
    pub(super) salt: Vec<u8>,
    pub(super) iterations: u32,
}

/// The last message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ServerFinal {
    /// The proof that the server knows the password.
    Proof(Vec<u8>),
    /// An error reported by the mechanism, escaped.
    Error(String),
}

fn malformed(why: &'static str) -> SaslError {
    SaslError::Malformed { why }
}

impl<'a> ServerFirst<'a> {
    /// Parses the first message, which answers this nonce. Extensions after it are ignored, but a mandatory one (`m=`)
    /// is an error (section 5.1).
    pub(super) fn parse(message: &'a [u8], ours: &str) -> Result<Self, SaslError> {
        let text = str::from_utf8(message).map_err(|_| malformed("is not text"))?;
        let mut parts = text.split(',');
        let mut part = |name: &str| parts.next().and_then(|part| part.strip_prefix(name));
        let nonce = part("r=").ok_or(malformed("has no nonce where it belongs"))?;
        let salt = part("s=").ok_or(malformed("has no salt where it belongs"))?;
        let iterations = part("i=").ok_or(malformed("has no number of iterations where it belongs"))?;
        let theirs = nonce.strip_prefix(ours).ok_or(malformed("does not answer the nonce that was sent"))?;
        if theirs.is_empty() || !theirs.bytes().all(|octet| matches!(octet, 0x21..=0x7e)) {
            return Err(malformed("adds no nonce of its own"));
        }
        let salt = BASE64.decode(salt).ok().filter(|salt| !salt.is_empty());
        let salt = salt.ok_or(malformed("has a salt that is not base64"))?;
        let digits = !iterations.is_empty() && iterations.bytes().all(|octet| octet.is_ascii_digit());
        if !digits {
            return Err(malformed("has a number of iterations that is none"));
        }
        // A number beyond 32 bits is rejected like the largest one.
        Ok(Self { text, nonce, salt, iterations: iterations.parse().unwrap_or(u32::MAX) })
    }
}

impl ServerFinal {
    pub(super) fn parse(message: &[u8]) -> Result<Self, SaslError> {
        let first = message.split(|&octet| octet == b',').next().unwrap_or_default();
        match first {
            [b'v', b'=', proof @ ..] => {
                BASE64.decode(proof).map(Self::Proof).map_err(|_| malformed("has a proof that is not base64"))
            }
            [b'e', b'=', error @ ..] => Ok(Self::Error(words_in(error).chars().take(80).collect())),
            _ => Err(malformed("has neither a proof nor an error")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_first_message_is_refused_and_nothing_panics() {
        for message in [
            &b""[..],
            b",",
            b",,",
            b"r",
            b"r=ours1,s",
            b"r=ours1,,",
            b"r=ours1,s=c2FsdA==",
            b"r=ours1,s=c2FsdA==,i",
            b"r=ours1,s=c2FsdA==,i=",
            b"r=ours1,s=c2FsdA==,i=+4096",
            b"r=ours1,s=c2FsdA==,i=4096x",
            b"r=ours1,s=!,i=4096",
            b"r=ours1,s=,i=4096",
            b"r=ours,s=c2FsdA==,i=4096",
            b"r=other1,s=c2FsdA==,i=4096",
            b"r=ours\x7f,s=c2FsdA==,i=4096",
            b"m=must,r=ours1,s=c2FsdA==,i=4096",
            b"e=other-error",
            b"\xff",
        ] {
            let parsed = ServerFirst::parse(message, "ours");
            assert!(matches!(parsed, Err(SaslError::Malformed { .. })), "{:?}", message.escape_ascii().to_string());
        }
        let parsed = ServerFirst::parse(b"r=ours1,s=c2FsdA==,i=4096,x=later", "ours").unwrap();
        assert_eq!((parsed.nonce, parsed.salt.as_slice(), parsed.iterations), ("ours1", &b"salt"[..], 4096));
        assert_eq!(ServerFirst::parse(b"r=ours1,s=c2FsdA==,i=99999999999", "ours").unwrap().iterations, u32::MAX);
    }

    #[test]
    fn a_last_message_is_a_proof_or_an_error() {
        assert_eq!(ServerFinal::parse(b"v=c2FsdA==,x=y").unwrap(), ServerFinal::Proof(b"salt".to_vec()));
        assert_eq!(ServerFinal::parse(b"e=\x1b[2J").unwrap(), ServerFinal::Error("\\u{1b}[2J".to_owned()));
        for message in [&b""[..], b"v", b"v=!", b"x=c2FsdA==", b","] {
            assert!(matches!(ServerFinal::parse(message), Err(SaslError::Malformed { .. })));
        }
    }
}
