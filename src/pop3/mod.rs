//! The client side of POP3: which command may be sent when, and what the answers mean.
//!
//! Nothing here touches a socket, a file, a clock or a log. Bytes from the server go in, events and bytes for the
//! server come out, so every rule can be tested with a string, and a hostile server only meets code that cannot open
//! anything.
//!
//! In reading order:
//!
//! - [`command`]: what the client says, how it is written on the wire and how it may appear in a log.
//! - [`response`]: the greeting and the status line of an answer (RFC 1939, RFC 2449 section 8).
//! - [`multi_line`]: where a long answer ends and which dots are not part of it (RFC 1939, section 3).
//! - [`listing`]: the lines of STAT, LIST and UIDL; [`ReportedSize`]: what they say about sizes.
//! - [`capability`]: what CAPA announces (RFC 2449).
//! - [`mechanism`]: the mechanisms for AUTH; [`crate::sasl`] implements their messages.
//! - [`refusal`]: what a server means when it refuses a login.
//! - [`session`]: the queue of outstanding commands, which matches each answer to its command; [`state`]: how far a
//!   session has got.
//! - [`error`] and [`limits`]: what ends a session, and how much a server may say.
//!
//! Framing comes before parsing. Where a line or a message ends is decided first, and an error there is a
//! [`FramingError`] that ends the session, because from then on no byte can be trusted to belong to a command. What a
//! line means is decided afterwards, and an error there ([`ListingError`], [`InvalidUniqueId`]) concerns one message.

pub mod capability;
pub mod command;
pub mod error;
pub mod limits;
pub mod listing;
pub mod mechanism;
pub mod multi_line;
pub mod refusal;
pub mod response;
pub mod session;
pub mod state;

mod gb18030;
mod printable;
mod reported_size;
mod serial;

pub use capability::{Capabilities, Expire, LoginDelay};
pub use command::{Command, CommandError, CommandKind};
pub use error::{FramingError, OtherProtocol, SendError};
pub(crate) use listing::decimal;
pub use listing::{
    DropListing, InvalidUniqueId, Listed, ListingError, MessageNumber, ScanListing, UniqueId, UniqueIdListing,
};
pub use mechanism::Mechanism;
pub use multi_line::TakenDots;
pub use refusal::{
    Refusal, goodbye, has_access_code, is_download_limit, is_too_soon, is_unknown_method, judge_access, judge_refusal,
};
pub use reported_size::ReportedSize;
pub use response::{Greeting, Response, ResponseCode, Status};
pub use serial::SessionSerial;
pub use session::{Event, Session, Step};
pub use state::SessionState;
