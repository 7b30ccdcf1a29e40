//! Errors of an exchange.

use std::fmt;

/// Why an exchange cannot go on, or why its success does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SaslError {
    /// A challenge is not base64 (RFC 5034, section 4).
    NotBase64,
    /// The server sent a challenge that the mechanism does not have.
    OneTooMany,
    /// A challenge does not conform to the mechanism's specification.
    Malformed {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The server requires a number of iterations that is not safe, or that takes too long to compute.
    Iterations {
        /// The required number.
        wanted: u32,
    },
    /// The server ended the exchange with an error of the mechanism (RFC 5802, section 7).
    Refused {
        /// Its name, escaped.
        error: String,
    },
    /// The server's proof that it knows the password is wrong (RFC 5802, section 3).
    WrongProof,
    /// The server accepts the login without that proof.
    NoProof,
    /// This mechanism cannot transmit the user name or the password.
    Unsendable {
        /// Why.
        why: &'static str,
    },
}

impl SaslError {
    /// Whether the other end cannot be the server that knows the password. Nothing more must be sent to it.
    #[must_use]
    pub fn is_impostor(&self) -> bool {
        matches!(self, Self::WrongProof | Self::NoProof)
    }
}

impl fmt::Display for SaslError {
    /// Completes "the login by MECHANISM failed because".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBase64 => f.write_str("the server's challenge is not base64"),
            Self::OneTooMany => f.write_str("the server sent one challenge too many"),
            Self::Malformed { why } => write!(f, "the server's challenge {why}"),
            Self::Iterations { wanted } => write!(
                f,
                "the server wants the password hashed {wanted} times, and only {} to {} times are accepted",
                super::iterations::ITERATIONS_LEAST,
                super::iterations::ITERATIONS_MOST
            ),
            Self::Refused { error } => write!(f, "the server ended it with the error \"{error}\""),
            Self::WrongProof => f.write_str("the server's proof that it knows the password is wrong"),
            Self::NoProof => f.write_str("the server accepted it without proving that it knows the password"),
            Self::Unsendable { why } => f.write_str(why),
        }
    }
}

impl std::error::Error for SaslError {}
