//! SCRAM (RFC 5802) with SHA-1 and SHA-256 (RFC 7677), with and without channel binding.
//!
//! The password is not sent, and the server has to prove that it knows the password.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use stringprep::saslprep;

use super::iterations::{ITERATIONS_LEAST, ITERATIONS_MOST};
use super::{ChannelBinding, SaslError};
use crate::secret::Secret;

mod message;
use message::{ServerFinal, ServerFirst};

/// The digest that a mechanism is named after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha1,
    Sha256,
}

/// What the first message says about channel binding (RFC 5802, section 6).
#[derive(Debug, Clone, Copy)]
pub(super) enum Binding<'a> {
    /// `n`: the client does not support it.
    None,
    /// `y`: the client supports it, but the server does not offer it. A server that does then knows that somebody in
    /// between removed the offer.
    NotOffered,
    /// `p`: the client binds to this.
    To(&'a ChannelBinding),
}

/// The client's side of an exchange.
#[derive(Debug)]
pub(super) struct Scram {
    hash: Hash,
    password: Secret,
    /// The GS2 header, followed by the channel binding data.
    bound: Vec<u8>,
    /// The first message without its GS2 header.
    first_bare: String,
    /// The client's nonce.
    nonce: String,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Waiting for the server's first message.
    ServerFirst,
    /// Waiting for the server's proof, which must be this.
    ServerFinal(Vec<u8>),
    /// The server has proved that it knows the password.
    Proved,
    /// The exchange has failed.
    Over,
}

impl Scram {
    /// Begins an exchange, and returns the first message. The nonce must be printable, without a comma, and never
    /// reused.
    pub(super) fn begin(
        hash: Hash,
        username: &str,
        password: &Secret,
        nonce: &str,
        binding: Binding<'_>,
    ) -> Result<(Self, Secret), SaslError> {
        let username =
            prepared(username.as_bytes(), "the user name has characters that SCRAM does not allow (RFC 4013)")?;
        let password = prepared(password.expose(), "the password has characters that SCRAM does not allow (RFC 4013)")?;
        let (flag, data) = match binding {
            Binding::None => ("n".to_owned(), &[][..]),
            Binding::NotOffered => ("y".to_owned(), &[][..]),
            Binding::To(channel) => (format!("p={}", channel.kind.name()), channel.data.as_slice()),
        };
        let header = format!("{flag},,");
        let first_bare = format!("n={},r={nonce}", saslname(&username));
        let first = Secret::new(format!("{header}{first_bare}").into_bytes());
        let bound = [header.as_bytes(), data].concat();
        let password = Secret::new(password.into_bytes());
        let scram = Self { hash, password, bound, first_bare, nonce: nonce.to_owned(), state: State::ServerFirst };
        Ok((scram, first))
    }

    /// Answers a message of the server. Hashing the password takes long: not on a thread of the runtime.
    pub(super) fn answer(&mut self, message: &[u8]) -> Result<Secret, SaslError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::ServerFirst => self.answer_first(message),
            State::ServerFinal(expected) => match ServerFinal::parse(message)? {
                ServerFinal::Error(error) => Err(SaslError::Refused { error }),
                ServerFinal::Proof(proof) if proof == expected => {
                    self.state = State::Proved;
                    Ok(Secret::new(Vec::new()))
                }
                ServerFinal::Proof(_) => Err(SaslError::WrongProof),
            },
            State::Proved | State::Over => Err(SaslError::OneTooMany),
        }
    }

    /// Whether the server has proved that it knows the password.
    pub(super) fn is_proved(&self) -> bool {
        matches!(self.state, State::Proved)
    }

    /// Whether anything was sent that was derived from the password.
    pub(super) fn is_password_used(&self) -> bool {
        !matches!(self.state, State::ServerFirst)
    }

    fn answer_first(&mut self, message: &[u8]) -> Result<Secret, SaslError> {
        let server = ServerFirst::parse(message, &self.nonce)?;
        if !(ITERATIONS_LEAST..=ITERATIONS_MOST).contains(&server.iterations) {
            return Err(SaslError::Iterations { wanted: server.iterations });
        }
        let without_proof = format!("c={},r={}", BASE64.encode(&self.bound), server.nonce);
        let signed = format!("{},{},{without_proof}", self.first_bare, server.text);
        let keys = Keys::derive(self.hash, &self.password, &server.salt, server.iterations);
        let (proof, expected) = keys.sign(self.hash, signed.as_bytes());
        self.state = State::ServerFinal(expected);
        Ok(Secret::new(format!("{without_proof},p={}", BASE64.encode(proof)).into_bytes()))
    }
}

/// The keys derived from a password (RFC 5802, section 3).
struct Keys {
    client: Secret,
    server: Secret,
}

impl Keys {
    fn derive(hash: Hash, password: &Secret, salt: &[u8], iterations: u32) -> Self {
        let salted = Secret::new(match hash {
            Hash::Sha1 => pbkdf2::pbkdf2_hmac_array::<Sha1, 20>(password.expose(), salt, iterations).to_vec(),
            Hash::Sha256 => pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password.expose(), salt, iterations).to_vec(),
        });
        let key = |name: &[u8]| Secret::new(hash.keyed(salted.expose(), name));
        Self { client: key(b"Client Key"), server: key(b"Server Key") }
    }

    /// Returns the client's proof, and the one that the server has to give.
    fn sign(&self, hash: Hash, signed: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let signature = hash.keyed(&hash.of(self.client.expose()), signed);
        let proof = self.client.expose().iter().zip(signature).map(|(key, signature)| key ^ signature).collect();
        (proof, hash.keyed(self.server.expose(), signed))
    }
}

impl Hash {
    fn of(self, octets: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(octets).to_vec(),
            Self::Sha256 => Sha256::digest(octets).to_vec(),
        }
    }

    /// Computes the HMAC. Any key length is valid, so it cannot fail; an empty result would match nothing.
    fn keyed(self, key: &[u8], octets: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Hmac::<Sha1>::new_from_slice(key)
                .map(|mac| mac.chain_update(octets).finalize().into_bytes().to_vec())
                .unwrap_or_default(),
            Self::Sha256 => Hmac::<Sha256>::new_from_slice(key)
                .map(|mac| mac.chain_update(octets).finalize().into_bytes().to_vec())
                .unwrap_or_default(),
        }
    }
}

/// Prepares text as both sides hash it (RFC 4013).
fn prepared(octets: &[u8], why: &'static str) -> Result<String, SaslError> {
    let text = str::from_utf8(octets).map_err(|_| SaslError::Unsendable { why })?;
    match saslprep(text) {
        Ok(prepared) if !prepared.is_empty() => Ok(prepared.into_owned()),
        _ => Err(SaslError::Unsendable { why }),
    }
}

/// Escapes comma and equals sign in a name (RFC 5801, section 4).
pub(super) fn saslname(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

#[cfg(test)]
mod tests;
