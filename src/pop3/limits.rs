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
/// still bounds what is kept in memory.
pub const STATUS_LINE: usize = 4096;

/// The longest server challenge that is read, in octets with its line end.
///
/// RFC 5034, section 4 exempts challenges from the 512 octets of other lines and names no limit of its own. This is
/// the number of RFC 4954, section 4, the like rule for SMTP.
pub const CHALLENGE_LINE: usize = 12_288;

/// The longest line of CAPA, LIST or UIDL that is read, in octets with its line end.
///
/// RFC 2449, section 4 allows 512 here too. Unique-ids of 1000 characters have been met, so there is room for them.
pub const LISTING_LINE: usize = 4096;

/// The most lines in the answer to one LIST or UIDL.
///
/// RFC 1939 has no limit. A maildrop of two million messages is far beyond what a server can list in reasonable time;
/// a listing that goes on is an endless one, and the caller keeps something for each line. A long line counts as
/// several: see [`LISTING_LINE_UNIT`].
pub const LISTING_LINES: usize = 2_000_000;

/// So many octets of a line in a listing count as one more line: what bounds lines has to bound memory.
///
/// Lines with unique-ids as RFC 1939, section 7 has them count once or twice.
pub const LISTING_LINE_UNIT: usize = 64;

/// The most lines in the answer to CAPA, and the most that [`Capabilities`](super::Capabilities) keeps.
///
/// RFC 2449, section 6 knows a dozen capabilities; real servers announce fewer than thirty.
pub const CAPABILITY_LINES: usize = 500;

/// The longest unique-id, in octets.
///
/// RFC 1939, section 7 allows 70. Servers of today send up to 1000, and cutting one would make two messages look the
/// same.
pub const UNIQUE_ID: usize = 1024;

/// The most characters of a server's words that an error text quotes.
///
/// No RFC; one line of a terminal.
pub const EXCERPT: usize = 120;
