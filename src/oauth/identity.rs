//! The user's address in an identity token (OpenID Connect Core 1.0, section 2). PURE.
//!
//! The signature is not checked: the token came over TLS from the token endpoint itself (section 3.1.3.7, point 6), and
//! is used only for a message to the user.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::secret::Secret;

#[derive(Deserialize)]
struct Claims {
    email: Option<String>,
    preferred_username: Option<String>,
}

/// Returns the mail address in an identity token, if there is one.
pub(super) fn address(id_token: &Secret) -> Option<String> {
    let text = str::from_utf8(id_token.expose()).ok()?;
    let payload = text.split('.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    [claims.email, claims.preferred_username].into_iter().flatten().find(|name| name.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> Secret {
        Secret::new(format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims)).into_bytes())
    }

    #[test]
    fn the_address_is_read_and_everything_else_is_no_address() {
        assert_eq!(address(&token(r#"{"email": "jo@e.org", "aud": 1}"#)).as_deref(), Some("jo@e.org"));
        assert_eq!(address(&token(r#"{"preferred_username": "jo@e.org"}"#)).as_deref(), Some("jo@e.org"));
        for wrong in
            [token("{}"), token("[]"), token(r#"{"email": 7}"#), Secret::new(b"x.y.z".to_vec()), Secret::new(vec![255])]
        {
            assert_eq!(address(&wrong), None);
        }
    }
}
