//! How much a server may say, and how much is said to it.
//!
//! There is no limit on the length of a message or of a line in it: message bytes are passed on as they come and are
//! never held, and real mail has lines of any length although RFC 5322, section 2.1.1 forbids them.

/// The longest command, in octets with its CRLF (RFC 2449, section 4).
///
/// RFC 1939, section 3 gives the keyword 4 and each argument 40 octets; RFC 2449 raised that to 255 in all. Servers cut
/// off or refuse what is longer. An initial response that does not fit waits for the server's challenge
/// (RFC 5034, section 4).
pub const COMMAND_LINE: usize = 255;

/// The longest status line or greeting that is read, in octets with its line end.
///
/// RFC 1939, section 3 and RFC 2449, section 4 allow 512. Eight times that leaves room for talkative error texts and
/// still bounds what is kept in memory. Of a longer line so much is kept, and the rest is passed over up to
/// [`STATUS_LINE_PASSED`].
pub const STATUS_LINE: usize = 4096;

/// The longest status line after which a session goes on, in octets with its line end.
///
/// What has not ended by then is an endless line, and nothing behind it will ever come. No octet of what is passed over is
/// held, so the bound is on the time that it takes; the least throughput of a session holds, too.
pub const STATUS_LINE_PASSED: usize = 32 << 20;

/// The most characters of a status line's text that are kept.
///
/// What RFC 1939, section 3 allows for the whole line. Nobody reads more, and the text goes into logs.
pub const WORDS: usize = 512;

/// The longest response code (RFC 2449, section 8) that is taken for one, in octets. Those of the RFCs have 11 at most.
pub const RESPONSE_CODE: usize = 64;

/// The longest server challenge that is read, in octets with its line end.
///
/// RFC 5034, section 4 exempts challenges from the 512 octets of other lines and names no limit of its own. This is
/// the number of RFC 4954, section 4, the like rule for SMTP.
pub const CHALLENGE_LINE: usize = 12_288;

/// The longest line of CAPA, LIST or UIDL that is read, in octets with its line end.
///
/// RFC 2449, section 4 allows 512 here too. Unique-ids of 1000 characters have been met, so there is room for them.
/// A longer line is passed over: it concerns one message or one capability.
pub const LISTING_LINE: usize = 4096;

/// So many octets at the beginning of a line that is too long are told: enough for the number of its message.
pub const LONG_LINE_HEAD: usize = 32;

/// The most lines in the answer to one LIST or UIDL.
///
/// RFC 1939 has no limit. A maildrop of two million messages is far beyond what a server can list in reasonable time;
/// a listing that goes on is an endless one. How much of it is kept has a limit of its own:
/// [`crate::client::budget`].
pub const LISTING_LINES: usize = 2_000_000;

/// The most octets in the answer to one LIST or UIDL: what passes through, not what is kept.
pub const LISTING_OCTETS: u64 = 128 << 20;

/// The most capabilities that [`Capabilities`](super::Capabilities) keeps.
///
/// RFC 2449, section 6 knows a dozen capabilities; real servers announce fewer than thirty.
pub const CAPABILITY_LINES: usize = 500;

/// The most octets of capabilities that are kept; the lines that do not fit are passed over.
pub const CAPABILITIES_KEPT: usize = 16 * 1024;

/// The most octets in the answer to CAPA, those of lines that are passed over included: one that goes on is an endless
/// one. It is as many as a status line may have: what passes through costs time and no memory.
pub const CAPABILITY_OCTETS: u64 = 32 << 20;

/// The longest unique-id, in octets.
///
/// RFC 1939, section 7 allows 70. Servers of today send up to 1000, and cutting one would make two messages look the
/// same.
pub const UNIQUE_ID: usize = 1024;

/// The most characters of a server's words that an error text quotes.
///
/// No RFC; one line of a terminal.
pub const EXCERPT: usize = 120;
