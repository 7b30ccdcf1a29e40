//! What goes wrong in an exchange.

use std::fmt;

/// Why an exchange cannot go on, or why its good end does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SaslError {
    /// A challenge is not base64 (RFC 5034, section 4).
    NotBase64,
    /// A challenge came where the mechanism has none.
    OneTooMany,
    /// A challenge is not what the mechanism's specification says.
    Malformed {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The number of iterations that the server wants is none that is safe, or none that can be computed in time.
    Iterations {
        /// What it wants.
        wanted: u32,
    },
    /// The server ended the exchange by an error of the mechanism's own (RFC 5802, section 7).
    Refused {
        /// Its name, escaped.
        error: String,
    },
    /// The proof by which the server shows that it knows the password is wrong (RFC 5802, section 3).
    WrongProof,
    /// The server lets us in without that proof.
    NoProof,
    /// The user name or the password cannot be sent by this mechanism.
    Unsendable {
        /// Why not.
        why: &'static str,
    },
}

impl SaslError {
    /// Whether whoever is at the other end cannot be the server that knows the password. Nothing more is to be said to it.
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
