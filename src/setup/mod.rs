//! A new account for a mail address: what it is made of, and how it is tried before it is written. `cli::setup` asks.

pub(crate) mod sealed;
pub(crate) mod settings;
pub(crate) mod target;
pub(crate) mod unit;
