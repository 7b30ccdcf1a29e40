//! As much of a message as has to be understood: its header, read while the message streams by, and the digests that
//! identify it.
//!
//! [`header`] finds the fields in pieces of any size; [`fingerprint`] digests them; [`size`] has its sizes as counted
//! here. PURE.

mod fingerprint;
mod header;
mod size;

pub use fingerprint::{Digest, Digests, HeaderDigester, MessageDigester};
pub use size::{StoredSize, WireSize};
