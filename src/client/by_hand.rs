//! A deletion without evidence: a person names the message and says yes.

use crate::pop3::MessageNumber;

/// A message that a user has named and confirmed at a prompt. Only `cli::console` makes one, which `tests/it/walls.rs`
/// checks.
#[derive(Debug)]
pub(crate) struct ByHand(MessageNumber);

impl ByHand {
    /// Makes one once the user has said yes.
    pub(crate) fn confirmed(number: MessageNumber) -> Self {
        Self(number)
    }

    /// Returns its number.
    pub(super) fn number(&self) -> MessageNumber {
        self.0
    }
}
