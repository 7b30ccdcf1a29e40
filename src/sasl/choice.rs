//! Chooses the login method by the user's choice, the server's offer and the kind of connection.

use std::fmt;

use crate::account::AuthChoice;
use crate::pop3::{Capabilities, Mechanism};

/// A method of logging in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginMethod {
    /// USER and PASS (RFC 1939, section 7).
    User,
    /// APOP (RFC 1939, section 7).
    Apop,
    /// AUTH, with an initial response if the mechanism has one and it is known to work (RFC 5034).
    Sasl(Mechanism),
    /// AUTH PLAIN, with the response on request: some servers support only this form.
    PlainWhenAsked,
}

impl LoginMethod {
    /// All methods, with the names under which they are remembered for a server.
    const ALL: [(Self, &'static str); 13] = [
        (Self::User, "user"),
        (Self::Apop, "apop"),
        (Self::Sasl(Mechanism::Plain), "plain"),
        (Self::PlainWhenAsked, "plain-when-asked"),
        (Self::Sasl(Mechanism::Login), "login"),
        (Self::Sasl(Mechanism::CramMd5), "cram-md5"),
        (Self::Sasl(Mechanism::ScramSha1), "scram-sha-1"),
        (Self::Sasl(Mechanism::ScramSha1Plus), "scram-sha-1-plus"),
        (Self::Sasl(Mechanism::ScramSha256), "scram-sha-256"),
        (Self::Sasl(Mechanism::ScramSha256Plus), "scram-sha-256-plus"),
        (Self::Sasl(Mechanism::External), "external"),
        (Self::Sasl(Mechanism::XOAuth2), "xoauth2"),
        (Self::Sasl(Mechanism::OAuthBearer), "oauthbearer"),
    ];

    /// Returns the name under which it is remembered for a server.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(method, _)| *method == self).map_or("unknown", |(_, name)| name)
    }

    /// Returns the commands that it sends, as the RFCs write them: "APOP", "AUTH PLAIN".
    #[must_use]
    pub fn in_words(self) -> String {
        match (self, self.mechanism()) {
            (Self::User, _) => "USER and PASS".to_owned(),
            (_, Some(mechanism)) => format!("AUTH {}", mechanism.name()),
            (_, None) => "APOP".to_owned(),
        }
    }

    /// Returns the method with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(method, _)| method)
    }

    /// Returns the mechanism of AUTH; None for USER and APOP.
    #[must_use]
    pub fn mechanism(self) -> Option<Mechanism> {
        match self {
            Self::User | Self::Apop => None,
            Self::Sasl(mechanism) => Some(mechanism),
            Self::PlainWhenAsked => Some(Mechanism::Plain),
        }
    }

    /// Whether AUTH waits for the server's request although the client begins in this mechanism. Microsoft supports
    /// XOAUTH2 in this form only, and servers that support an initial response support this form, too.
    #[must_use]
    pub fn waits(self) -> bool {
        matches!(self, Self::PlainWhenAsked | Self::Sasl(Mechanism::XOAuth2))
    }

    /// Whether the password itself is not sent. Many servers offer such a method even to users whose password they
    /// store in a form that does not work with it.
    #[must_use]
    pub fn hides_password(self) -> bool {
        self.is_scram() || matches!(self, Self::Apop | Self::Sasl(Mechanism::CramMd5))
    }

    /// Whether it is SCRAM (RFC 5802), with any hash, with or without channel binding.
    #[must_use]
    pub fn is_scram(self) -> bool {
        use Mechanism::{ScramSha1, ScramSha1Plus, ScramSha256, ScramSha256Plus};
        matches!(self, Self::Sasl(ScramSha1 | ScramSha1Plus | ScramSha256 | ScramSha256Plus))
    }
}

/// Who can read the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// Nobody: TLS is established, and the server's certificate was verified.
    Protected,
    /// Nobody outside this machine.
    Loopback,
    /// Anybody on the path.
    Cleartext,
}

/// What the server offers on this connection.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// The capabilities before the login; `None` if the server does not support CAPA.
    pub capabilities: Option<&'a Capabilities>,
    /// The timestamp of the greeting, which APOP needs.
    pub timestamp: Option<&'a str>,
    /// Who can read the connection.
    pub exposure: Exposure,
    /// Whether there is a TLS connection to which the login can be bound.
    pub bindable: bool,
    /// Methods that this server had earlier and that failed, in this session or before.
    pub earlier: &'a [LoginMethod],
}

