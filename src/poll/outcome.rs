//! What a poll means for the next one.

use super::error::PollError;
use super::report::PollReport;
use crate::client::ClientError;
use crate::https::{HttpError, HttpProblem};
use crate::net::{NetError, NetErrorClass};
use crate::oauth::OAuthError;
use crate::pop3::{FramingError, Refusal, Response, ResponseCode, is_too_soon, judge_access};
use crate::schedule::{Cause, End, Outcome};
use crate::state::error::StateError;

impl PollReport {
    /// What the schedule wants to know of it.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let end = match &self.end {
            // Messages that could not be had this time are asked for again at the regular time.
            Ok(()) => End::Dealt { more: self.more },
            Err(e) => end(e),
        };
        let let_in = matches!(&self.end, Err(PollError::Client(e)) if came_after_the_login(e));
        Outcome { logged_in: self.logged_in || let_in, new: self.retrieved, login_delay: self.login_delay, end }
    }
}

/// These are said by a server that has let us in.
fn came_after_the_login(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Refused { .. }
            | ClientError::Goodbye { logged_in: true, .. }
            | ClientError::NoUniqueIds
            | ClientError::UniqueIdsRefused
            | ClientError::ListedTooMuch { .. }
            | ClientError::TooLong(_)
    )
}

fn end(error: &PollError) -> End {
    End::Trouble(match error {
        PollError::Client(ClientError::Login { refusal: Refusal::Credentials, response, .. }) => {
            return End::Refused { explicit: response.code == Some(ResponseCode::Auth) };
        }
        PollError::Stopped => return End::Stopped,
        PollError::Client(e) => cause_at_the_server(e),
        PollError::State(StateError::Locked { .. }) => Cause::LockedByAnother,
        PollError::State(StateError::OtherUser { .. }) => Cause::Configuration,
        PollError::State(_) | PollError::Maildir { .. } | PollError::InsufficientSpace { .. } | PollError::NoThread => {
            Cause::Storage
        }
        PollError::Credential(_) => Cause::Credential,
        PollError::OAuth(e) => cause_of_no_token(e),
        // The user has to decide, and every look costs the server a listing.
        PollError::Renumbered { .. } => Cause::Protocol,
        PollError::TooSlow { .. } => Cause::TooSlow,
        PollError::InternalError(_) => Cause::InternalError,
    })
}

fn cause_of_no_token(error: &OAuthError) -> Cause {
    match error {
        OAuthError::Http(HttpError { problem: HttpProblem::Net(e), .. }) => cause_in_the_network(e),
        OAuthError::Http(HttpError { problem: HttpProblem::Status(_), .. }) => Cause::ServerBusy,
        OAuthError::Http(e) if e.is_temporary() => Cause::ConnectionLost,
        OAuthError::Busy { .. } => Cause::LockedByAnother,
        OAuthError::File { .. } | OAuthError::State(_) | OAuthError::NotDone(_) => Cause::Storage,
        _ => Cause::Credential,
    }
}

fn cause_at_the_server(error: &ClientError) -> Cause {
    match error {
        ClientError::ListedTooMuch { .. } if error.is_too_much_alone() => Cause::Protocol,
        ClientError::Net(e) => cause_in_the_network(e),
        ClientError::Lost { .. }
        | ClientError::Closed
        | ClientError::Silence { .. }
        | ClientError::ListedTooMuch { .. }
        // Mostly a goodbye ahead of its time.
        | ClientError::Framing(FramingError::Unsolicited { .. }) => Cause::ConnectionLost,
        ClientError::TooSlow { .. } => Cause::TooSlow,
        ClientError::SpeaksTls { .. }
        | ClientError::NoStls { .. }
        | ClientError::Framing(FramingError::BytesBeforeTls | FramingError::LooksLikeTls) => Cause::Tls,
        ClientError::Cleartext { .. } => Cause::Configuration,
        ClientError::Sasl { error, .. } if error.is_impostor() => Cause::Tls,
        ClientError::Sasl { .. } => Cause::Protocol,
        ClientError::Login { refusal: Refusal::Permanent, .. } => Cause::AccessRefused,
        ClientError::Login { response, .. } => busy(response),
        // Some servers let everybody in, and say only then that it will not be now, or not at all.
        ClientError::Refused { response, .. } => match judge_access(response) {
            Some(Refusal::Permanent) => Cause::AccessRefused,
            Some(_) => busy(response),
            None => Cause::Protocol,
        },
        ClientError::Unwilling { response } | ClientError::Goodbye { response, .. } => match judge_access(response) {
            Some(Refusal::Permanent) => Cause::AccessRefused,
            _ => busy(response),
        },
        ClientError::UniqueIdsRefused => Cause::ServerBusy,
        ClientError::Framing(_)
        | ClientError::TooLong(_)
        | ClientError::NoLogin(_)
        | ClientError::NoUniqueIds
        | ClientError::Send(_) => Cause::Protocol,
    }
}

fn cause_in_the_network(error: &NetError) -> Cause {
    match error.class() {
        // Somebody was there.
        NetErrorClass::Temporary
            if matches!(error, NetError::TlsTimeout { .. } | NetError::ClosedDuringHandshake { .. }) =>
        {
            Cause::ConnectionLost
        }
        NetErrorClass::Temporary => Cause::NetworkDown,
        NetErrorClass::Tls => Cause::Tls,
        NetErrorClass::Config => Cause::Configuration,
    }
}

fn busy(response: &Response) -> Cause {
    if is_too_soon(response) { Cause::RateLimited } else { Cause::ServerBusy }
}

#[cfg(test)]
#[path = "outcome_tests.rs"]
mod tests;
