//! mailferry ferries mail from POP3 servers into Maildirs.

pub mod account;
pub mod exit;
pub mod pop3;

pub mod credential;
pub mod secret;
