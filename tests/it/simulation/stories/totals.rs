//! How much was played, and the results.

use std::collections::BTreeMap;
use std::fmt;

use super::ledger::Doubt;

/// Totals of one or many stories.
#[derive(Debug, Clone, Default)]
pub(crate) struct Totals {
    pub(crate) stories: usize,
    /// Stories without any doubt.
    pub(crate) plain: usize,
    pub(crate) polls: usize,
    pub(crate) messages: usize,
    /// Messages that mailferry has removed.
    pub(crate) deletions: usize,
    /// Messages left at the end although the account wants them deleted.
    pub(crate) left: usize,
    /// Messages at the end that are beyond notice.
    pub(crate) hidden: usize,
    /// Stored beginnings that a server had sent as if they were all.
    pub(crate) parts: usize,
    /// Notes that were sent in place of messages.
    pub(crate) notes: usize,
    /// Messages that were deleted although not they are stored, but something that had their size and has their header:
    /// LIST lagged behind.
    pub(crate) beyond_evidence: usize,
    /// The number of doubts.
    pub(crate) doubts: BTreeMap<Doubt, usize>,
    /// Extra copies.
    pub(crate) copies: BTreeMap<Doubt, usize>,
}

impl Totals {
    pub(crate) fn add(&mut self, other: &Self) {
        self.stories += other.stories;
        self.plain += other.plain;
        self.polls += other.polls;
        self.messages += other.messages;
        self.deletions += other.deletions;
        self.left += other.left;
        self.hidden += other.hidden;
        self.parts += other.parts;
        self.notes += other.notes;
        self.beyond_evidence += other.beyond_evidence;
        for (doubt, count) in &other.doubts {
            *self.doubts.entry(*doubt).or_default() += count;
        }
        for (doubt, count) in &other.copies {
            *self.copies.entry(*doubt).or_default() += count;
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stories, plain, polls, messages, deletions, left, hidden, parts, notes, doubts, copies, .. } = self;
        writeln!(f, "{stories} stories, {plain} of them without a doubt: {polls} polls, {messages} messages")?;
        writeln!(f, "{deletions} deletions, {left} messages left that were to go, {hidden} beyond notice")?;
        writeln!(f, "{parts} beginnings that a server showed for the whole, {notes} notes in place of messages")?;
        writeln!(
            f,
            "{} deletions of what grew while LIST was behind and the header is the same",
            self.beyond_evidence
        )?;
        writeln!(f, "{} extra copies:", copies.values().sum::<usize>())?;
        for doubt in Doubt::ALL {
            let count = |of: &BTreeMap<Doubt, usize>| of.get(&doubt).copied().unwrap_or(0);
            writeln!(f, "  {:<36} {:>6} doubts {:>6} copies", doubt.cause(), count(doubts), count(copies))?;
        }
        Ok(())
    }
}
