//! How long to wait for an account's credential: a command, a file or a token server may hang. PURE.

use std::time::Duration;

/// After this much time, preparing counts as taking long.
pub(crate) const TAKES_LONG: Duration = Duration::from_secs(3);

/// How long to wait while other accounts wait for the same room. If none do, a user may be typing a passphrase.
pub(crate) const ENOUGH: Duration = Duration::from_secs(10);

/// What to do about an account that is preparing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CredentialWait {
    /// Go on waiting.
    GoesOn,
    /// Go on waiting, among those that take long.
    TakesLong,
    /// Give up on the credential.
    IsOver,
}

/// Decides about an account that has been preparing for this long.
#[must_use]
pub(crate) fn credential_wait(waited: Duration, in_the_way: bool) -> CredentialWait {
    if waited >= ENOUGH && in_the_way {
        CredentialWait::IsOver
    } else if waited >= TAKES_LONG {
        CredentialWait::TakesLong
    } else {
        CredentialWait::GoesOn
    }
}
