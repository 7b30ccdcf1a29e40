//! mailferry ferries mail from POP3 servers into Maildirs.
//!
//! A tour, in reading order. [`account`] is what a user wants, [`poll`] the story of one visit to one account: read it
//! first. It stands on four rooms that know nothing of each other:
//!
//! - [`pop3`] holds the rules of the protocol and [`sasl`] those of logging in, without a socket; [`net`] makes
//!   connections; [`client`] drives the ones over the other.
//! - [`message`], [`plan`] and [`routing`] decide, without doing anything: what is new, what may be deleted, where a
//!   message goes.
//!   [`schedule`] and [`provider`] do the same for when an account is polled next.
//! - [`oauth`] gets access tokens where a mailbox takes no password; it asks over [`https`].
//! - [`disk`] is every file operation there is; [`maildir`] writes messages with it, [`state`] remembers with it, and
//!   [`delivery`] makes one safe by both.
//! - [`forward`] takes mail on from a spool to where it goes in the end.
//! - [`import`] moves in from other programs.
//! - [`import`] moves in from other programs, [`setup`] makes an account for an address whose server [`discovery`] finds, and
//!   [`new_account`] writes what they made.
//! - [`cli`] is what a user types and sees, [`config`] and [`credential`] where accounts and secrets come from, [`exit`]
//!   how a command ends.
//! - [`threads`] takes threads from a system that may have none left.
//! - [`advice`] is what an error means and what to do about it; errors themselves state facts.
//! - [`check`] looks at all that a poll needs and changes nothing.
//!
//! On top of a poll, [`notify`] decides what a person should know of it, and runs the user's commands that say so.
//! [`daemon`] polls for years and sees by [`watch`] how its polls get on; [`summary`] has the words for what a poll did.

pub mod account;
pub mod poll;

pub mod pop3;
pub mod sasl;

pub mod client;
pub mod https;
pub mod net;
pub mod oauth;

pub mod message;
pub mod plan;
pub(crate) mod provider;
pub mod routing;
pub mod schedule;

pub mod clock;
pub mod disk;
pub mod maildir;
pub mod state;

mod http;
pub mod metrics;
pub(crate) mod notify;

pub(crate) mod daemon;

pub mod account_history;
pub mod account_record;
pub mod advice;
pub mod check;
pub mod cli;
mod command_line;
pub mod config;
pub mod control;
pub mod credential;
pub mod delivery;
pub mod discovery;
pub mod exit;
pub mod forward;
pub mod ids;
pub mod import;
pub mod internal_error;
pub mod new_account;
pub mod process_context;
pub mod secret;
pub(crate) mod setup;
mod subprocess;
pub(crate) mod summary;
mod system_limit;
mod text;
pub(crate) mod threads;
pub mod user;
pub(crate) mod watch;
