//! Errors that end a session, and reasons not to send a command.

use std::fmt;

use super::command::{CommandError, CommandKind};
use super::listing::MessageNumber;
use super::printable::excerpt;
use super::state::SessionState;

/// The server broke the rules on where an answer begins or ends. The session is over: no later byte can be trusted to
/// belong to the command that it seems to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FramingError {
    /// A status line begins with neither `+` nor `-` (RFC 1939, section 3).
    NotPop3 {
        /// The line's beginning, escaped.
        excerpt: String,
        /// The protocol that it belongs to.
        speaks: OtherProtocol,
    },
    /// The first bytes are a TLS record: the port expects TLS from the start (RFC 8314, section 3.1).
    LooksLikeTls,
    /// A line has no end within its limit.
    LineTooLong {
        /// The command whose answer contains it.
        to: CommandKind,
        /// The maximum length of such a line, in octets.
        limit: usize,
    },
    /// An answer has more lines than [`limits`](super::limits) allows.
    TooManyLines {
        /// The command whose answer it is.
        to: CommandKind,
        /// The maximum number of lines in such an answer.
        limit: usize,
    },
    /// An answer has more octets than [`limits`](super::limits) allows.
    TooManyOctets {
        /// The command whose answer it is.
        to: CommandKind,
        /// The maximum length of such an answer, in octets.
        limit: u64,
    },
    /// Bytes arrived although no command was outstanding.
    Unsolicited {
        /// The beginning of those bytes, escaped.
        excerpt: String,
    },
    /// What should be the answer to STAT, or to LIST or UIDL for one message, is not: there was an answer too many
    /// before it, so no answer can be trusted to belong to the command that it seems to answer.
    OutOfStep {
        /// The command whose answer is due.
        to: CommandKind,
        /// The beginning of that answer's text, escaped.
        excerpt: String,
    },
    /// Unencrypted bytes followed the `+OK` to STLS. They were not sent under TLS and must not be used there (the
    /// response injection of CVE-2020-14954 and others).
    BytesBeforeTls,
}

/// The protocol of a server that does not speak POP3, by the first line that is not POP3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherProtocol {
    /// The line is the greeting of an IMAP server (RFC 9051, section 7.1).
    Imap,
    /// It could be anything.
    Unknown,
}

impl OtherProtocol {
    /// Returns the protocol to which this line belongs.
    fn of(line: &[u8]) -> Self {
        let is_imap = [&b"* OK"[..], b"* PREAUTH", b"* BYE"].iter().any(|greeting| line.starts_with(greeting));
        if is_imap { Self::Imap } else { Self::Unknown }
    }
}

impl FramingError {
    /// Makes the error for a status line that begins with neither `+` nor `-`.
    pub(super) fn not_pop3(line: &[u8]) -> Self {
        Self::NotPop3 { excerpt: excerpt(line), speaks: OtherProtocol::of(line) }
    }

    /// Makes the error for a response with this text that cannot be the answer to this command.
    #[must_use]
    pub fn out_of_step(to: CommandKind, text: &str) -> Self {
        Self::OutOfStep { to, excerpt: excerpt(text.as_bytes()) }
    }
}

impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPop3 { excerpt, .. } => {
                write!(f, "the server does not speak POP3: it said \"{excerpt}\" where +OK or -ERR was expected")
            }
            Self::LooksLikeTls => f.write_str("the server speaks TLS from the first byte on this port"),
            Self::LineTooLong { to, limit } => {
                write!(f, "the server's answer to {to} has a line of more than {limit} octets")
            }
            Self::TooManyLines { to, limit } => {
                write!(f, "the server's answer to {to} has more than {limit} lines and does not end")
            }
            Self::TooManyOctets { to, limit } => {
                write!(f, "the server's answer to {to} has more than {limit} octets and does not end")
            }
            Self::Unsolicited { excerpt } if excerpt.is_empty() => {
                f.write_str("the server sent data without being asked")
            }
            Self::Unsolicited { excerpt } => {
                write!(f, "the server sent data without being asked, and said \"{excerpt}\"")
            }
            Self::OutOfStep { to, excerpt } => write!(
                f,
                "the server's answers do not belong to the commands: it said \"{excerpt}\" where the answer to {to} was \
                 expected, so a message may have ended early"
            ),
            Self::BytesBeforeTls => f.write_str(
                "the server sent more in clear after it agreed to begin TLS, which somebody in between may have \
                 injected",
            ),
        }
    }
}

impl std::error::Error for FramingError {}

/// Why a command was not sent. Nothing was written, and the session goes on as before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendError {
    /// The command is not allowed in this state of the session (RFC 1939, section 3).
    OutOfTurn {
        /// The command.
        command: CommandKind,
        /// The state of the session.
        state: SessionState,
    },
    /// A command that must be the last of its flight is outstanding: PASS, APOP, AUTH, STLS or QUIT (RFC 2449,
    /// section 6.6; RFC 2595, section 4). Wait for its answer; after STLS, for the handshake.
    MustWait,
    /// The server is not waiting for an answer to a challenge (RFC 5034, section 4).
    NoChallenge,
    /// The last answer was not the `+OK` to STLS (RFC 2595, section 4).
    NoHandshakeDue,
    /// The command cannot be written as one line.
    Command(CommandError),
    /// The proof that the message may be deleted comes from another session.
    OtherSession {
        /// Its number there.
        number: MessageNumber,
    },
}

impl From<CommandError> for SendError {
    fn from(error: CommandError) -> Self {
        Self::Command(error)
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfTurn { command, state } => {
                write!(f, "{command} cannot be sent {state}")
            }
            Self::MustWait => f.write_str("a command cannot be sent before the one ahead of it is answered"),
            Self::OtherSession { number } => {
                write!(f, "message {number} of another session cannot be deleted in this one")
            }
            Self::NoChallenge => f.write_str("an answer to a challenge cannot be sent because the server gave none"),
            Self::NoHandshakeDue => f.write_str("TLS cannot begin because the server did not just agree to STLS"),
            Self::Command(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Command(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_the_server_said() {
        let error = FramingError::not_pop3(b"220 smtp.example.org ESMTP");
        assert!(error.to_string().contains("220 smtp.example.org ESMTP"), "{error}");
        let error = FramingError::TooManyLines { to: CommandKind::Uidl(None), limit: 3 };
        assert!(error.to_string().contains("UIDL has more than 3 lines"));
    }

    #[test]
    fn names_the_command_and_the_state_that_do_not_fit() {
        let error = SendError::OutOfTurn { command: CommandKind::Stat, state: SessionState::Authorization };
        assert!(error.to_string().starts_with("STAT cannot be sent before the login"), "{error}");
    }
}
