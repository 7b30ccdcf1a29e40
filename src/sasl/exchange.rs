//! An exchange of a mechanism, message by message (RFC 4422, section 3).

use super::scram::{Binding, Hash, Scram};
use super::{ChannelBinding, SaslError, bearer, cram_md5, plain_response};
use crate::pop3::Mechanism;
use crate::secret::Secret;

/// The input of an exchange.
#[derive(Debug, Clone, Copy)]
pub struct Credentials<'a> {
    /// The user name.
    pub username: &'a str,
    /// The password or the access token.
    pub secret: &'a Secret,
    /// The server's name as configured.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// The channel binding of the TLS connection, if there is one.
    pub binding: Option<&'a ChannelBinding>,
    /// Printable characters without a comma, generated for this exchange.
    pub nonce: &'a str,
}

/// The client's side of an exchange. It ends after as many messages as the mechanism has, whatever the server sends.
#[derive(Debug)]
pub struct Exchange {
    /// The first message, which needs nothing from the server, until it is sent.
    first: Option<Secret>,
    rest: Rest,
    /// Whether anything was sent from which the server can judge the credential.
    offered: bool,
}

/// What follows the first message.
#[derive(Debug)]
enum Rest {
    /// Nothing.
    Nothing,
    /// The password, on request.
    Password(Secret),
    /// A digest of the challenge.
    Digest { username: String, password: Secret },
    /// The further messages of SCRAM.
    Scram(Box<Scram>),
    /// An error: a challenge reports one, and this is the answer to it.
    AfterError(&'static [u8]),
}

impl Exchange {
    /// Begins an exchange.
    ///
    /// # Errors
    /// [`SaslError::Unsendable`] if the mechanism cannot transmit the credentials.
    pub fn new(mechanism: Mechanism, credentials: &Credentials<'_>) -> Result<Self, SaslError> {
        let Credentials { username, secret, host, port, .. } = *credentials;
        let begun = |first: Option<Secret>, rest| Ok(Self { first, rest, offered: false });
        match mechanism {
            Mechanism::Plain => begun(Some(plain_response(username, secret)), Rest::Nothing),
            Mechanism::Login => {
                let name = Secret::new(username.as_bytes().to_vec());
                begun(Some(name), Rest::Password(secret.clone()))
            }
            Mechanism::CramMd5 => begun(None, Rest::Digest { username: username.to_owned(), password: secret.clone() }),
            // Empty: the server knows from the certificate who we are.
            Mechanism::External => begun(Some(Secret::new(Vec::new())), Rest::Nothing),
            Mechanism::XOAuth2 => begun(Some(bearer::xoauth2(username, secret)?), Rest::AfterError(b"")),
            Mechanism::OAuthBearer => {
                begun(Some(bearer::oauthbearer(username, secret, host, port)?), Rest::AfterError(b"\x01"))
            }
            Mechanism::ScramSha1 => Self::scram(Hash::Sha1, false, credentials),
            Mechanism::ScramSha1Plus => Self::scram(Hash::Sha1, true, credentials),
            Mechanism::ScramSha256 => Self::scram(Hash::Sha256, false, credentials),
            Mechanism::ScramSha256Plus => Self::scram(Hash::Sha256, true, credentials),
        }
    }

    fn scram(hash: Hash, plus: bool, credentials: &Credentials<'_>) -> Result<Self, SaslError> {
        let binding = match (credentials.binding, plus) {
            (Some(channel), true) => Binding::To(channel),
            // It would be used if the server offered it, so here the server does not.
            (Some(_), false) => Binding::NotOffered,
            (None, _) => Binding::None,
        };
        let Credentials { username, secret, nonce, .. } = *credentials;
        let (scram, first) = Scram::begin(hash, username, secret, nonce, binding)?;
        Ok(Self { first: Some(first), rest: Rest::Scram(Box::new(scram)), offered: false })
    }

    /// Returns the message to send with the command. None if the server speaks first.
    pub fn initial_response(&mut self) -> Option<Secret> {
        if matches!(self.rest, Rest::Password(_)) {
            // No initial response for LOGIN works with all servers.
            return None;
        }
        let first = self.first.take();
        self.offered |= first.is_some() && !matches!(self.rest, Rest::Scram(_));
        first
    }

    /// Whether the next answer takes long, because a password is hashed thousands of times: not on a thread of the
    /// runtime.
    #[must_use]
    pub fn takes_long(&self) -> bool {
        self.first.is_none() && matches!(&self.rest, Rest::Scram(scram) if !scram.is_password_used())
    }

