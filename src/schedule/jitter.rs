//! Chance and places in time, so that accounts and installations do not march in step. The same seed and the same time
//! always give the same answer.

use std::time::Duration;

use fastrand::Rng;

use crate::account::AccountName;

/// An account's own seed, from the installation's. Two accounts, or one account at two installations, have little in
/// common.
#[must_use]
pub fn seed(installation: u64, account: &AccountName) -> u64 {
    let mix = |seed: u64, octet: u8| Rng::with_seed(seed ^ u64::from(octet)).u64(..);
    account.as_str().bytes().fold(Rng::with_seed(installation).u64(..), mix)
}

/// A seed for all accounts of a state directory on a host of this name: the same after a restart, and another one on
/// another machine or for another user.
#[must_use]
pub fn installation(state_dir: &std::path::Path, host: &[u8]) -> u64 {
    u64::from(crc32fast::hash(&[state_dir.as_os_str().as_encoded_bytes(), host].concat()))
}

/// Chance at one moment.
pub(super) fn chance(seed: u64, now: Duration) -> Rng {
    Rng::with_seed(seed ^ nanos(now).rotate_left(32))
}

/// Any time from nothing to `most`, all equally likely.
pub(super) fn up_to(chance: &mut Rng, most: Duration) -> Duration {
    Duration::from_nanos(chance.u64(0..=nanos(most)))
}

/// Each account has a moment of its own in every period, at the same distance from one to the next; all the accounts
/// together have theirs evenly over it. This is how far `time` is past the last one.
pub(super) fn past_own_moment(seed: u64, period: Duration, time: Duration) -> Duration {
    let length = nanos(period).max(1);
    let moment = Rng::with_seed(seed).u64(0..length);
    let past = (time.as_nanos() + u128::from(length - moment)) % u128::from(length);
    Duration::from_nanos(u64::try_from(past).unwrap_or(0))
}

/// 584 years fit.
fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
