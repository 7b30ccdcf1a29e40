//! What a server says about sizes.

/// The size of a message, or of a whole maildrop, as the server reports it in its answers to LIST and STAT, in octets.
///
/// It is only a hint. RFC 1939 (section 11) has a server count the octets that it sends, with CRLF at the end of each
/// line; some count LF alone, some estimate, and some report 0 for every message. How many octets came is a
/// [`WireSize`](crate::message::WireSize), and how many are stored a [`StoredSize`](crate::message::StoredSize).
/// [`Fit`](crate::plan::Fit) compares them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReportedSize(u64);

impl ReportedSize {
    /// Makes it from the number in a server's answer.
    #[must_use]
    pub const fn new(octets: u64) -> Self {
        Self(octets)
    }

    /// Returns the number, in octets.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Whether it is 0, which says nothing about a message.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Returns the sum of several sizes, which are large if a server wants them to be; at most what a number can hold.
    #[must_use]
    pub fn saturating_sum(sizes: impl Iterator<Item = Self>) -> Self {
        Self(sizes.fold(0, |sum, size| sum.saturating_add(size.0)))
    }

    /// Adds another size; None if the sum does not fit.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// Takes away another size; None if it is larger.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }
}
