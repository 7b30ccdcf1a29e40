//! Routes the messages of an account by their headers. PURE: takes a header, returns a [`Route`].
//!
//! The header is everything before the first empty line, as it came. [`HeaderEnd`] finds that line while a message
//! comes in. A message whose header exceeds [`HEADER_MOST`] octets goes where messages go that match no rule.

mod encoded_words;
mod header;
mod multidrop;
mod pattern;
mod received;
mod rules;

use std::path::{Path, PathBuf};

use crate::ids::RulesDigest;

pub use header::HeaderEnd;
pub use multidrop::{Address, HeaderRecipients, Multidrop, Occurrence};
pub use pattern::{InvalidPattern, Pattern};
pub use rules::{Condition, Rule, Rules, Target};

/// The longest header by which a message is routed, in octets.
pub const HEADER_MOST: usize = 128 << 10;

/// Where the messages of an account go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Routing {
    /// All into the account's own Maildir.
    #[default]
    Unconditional,
    /// By the first matching rule.
    Rules(Rules),
    /// By the recipient that the mail provider wrote into the header.
    Multidrop(Box<Multidrop>),
}

/// A Maildir other than the account's own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OtherMaildir {
    /// Its absolute path.
    pub path: PathBuf,
    /// It is a Maildir++ folder, which contains a file `maildirfolder`.
    pub is_folder: bool,
}

/// Where one message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route<'a> {
    /// Into the account's own Maildir.
    Own,
    /// Into this Maildir.
    Other(&'a Path),
    /// Into all of these, or into none; `None` is the account's own.
    Several(Vec<Option<&'a Path>>),
    /// Nowhere: it stays on the server.
    Skip,
}

impl Routing {
    /// Whether routing depends on headers.
    #[must_use]
    pub fn looks_at_headers(&self) -> bool {
        !matches!(self, Self::Unconditional)
    }

    /// Whether messages may be left on the server.
    #[must_use]
    pub fn skips(&self) -> bool {
        match self {
            Self::Unconditional | Self::Multidrop(_) => false,
            Self::Rules(rules) => rules.skip(),
        }
    }

    /// Whether one message may go into several Maildirs.
    #[must_use]
    pub fn may_copy(&self) -> bool {
        matches!(self, Self::Multidrop(multidrop) if multidrop.occurrence == Occurrence::All)
    }

    /// Returns the Maildirs other than the account's own, each once.
    #[must_use]
    pub fn other_maildirs(&self) -> Vec<&OtherMaildir> {
        let mut all: Vec<&OtherMaildir> = match self {
            Self::Unconditional => Vec::new(),
            Self::Rules(rules) => rules.maildirs().collect(),
            Self::Multidrop(multidrop) => multidrop.recipients.values().collect(),
        };
        let mut seen = std::collections::HashSet::new();
        all.retain(|maildir| seen.insert(&maildir.path));
        all
    }

    /// Returns where a message with this header goes.
    #[must_use]
    pub fn route(&self, header: &[u8]) -> Route<'_> {
        match self {
            Self::Unconditional => Route::Own,
            Self::Rules(rules) => rules.route(header, true),
            Self::Multidrop(multidrop) => multidrop.route(header),
        }
    }

    /// Returns where a message goes once it has been fetched: then none is left on the server.
    #[must_use]
    pub fn route_of_fetched(&self, header: &[u8]) -> Route<'_> {
        match self {
            Self::Unconditional => Route::Own,
            Self::Rules(rules) => rules.route(header, false),
            Self::Multidrop(multidrop) => multidrop.route(header),
        }
    }

    /// Replaces the path `from` by `to`.
    #[must_use]
    pub(crate) fn with_path(mut self, from: &Path, to: &Path) -> Self {
        let all: Vec<&mut OtherMaildir> = match &mut self {
            Self::Unconditional => Vec::new(),
            Self::Rules(rules) => rules.maildirs_mut().collect(),
            Self::Multidrop(multidrop) => multidrop.recipients.values_mut().collect(),
        };
        all.into_iter().filter(|maildir| maildir.path == from).for_each(|maildir| maildir.path = to.to_owned());
        self
    }

    /// Returns a digest that identifies the rules: decisions made by other rules are made anew.
    #[must_use]
    pub fn digest(&self) -> RulesDigest {
        RulesDigest::new(crc32fast::hash(format!("{self:?}").as_bytes()))
    }
}

#[cfg(test)]
mod tests;
