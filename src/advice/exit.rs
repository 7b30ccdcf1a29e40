//! The exit status of each class.

use super::classification::{self, Class, Judgement};
use crate::client::ClientError;
use crate::credential::CredentialError;
use crate::exit::ExitStatus;
use crate::https::HttpError;
use crate::net::NetError;
use crate::oauth::OAuthError;
use crate::poll::PollError;
use crate::state::error::StateError;

impl Class {
    /// The exit status for scripts.
    #[must_use]
    pub(crate) fn exit_status(self) -> ExitStatus {
        match self {
            Self::Unreachable
            | Self::ConnectionLost
            | Self::TooSlow
            | Self::ListingsTooLarge
            | Self::Busy { .. }
            | Self::StorageLater
            | Self::Locked
            | Self::CredentialLater
            // A command that was stopped by a signal has its own status.
            | Self::Stopped
            | Self::InternalError => ExitStatus::Temporary,
            Self::LoginRefused { .. } | Self::AccessRefused { .. } | Self::NoLoginMethod | Self::SignInRefused => {
                ExitStatus::Auth
            },
            Self::Tls => ExitStatus::Tls,
            Self::Configuration | Self::Credential => ExitStatus::Config,
            Self::Protocol | Self::SignInUnintelligible => ExitStatus::Protocol,
            Self::MessageTooLong => ExitStatus::Partial,
            Self::Storage | Self::Undecided => ExitStatus::Local,
        }
    }

    /// Whether the error stays until a person fixes it, as far as can be known.
    #[must_use]
    pub(crate) fn needs_a_person(self) -> bool {
        matches!(self.exit_status(), ExitStatus::Local | ExitStatus::Auth | ExitStatus::Config | ExitStatus::Tls)
    }
}

impl PollError {
    /// The exit status for scripts.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        Class::of(self).exit_status()
    }
}

impl ClientError {
    /// The exit status for scripts.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        Judgement::of_session(self).class.exit_status()
    }
}

impl NetError {
    /// The exit status for scripts.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        classification::of_network(self).exit_status()
    }
}

impl StateError {
    /// The exit status for scripts.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        Class::of_state(self).exit_status()
    }
}

impl OAuthError {
    /// The exit status for scripts.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        classification::of_sign_in(self).exit_status()
    }

    /// Whether it may well pass by itself.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.exit_status() == ExitStatus::Temporary
    }
}

impl HttpError {
    /// Whether the same request may succeed a little later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        Class::of_http(&self.problem).exit_status() == ExitStatus::Temporary
    }
}

impl CredentialError {
    /// Whether it may well work the next time by itself.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        classification::of_credential(self).exit_status() == ExitStatus::Temporary
    }
}
