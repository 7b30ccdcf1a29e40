//! How often a server may want a password to be hashed.

/// Fewer iterations make the password easy to guess for who listens, or plays the server (RFC 5802, section 5.1; RFC 7677,
/// section 4).
pub(super) const ITERATIONS_LEAST: u32 = 4096;

/// More iterations keep this machine busy for seconds, which is what a hostile server may want.
pub(super) const ITERATIONS_MOST: u32 = 2_000_000;