/// Returns the login methods in the order in which to try them. The next one is used if the server turns out not to
/// know the previous one.
///
/// On a protected connection, `auto` sends the password itself, with the method that takes the fewest round trips.
/// Otherwise the strongest announced method that hides the password comes first. If anybody can read the connection,
/// nothing weaker follows, because an attacker who can make the server seem not to know a method would get the
/// password; nor does it if the server had such a method earlier. A timestamp in the greeting does not promise APOP:
/// the software of many servers sends it, but they have no plaintext password to check a digest against. So APOP is
/// used only if chosen by name. A token is sent only with the mechanisms for tokens. A choice by the user is followed
/// even if the server does not announce it, because many servers support more than they announce.
///
/// # Errors
/// [`NoLoginMethod`] if the choice cannot work with this server.
pub fn ways_to_log_in(
    choice: AuthChoice,
    uses_token: bool,
    offer: &Offer<'_>,
) -> Result<Vec<LoginMethod>, NoLoginMethod> {
    let sasl = |mechanism| Ok(vec![LoginMethod::Sasl(mechanism)]);
    match choice {
        AuthChoice::Auto if uses_token => Ok(offer.for_token()),
        AuthChoice::Auto => {
            Some(offer.for_password()).filter(|ways| !ways.is_empty()).ok_or(NoLoginMethod::NoneThatHides)
        }
        AuthChoice::Plain => Ok(vec![LoginMethod::Sasl(Mechanism::Plain), LoginMethod::PlainWhenAsked]),
        AuthChoice::Login => sasl(Mechanism::Login),
        AuthChoice::User => Ok(vec![LoginMethod::User]),
        AuthChoice::Apop if offer.timestamp.is_some() => Ok(vec![LoginMethod::Apop]),
        AuthChoice::Apop => Err(NoLoginMethod::ApopWithoutTimestamp),
        AuthChoice::CramMd5 => sasl(Mechanism::CramMd5),
        AuthChoice::ScramSha1 => sasl(offer.scram_sha_1()),
        AuthChoice::ScramSha256 => sasl(offer.scram_sha_256()),
        AuthChoice::XOAuth2 => sasl(Mechanism::XOAuth2),
        AuthChoice::OAuthBearer => sasl(Mechanism::OAuthBearer),
        AuthChoice::External => sasl(Mechanism::External),
    }
}

impl Offer<'_> {
    fn announces(&self, mechanism: Mechanism) -> bool {
        self.capabilities.is_some_and(|capabilities| capabilities.sasl(mechanism))
    }

    /// Returns the form of SCRAM to use: with channel binding if that is offered, and then in no other form (RFC 5802,
    /// section 6).
    fn scram(&self, bare: Mechanism, plus: Mechanism) -> Mechanism {
        if self.bindable && self.announces(plus) { plus } else { bare }
    }

    fn scram_sha_1(&self) -> Mechanism {
        self.scram(Mechanism::ScramSha1, Mechanism::ScramSha1Plus)
    }

    fn scram_sha_256(&self) -> Mechanism {
        self.scram(Mechanism::ScramSha256, Mechanism::ScramSha256Plus)
    }

    fn for_token(&self) -> Vec<LoginMethod> {
        let announced = [Mechanism::OAuthBearer, Mechanism::XOAuth2].into_iter().filter(|name| self.announces(*name));
        let ways: Vec<LoginMethod> = announced.map(LoginMethod::Sasl).collect();
        if ways.is_empty() { vec![LoginMethod::Sasl(Mechanism::XOAuth2)] } else { ways }
    }

    fn for_password(&self) -> Vec<LoginMethod> {
        let scram = [self.scram_sha_256(), self.scram_sha_1()].into_iter().filter(|name| self.announces(*name));
        let cram = Some(Mechanism::CramMd5).filter(|name| self.announces(*name));
        let mut hiding: Vec<LoginMethod> = scram.map(LoginMethod::Sasl).collect();
        let had = |is: fn(LoginMethod) -> bool| {
            self.exposure == Exposure::Cleartext && self.earlier.iter().any(|way| is(*way))
        };
        // An eavesdropper on CRAM-MD5 can try passwords thousands of times faster.
        if self.exposure != Exposure::Cleartext || (hiding.is_empty() && !had(LoginMethod::is_scram)) {
            hiding.extend(cram.map(LoginMethod::Sasl));
        }
        let (announced, unannounced) = self.showing_password();
        match self.exposure {
            Exposure::Cleartext if !hiding.is_empty() || had(LoginMethod::hides_password) => hiding,
            Exposure::Cleartext | Exposure::Loopback => [hiding, announced, unannounced].concat(),
            Exposure::Protected => [announced, hiding, unannounced].concat(),
        }
    }

    /// Returns the methods that send the password itself: those that are announced, and those that may work all the
    /// same, because before RFC 2449 there was no way to announce them.
    fn showing_password(&self) -> (Vec<LoginMethod>, Vec<LoginMethod>) {
        use LoginMethod::{PlainWhenAsked, Sasl, User};
        let login = self.announces(Mechanism::Login).then_some(Sasl(Mechanism::Login));
        let user = self.capabilities.is_some_and(Capabilities::user);
        let mut announced = match (self.announces(Mechanism::Plain), user) {
            (true, true) => vec![Sasl(Mechanism::Plain), User, PlainWhenAsked],
            (true, false) => vec![Sasl(Mechanism::Plain), PlainWhenAsked],
            (false, true) => vec![User],
            (false, false) => vec![],
        };
        announced.extend(login);
        (announced, if user { vec![] } else { vec![User] })
    }
}

