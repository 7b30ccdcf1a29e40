//! A daemon that does not start.

use super::{Step, TRY_LATER, control, disk, state, system};
use crate::daemon_error::StartError;

/// How to see which accounts are in trouble, for a line of the daemon about itself.
pub(crate) const SEE_STATUS: &str = "see `mailferry status`";

pub(in crate::advice) fn step(error: &StartError) -> Step {
    match error {
        StartError::AnotherDaemon { .. } => Some(format!("Stop it first, or {SEE_STATUS}").into()),
        StartError::State { source, .. } => {
            let known = system::step(source).or_else(|| disk::instead_of_a_file(source));
            Some(known.unwrap_or("Make it writable for this user, or give --state-dir").into())
        }
        StartError::Owner(e) => state::of_directory(e),
        StartError::Control(e) => Some(control::making(e).into()),
        StartError::Alarm(e) | StartError::Thread(e) => Some(system::step(e).unwrap_or(TRY_LATER).into()),
    }
}
