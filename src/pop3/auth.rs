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
    /// AUTH PLAIN with an initial response: one round trip (RFC 4616, RFC 5034).
    Plain,
    /// AUTH PLAIN, answered when the server asks: some servers know it in this form only.
    PlainWhenAsked,
    /// USER and PASS (RFC 1939, section 7).
    User,
    /// APOP (RFC 1939, section 7).
    Apop,
}

impl LoginMethod {
    /// All of them.
    const ALL: [Self; 4] = [Self::Plain, Self::PlainWhenAsked, Self::User, Self::Apop];

    /// Its name, for what is remembered of a server.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::PlainWhenAsked => "plain-when-asked",
            Self::User => "user",
            Self::Apop => "apop",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }
}

/// What the server offers on this connection.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// What CAPA announced; `None` when the server does not know CAPA.
    pub capabilities: Option<&'a Capabilities>,
    /// The timestamp of the greeting, which APOP needs.
    pub timestamp: Option<&'a str>,
}

/// The ways to log in, in the order in which they are to be tried: the next one when the server turns out not to know
/// the one before.
///
/// All that `auto` takes send the password as it is, so none is weaker than another; whether it may cross this network in
/// clear at all is for the caller to decide. What costs the fewest round trips comes first. A timestamp in the greeting is
/// no promise of APOP: many servers have it from their software and no password in clear to check a digest by, so APOP is
/// taken by name only. A choice by the user is followed even when the server does not announce it, because many servers
/// take more than they announce.
///
/// # Errors
/// [`NoLoginMethod`] when the choice cannot work with this server.
pub fn ways_to_log_in(choice: AuthChoice, offer: &Offer<'_>) -> Result<Vec<LoginMethod>, NoLoginMethod> {
    match choice {
        AuthChoice::Auto => Ok(best(offer.capabilities)),
        AuthChoice::Plain => Ok(vec![LoginMethod::Plain, LoginMethod::PlainWhenAsked]),
        AuthChoice::User => Ok(vec![LoginMethod::User]),
        AuthChoice::Apop if offer.timestamp.is_some() => Ok(vec![LoginMethod::Apop]),
        AuthChoice::Apop => Err(NoLoginMethod::ApopWithoutTimestamp),
    }
}

fn best(capabilities: Option<&Capabilities>) -> Vec<LoginMethod> {
    use LoginMethod::{Plain, PlainWhenAsked, User};
    let plain = capabilities.is_some_and(|capabilities| capabilities.sasl(Mechanism::Plain));
    match (plain, capabilities.is_some_and(Capabilities::user)) {
        (true, true) => vec![Plain, User, PlainWhenAsked],
        // Not announced, it may be there all the same: before RFC 2449 there was no way to say so.
        (true, false) => vec![Plain, PlainWhenAsked, User],
        (false, _) => vec![User],
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
                 APOP",
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

    /// What `auto` takes, for each thing a server may offer.
    #[test]
    fn takes_the_best_that_is_offered_and_has_a_way_back() {
        use LoginMethod::{Plain, PlainWhenAsked, User};
        for (lines, expected) in [
            (Some(&["USER", "SASL PLAIN LOGIN"][..]), &[Plain, User, PlainWhenAsked][..]),
            (Some(&["SASL PLAIN"]), &[Plain, PlainWhenAsked, User]),
            (Some(&["USER"]), &[User]),
            (Some(&["TOP", "SASL XOAUTH2"]), &[User]),
            (None, &[User]),
        ] {
            let announced = lines.map(capabilities);
            // A timestamp is no promise of APOP.
            for timestamp in [None, Some("<1.2@h>")] {
                let offer = Offer { capabilities: announced.as_ref(), timestamp };
                assert_eq!(ways_to_log_in(AuthChoice::Auto, &offer).unwrap(), expected, "{offer:?}");
            }
        }
    }

    #[test]
    fn follows_the_user_even_when_nothing_is_announced() {
        let none = capabilities(&[]);
        let offer = Offer { capabilities: Some(&none), timestamp: Some("<1.2@h>") };
        let ways = |choice| ways_to_log_in(choice, &offer).unwrap();
        assert_eq!(ways(AuthChoice::Plain), [LoginMethod::Plain, LoginMethod::PlainWhenAsked]);
        assert_eq!(ways(AuthChoice::User), [LoginMethod::User]);
        assert_eq!(ways(AuthChoice::Apop), [LoginMethod::Apop]);
    }

    #[test]
    fn refuses_apop_without_a_timestamp() {
        let offer = Offer { capabilities: None, timestamp: None };
        let error = ways_to_log_in(AuthChoice::Apop, &offer).unwrap_err();
        assert!(error.to_string().contains("no timestamp"), "{error}");
    }

    #[test]
    fn a_way_is_found_by_its_name() {
        for method in LoginMethod::ALL {
            assert_eq!(LoginMethod::named(method.name()), Some(method));
        }
        assert_eq!(LoginMethod::named("scram"), None);
    }
}