/// Why there is no usable login method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoLoginMethod {
    /// APOP was chosen, but the greeting has no timestamp for its digest.
    ApopWithoutTimestamp,
    /// Anybody can read the connection, and the server had a method that hides the password but now seems to have none.
    NoneThatHides,
}

impl fmt::Display for NoLoginMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApopWithoutTimestamp => f.write_str(
                "cannot log in by APOP because the server's greeting has no timestamp, so the server does not offer \
                 APOP",
            ),
            Self::NoneThatHides => f.write_str(
                "cannot log in without sending the password in clear: the server used to offer a way to log in that \
                 hides it and no longer does, or somebody in between removes it",
            ),
        }
    }
}

impl std::error::Error for NoLoginMethod {}

#[cfg(test)]
mod tests {
    use super::*;

    fn capabilities(lines: &[&str]) -> Capabilities {
        let mut capabilities = Capabilities::new();
        for line in lines {
            capabilities.add_line(line.as_bytes());
        }
        capabilities
    }

    /// The names of the methods, in order.
    fn ways(choice: AuthChoice, token: bool, lines: Option<&[&str]>, exposure: Exposure) -> String {
        let announced = lines.map(capabilities);
        let bindable = exposure == Exposure::Protected;
        let offer =
            Offer { capabilities: announced.as_ref(), timestamp: Some("<1.2@h>"), exposure, bindable, earlier: &[] };
        let ways = ways_to_log_in(choice, token, &offer).unwrap();
        ways.into_iter().map(LoginMethod::name).collect::<Vec<_>>().join(" ")
    }

    /// What `auto` uses on a protected connection, for each thing a server may offer.
    #[test]
    fn inside_tls_the_fewest_round_trips_come_first() {
        for (lines, expected) in [
            (Some(&["USER", "SASL PLAIN LOGIN"][..]), "plain user plain-when-asked login"),
            (Some(&["SASL PLAIN"]), "plain plain-when-asked user"),
            (Some(&["USER"]), "user"),
            (Some(&["TOP", "SASL XOAUTH2"]), "user"),
            (None, "user"),
            (Some(&["SASL LOGIN"]), "login user"),
            (Some(&["SASL CRAM-MD5 SCRAM-SHA-1"]), "scram-sha-1 cram-md5 user"),
            (Some(&["SASL PLAIN SCRAM-SHA-256-PLUS"]), "plain plain-when-asked scram-sha-256-plus user"),
        ] {
            assert_eq!(ways(AuthChoice::Auto, false, lines, Exposure::Protected), expected, "{lines:?}");
        }
    }

    #[test]
    fn where_it_could_be_listened_to_the_strongest_way_is_followed_by_no_weaker_one() {
        for (lines, loopback, cleartext) in [
            (
                &["USER", "SASL PLAIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256"][..],
                "scram-sha-256 scram-sha-1 cram-md5 plain user plain-when-asked",
                "scram-sha-256 scram-sha-1",
            ),
            (&["USER", "SASL CRAM-MD5"], "cram-md5 user", "cram-md5"),
            (&["USER", "SASL PLAIN"], "plain user plain-when-asked", "plain user plain-when-asked"),
            (&["SASL SCRAM-SHA-256-PLUS"], "user", "user"),
        ] {
            assert_eq!(ways(AuthChoice::Auto, false, Some(lines), Exposure::Loopback), loopback, "{lines:?}");
            assert_eq!(ways(AuthChoice::Auto, false, Some(lines), Exposure::Cleartext), cleartext, "{lines:?}");
        }
    }

