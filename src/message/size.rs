//! The size of a message, counted by ourselves. What a server says is a
//! [`ReportedSize`](crate::pop3::ReportedSize).

/// The size of a message as RFC 1939 counts it (section 11), in octets: with CRLF at the end of each line, and without
/// the dots that are doubled on the way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WireSize(u64);

impl WireSize {
    /// Makes it from a number of octets that were counted.
    #[must_use]
    pub const fn new(octets: u64) -> Self {
        Self(octets)
    }

    /// Returns the number, in octets.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// The size of a message as its file has it, in octets: with LF alone at the end of each line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoredSize(u64);

impl StoredSize {
    /// Makes it from a number of octets in a file, or to be written.
    #[must_use]
    pub const fn new(octets: u64) -> Self {
        Self(octets)
    }

    /// Returns the number, in octets.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}
