//! Why messages could not be made safe.

use std::io;
use std::path::PathBuf;

use crate::internal_error::{InternalCause, InternalError, WorkError};
use crate::state::error::StateError;

/// Why messages could not be made safe.
#[derive(Debug)]
pub enum DeliveryError {
    /// The state, or the Maildir as the state knows it.
    State(StateError),
    /// The Maildir cannot be made or written to.
    Maildir {
        /// What was being done, for the message.
        doing: &'static str,
        /// The path it was done to.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Work on another thread did not finish.
    Work(WorkError),
}

impl DeliveryError {
    /// Returns the error for a state of affairs that should be impossible.
    pub(super) fn contradiction(doing: &'static str, what: &'static str) -> Self {
        Self::Work(WorkError::Internal(InternalError { doing, cause: InternalCause::Contradiction(what) }))
    }

    /// Whether the error concerns this Maildir alone: neither other Maildirs nor the state.
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