    /// Answers a challenge; [`takes_long`](Self::takes_long) says when that takes long.
    ///
    /// # Errors
    /// [`SaslError`]: the exchange must be cancelled.
    pub fn answer(&mut self, challenge: &[u8]) -> Result<Secret, SaslError> {
        if let Some(first) = self.first.take() {
            self.offered |= !matches!(self.rest, Rest::Scram(_) | Rest::Password(_));
            return Ok(first);
        }
        if let Rest::Scram(scram) = &mut self.rest {
            return scram.answer(challenge);
        }
        let answer = match std::mem::replace(&mut self.rest, Rest::Nothing) {
            Rest::Password(password) => Ok(password),
            Rest::Digest { username, password } => cram_md5::response(&username, &password, challenge),
            Rest::AfterError(answer) => Ok(Secret::new(answer.to_vec())),
            Rest::Nothing | Rest::Scram(_) => Err(SaslError::OneTooMany),
        };
        self.offered |= answer.is_ok();
        answer
    }

    /// Whether anything was sent from which the server can judge the credential.
    #[must_use]
    pub fn is_offered(&self) -> bool {
        self.offered || matches!(&self.rest, Rest::Scram(scram) if scram.is_password_used())
    }

    /// Decides whether the server's success counts.
    ///
    /// # Errors
    /// [`SaslError::NoProof`] if the server has not proved that it knows the password.
    pub fn accept(&self) -> Result<(), SaslError> {
        match &self.rest {
            Rest::Scram(scram) if !scram.is_proved() => Err(SaslError::NoProof),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(mechanism: Mechanism, secret: &str) -> Exchange {
        let secret = Secret::new(secret.as_bytes().to_vec());
        let credentials =
            Credentials { username: "jo", secret: &secret, host: "h", port: 995, binding: None, nonce: "abc" };
        Exchange::new(mechanism, &credentials).unwrap()
    }

    fn said(response: Option<Secret>) -> Option<String> {
        response.map(|said| str::from_utf8(said.expose()).unwrap().to_owned())
    }

    /// The message sent with the command and those to each challenge, and whether the credential was sent before it.
    #[test]
    fn each_mechanism_has_its_messages_and_no_more() {
        let digest = "<1@h>";
        let cases: [(Mechanism, &[&str], &[&str]); 5] = [
            (Mechanism::Plain, &["\0jo\0pw"], &[]),
            (Mechanism::External, &[""], &[]),
            (Mechanism::XOAuth2, &["user=jo\x01auth=Bearer pw\x01\x01"], &[""]),
            (Mechanism::OAuthBearer, &["n,a=jo,\x01host=h\x01port=995\x01auth=Bearer pw\x01\x01"], &["\x01"]),
            (Mechanism::CramMd5, &[], &["jo "]),
        ];
        for (mechanism, first, then) in cases {
            let mut exchange = exchange(mechanism, "pw");
            assert_eq!(said(exchange.initial_response()).as_deref(), first.first().copied(), "{mechanism}");
            assert_eq!(exchange.is_offered(), !first.is_empty());
            for expected in then {
                let answer = said(exchange.answer(digest.as_bytes()).ok()).unwrap();
                let digest = mechanism == Mechanism::CramMd5 && answer.len() == expected.len() + 32;
                assert!(answer == *expected || (digest && answer.starts_with(expected)), "{mechanism}: {answer}");
                assert!(exchange.is_offered());
            }
            assert_eq!(exchange.answer(digest.as_bytes()), Err(SaslError::OneTooMany), "{mechanism}");
            assert_eq!(exchange.accept(), Ok(()));
        }
    }

    #[test]
    fn what_was_not_said_with_the_command_answers_the_first_challenge() {
        let mut waits = exchange(Mechanism::XOAuth2, "pw");
        assert!(!waits.is_offered());
        assert_eq!(said(waits.answer(b"").ok()).unwrap(), "user=jo\x01auth=Bearer pw\x01\x01");
        assert!(waits.is_offered());
        let mut login = exchange(Mechanism::Login, "pw");
        assert_eq!(login.initial_response(), None);
        assert_eq!(said(login.answer(b"Username:").ok()).as_deref(), Some("jo"));
        assert!(!login.is_offered(), "a name alone is no credential");
        assert_eq!(said(login.answer(b"Password:").ok()).as_deref(), Some("pw"));
        assert!(login.is_offered());
        assert_eq!(login.answer(b"More:"), Err(SaslError::OneTooMany));
    }

    #[test]
    fn scram_counts_only_with_the_proof_of_the_server() {
        let mut scram = exchange(Mechanism::ScramSha256, "pw");
        assert_eq!(said(scram.initial_response()).as_deref(), Some("n,,n=jo,r=abc"));
        assert_eq!((scram.is_offered(), scram.accept()), (false, Err(SaslError::NoProof)));
        assert!(scram.takes_long() && !exchange(Mechanism::XOAuth2, "pw").takes_long());
        scram.answer(b"r=abcdef,s=c2FsdA==,i=4096").unwrap();
        assert_eq!((scram.is_offered(), scram.accept()), (true, Err(SaslError::NoProof)));
        assert!(!scram.takes_long());
        assert_eq!(scram.answer(b"v=AAAA"), Err(SaslError::WrongProof));
        assert_eq!(scram.accept(), Err(SaslError::NoProof));
    }
}
