//! What is remembered of each account, so that "leave on server" works without duplicates.
//!
//! [`entries`] is the whole state, [`entry`] one message in it; [`record`] and [`journal`] define how it is kept on
//! disk. [`store`] is the only way to change both; `proofs` says what it has to be shown first; [`handle`] wraps the
//! store for tasks that must not block. [`shown`] tracks which deliveries were not yet confirmed by answers in step,
//! [`orphans`] finds states and accounts that lost each other, [`ownership`] checks who owns a state, [`instance`] makes the id of a new one, [`room`] limits
//! how many states are in memory at the same time, [`adopt`] records messages that are known without having been
//! delivered. [`hints`] is the rest, which may be lost; [`delivered`] looks at what was delivered without holding the
//! state.

pub mod adopt;
pub mod clean_listing;
pub mod delivered;
pub mod entries;
pub mod entry;
pub mod error;
pub mod handle;
pub mod hints;
pub mod hold;
pub mod instance;
pub mod journal;
pub(crate) mod opening_time;
pub mod orphans;
pub mod ownership;
pub(crate) mod proofs;
#[cfg(test)]
mod proofs_tests;
pub mod record;
pub(crate) mod room;
pub mod saved;
pub mod shown;
pub mod store;

mod case;
mod entry_table;
mod quarantines;
mod reading;
mod traces;
mod unique_id_index;

pub use reading::Unreadable;
