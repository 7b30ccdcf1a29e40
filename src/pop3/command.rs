//! Commands: how they are written on the wire, and how they may appear in a log.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::limits;
use super::listing::MessageNumber;
use super::mechanism::Mechanism;
use crate::secret::Secret;
use crate::text;

/// A command with its arguments, which are checked when it is sent.
///
/// `Display` and `Debug` show what a log may hold: no password, no digest, no control character.
#[derive(Clone)]
pub enum Command {
    /// Asks for the capabilities (RFC 2449, section 5).
    Capa,
    /// Begins TLS (RFC 2595, section 4).
    Stls,
    /// Asks for text in UTF-8 and for messages as they are (RFC 6856, section 2.1).
    Utf8,
    /// The name of the maildrop (RFC 1939, section 7).
    User(String),
    /// The password, verbatim with all blanks (RFC 1939, section 7).
    Pass(Secret),
    /// The name, and the proof of knowing the secret (RFC 1939, section 7).
    Apop {
        /// The name of the maildrop.
        username: String,
        /// The result of [`apop_digest`](crate::sasl::apop_digest).
        digest: String,
    },
    /// Logs in with SASL (RFC 5034).
    Auth {
        /// The mechanism.
        mechanism: Mechanism,
        /// The first message of the mechanism, not encoded. If the line would be longer than [`limits::COMMAND_LINE`],
        /// the session holds it back and answers the server's first challenge with it.
        initial_response: Option<Secret>,
    },
    /// Asks for the number and total size of the messages (RFC 1939, section 5).
    Stat,
    /// Asks for the size of one message, or of each (RFC 1939, section 5).
    List(Option<MessageNumber>),
    /// Asks for the unique-id of one message, or of each (RFC 1939, section 7).
    Uidl(Option<MessageNumber>),
    /// Retrieves a message (RFC 1939, section 5).
    Retr(MessageNumber),
    /// Retrieves the header of a message and the first lines of its body (RFC 1939, section 7).
    Top {
        /// Which message.
        number: MessageNumber,
        /// How many lines of the body.
        lines: u32,
    },
    /// Marks a message as deleted; the server removes it after QUIT (RFC 1939, section 5).
    Dele(MessageNumber),
    /// Does nothing (RFC 1939, section 5).
    Noop,
    /// Unmarks all messages (RFC 1939, section 5).
    Rset,
    /// Ends the session; after a login the server then removes the marked messages (RFC 1939, sections 4 and 6).
    Quit,
}

impl Command {
    /// Returns which kind of command this is.
    #[must_use]
    pub fn kind(&self) -> CommandKind {
        match self {
            Self::Capa => CommandKind::Capa,
            Self::Stls => CommandKind::Stls,
            Self::Utf8 => CommandKind::Utf8,
            Self::User(_) => CommandKind::User,
            Self::Pass(_) => CommandKind::Pass,
            Self::Apop { .. } => CommandKind::Apop,
            Self::Auth { mechanism, .. } => CommandKind::Auth(*mechanism),
            Self::Stat => CommandKind::Stat,
            Self::List(number) => CommandKind::List(*number),
            Self::Uidl(number) => CommandKind::Uidl(*number),
            Self::Retr(number) => CommandKind::Retr(*number),
            Self::Top { number, .. } => CommandKind::Top(*number),
            Self::Dele(number) => CommandKind::Dele(*number),
            Self::Noop => CommandKind::Noop,
            Self::Rset => CommandKind::Rset,
            Self::Quit => CommandKind::Quit,
        }
    }

    /// Appends the command's line to `output`. Returns the initial response if it did not fit and has to wait for the
    /// server's challenge. On an error `output` is unchanged.
    pub(super) fn write_to(self, output: &mut Vec<u8>) -> Result<Option<Secret>, CommandError> {
        match &self {
            Self::User(username) => write_line(output, "USER", &[("the user name", username.as_bytes())])?,
            Self::Pass(password) => write_line(output, "PASS", &[("the password", password.expose())])?,
            Self::Apop { username, digest } => write_line(
                output,
                "APOP",
                &[("the user name", username.as_bytes()), ("the digest", digest.as_bytes())],
            )?,
            Self::Auth { mechanism, initial_response } => {
                let name = ("the mechanism", mechanism.name().as_bytes());
                let Some(response) = initial_response else {
                    return write_line(output, "AUTH", &[name]).map(|()| None);
                };
                check_response(*mechanism, response)?;
                let encoded = encode_initial_response(response);
                let length = "AUTH ".len() + mechanism.name().len() + " ".len() + encoded.expose().len() + "\r\n".len();
                if length > limits::COMMAND_LINE {
                    write_line(output, "AUTH", &[name])?;
                    return Ok(Some(response.clone()));
                }
                write_line(output, "AUTH", &[name, ("the initial response", encoded.expose())])?;
            }
            // The others contain only words and numbers, so the log shows what is sent.
            _ => write_line(output, &self.to_string(), &[])?,
        }
        Ok(None)
    }
}

