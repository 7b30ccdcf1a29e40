//! Forwards mail from the spool to an IMAP mailbox, an LMTP server or a command of the user's.
//!
//! Polls deliver into the spool like into any Maildir. The forwarder takes messages from there in passes of its own,
//! which no POP3 session waits for, and records what became of each in its own journal ([`journal`]). A poll copies
//! what was forwarded into the account's state ([`settlement`]). Only then may the message be deleted on the server and
//! its file be removed.

mod arrived;
mod breaks;
mod command;
mod date;
mod doubt;
mod error;
mod forwarder;
mod imap;
pub mod journal;
mod letter;
mod live;
mod lmtp;
mod pass;
mod pause;
mod probe;
mod refused_for_good;
mod report;
pub mod settlement;
mod spool;
mod turns;
mod unclaimed;
mod wire;

pub use error::{CommandFailure, ForwardError, OtherProtocol, RefusalKind};
pub use forwarder::{ForwardOptions, forward, in_spool, look_into_spool};
pub use imap::sign_in_name;
pub use live::Live;
pub(crate) use pass::SET_ASIDE;
pub use pause::Pause;
pub use probe::{find_program, probe};
pub use report::{ForwardReport, MessageInSpool, Probed, SetAside, Waiting, without_name};
pub use spool::{SpoolUse, Stranded, spool_contents, spool_use};
pub use unclaimed::unclaimed_spools;
