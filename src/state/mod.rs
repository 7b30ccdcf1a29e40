//! What is remembered, so that "leave on server" works without duplicates.
//!
//! [`entries`] is what we know, [`record`] and [`journal`] how it is kept on disk, [`store`] the one way to change both,
//! [`orphans`] states and accounts that lost each other, [`ownership`] whose a state is,
//! [`recovery`] what is done about a delivery that a crash interrupted, and [`clock`] which ages can be relied on.
//! [`hints`] is the rest, which may be lost.

pub mod entries;

mod entry_table;

pub mod record;

pub mod journal;

pub mod store;

pub mod orphans;

pub mod ownership;

pub mod hints;

pub mod hold;

pub mod error;
