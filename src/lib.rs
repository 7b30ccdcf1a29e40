//! mailferry ferries mail from POP3 servers into Maildirs.
//!
//! A tour, in reading order. [`account`] is what a user wants, [`poll`] the story of one visit to one account: read it
//! first. It stands on four rooms that know nothing of each other:
//!
//! - [`pop3`] holds the rules of the protocol, without a socket; [`net`] makes connections; [`client`] drives the one
//!   over the other.
//! - [`maildrop`], [`fingerprint`] and [`plan`] decide, without doing anything: what is new, what may be deleted.
//!   [`schedule`] and [`provider`] do the same for when an account is polled next.
//! - [`disk`] is every file operation there is; [`maildir`] delivers with it, [`state`] remembers with it.
//! - [`cli`] is what a user types and sees, [`config`] and [`credential`] where accounts and secrets come from, [`exit`]
//!   how a command ends.
//! - [`threads`] takes threads from a system that may have none left.
//! - [`advice`] is what an error means and what to do about it; errors themselves state facts.
//!
//! On top of a poll, [`telling`] decides what a person should know of it, and runs the user's commands that say so.
//! [`daemon`] polls for years and sees by [`watch`] how its polls get on; [`summary`] has the words for what a poll did.

pub mod account;
pub mod poll;

pub mod pop3;

pub mod client;
pub mod net;

pub mod message;
pub mod plan;
pub mod provider;
pub mod schedule;

pub mod clock;
pub mod disk;
pub mod maildir;
pub mod state;

pub mod notify;

pub mod daemon;

pub mod account_record;
pub mod advice;
pub mod cli;
pub mod config;
pub mod control;
pub mod credential;
pub mod delivery;
pub mod exit;
pub mod secret;
mod subprocess;
pub mod summary;
mod system_limit;
mod text;
pub mod threads;
pub mod user;
pub mod watch;
