//! What messages, Maildirs and states are named by among ourselves: plain values, each a type of its own, so that none can
//! stand in the place of another one.

use std::fmt;

/// Names an entry within its state; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(u64);

impl EntryId {
    /// The first one of a state.
    pub const FIRST: Self = Self(1);

    /// With this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one behind it. There is always one: nobody counts so far.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// It and those behind it.
    pub fn and_those_behind(self) -> impl Iterator<Item = Self> {
        (self.0..).map(Self)
    }
}

/// Names a Maildir within the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaildirNumber(u32);

impl MaildirNumber {
    /// The first one of a state.
    pub const FIRST: Self = Self(1);

    /// This one.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The one behind it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Names a state; random. It stands in the name of every file that the state delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(u64);

impl InstanceId {
    /// This one.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// One that nobody has.
    #[must_use]
    pub fn random() -> Self {
        Self(fastrand::u64(..))
    }

    /// What its digits say.
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

/// Its 16 digits, as they stand in names and in the state.
impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What tells a Maildir from another one under the same path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaildirId {
    /// The inode number of `tmp/`.
    pub tmp_inode: u64,
    /// The inode number of `new/`.
    pub new_inode: u64,
    /// The number in our marker file, where inode numbers do not last.
    pub marker: Option<u64>,
}

impl MaildirId {
    /// Whether a Maildir that is there now is the one that had this id. Where there is a marker, it alone tells: inode
    /// numbers may be others, or those of something else.
    #[must_use]
    pub fn is(&self, now: &Self) -> bool {
        let same_inodes = (self.tmp_inode, self.new_inode) == (now.tmp_inode, now.new_inode);
        match (self.marker, now.marker) {
            (Some(then), Some(now)) => then == now,
            _ => same_inodes,
        }
    }
}
