//! What is remembered, so that "leave on server" works without duplicates.
//!
//! [`entries`] is what we know, [`record`] and [`journal`] how it is kept on disk, [`store`] the one way to change both,
//! [`handle`] the store as a task has it that must not block, [`orphans`] states and accounts that lost each other,
//! [`ownership`] whose a state is, [`adopt`] what is known without having been delivered,
//! [`recovery`] what is done about a delivery that a crash interrupted, and [`clock`] which ages can be relied on.
//! [`hints`] is the rest, which may be lost.

pub mod entries;

mod entry_table;

pub mod record;

pub mod journal;

pub mod store;

pub mod handle;

pub mod orphans;

pub mod ownership;

pub mod adopt;

pub mod hints;

pub mod clean_listing;
pub mod hold;
pub mod saved;

pub mod error;
