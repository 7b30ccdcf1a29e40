//! The name of an account.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::text;

/// An account's name: made of `[A-Za-z0-9._@-]`, not beginning with a dot, at most 100 characters, so that it can be
/// used in a file name and on a command line as it is. Copies share the text: a daemon has several of each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountName(Arc<str>);

/// Why a name is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidAccountName {
    /// It is empty.
    Empty,
    /// It begins with a dot.
    LeadingDot,
    /// It is longer than 100 characters.
    TooLong,
    /// It contains this character.
    Character(char),
}

impl AccountName {
    /// The longest name in characters; leaves room for suffixes within the 255 bytes of a file name.
    pub const MAX_LENGTH: usize = 100;

    /// Checks a name.
    ///
    /// # Errors
    /// [`InvalidAccountName`] says which rule it breaks.
    pub fn new(name: &str) -> Result<Self, InvalidAccountName> {
        if name.is_empty() {
            return Err(InvalidAccountName::Empty);
        }
        if name.starts_with('.') {
            return Err(InvalidAccountName::LeadingDot);
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '@' | '-');
        if let Some(c) = name.chars().find(|&c| !allowed(c)) {
            return Err(InvalidAccountName::Character(c));
        }
        if name.len() > Self::MAX_LENGTH {
            return Err(InvalidAccountName::TooLong);
        }
        Ok(Self(name.into()))
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the path of the account's spool, relative to the state directory.
    #[must_use]
    pub(crate) fn spool(&self) -> PathBuf {
        PathBuf::from(format!("{self}.spool"))
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for InvalidAccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("an account's name cannot be empty"),
            Self::LeadingDot => f.write_str("an account's name cannot begin with a dot"),
            Self::TooLong => write!(f, "an account's name has at most {} characters", AccountName::MAX_LENGTH),
            Self::Character(' ') => {
                f.write_str("an account's name is made of letters, digits and . _ @ -, not of blanks")
            }
            Self::Character(c) => write!(
                f,
                "an account's name is made of letters, digits and . _ @ -, and \"{}\" is none of them",
                text::value(c.encode_utf8(&mut [0; 4]))
            ),
        }
    }
}

impl std::error::Error for InvalidAccountName {}
