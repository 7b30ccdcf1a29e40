//! Parses the lines of STAT, LIST and UIDL (RFC 1939, sections 5 and 7).
//!
//! The parsers are lenient where real servers deviate but the meaning is still certain, and reject the rest. A rejected
//! line concerns one message; the session goes on.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::num::NonZeroU32;
use std::sync::Arc;

use super::limits;
use super::printable::excerpt;
use super::reported_size::ReportedSize;

/// The number of a message in this session, from 1. It has no meaning in another session (RFC 1939, section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageNumber(NonZeroU32);

impl MessageNumber {
    /// Returns `None` for 0, which no message has.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// Returns the number as written in commands.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for MessageNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The server's permanent name for a message (RFC 1939, section 7).
///
/// The RFC allows 1 to 70 octets between 0x21 and 0x7E. Servers send blanks, slashes, 8-bit octets and a thousand
/// characters, and such names work as well, so 1 to [`limits::UNIQUE_ID`] octets other than CR, LF and NUL are
/// accepted. Unique-ids are compared octet by octet. There may be a million of them: a typical one needs no allocation,
/// and copies of a long one share the octets.
#[derive(Clone)]
pub struct UniqueId(Octets);

/// How many octets are stored inline: enough for most servers' unique-ids.
const INLINE: usize = 22;

#[derive(Clone)]
enum Octets {
    Inline { length: u8, octets: [u8; INLINE] },
    Shared(Arc<[u8]>),
}

impl Octets {
    fn new(given: &[u8]) -> Self {
        let mut octets = [0; INLINE];
        match (octets.get_mut(..given.len()), u8::try_from(given.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(given);
                Self::Inline { length, octets }
            }
            _ => Self::Shared(given.into()),
        }
    }

    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Inline { length, octets } => octets.get(..usize::from(*length)).unwrap_or_default(),
            Self::Shared(octets) => octets,
        }
    }
}

/// Why some octets cannot be a unique-id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidUniqueId {
    /// They are empty.
    Empty,
    /// They are longer than [`limits::UNIQUE_ID`].
    TooLong {
        /// How long, in octets.
        octets: usize,
    },
    /// They contain CR, LF or NUL.
    Forbidden {
        /// Which.
        octet: u8,
    },
}

impl UniqueId {
    /// Checks and copies the octets.
    ///
    /// # Errors
    /// [`InvalidUniqueId`] says which rule they break.
    pub fn new(octets: &[u8]) -> Result<Self, InvalidUniqueId> {
        if octets.is_empty() {
            return Err(InvalidUniqueId::Empty);
        }
        if octets.len() > limits::UNIQUE_ID {
            return Err(InvalidUniqueId::TooLong { octets: octets.len() });
        }
        match memchr::memchr3(b'\r', b'\n', 0, octets).and_then(|at| octets.get(at)) {
            Some(&octet) => Err(InvalidUniqueId::Forbidden { octet }),
            None => Ok(Self(Octets::new(octets))),
        }
    }

    /// The octets as the server sent them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// Returns the number that it is, in decimal digits alone: some servers just count, from 0 or 1, with or without
    /// leading zeros.
    #[must_use]
    pub fn as_count(&self) -> Option<u32> {
        let is_digits = self.as_bytes().iter().all(u8::is_ascii_digit);
        std::str::from_utf8(self.as_bytes()).ok().filter(|_| is_digits)?.parse().ok()
    }
}

impl PartialEq for UniqueId {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            // Unused octets are 0 in both.
            (Octets::Inline { length, octets }, Octets::Inline { length: other_length, octets: others }) => {
                length == other_length && octets == others
            }
            _ => self.as_bytes() == other.as_bytes(),
        }
    }
}

impl Eq for UniqueId {}

impl PartialOrd for UniqueId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for UniqueId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for UniqueId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UniqueId({self})")
    }
}

/// Writes printable ASCII as it is, a backslash doubled, any other octet as `\xNN`: different unique-ids never look
/// alike.
impl fmt::Display for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &octet in self.as_bytes() {
            match octet {
                b'\\' => f.write_str("\\\\")?,
                b' '..=b'~' => fmt::Write::write_char(f, char::from(octet))?,
                _ => write!(f, "\\x{octet:02x}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for InvalidUniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a unique-id cannot be empty"),
            Self::TooLong { octets } => {
                write!(f, "a unique-id has at most {} octets, and this one has {octets}", limits::UNIQUE_ID)
            }
            Self::Forbidden { octet } => {
                write!(f, "a unique-id cannot hold a line end or a NUL, and this one holds \\x{octet:02x}")
            }
        }
    }
}

impl std::error::Error for InvalidUniqueId {}

/// One message of the listing. Its number is valid only in this session, and only together with the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its number in this session.
    pub number: MessageNumber,
    /// The server's unique-id for it; None if UIDL gave none.
    pub unique_id: Option<UniqueId>,
    /// Its size in octets as reported by the server: only a hint.
    pub reported_size: Option<ReportedSize>,
}

/// A line of UIDL's answer: which message has which unique-id (RFC 1939, section 7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniqueIdListing {
    /// The message's number in this session.
    pub number: MessageNumber,
    /// Its unique-id, without the blanks around it.
    pub unique_id: UniqueId,
}

impl UniqueIdListing {
    /// Parses `n  unique-id`. The two may be separated by several blanks; blanks within the unique-id belong to it,
    /// trailing ones do not. Skips a `+OK ` before them, which some servers send.
    ///
    /// # Errors
    /// [`ListingError`] when there is no valid number or no valid unique-id.
    pub fn parse(line: &[u8]) -> Result<Self, ListingError> {
        let (number, rest) = message_number(line)?;
        match UniqueId::new(rest) {
            Ok(unique_id) => Ok(Self { number, unique_id }),
            Err(problem) => Err(ListingError::UniqueId { excerpt: excerpt(line), problem }),
        }
    }
}

