//! OAuth 2.0 access tokens: XOAUTH2 and OAUTHBEARER (RFC 7628).

use super::SaslError;
use crate::secret::Secret;

/// Returns the message of XOAUTH2, as Google and Microsoft describe it: user and token, each followed by 0x01.
pub(crate) fn xoauth2(username: &str, token: &Secret) -> Result<Secret, SaslError> {
    check(username.as_bytes(), token)?;
    Ok(joined(&[b"user=", username.as_bytes(), b"\x01auth=Bearer ", token.expose(), b"\x01\x01"]))
}

/// Returns the message of OAUTHBEARER: a GS2 header with the user, then host, port and token (RFC 7628, section 3.1).
pub(crate) fn oauthbearer(username: &str, token: &Secret, host: &str, port: u16) -> Result<Secret, SaslError> {
    check(username.as_bytes(), token)?;
    let head = format!("n,a={},\x01host={host}\x01port={port}\x01auth=Bearer ", super::scram::saslname(username));
    Ok(joined(&[head.as_bytes(), token.expose(), b"\x01\x01"]))
}

/// Rejects control characters, which would end a part and begin another. A token has none (RFC 6750, section 2.1).
fn check(username: &[u8], token: &Secret) -> Result<(), SaslError> {
    let control = |octets: &[u8]| octets.iter().any(u8::is_ascii_control);
    match (control(username), control(token.expose()) || token.expose().is_empty()) {
        (true, _) => Err(SaslError::Unsendable { why: "the user name holds a control character" }),
        (_, true) => Err(SaslError::Unsendable { why: "the access token is empty or holds a control character" }),
        (false, false) => Ok(()),
    }
}

/// Joins the parts. Exactly this capacity, so that growing leaves no copies of the token in freed memory.
fn joined(parts: &[&[u8]]) -> Secret {
    let mut whole = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
    parts.iter().for_each(|part| whole.extend_from_slice(part));
    Secret::new(whole)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    #[test]
    fn makes_the_response_of_rfc_7628() {
        let token = secret("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
        let response = oauthbearer("user@example.com", &token, "server.example.com", 143).unwrap();
        let expected = "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyIHZGOWRm\
                        dDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB";
        assert_eq!(BASE64_STANDARD.encode(response.expose()), expected);
        let odd = oauthbearer("a=b,c", &token, "h", 1).unwrap();
        assert!(odd.expose().starts_with(b"n,a=a=3Db=2Cc,\x01host=h\x01port=1\x01auth=Bearer v"));
    }

    #[test]
    fn makes_the_response_that_google_describes() {
        let response =
            xoauth2("someuser@example.com", &secret("ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg")).unwrap();
        let expected = "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1s\
                        emRHRXVZMjl0Q2cBAQ==";
        assert_eq!(BASE64_STANDARD.encode(response.expose()), expected);
    }

    #[test]
    fn a_token_that_would_be_read_as_something_else_is_not_sent() {
        for (username, token) in [("jo", "a\x01b"), ("jo", "a\r\nb"), ("jo", ""), ("j\x01o", "token")] {
            assert!(matches!(xoauth2(username, &secret(token)), Err(SaslError::Unsendable { .. })));
            assert!(matches!(oauthbearer(username, &secret(token), "h", 1), Err(SaslError::Unsendable { .. })));
        }
    }
}
