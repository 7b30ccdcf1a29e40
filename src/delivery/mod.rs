//! Making a message safe: the steps from a complete file in `tmp/` to a name in `new/` that survives a power cut, and
//! what finishes them after one.

pub mod publish;

pub mod recovery;
