//! CRAM-MD5 (RFC 2195).

use hmac::{Hmac, Mac};
use md5::Md5;

use super::SaslError;
use super::hex;
use crate::secret::Secret;

/// Returns the response: the user name, a blank, and the HMAC-MD5 of the challenge with the password as its key, in
/// lower-case hexadecimal (RFC 2195, section 2).
pub(super) fn response(username: &str, password: &Secret, challenge: &[u8]) -> Result<Secret, SaslError> {
    // The syntax of a message-id (RFC 2195, section 2): nothing else is signed for a server.
    let printable = challenge.iter().all(|octet| matches!(octet, b' '..=b'~'));
    if !printable || challenge.len() < 3 || !challenge.starts_with(b"<") || !challenge.ends_with(b">") {
        return Err(SaslError::Malformed { why: "is not the message-id that CRAM-MD5 has" });
    }
    let Ok(mut mac) = Hmac::<Md5>::new_from_slice(password.expose()) else {
        return Err(SaslError::Unsendable { why: "the password is too long" });
    };
    mac.update(challenge);
    Ok(Secret::new(format!("{username} {}", hex(&mac.finalize().into_bytes())).into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    #[test]
    fn makes_the_response_of_rfc_2195() {
        let challenge = b"<1896.697170952@postoffice.reston.mci.net>";
        let response = response("tim", &secret("tanstaaftanstaaf"), challenge).unwrap();
        assert_eq!(response.expose(), b"tim b913a602c7eda7a495b4e6e7334d3890");
    }

    #[test]
    fn what_is_no_message_id_is_not_signed() {
        for challenge in [&b""[..], b"<>", b"1896@host", b"<1896@host", b"1896@host>", b"<18\n96@host>", b"<\xff@h>"] {
            let refused = response("tim", &secret("tanstaaftanstaaf"), challenge);
            assert!(matches!(refused, Err(SaslError::Malformed { .. })), "{challenge:?}");
        }
    }
}
