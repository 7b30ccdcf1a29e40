//! Identifiers for messages, requests, Maildirs, states and rules. Each has a type of its own, so that they cannot be confused.

use std::fmt;

/// Identifies an entry within its state; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(u64);

impl EntryId {
    /// The first id of a state.
    pub const FIRST: Self = Self(1);

    /// Makes the id with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns its number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Returns the next id. There is always one: no state ever has that many.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Returns this id and those after it.
    pub fn and_those_behind(self) -> impl Iterator<Item = Self> {
        (self.0..).map(Self)
    }
}

/// Identifies a Maildir within the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaildirNumber(u32);

impl MaildirNumber {
    /// The first number of a state.
    pub const FIRST: Self = Self(1);

    /// Makes this number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Returns it as a plain number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Returns the next number.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Identifies a state; random. It is part of the name of every file that the state delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(u64);

impl InstanceId {
    /// Makes this id.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Parses the digits of an id.
    #[must_use]
    pub fn parse(digits: &[u8]) -> Option<Self> {
        u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok().map(Self)
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for MaildirNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Writes its 16 digits, as in file names and in the state.
impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The position of a message among those that a session asked for, counted from 1. The answers come in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestNumber(u64);

impl RequestNumber {
    /// Before the first.
    pub const NONE: Self = Self(0);

    /// Makes this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns it as a plain number: how many were asked for up to this one.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Returns the next number.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Identifies an account's rules: what other rules decided is decided anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RulesDigest(u32);

impl RulesDigest {
    /// Makes this digest.
    #[must_use]
    pub const fn new(digest: u32) -> Self {
        Self(digest)
    }

    /// Returns it as a plain number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// Tells a Maildir from another one under the same path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaildirId {
    /// The inode number of `tmp/`.
    pub tmp_inode: u64,
    /// The inode number of `new/`.
    pub new_inode: u64,
    /// The number in our marker file, on file systems whose inode numbers are not permanent.
    pub marker: Option<u64>,
    /// When `new/` was created, in nanoseconds since 1970, where the file system remembers it: a new file system that is
    /// filled in the same way has the same inode numbers.
    pub created: Option<u64>,
}

impl MaildirId {
    /// Whether a Maildir that exists now is the one that had this id. If there is a marker, only that counts: inode
    /// numbers may change, or belong to something else. Only the time of creation makes up for one that was removed.
    #[must_use]
    pub fn is(&self, now: &Self) -> bool {
        let same_inodes = (self.tmp_inode, self.new_inode) == (now.tmp_inode, now.new_inode);
        let same_creation = self.created.zip(now.created).map(|(then, now)| then == now);
        match (self.marker, now.marker) {
            (Some(then), Some(now)) => then == now,
            (Some(_), None) => same_inodes && same_creation == Some(true),
            // An early version did not remember the creation.
            (None, _) => same_inodes && same_creation != Some(false),
        }
    }
}
