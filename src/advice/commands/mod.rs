//! What our own commands tell a user to do, a file for each: which option, key or command helps. The facts, and the
//! questions that are asked, are with the commands.

pub(crate) mod common;
pub(crate) mod console;
pub(crate) mod setup;
pub(crate) mod sign_in;
pub(crate) mod status;
pub(crate) mod uids;
