//! mailferry ferries mail from POP3 servers into Maildirs.

pub mod account;
pub mod config;
pub mod exit;

pub mod credential;
pub mod secret;
