//! Rules: the first one that matches a message says where it goes.

use super::header::fields;
use super::pattern::{Pattern, small};
use super::{OtherMaildir, Route};

/// Rules, in the order in which they are tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules(Vec<Rule>);

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Which messages it matches.
    pub condition: Condition,
    /// Where matching messages go.
    pub target: Target,
}

/// Where the messages that a rule matches go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Into a Maildir other than the account's own.
    Maildir(OtherMaildir),
    /// Nowhere: they stay on the server.
    Skip,
}

/// What a header must contain. Any of several fields of this name suffices, and any of several patterns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The field's name, in lower case.
    field: String,
    /// The patterns that its text is compared with.
    patterns: Vec<Pattern>,
}

impl Condition {
    /// Creates the condition that a field of this name matches one of these patterns.
    #[must_use]
    pub fn new(field: &str, patterns: Vec<Pattern>) -> Self {
        Self { field: field.to_ascii_lowercase(), patterns }
    }

    fn fits(&self, fields: &[(String, String)]) -> bool {
        let mut texts = fields.iter().filter(|(name, _)| *name == self.field).map(|(_, text)| text);
        texts.any(|text| self.patterns.iter().any(|pattern| pattern.fits(text)))
    }
}

impl Rules {
    /// Creates rules that are tried in this order.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        Self(rules)
    }

    /// Whether any rule leaves messages on the server.
    pub(super) fn skip(&self) -> bool {
        self.0.iter().any(|rule| rule.target == Target::Skip)
    }

    /// Returns the Maildirs that the rules name.
    pub(super) fn maildirs(&self) -> impl Iterator<Item = &OtherMaildir> {
        self.0.iter().filter_map(|rule| match &rule.target {
            Target::Maildir(maildir) => Some(maildir),
            Target::Skip => None,
        })
    }

    pub(super) fn maildirs_mut(&mut self) -> impl Iterator<Item = &mut OtherMaildir> {
        self.0.iter_mut().filter_map(|rule| match &mut rule.target {
            Target::Maildir(maildir) => Some(maildir),
            Target::Skip => None,
        })
    }

    /// Returns where a message with this header goes. Unless `may_skip`, rules that leave messages on the server are
    /// ignored.
    pub(super) fn route(&self, header: &[u8], may_skip: bool) -> Route<'_> {
        let is_wanted = |name: &str| self.0.iter().any(|rule| rule.condition.field == name);
        let mut fields = fields(header, is_wanted);
        fields.iter_mut().for_each(|(_, text)| *text = small(text));
        let counts = |rule: &&Rule| may_skip || rule.target != Target::Skip;
        match self.0.iter().filter(counts).find(|rule| rule.condition.fits(&fields)) {
            None => Route::Own,
            Some(Rule { target: Target::Maildir(maildir), .. }) => Route::Other(&maildir.path),
            Some(Rule { target: Target::Skip, .. }) => Route::Skip,
        }
    }
}
