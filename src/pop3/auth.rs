//! Which way to log in, and the proofs that are sent (RFC 1939, section 7; RFC 4616; RFC 5034).

use std::fmt;

use md5::{Digest, Md5};

use super::capability::Capabilities;
use crate::account::AuthChoice;
use crate::secret::Secret;

/// A SASL mechanism that AUTH can be given (RFC 4422).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// User name and password in one message (RFC 4616).
    Plain,
}

impl Mechanism {
    /// The registered name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A way to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginMethod {
    /// AUTH PLAIN (RFC 4616, RFC 5034).
    Plain,
    /// USER and PASS (RFC 1939, section 7).
    User,
    /// APOP (RFC 1939, section 7).
    Apop,
}

/// What the server offers on this connection.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// What CAPA announced; `None` when the server does not know CAPA.
    pub capabilities: Option<&'a Capabilities>,
    /// The timestamp of the greeting, which APOP needs.
    pub timestamp: Option<&'a str>,
    /// Whether the connection is under TLS, so that a password can be sent as it is.
    pub protected: bool,
}

/// Chooses the way to log in.
///
/// Left to itself, it takes under TLS what costs the fewest round trips: AUTH PLAIN, then USER. Without TLS, APOP comes
/// first, because it does not send the password itself. Whether a password may cross this network in clear at all is
/// for the caller to decide. A choice by the user is followed even when the server does not announce it, because many
/// servers take more than they announce.
///
/// # Errors
/// [`NoLoginMethod`] when the choice cannot work with this server.
pub fn choose(choice: AuthChoice, offer: &Offer<'_>) -> Result<LoginMethod, NoLoginMethod> {
    match choice {
        AuthChoice::Auto => Ok(best(offer)),
        AuthChoice::Plain => Ok(LoginMethod::Plain),
        AuthChoice::User => Ok(LoginMethod::User),
        AuthChoice::Apop if offer.timestamp.is_some() => Ok(LoginMethod::Apop),
        AuthChoice::Apop => Err(NoLoginMethod::ApopWithoutTimestamp),
    }
}

fn best(offer: &Offer<'_>) -> LoginMethod {
    let apop = offer.timestamp.is_some();
    let plain = offer.capabilities.is_some_and(|capabilities| capabilities.sasl(Mechanism::Plain));
    // A server without CAPA is taken to know USER: before RFC 2449 there was no way to say so.
    let user = offer.capabilities.is_none_or(Capabilities::user);
    match (offer.protected, apop, plain, user) {
        (false, true, _, _) => LoginMethod::Apop,
        (_, _, true, _) => LoginMethod::Plain,
        (true, true, false, false) => LoginMethod::Apop,
        // With nothing announced that we know, USER is still the likeliest to work.
        (_, _, false, _) => LoginMethod::User,
    }
}

/// Why there is no way to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoLoginMethod {
    /// APOP was chosen, and the greeting has no timestamp to make its digest over.
    ApopWithoutTimestamp,
}

impl fmt::Display for NoLoginMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApopWithoutTimestamp => f.write_str(
                "cannot log in by APOP because the server's greeting has no timestamp, so the server does not offer \
                 APOP; set auth = \"auto\" or remove the key",
            ),
        }
    }
}

impl std::error::Error for NoLoginMethod {}

/// The response of the mechanism PLAIN: no authorization identity, the user name, the password, parted by NULs
/// (RFC 4616, section 2). It is not encoded yet.
///
/// A user name or password with a NUL in it would be read as something else; [`Session`](super::Session) refuses to
/// send such a response with [`CommandError::NulInCredentials`](super::CommandError::NulInCredentials).
#[must_use]
pub fn plain_response(username: &str, password: &Secret) -> Secret {
    // Exactly this capacity: growing would leave copies of the password behind in freed memory.
    let mut response = Vec::with_capacity(username.len() + password.expose().len() + 2);
    response.push(0);
    response.extend_from_slice(username.as_bytes());
    response.push(0);
    response.extend_from_slice(password.expose());
    Secret::new(response)
}

