//! Setting up an account for a mail address: its settings, and the checks before it is written. `cli::setup` is the
//! dialogue.

pub(crate) mod sealed;
pub(crate) mod settings;
pub(crate) mod target;
pub(crate) mod unit;
