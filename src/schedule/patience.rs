//! For how long what an account logs in with is waited for: a command, a file or a token server may hang. PURE.

use std::time::Duration;

/// Who prepares for so long takes long.
pub(crate) const TAKES_LONG: Duration = Duration::from_secs(3);

/// Who prepares for so long while others wait for its room has waited enough. Where nobody does, a person may be typing.
pub(crate) const ENOUGH: Duration = Duration::from_secs(10);

/// What follows for an account that prepares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It goes on.
    GoesOn,
    /// It goes on among those that take long.
    TakesLong,
    /// It has to do without.
    IsOver,
}

/// Judges one that has prepared for so long.
#[must_use]
pub(crate) fn patience(waited: Duration, in_the_way: bool) -> Patience {
    if waited >= ENOUGH && in_the_way {
        Patience::IsOver
    } else if waited >= TAKES_LONG {
        Patience::TakesLong
    } else {
        Patience::GoesOn
    }
}