/// A line of LIST's answer: the reported size of a message (RFC 1939, section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanListing {
    /// The message's number in this session.
    pub number: MessageNumber,
    /// Its size in octets as reported by the server: only a hint, often wrong. Never allocate by it.
    pub reported_size: ReportedSize,
}

impl ScanListing {
    /// Parses `n size`; ignores what follows after a blank, as RFC 1939 asks, and a `+OK ` before it.
    ///
    /// # Errors
    /// [`ListingError`] when there is no valid number or the size is missing, negative or beyond 64 bits.
    pub fn parse(line: &[u8]) -> Result<Self, ListingError> {
        let (number, rest) = message_number(line)?;
        let (word, _) = first_word(rest);
        let reported_size = decimal(word).ok_or_else(|| ListingError::Size { excerpt: excerpt(line) })?;
        Ok(Self { number, reported_size: ReportedSize::new(reported_size) })
    }
}

/// The answer to STAT: what the maildrop contains (RFC 1939, section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DropListing {
    /// The number of messages, without those marked as deleted.
    pub count: u32,
    /// Their size in octets as reported by the server: only a hint.
    pub reported_size: ReportedSize,
}

impl DropListing {
    /// Parses `count size` from the text of STAT's `+OK`; ignores what follows after a blank. For 0 messages the size
    /// is 0, whether given or not.
    ///
    /// # Errors
    /// [`ListingError`] when one of the two is missing, negative or too large.
    pub fn parse(text: &str) -> Result<Self, ListingError> {
        let (count, rest) = first_word(text.as_bytes().trim_ascii());
        let count = decimal(count)
            .and_then(|count| u32::try_from(count).ok())
            .ok_or_else(|| ListingError::Count { excerpt: excerpt(text.as_bytes()) })?;
        let (size, _) = first_word(rest);
        let missing = (count == 0 && size.is_empty()).then_some(0);
        let reported_size =
            decimal(size).or(missing).ok_or_else(|| ListingError::Size { excerpt: excerpt(text.as_bytes()) })?;
        Ok(Self { count, reported_size: ReportedSize::new(reported_size) })
    }
}

/// A line of a listing that cannot be parsed. Its message is left alone; others are not affected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListingError {
    /// There is no message number from 1 to 4294967295 in its place.
    Number {
        /// The line's beginning, escaped.
        excerpt: String,
    },
    /// There is no number of messages from 0 to 4294967295 in its place.
    Count {
        /// The line's beginning, escaped.
        excerpt: String,
    },
    /// There is no size from 0 to 18446744073709551615 in its place.
    Size {
        /// The line's beginning, escaped.
        excerpt: String,
    },
    /// What follows the number is not a unique-id.
    UniqueId {
        /// The line's beginning, escaped.
        excerpt: String,
        /// What is wrong with it.
        problem: InvalidUniqueId,
    },
}

impl fmt::Display for ListingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (excerpt, what) = match self {
            Self::Number { excerpt } => (excerpt, "no message number"),
            Self::Count { excerpt } => (excerpt, "no number of messages"),
            Self::Size { excerpt } => (excerpt, "no size in octets"),
            Self::UniqueId { excerpt, .. } => (excerpt, "no valid unique-id"),
        };
        write!(f, "the server's listing has a line with {what} in it, \"{excerpt}\"")?;
        if let Self::UniqueId { problem, .. } = self {
            write!(f, " ({problem})")?;
        }
        Ok(())
    }
}

impl std::error::Error for ListingError {}

/// Splits off the message number at the beginning of a line; the rest is returned without surrounding blanks.
fn message_number(line: &[u8]) -> Result<(MessageNumber, &[u8]), ListingError> {
    let mut entry = trim_blanks(line);
    if let Some((status, rest)) = entry.split_at_checked(4)
        && (status.eq_ignore_ascii_case(b"+OK ") || status.eq_ignore_ascii_case(b"+OK\t"))
    {
        entry = trim_blanks(rest);
    }
    let (word, rest) = first_word(entry);
    let number = decimal(word).and_then(|number| u32::try_from(number).ok()).and_then(MessageNumber::new);
    match number {
        Some(number) => Ok((number, rest)),
        None => Err(ListingError::Number { excerpt: excerpt(line) }),
    }
}

/// Splits at the first blank; the rest is returned without surrounding blanks.
fn first_word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&octet| is_blank(octet)).unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or((text, &[]));
    (word, trim_blanks(rest))
}

/// Trims only blanks: a stray CR or NUL must stay visible, so that it is rejected.
fn trim_blanks(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_blank(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_blank(*last)
    {
        text = rest;
    }
    text
}

fn is_blank(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

/// This many digits always fit into 64 bits.
const SAFE_DIGITS: usize = 19;

/// Parses digits only, no sign. `None` if there are none, something else, or too many.
#[must_use]
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let (mut value, mut odd) = (0_u64, false);
    let (safe, rest) = digits.split_at_checked(SAFE_DIGITS).unwrap_or((digits, &[]));
    for octet in safe {
        let digit = octet.wrapping_sub(b'0');
        odd |= digit > 9;
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
    }
    for octet in rest {
        let digit = octet.wrapping_sub(b'0');
        odd |= digit > 9;
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    (!odd).then_some(value)
}

#[cfg(test)]
mod tests;
