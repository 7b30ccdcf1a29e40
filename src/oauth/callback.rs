//! The authorization response that comes back through the browser (RFC 6749, section 4.1.2). PURE.

use url::Url;

use super::error::{OAuthError, shown};
use super::metadata::is_same_issuer;
use crate::secret::Secret;

/// What the response is checked against.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    /// The redirection URI.
    pub redirect: Url,
    /// A value known only to this sign-in (RFC 6749, section 10.12).
    pub state: Secret,
    /// The issuer that must respond (RFC 9207), if known.
    pub issuer: Option<String>,
    /// The issuer always identifies itself with `iss`.
    pub sends_iss: bool,
}

impl Expected {
    /// Whether this URL matches the redirection URI and contains a response of any kind.
    #[must_use]
    pub(crate) fn is_answer(&self, url: &Url) -> bool {
        let has = |name: &str| url.query_pairs().any(|(key, _)| key == name);
        url.path() == self.redirect.path() && (has("code") || has("error"))
    }

    /// Returns the authorization code in the URL to which the browser was redirected.
    ///
    /// # Errors
    /// If the response is an error, or does not belong to our request.
    pub(crate) fn code(&self, url: &Url) -> Result<Secret, OAuthError> {
        let callback = |why: String| OAuthError::Callback { why };
        let one = |name: &str| {
            let mut values = url.query_pairs().filter(|(key, _)| key == name).map(|(_, value)| value.into_owned());
            match (values.next(), values.next()) {
                (_, Some(_)) => Err(callback(format!("the address holds `{name}` twice"))),
                (value, None) => Ok(value),
            }
        };
        let (state, issuer) = (one("state")?, one("iss")?);
        // Nothing else is evaluated in a response to another request.
        if state.is_none_or(|state| !is_same(state.as_bytes(), self.state.expose())) {
            return Err(callback("the address belongs to another sign-in (`state` differs)".to_owned()));
        }
        match (&issuer, &self.issuer) {
            (Some(said), Some(expected)) if !is_same_issuer(said, expected) => {
                return Err(callback(format!(
                    "it was {} that answered, and not {expected} (`iss` differs)",
                    shown(said)
                )));
            }
            (None, Some(expected)) if self.sends_iss => {
                return Err(callback(format!("the answer does not say that it is from {expected} (`iss` is missing)")));
            }
            _ => {}
        }
        if let Some(error) = one("error")? {
            return Err(OAuthError::refused(&error, one("error_description")?.as_deref()));
        }
        match one("code")? {
            Some(code) if !code.is_empty() => Ok(Secret::new(code.into_bytes())),
            _ => Err(callback("the address holds no code".to_owned())),
        }
    }

    /// Returns the authorization code in pasted text, which must be the whole URL.
    ///
    /// # Errors
    /// Those of [`Self::code`], and if it is not such a URL.
    pub(crate) fn pasted(&self, text: &str) -> Result<Secret, OAuthError> {
        let url = Url::parse(text.trim()).map_err(|_| OAuthError::NotTheAddress)?;
        if !self.is_answer(&url) {
            return Err(OAuthError::NotTheAddress);
        }
        self.code(&url)
    }
}

/// Compares in time that does not depend on the contents.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> Expected {
        Expected {
            redirect: Url::parse("http://127.0.0.1:7777/").unwrap(),
            state: Secret::new(b"s7".to_vec()),
            issuer: Some("https://login.example.org".into()),
            sends_iss: true,
        }
    }

    fn code(query: &str) -> Result<String, String> {
        let code = expected().pasted(&format!("http://127.0.0.1:7777/?{query}")).map_err(|e| e.to_string())?;
        Ok(String::from_utf8(code.expose().to_vec()).unwrap())
    }

    #[test]
    fn the_code_is_taken_from_the_answer_to_what_was_asked() {
        assert_eq!(code("code=a%2Fb&state=s7&iss=https%3A%2F%2Flogin.example.org&more=1").as_deref(), Ok("a/b"));
        for (query, why) in [
            ("code=a&iss=https://login.example.org", "belongs to another sign-in"),
            ("code=a&state=s8&iss=https://login.example.org", "belongs to another sign-in"),
            ("code=a&state=s77&iss=https://login.example.org", "belongs to another sign-in"),
            ("code=a&state=s7&state=s7&iss=https://login.example.org", "`state` twice"),
            ("code=a&state=s7&iss=https://evil.example.org", "`iss` differs"),
            ("code=a&state=s7", "`iss` is missing"),
            ("code=&state=s7&iss=https://login.example.org", "no code"),
            ("code=a&code=b&state=s7&iss=https://login.example.org", "`code` twice"),
            (
                "error=access_denied&state=s7&iss=https://login.example.org&error_description=no%1b",
                "access_denied (no\\u{1b})",
            ),
            // An error for another request is not believed either.
            ("error=access_denied&state=x", "belongs to another sign-in"),
            ("state=s7", "not the address"),
        ] {
            let told = code(query).unwrap_err();
            assert!(told.contains(why), "{query}: {told}");
        }
    }

    #[test]
    fn what_is_pasted_must_be_that_address() {
        for text in ["", "code", "http://127.0.0.1:7777/elsewhere?code=a&state=s7", "x y", "mailto:jo@e.org?code=a"] {
            let error = expected().pasted(text).unwrap_err();
            assert!(matches!(error, OAuthError::NotTheAddress), "{text}: {error}");
        }
        let quiet = Expected { sends_iss: false, ..expected() };
        assert!(quiet.pasted(" http://127.0.0.1:7777/?code=a&state=s7\n").is_ok());
    }
}
