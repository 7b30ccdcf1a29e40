//! Server behaviour that is not POP3, and commands that cannot be sent.

use super::{REPORT_IT, TRY_LATER};
use crate::pop3::{CommandError, FramingError, OtherProtocol, SendError};

pub(super) fn framing(error: &FramingError) -> &'static str {
    match error {
        FramingError::NotPop3 { speaks, .. } => match speaks {
            OtherProtocol::Imap => {
                "This is an IMAP server: POP3 is usually at port 995, or 110 with tls = \"starttls\""
            }
            OtherProtocol::Unknown => "Check the host and the port",
        },
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
