//! Why messages could not be made safe.

use std::io;
use std::path::PathBuf;

use crate::internal_error::WorkError;
use crate::state::error::StateError;

/// Why messages could not be made safe.
#[derive(Debug)]
pub enum DeliveryError {
    /// The state, or the Maildir as the state knows it.
    State(StateError),
    /// The Maildir cannot be made or written to.
    Maildir {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Work on another thread came to nothing.
    Work(WorkError),
}

impl DeliveryError {
    /// Whether it says nothing of other Maildirs, nor of the state.
    pub(super) fn is_about_one_maildir(&self) -> bool {
        match self {
            Self::Maildir { .. } => true,
            Self::State(e) => {
                matches!(
                    e,
                    StateError::Io { .. } | StateError::MaildirMissing { .. } | StateError::MaildirReplaced { .. }
                )
            }
            Self::Work(_) => false,
        }
    }
}

impl From<StateError> for DeliveryError {
    fn from(e: StateError) -> Self {
        Self::State(e)
    }
}

impl From<WorkError> for DeliveryError {
    fn from(e: WorkError) -> Self {
        Self::Work(e)
    }
}
