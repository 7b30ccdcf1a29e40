//! From the spool to where mail goes on to: an IMAP mailbox, an LMTP server, a command of the user's.
//!
//! Mail is delivered into the spool by the path that all mail takes. The forwarder takes it from there, in passes of its
//! own that no session with a POP3 server waits for, and writes into its own journal what became of each message
//! ([`journal`]). A poll takes over from there what was forwarded ([`settlement`]): only then may the message be deleted on
//! the server, and only then does its file go.

mod command;
mod doubt;
mod error;
mod forwarder;
mod imap;
mod journal;
mod letter;
mod live;
mod lmtp;
mod pass;
mod pause;
mod probe;
mod report;
pub mod settlement;
mod spool;
mod suspects;
mod turns;
mod wire;

pub use error::{CommandFailure, ForwardError};
pub use forwarder::{ForwardOptions, forward, in_spool, look_into_spool};
pub use imap::sign_in_name;
pub use live::Live;
pub use pause::Pause;
pub use probe::{find_program, probe};
pub use report::{ForwardReport, Probed, SetAside, Waiting};
pub use spool::{SpoolUse, Stranded, spool_contents, spool_use};