/// The digest that APOP sends: MD5 over the timestamp, brackets included, and the secret, in small hexadecimal digits
/// (RFC 1939, section 7).
#[must_use]
pub fn apop_digest(timestamp: &str, secret: &Secret) -> String {
    let digest = Md5::new().chain_update(timestamp).chain_update(secret.expose()).finalize();
    digest.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    fn capabilities(lines: &[&str]) -> Capabilities {
        let mut capabilities = Capabilities::new();
        for line in lines {
            capabilities.add_line(line.as_bytes());
        }
        capabilities
    }

    #[test]
    fn makes_the_digest_of_rfc_1939() {
        let digest = apop_digest("<1896.697170952@dbc.mtview.ca.us>", &secret("tanstaaf"));
        assert_eq!(digest, "c4c9334bac560ecc979e58001b3e22fb");
    }

    #[test]
    fn makes_the_digest_that_curl_expects() {
        assert_eq!(apop_digest("<1972.987654321@curl>", &secret("secret")), "7501b4cdc224d469940e65e7b5e4d6eb");
    }

    #[test]
    fn makes_the_response_of_plain() {
        let response = plain_response("tim", &secret("tanstaaftanstaaf"));
        assert_eq!(response.expose(), b"\0tim\0tanstaaftanstaaf");
    }

    /// What `auto` takes, for each thing a server may offer, under TLS and without.
    #[test]
    fn takes_the_best_that_is_offered() {
        let both = capabilities(&["USER", "SASL PLAIN LOGIN"]);
        let plain = capabilities(&["SASL PLAIN"]);
        let user = capabilities(&["USER"]);
        let none = capabilities(&["TOP", "SASL XOAUTH2"]);
        let stamp = Some("<1.2@h>");
        let cases = [
            (Some(&both), stamp, LoginMethod::Plain, LoginMethod::Apop),
            (Some(&both), None, LoginMethod::Plain, LoginMethod::Plain),
            (Some(&plain), stamp, LoginMethod::Plain, LoginMethod::Apop),
            (Some(&plain), None, LoginMethod::Plain, LoginMethod::Plain),
            (Some(&user), stamp, LoginMethod::User, LoginMethod::Apop),
            (Some(&user), None, LoginMethod::User, LoginMethod::User),
            (Some(&none), stamp, LoginMethod::Apop, LoginMethod::Apop),
            (Some(&none), None, LoginMethod::User, LoginMethod::User),
            (None, stamp, LoginMethod::User, LoginMethod::Apop),
            (None, None, LoginMethod::User, LoginMethod::User),
        ];
        for (capabilities, timestamp, protected, clear) in cases {
            for (under_tls, expected) in [(true, protected), (false, clear)] {
                let offer = Offer { capabilities, timestamp, protected: under_tls };
                assert_eq!(choose(AuthChoice::Auto, &offer), Ok(expected), "{offer:?}");
            }
        }
    }

    #[test]
    fn follows_the_user_even_when_nothing_is_announced() {
        let none = capabilities(&[]);
        let offer = Offer { capabilities: Some(&none), timestamp: Some("<1.2@h>"), protected: true };
        assert_eq!(choose(AuthChoice::Plain, &offer), Ok(LoginMethod::Plain));
        assert_eq!(choose(AuthChoice::User, &offer), Ok(LoginMethod::User));
        assert_eq!(choose(AuthChoice::Apop, &offer), Ok(LoginMethod::Apop));
    }

    #[test]
    fn refuses_apop_without_a_timestamp() {
        let offer = Offer { capabilities: None, timestamp: None, protected: false };
        let error = choose(AuthChoice::Apop, &offer).unwrap_err();
        assert!(error.to_string().contains("no timestamp") && error.to_string().contains("auth = \"auto\""));
    }
}