/// Appends a line with a keyword and arguments, or nothing at all on an error.
fn write_line(output: &mut Vec<u8>, keyword: &str, arguments: &[(&'static str, &[u8])]) -> Result<(), CommandError> {
    for (argument, octets) in arguments {
        if let Some(&octet) = octets.iter().find(|octet| matches!(octet, b'\r' | b'\n' | 0)) {
            return Err(CommandError::Forbidden { argument, octet });
        }
    }
    let octets = keyword.len() + arguments.iter().map(|(_, octets)| octets.len() + 1).sum::<usize>() + "\r\n".len();
    if octets > limits::COMMAND_LINE {
        let longest = arguments.iter().max_by_key(|(_, octets)| octets.len());
        let argument = longest.map_or("the command", |(argument, _)| argument);
        return Err(CommandError::TooLong { argument, octets });
    }
    // Reserved at once, so that growing leaves no copy of a password in freed memory.
    output.reserve(octets);
    output.extend_from_slice(keyword.as_bytes());
    for (_, octets) in arguments {
        output.push(b' ');
        output.extend_from_slice(octets);
    }
    output.extend_from_slice(b"\r\n");
    Ok(())
}

/// Rejects a response that the server would misread.
pub(super) fn check_response(mechanism: Mechanism, response: &Secret) -> Result<(), CommandError> {
    match mechanism {
        // PLAIN has two NULs between its three parts; any other is inside a part (RFC 4616, section 2).
        Mechanism::Plain if response.expose().iter().filter(|&&octet| octet == 0).count() != 2 => {
            Err(CommandError::NulInCredentials)
        }
        _ => Ok(()),
    }
}

/// Encodes in base64. Stays secret, because it is easily decoded.
pub(super) fn encode_response(response: &Secret) -> Secret {
    Secret::new(STANDARD.encode(response.expose()).into_bytes())
}

/// Encodes for the AUTH line, where an empty response is written as "=" to tell it from none (RFC 5034, section 4).
fn encode_initial_response(response: &Secret) -> Secret {
    if response.expose().is_empty() { Secret::new(b"=".to_vec()) } else { encode_response(response) }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(username) => write!(f, "USER {}", text::words(username)),
            Self::Pass(_) => f.write_str("PASS [secret]"),
            Self::Apop { username, .. } => write!(f, "APOP {} [secret]", text::words(username)),
            Self::Auth { mechanism, initial_response: Some(_) } => write!(f, "AUTH {mechanism} [secret]"),
            Self::Auth { mechanism, initial_response: None } => write!(f, "AUTH {mechanism}"),
            Self::Top { number, lines } => write!(f, "TOP {number} {lines}"),
            _ => self.kind().fmt(f),
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({self})")
    }
}

/// A kind of command, to tell which one a response answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CommandKind {
    /// No command: the server speaks first.
    Greeting,
    /// CAPA.
    Capa,
    /// STLS.
    Stls,
    /// UTF8.
    Utf8,
    /// USER.
    User,
    /// PASS.
    Pass,
    /// APOP.
    Apop,
    /// AUTH by this mechanism.
    Auth(Mechanism),
    /// STAT.
    Stat,
    /// LIST, of one message or all.
    List(Option<MessageNumber>),
    /// UIDL, of one message or all.
    Uidl(Option<MessageNumber>),
    /// RETR of this message.
    Retr(MessageNumber),
    /// TOP of this message.
    Top(MessageNumber),
    /// DELE of this message.
    Dele(MessageNumber),
    /// NOOP.
    Noop,
    /// RSET.
    Rset,
    /// QUIT.
    Quit,
}

impl fmt::Display for CommandKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Greeting => f.write_str("the connection (the greeting)"),
            Self::Capa => f.write_str("CAPA"),
            Self::Stls => f.write_str("STLS"),
            Self::Utf8 => f.write_str("UTF8"),
            Self::User => f.write_str("USER"),
            Self::Pass => f.write_str("PASS"),
            Self::Apop => f.write_str("APOP"),
            Self::Auth(mechanism) => write!(f, "AUTH {mechanism}"),
            Self::Stat => f.write_str("STAT"),
            Self::List(None) => f.write_str("LIST"),
            Self::List(Some(number)) => write!(f, "LIST {number}"),
            Self::Uidl(None) => f.write_str("UIDL"),
            Self::Uidl(Some(number)) => write!(f, "UIDL {number}"),
            Self::Retr(number) => write!(f, "RETR {number}"),
            Self::Top(number) => write!(f, "TOP {number}"),
            Self::Dele(number) => write!(f, "DELE {number}"),
            Self::Noop => f.write_str("NOOP"),
            Self::Rset => f.write_str("RSET"),
            Self::Quit => f.write_str("QUIT"),
        }
    }
}

/// Why a command cannot be written as one line. Nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandError {
    /// CR, LF or NUL in an argument: it would end the line and begin another command.
    Forbidden {
        /// The argument that contains it, in words.
        argument: &'static str,
        /// The octet.
        octet: u8,
    },
    /// The line is longer than [`limits::COMMAND_LINE`].
    TooLong {
        /// The longest argument, in words.
        argument: &'static str,
        /// The length of the line in octets, including CRLF.
        octets: usize,
    },
    /// The user name or the password of PLAIN contains a NUL (RFC 4616, section 2).
    NulInCredentials,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden { argument, octet } => {
                let what = if *octet == 0 { "a NUL" } else { "a line end" };
                write!(f, "{argument} cannot be sent to the server because it holds {what}")
            }
            Self::TooLong { argument, octets } => write!(
                f,
                "{argument} is too long to be sent to the server: the line would have {octets} octets, and POP3 allows \
                 {}",
                limits::COMMAND_LINE
            ),
            Self::NulInCredentials => f.write_str(
                "the user name and the password cannot be sent by AUTH PLAIN because one of them holds a NUL",
            ),
        }
    }
}

impl std::error::Error for CommandError {}

#[cfg(test)]
mod tests;
