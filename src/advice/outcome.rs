//! What each class means for the time of the next poll.

use super::classification::{Class, Judgement};
use crate::poll::PollReport;
use crate::schedule::{Cause, End, Outcome};

impl Class {
    /// What it means for the time of the next poll.
    #[must_use]
    pub(crate) fn end(self) -> End {
        End::Failed(match self {
            Self::LoginRefused { explicit } => return End::Refused { explicit },
            Self::Stopped => return End::Stopped,
            Self::Unreachable => Cause::NetworkDown,
            Self::ConnectionLost | Self::ListingsTooLarge => Cause::ConnectionLost,
            Self::TooSlow => Cause::TooSlow,
            Self::Busy { rate_limited: true, .. } => Cause::RateLimited,
            Self::Busy { rate_limited: false, .. } => Cause::ServerBusy,
            Self::AccessRefused { .. } => Cause::AccessRefused,
            Self::Tls => Cause::Tls,
            Self::Configuration => Cause::Configuration,
            Self::NoLoginMethod | Self::Protocol | Self::MessageTooLong | Self::Undecided => Cause::Protocol,
            Self::Storage | Self::StorageLater => Cause::Storage,
            Self::Locked => Cause::LockedByAnother,
            Self::Credential | Self::CredentialLater | Self::SignInRefused | Self::SignInUnintelligible => {
                Cause::Credential
            }
            Self::InternalError => Cause::InternalError,
        })
    }
}

impl PollReport {
    /// Why it failed, as far as this poll alone can tell: the schedule may doubt a refused login. None if the poll did
    /// not fail, or was stopped.
    #[must_use]
    pub fn failure(&self) -> Option<Cause> {
        match self.outcome().end {
            End::Dealt { .. } | End::HadItsShare | End::Stopped => None,
            End::Refused { .. } => Some(Cause::LoginRefused),
            End::Failed(cause) => Some(cause),
        }
    }

    /// Whether it says nothing of the account: the poll was stopped, or another process has the account and records how
    /// its own poll ends.
    #[must_use]
    pub fn says_nothing_of_the_account(&self) -> bool {
        self.end.as_ref().is_err_and(|error| Judgement::of(error).is_no_poll)
    }

    /// Summarizes the poll for the schedule.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let end = match &self.end {
            // Messages that could not be retrieved are tried again at the regular time.
            Ok(()) if self.had_its_share => End::HadItsShare,
            Ok(()) => End::Dealt { more: self.more },
            Err(e) => Class::of(e).end(),
        };
        let was_let_in = self.end.as_ref().is_err_and(|error| Judgement::of(error).is_after_login);
        Outcome { logged_in: self.logged_in || was_let_in, new: self.retrieved, login_delay: self.login_delay, end }
    }
}
