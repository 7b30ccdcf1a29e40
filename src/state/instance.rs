//! Makes the id of a new state.

use crate::ids::InstanceId;

/// Makes an id that no other state has.
#[must_use]
pub fn random_instance() -> InstanceId {
    InstanceId::new(fastrand::u64(..))
}
