//! Bugs in mailferry itself, with what was being done and what went wrong.

use std::fmt;

use crate::text;
use crate::threads::NotDone;

/// A bug in mailferry itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InternalError {
    /// What was being done.
    pub doing: &'static str,
    /// What went wrong.
    pub cause: InternalCause,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InternalCause {
    /// It panicked with this message.
    Panicked(String),
    /// It was cancelled, never started, or nobody waited for its end.
    Cancelled,
    /// Something impossible happened.
    Contradiction(&'static str),
}

impl fmt::Display for InternalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: ", self.doing)?;
        match &self.cause {
            InternalCause::Panicked(words) => write!(f, "it panicked: {}", text::words(words)),
            InternalCause::Cancelled => f.write_str("it was cancelled"),
            InternalCause::Contradiction(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for InternalError {}

/// Why work on another thread failed, and what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkError {
    /// The system has no thread left for it.
    NoThread,
    /// A bug in mailferry itself.
    Internal(InternalError),
}

impl NotDone {
    /// Adds what was being done.
    #[must_use]
    pub fn doing(self, doing: &'static str) -> WorkError {
        let cause = match self {
            Self::NoThread => return WorkError::NoThread,
            Self::Panicked(words) => InternalCause::Panicked(words),
            Self::Cancelled => InternalCause::Cancelled,
        };
        WorkError::Internal(InternalError { doing, cause })
    }
}
