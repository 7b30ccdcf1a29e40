//! The server side of the SASL mechanisms; its SCRAM is an independent implementation.

use std::io::Cursor;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac};
use md5::Md5;
use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::mechanisms::scram::properties::ScramStoredPassword;
use rsasl::mechanisms::scram::{SCRAM_SHA1, SCRAM_SHA1_PLUS, SCRAM_SHA256, SCRAM_SHA256_PLUS};
use rsasl::mechname::Mechname;
use rsasl::prelude::{ChannelBindingCallback, Mechanism, Registry, SASLConfig, SASLServer, SessionError};
use rsasl::property::AuthId;
use rsasl::validate::NoValidation;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::super::Wire;
use super::{PASSWORD, USER};

/// The behaviour of a server that does not know the password, or wants to be a nuisance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ScramFault {
    /// None.
    #[default]
    None,
    /// It accepts everybody and proves nothing.
    NoProof,
    /// Its proof is made with another password.
    WrongProof,
    /// It stores another password, and says that ours is wrong.
    OtherPassword,
    /// It requires this number of hash iterations.
    Iterations(u32),
}

/// How an exchange ends.
pub(super) enum End {
    /// The credential is right, or is not.
    Judged(bool),
    /// The client cancelled.
    Cancelled,
    /// The server does not support the mechanism.
    Unknown,
}

/// What an exchange needs.
pub(super) struct Exchange<'a> {
    /// The connection.
    pub(super) wire: &'a mut Wire,
    /// The port that a token may contain.
    pub(super) port: u16,
    /// The mechanisms offered.
    pub(super) offered: &'a [String],
    /// The fault of the server.
    pub(super) fault: ScramFault,
    /// The server's certificate.
    pub(super) certificate: Option<&'a [u8]>,
}

impl Exchange<'_> {
    /// Plays an exchange, from the AUTH command with its initial response on. None when the connection is over.
    pub(super) fn play(mut self, mechanism: &str, initial: Option<&str>) -> Option<End> {
        let initial = initial.map(|text| if text == "=" { String::new() } else { text.to_owned() });
        match mechanism {
            "PLAIN" => self.is(initial, format!("\0{USER}\0{PASSWORD}").as_bytes()),
            "EXTERNAL" => self.is(initial, b""),
            "LOGIN" => {
                let Some(name) = self.response_to(b"User Name\0")? else { return Some(End::Cancelled) };
                let Some(password) = self.response_to(b"Password\0")? else { return Some(End::Cancelled) };
                Some(End::Judged(name == USER.as_bytes() && password == PASSWORD.as_bytes()))
            }
            "CRAM-MD5" => {
                let challenge = b"<1896.697170952@mail.example.org>";
                let Some(response) = self.response_to(challenge)? else { return Some(End::Cancelled) };
                let mut mac = Hmac::<Md5>::new_from_slice(PASSWORD.as_bytes()).unwrap();
                mac.update(challenge);
                let digest: String = mac.finalize().into_bytes().iter().map(|octet| format!("{octet:02x}")).collect();
                Some(End::Judged(response == format!("{USER} {digest}").as_bytes()))
            }
            "XOAUTH2" => {
                assert_eq!(initial, None, "one step is known to work with nobody");
                let wanted = format!("user={USER}\x01auth=Bearer {PASSWORD}\x01\x01");
                self.token(initial, &[wanted], b"")
            }
            "OAUTHBEARER" => {
                let wanted = |host| {
                    format!("n,a={USER},\x01host={host}\x01port={}\x01auth=Bearer {PASSWORD}\x01\x01", self.port)
                };
                let wanted = [wanted("127.0.0.1"), wanted("localhost")];
                self.token(initial, &wanted, b"\x01")
            }
            _ if mechanism.starts_with("SCRAM-") => self.scram(mechanism, initial),
            _ => Some(End::Unknown),
        }
    }

    /// Returns the client's response to a challenge; nothing if it cancels.
    fn response_to(&mut self, challenge: &[u8]) -> Option<Option<Vec<u8>>> {
        self.wire.send(format!("+ {}\r\n", BASE64_STANDARD.encode(challenge)).as_bytes())?;
        let line = self.wire.line()?;
        Some(if line == "*" { None } else { Some(BASE64_STANDARD.decode(line).unwrap()) })
    }

    /// Returns the first response, requesting it if it was not sent with the command.
    fn first(&mut self, initial: Option<String>) -> Option<Option<Vec<u8>>> {
        match initial {
            Some(initial) => Some(Some(BASE64_STANDARD.decode(initial).unwrap())),
            None => self.response_to(b""),
        }
    }

    fn is(&mut self, initial: Option<String>, wanted: &[u8]) -> Option<End> {
        Some(match self.first(initial)? {
            Some(response) => End::Judged(response == wanted),
            None => End::Cancelled,
        })
    }

    /// Handles a token; what is wrong with it is sent in a challenge, to which the client must give the response
    /// `to_error`.
    fn token(&mut self, initial: Option<String>, wanted: &[String], to_error: &[u8]) -> Option<End> {
        let Some(response) = self.first(initial)? else { return Some(End::Cancelled) };
        if wanted.iter().any(|wanted| response == wanted.as_bytes()) {
            return Some(End::Judged(true));
        }
        let answer = self.response_to(br#"{"status":"401","schemes":"Bearer"}"#)?;
        assert_eq!(answer.as_deref(), Some(to_error), "the answer to an error");
        Some(End::Judged(false))
    }

    fn scram(&mut self, mechanism: &str, initial: Option<String>) -> Option<End> {
        static BARE: &[Mechanism] = &[SCRAM_SHA1, SCRAM_SHA256];
        static ALL: &[Mechanism] = &[SCRAM_SHA1, SCRAM_SHA1_PLUS, SCRAM_SHA256, SCRAM_SHA256_PLUS];
        let plus = self.offered.iter().any(|name| name.ends_with("-PLUS"));
        let registry = Registry::with_mechanisms(if plus { ALL } else { BARE });
        let stored = Stored::new(mechanism, self.fault);
        let config = SASLConfig::builder().with_registry(registry).with_callback(stored).unwrap();
        let server = SASLServer::<NoValidation, Bound>::with_cb(config, Bound(self.wire.binding(self.certificate)));
        let mut session = server.start_suggested(Mechname::parse(mechanism.as_bytes()).unwrap()).ok()?;
        let Some(mut response) = self.first(initial)? else { return Some(End::Cancelled) };
        loop {
            let mut said = Cursor::new(Vec::new());
            let step = session.step(Some(&response), &mut said);
            let mut said = said.into_inner();
            if self.fault == ScramFault::NoProof && said.starts_with(b"v=") {
                return Some(End::Judged(true));
            }
            if self.fault == ScramFault::WrongProof && said.starts_with(b"e=") {
                said = format!("v={}", BASE64_STANDARD.encode([7; 32])).into_bytes();
            }
            let Ok(state) = step else { return Some(End::Judged(false)) };
            let Some(next) = self.response_to(&said)? else { return Some(End::Cancelled) };
            if !state.is_running() {
                return Some(End::Judged(!said.starts_with(b"e=")));
            }
            response = next;
        }
    }
}

