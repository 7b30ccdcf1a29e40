//! mailferry ferries mail from POP3 servers into Maildirs.
//!
//! A tour of the modules. [`account`] is what a user configures, and [`poll`] is one visit to one account, from top to
//! bottom: read it first. A poll is built on these:
//!
//! - [`pop3`] has the rules of the protocol and [`sasl`] those of logging in, both without a socket. [`net`] makes
//!   connections, and [`client`] holds a session over one.
//! - [`message`], [`plan`] and [`routing`] decide what is new, what may be deleted and where a message goes, without
//!   doing any of it.
//! - [`disk`] has all file operations. [`maildir`] writes messages with it, [`state`] remembers messages with it, and
//!   [`delivery`] uses both to make a message safe.
//! - [`config`] reads the configuration file and makes accounts of it, and [`credential`] obtains their secrets.
//!   [`oauth`] gets access tokens for mailboxes that take no password, over [`https`].
//!
//! Around a poll:
//!
//! - [`daemon`] polls for years: [`schedule`] decides when an account is polled next, [`provider`] knows the rules of
//!   mail providers, and [`watch`] shows how a running poll gets on.
//! - [`forward`] takes mail from a spool to its final destination.
//! - [`account_record`] is the state of an account between two polls, and [`account_history`] what its polls brought.
//! - [`notify`] decides what a person should know, and runs the user's commands that say so.
//! - [`control`] answers other processes on the daemon's socket, `http` serves the status page, and [`metrics`] counts
//!   polls for monitoring. [`daemon_error`] is why a daemon does not start or answer.
//!
//! For the user:
//!
//! - [`cli`] has the commands and what they print, [`summary`] the words for what a poll did, and [`exit`] the exit
//!   statuses.
//! - [`advice`] says what an error means and what to do about it; errors themselves only state facts. `command_line`
//!   makes commands for the user to paste.
//! - [`check`] looks at everything that a poll needs, and changes nothing.
//! - [`setup`] makes an account for a mail address, whose server [`discovery`] finds. [`import`] takes accounts over
//!   from other programs. [`new_account`] writes what either has made.
//!
//! Shared by all:
//!
//! - [`process_context`] is what work on an account needs of the process, [`ids`] has the identifiers, [`secret`] keeps
//!   secrets out of logs, and `text` shows text and numbers to people.
//! - [`clock`] has the clocks, [`threads`] starts threads on a system that may have none left, `subprocess` runs
//!   commands, [`user`] knows the users of this machine, `system_limit` recognizes errors of a system that is out of
//!   something, and [`internal_error`] reports bugs.

pub mod account;
pub mod poll;

pub mod pop3;
pub mod sasl;

pub mod client;
pub(crate) mod https;
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
pub(crate) mod metrics;
pub(crate) mod notify;

pub(crate) mod daemon;

pub mod account_history;
pub mod account_record;
pub(crate) mod advice;
pub(crate) mod check;
pub mod cli;
mod command_line;
pub mod config;
pub mod control;
pub mod credential;
pub mod daemon_error;
pub mod delivery;
pub(crate) mod discovery;
pub mod exit;
pub mod forward;
pub mod ids;
pub(crate) mod import;
pub(crate) mod internal_error;
pub(crate) mod new_account;
pub(crate) mod process_context;
pub mod secret;
pub(crate) mod setup;
mod subprocess;
pub(crate) mod summary;
mod system_limit;
mod text;
pub(crate) mod threads;
pub mod user;
pub(crate) mod watch;
