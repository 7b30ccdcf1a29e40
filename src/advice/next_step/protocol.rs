//! What a server does that is not POP3, and what cannot be sent to it.

use super::{REPORT_IT, TRY_LATER};
use crate::pop3::{CommandError, FramingError, SendError};

pub(super) fn framing(error: &FramingError) -> &'static str {
    match error {
        FramingError::NotPop3 { .. } => "Check the host and the port",
        FramingError::LooksLikeTls => {
            "Set tls = \"implicit\", or use the port meant for a connection without TLS (usually 110)"
        }
        FramingError::LineTooLong { .. } => "Check that this is a POP3 server, and tell its operator",
        FramingError::TooManyLines { .. } | FramingError::TooManyOctets { .. } | FramingError::OutOfStep { .. } => {
            "Tell the server's operator"
        }
        FramingError::Unsolicited { .. } => TRY_LATER,
        FramingError::BytesBeforeTls => "Use tls = \"implicit\" if the server offers it, or another network",
    }
}

pub(super) fn sending(error: &SendError) -> &'static str {
    match error {
        SendError::OutOfTurn { .. }
        | SendError::MustWait
        | SendError::OtherSession { .. }
        | SendError::NoChallenge
        | SendError::NoHandshakeDue => REPORT_IT,
        SendError::Command(e) => match e {
            CommandError::Forbidden { .. } | CommandError::NulInCredentials => "Correct it",
            CommandError::TooLong { .. } => "Try auth = \"plain\", which has no such limit",
        },
    }
}
