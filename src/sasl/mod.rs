//! Logging in: which way is taken, and what is said on it.
//!
//! Pure: no socket, file, clock or log. [`choice`] decides; each mechanism has a file of its own.

mod apop;
pub mod choice;
mod plain;

pub use apop::apop_digest;
pub use choice::{LoginMethod, NoLoginMethod, Offer, ways_to_log_in};
pub use plain::plain_response;
