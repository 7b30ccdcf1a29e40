//! mailferry ferries mail from POP3 servers into Maildirs.

pub mod account;
pub mod disk;
pub mod exit;
pub mod maildir;
pub mod maildrop;
pub mod plan;
pub mod pop3;
pub mod state;
pub mod witness;

pub mod credential;
pub mod secret;