    /// An attacker who can make a server seem not to know a method can also make it seem never to have had one.
    #[test]
    fn where_it_could_be_listened_to_no_weaker_way_follows_one_that_the_server_had_earlier() {
        let (scram, cram) = (LoginMethod::Sasl(Mechanism::ScramSha1), LoginMethod::Sasl(Mechanism::CramMd5));
        let ways = |line: &str, exposure, earlier: &[LoginMethod]| {
            let announced = capabilities(&["USER", line]);
            let offer = Offer { capabilities: Some(&announced), timestamp: None, exposure, bindable: false, earlier };
            let ways = ways_to_log_in(AuthChoice::Auto, false, &offer);
            ways.map(|ways| ways.into_iter().map(LoginMethod::name).collect::<Vec<_>>().join(" "))
        };
        let none = Err(NoLoginMethod::NoneThatHides);
        assert_eq!(ways("SASL PLAIN", Exposure::Cleartext, &[scram]), none);
        assert_eq!(ways("SASL PLAIN", Exposure::Cleartext, &[cram]), none);
        assert_eq!(ways("SASL PLAIN CRAM-MD5", Exposure::Cleartext, &[scram]), none, "CRAM-MD5 is weaker, too");
        assert_eq!(ways("SASL SCRAM-SHA-256", Exposure::Cleartext, &[scram]), Ok("scram-sha-256".to_owned()));
        assert_eq!(ways("SASL CRAM-MD5", Exposure::Cleartext, &[cram]), Ok("cram-md5".to_owned()));
        for exposure in [Exposure::Protected, Exposure::Loopback] {
            assert_eq!(ways("SASL PLAIN", exposure, &[scram]), Ok("plain user plain-when-asked".to_owned()));
        }
    }

    #[test]
    fn a_token_is_sent_by_the_mechanisms_for_tokens_alone() {
        for (lines, expected) in [
            (Some(&["USER", "SASL PLAIN XOAUTH2 OAUTHBEARER"][..]), "oauthbearer xoauth2"),
            (Some(&["SASL OAUTHBEARER"]), "oauthbearer"),
            (Some(&["USER", "SASL PLAIN"]), "xoauth2"),
            (None, "xoauth2"),
        ] {
            for exposure in [Exposure::Protected, Exposure::Loopback, Exposure::Cleartext] {
                assert_eq!(ways(AuthChoice::Auto, true, lines, exposure), expected, "{lines:?}");
            }
        }
    }

    #[test]
    fn follows_the_user_even_when_nothing_is_announced() {
        for (choice, expected) in [
            (AuthChoice::Plain, "plain plain-when-asked"),
            (AuthChoice::Login, "login"),
            (AuthChoice::User, "user"),
            (AuthChoice::Apop, "apop"),
            (AuthChoice::CramMd5, "cram-md5"),
            (AuthChoice::ScramSha1, "scram-sha-1"),
            (AuthChoice::ScramSha256, "scram-sha-256"),
            (AuthChoice::XOAuth2, "xoauth2"),
            (AuthChoice::OAuthBearer, "oauthbearer"),
            (AuthChoice::External, "external"),
        ] {
            assert_eq!(ways(choice, false, Some(&[]), Exposure::Protected), expected);
        }
    }

    #[test]
    fn scram_is_bound_to_tls_where_the_server_offers_it_and_then_only_so() {
        let lines = Some(&["SASL SCRAM-SHA-1 SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-256-PLUS"][..]);
        for (choice, bound, bare) in [
            (AuthChoice::ScramSha1, "scram-sha-1-plus", "scram-sha-1"),
            (AuthChoice::ScramSha256, "scram-sha-256-plus", "scram-sha-256"),
        ] {
            assert_eq!(ways(choice, false, lines, Exposure::Protected), bound);
            assert_eq!(ways(choice, false, lines, Exposure::Loopback), bare, "there is nothing to bind to");
        }
    }

    #[test]
    fn refuses_apop_without_a_timestamp() {
        let offer =
            Offer { capabilities: None, timestamp: None, exposure: Exposure::Protected, bindable: false, earlier: &[] };
        let error = ways_to_log_in(AuthChoice::Apop, false, &offer).unwrap_err();
        assert!(error.to_string().contains("no timestamp"), "{error}");
    }

    #[test]
    fn a_way_is_found_by_its_name() {
        for (method, name) in LoginMethod::ALL {
            assert_eq!((LoginMethod::named(name), method.name()), (Some(method), name));
        }
        assert_eq!(LoginMethod::named("kerberos"), None);
    }
}
