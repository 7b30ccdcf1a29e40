//! PLAIN (RFC 4616).

use crate::secret::Secret;

/// Returns the response of PLAIN, not encoded: no authorization identity, the user name, the password, separated by
/// NULs (RFC 4616, section 2).
///
/// A user name or password that contains a NUL would be misread; [`Session`](crate::pop3::Session) refuses to send such
/// a response with [`CommandError::NulInCredentials`](crate::pop3::CommandError::NulInCredentials).
#[must_use]
pub fn plain_response(username: &str, password: &Secret) -> Secret {
    // Exactly this capacity, so that growing leaves no copies of the password in freed memory.
    let mut response = Vec::with_capacity(username.len() + password.expose().len() + 2);
    response.push(0);
    response.extend_from_slice(username.as_bytes());
    response.push(0);
    response.extend_from_slice(password.expose());
    Secret::new(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    #[test]
    fn makes_the_response_of_plain() {
        let response = plain_response("tim", &secret("tanstaaftanstaaf"));
        assert_eq!(response.expose(), b"\0tim\0tanstaaftanstaaf");
    }
}
