//! How many iterations of password hashing a server may require.

/// Fewer iterations would make the password easy to guess for an eavesdropper or a fake server (RFC 5802, section 5.1;
/// RFC 7677, section 4).
pub(super) const ITERATIONS_LEAST: u32 = 4096;

/// More iterations would keep this machine busy for seconds, which a hostile server may intend.
pub(super) const ITERATIONS_MOST: u32 = 2_000_000;
