//! Limits on what a server may send, and on what is sent to it.
//!
//! There is no limit on the length of a message or of a line in it: message data is passed on as it arrives and never
//! held, and real mail has lines of any length although RFC 5322, section 2.1.1 forbids them.

/// The maximum length of a command, in octets with its CRLF (RFC 2449, section 4).
///
/// RFC 1939, section 3 allows 4 octets for the keyword and 40 for each argument; RFC 2449 raised that to 255 in total.
/// Servers truncate or refuse longer lines. An initial response that does not fit waits for the server's challenge (RFC
/// 5034, section 4).
pub const COMMAND_LINE: usize = 255;

/// The maximum length of a status line or greeting that is kept, in octets with its line end.
///
/// RFC 1939, section 3 and RFC 2449, section 4 allow 512. Eight times that leaves room for talkative error texts and
/// still bounds memory. Only this much is kept of a longer line, and the rest is skipped up to [`STATUS_LINE_PASSED`].
pub const STATUS_LINE: usize = 4096;

/// The maximum length of a status line after which a session goes on, in octets with its line end.
///
/// A line that has not ended by then is endless, and nothing will follow it. What is skipped is not held, so this only
/// bounds time; the minimum throughput of a session applies as well.
pub const STATUS_LINE_PASSED: usize = 32 << 20;

/// The maximum number of characters kept of a status line's text.
///
/// RFC 1939, section 3 allows as many octets for the whole line. Nobody reads more, and the text goes into logs.
pub const WORDS: usize = 512;

/// The maximum length of a response code (RFC 2449, section 8), in octets. Those of the RFCs have at most 11.
pub const RESPONSE_CODE: usize = 64;

/// The maximum length of a server challenge, in octets with its line end.
///
/// RFC 5034, section 4 exempts challenges from the limit of 512 octets and sets none of its own. This is the limit of
/// RFC 4954, section 4, the equivalent for SMTP.
pub const CHALLENGE_LINE: usize = 12_288;

/// The maximum length of a line of CAPA, LIST or UIDL, in octets with its line end.
///
/// RFC 2449, section 4 allows 512 here too. Unique-ids of 1000 characters have been seen, so there is room for them. A
/// longer line is skipped: it concerns one message or one capability.
pub const LISTING_LINE: usize = 4096;

/// How many octets of a line that is too long are reported: enough for the number of its message.
pub const LONG_LINE_HEAD: usize = 32;

/// The maximum number of lines in the answer to one LIST or UIDL.
///
/// RFC 1939 has no limit. A maildrop of two million messages is far beyond what a server can list in reasonable time,
/// so a longer listing is an endless one. How much of it is kept has a limit of its own: [`crate::client::budget`].
pub const LISTING_LINES: usize = 2_000_000;

/// The maximum length of the answer to one LIST or UIDL, in octets: what is received, not what is kept.
pub const LISTING_OCTETS: u64 = 128 << 20;

/// The maximum number of capabilities that [`Capabilities`](super::Capabilities) keeps.
///
/// RFC 2449, section 6 has a dozen capabilities; real servers announce fewer than thirty.
pub const CAPABILITY_LINES: usize = 500;

/// How many octets of capabilities are kept at most; lines that do not fit are skipped.
pub const CAPABILITIES_KEPT: usize = 16 * 1024;

/// The maximum length of the answer to CAPA, in octets including skipped lines; a longer one is endless. The same as
/// for a status line: what is skipped costs time but no memory.
pub const CAPABILITY_OCTETS: u64 = 32 << 20;

/// The maximum length of a unique-id, in octets.
///
/// RFC 1939, section 7 allows 70. Today's servers send up to 1000, and truncating them could make two messages look the
/// same.
pub const UNIQUE_ID: usize = 1024;

/// The maximum number of characters of a server's text that an error message quotes.
///
/// Not from an RFC; one line of a terminal.
pub const EXCERPT: usize = 120;
