//! Jitter and each account's own moment, so that accounts and installations do not run in lockstep. The same seed and
//! time always give the same result.

use std::time::Duration;

use fastrand::Rng;

use crate::account::AccountName;

/// Derives an account's own seed from the installation's. Two accounts, or one account at two installations, get
/// unrelated seeds.
#[must_use]
pub fn seed(installation: u64, account: &AccountName) -> u64 {
    let mix = |seed: u64, octet: u8| Rng::with_seed(seed ^ u64::from(octet)).u64(..);
    account.as_str().bytes().fold(Rng::with_seed(installation).u64(..), mix)
}

/// Returns a seed for all accounts of a state directory on a host of this name: the same after a restart, but different
/// on another machine or for another user.
#[must_use]
pub fn installation(state_dir: &std::path::Path, host: &[u8]) -> u64 {
    u64::from(crc32fast::hash(&[state_dir.as_os_str().as_encoded_bytes(), host].concat()))
}

/// Returns the random numbers for one moment.
pub(super) fn chance(seed: u64, now: Duration) -> Rng {
    Rng::with_seed(seed ^ nanos(now).rotate_left(32))
}

/// Returns a time from zero to `most`, uniformly distributed.
pub(super) fn up_to(chance: &mut Rng, most: Duration) -> Duration {
    Duration::from_nanos(chance.u64(0..=nanos(most)))
}

/// Returns how far `time` is past the account's own moment. Each account has one in every period, always at the same
/// offset; the moments of all accounts are spread evenly over the period.
pub(super) fn past_own_moment(seed: u64, period: Duration, time: Duration) -> Duration {
    let length = nanos(period).max(1);
    let moment = Rng::with_seed(seed).u64(0..length);
    let past = (time.as_nanos() + u128::from(length - moment)) % u128::from(length);
    Duration::from_nanos(u64::try_from(past).unwrap_or(0))
}

/// A span in nanoseconds, which hold 584 years.
fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
