//! What is remembered, so that "leave on server" works without duplicates.
//!
//! [`entries`] is what we know, [`entry`] what of one message, [`record`] and [`journal`] how it is kept on disk, [`store`] the
//! one way to change both, [`shown`] what it delivered before anything showed that answers were in step, [`handle`] the store as a task has it that must not block, [`orphans`] states and accounts that
//! lost each other, [`ownership`] whose a state is, [`room`] how many may be in memory at the same time, [`adopt`] what is known without having been delivered. [`hints`] is the
//! rest, which may be lost; [`delivered`] is a look at what was delivered, for whoever does not hold the state.

pub mod adopt;
pub mod clean_listing;
pub mod delivered;
pub mod entries;
pub mod entry;
pub mod error;
pub mod handle;
pub mod hints;
pub mod hold;
pub mod journal;
pub mod orphans;
pub mod ownership;
pub mod record;
pub(crate) mod room;
pub mod saved;
pub mod shown;
pub mod store;

mod case;
mod entry_table;
mod reading;
mod traces;
mod troubles;
mod unique_id_index;
