//! mailferry ferries mail from POP3 servers into Maildirs.
//!
//! A tour, in reading order. [`account`] is what a user wants; [`config`] makes it out of TOML and [`exit`] is how a
//! command ends.

pub mod account;
pub mod exit;

pub mod pop3;

pub mod net;

pub mod maildrop;
pub mod plan;
pub mod witness;

pub mod disk;
pub mod maildir;
pub mod state;

pub mod credential;
pub mod secret;

pub mod net;