/// What a server stores about a password (RFC 5802, section 3).
struct Stored {
    iterations: u32,
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
}

const SALT: &[u8] = b"salt of the tests";

impl Stored {
    fn new(mechanism: &str, fault: ScramFault) -> Self {
        let password =
            if matches!(fault, ScramFault::WrongProof | ScramFault::OtherPassword) { "another" } else { PASSWORD };
        let iterations = if let ScramFault::Iterations(count) = fault { count } else { 4096 };
        let computed = iterations.min(4096);
        let (stored_key, server_key) = if mechanism.starts_with("SCRAM-SHA-1") {
            let salted = pbkdf2::pbkdf2_hmac_array::<Sha1, 20>(password.as_bytes(), SALT, computed);
            let key = |name: &[u8]| {
                let mac = Hmac::<Sha1>::new_from_slice(&salted).unwrap();
                mac.chain_update(name).finalize().into_bytes()
            };
            (Sha1::digest(key(b"Client Key")).to_vec(), key(b"Server Key").to_vec())
        } else {
            let salted = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password.as_bytes(), SALT, computed);
            let key = |name: &[u8]| {
                let mac = Hmac::<Sha256>::new_from_slice(&salted).unwrap();
                mac.chain_update(name).finalize().into_bytes()
            };
            (Sha256::digest(key(b"Client Key")).to_vec(), key(b"Server Key").to_vec())
        };
        Self { iterations, stored_key, server_key }
    }
}

impl SessionCallback for Stored {
    fn callback(&self, _: &SessionData, context: &Context, request: &mut Request) -> Result<(), SessionError> {
        if context.get_ref::<AuthId>() == Some(USER) {
            let stored = ScramStoredPassword::new(self.iterations, SALT, &self.stored_key, &self.server_key);
            request.satisfy::<ScramStoredPassword>(&stored)?;
        }
        Ok(())
    }
}

/// The channel binding data of the server's side of the TLS connection.
struct Bound(Option<(&'static str, Vec<u8>)>);

impl ChannelBindingCallback for Bound {
    fn get_cb_data(&self, name: &str) -> Option<&[u8]> {
        self.0.as_ref().filter(|(kind, _)| *kind == name).map(|(_, data)| data.as_slice())
    }
}
