//! The exit status of each class.

use super::classification::Class;
use crate::exit::ExitStatus;

impl Class {
    /// The exit status that tells a script about it.
    #[must_use]
    pub fn exit_status(self) -> ExitStatus {
        match self {
            Self::Unreachable
            | Self::ConnectionLost
            | Self::TooSlow
            | Self::ListingsTooLarge
            | Self::Busy { .. }
            | Self::StorageLater
            | Self::Locked
            | Self::CredentialLater
            // A command that was stopped by a signal has a status of its own.
            | Self::Stopped
            | Self::InternalError => ExitStatus::Temporary,
            Self::LoginRefused { .. } | Self::AccessRefused { .. } | Self::NoLoginMethod => ExitStatus::Auth,
            Self::Tls => ExitStatus::Tls,
            Self::Configuration | Self::Credential => ExitStatus::Config,
            Self::Protocol => ExitStatus::Protocol,
            Self::MessageTooLong => ExitStatus::Partial,
            Self::Storage | Self::Undecided => ExitStatus::Local,
        }
    }

    /// Whether it stays until somebody mends it, as far as can be known.
    #[must_use]
    pub fn needs_a_person(self) -> bool {
        matches!(self.exit_status(), ExitStatus::Local | ExitStatus::Auth | ExitStatus::Config | ExitStatus::Tls)
    }
}
