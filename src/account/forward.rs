//! Where an account's mail is forwarded to if it does not stay in a Maildir.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::CredentialSource;
use super::{AuthChoice, Endpoint, TlsMode};

/// What happens to an account's mail once it is in the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// The destination.
    pub to: ForwardTo,
    /// How much may wait in the spool.
    pub spool: SpoolBounds,
}

impl Forward {
    /// Returns the file with the destination's password, if it has one of its own.
    #[must_use]
    pub fn password_file(&self) -> Option<&Path> {
        match &self.to {
            ForwardTo::Imap(to) => to.credential.file(),
            ForwardTo::Lmtp(_) | ForwardTo::Command(_) => None,
        }
    }
}

/// A destination beyond the Maildir.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardTo {
    /// A mailbox at an IMAP server, by APPEND (RFC 9051, section 6.3.12).
    Imap(Box<ImapDestination>),
    /// A local mail server, by LMTP (RFC 2033).
    Lmtp(Box<LmtpDestination>),
    /// The words of a command that reads a message from its standard input. Never empty.
    Command(Vec<OsString>),
}

/// A mailbox at an IMAP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImapDestination {
    /// The server.
    pub endpoint: Endpoint,
    /// The name to log in with.
    pub username: String,
    /// Where the password or token comes from.
    pub credential: CredentialSource,
    /// How to log in; never a method that only POP3 has, such as APOP.
    pub auth: AuthChoice,
    /// The secret is an OAuth 2.0 access token.
    pub uses_token: bool,
    /// The mailbox, as people write it. Contains no control characters.
    pub mailbox: String,
    /// The flags that messages get, as IMAP writes them.
    pub flags: Vec<String>,
    /// The most connections at a time, at least 1.
    pub connections: usize,
}

/// A recipient at an LMTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LmtpDestination {
    /// The server.
    pub server: LmtpServer,
    /// The address that the mail is for. Contains no control characters, blanks or angle brackets.
    pub recipient: String,
    /// Whether to add a header field `X-Mailferry-Id` at the top, by which a receiver can recognise a second copy.
    pub id_header: bool,
}

/// Where an LMTP server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LmtpServer {
    /// On a Unix socket.
    Socket(PathBuf),
    /// On a TCP port.
    Tcp(Box<Endpoint>),
}

/// How much may wait in a spool before fetching pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolBounds {
    /// How many octets.
    pub octets: u64,
    /// How many messages.
    pub messages: u64,
}

impl Default for SpoolBounds {
    /// 1 GiB and 10,000 messages.
    fn default() -> Self {
        Self { octets: 1 << 30, messages: 10_000 }
    }
}

/// Returns a host as it is written before a port (RFC 3986, section 3.2.2).
fn in_url(host: &str) -> Cow<'_, str> {
    if host.contains(':') { format!("[{host}]").into() } else { host.into() }
}

impl fmt::Display for ForwardTo {
    /// Writes the destination in a few words, without user names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Imap(to) => {
                let Endpoint { host, port, tls, .. } = &to.endpoint;
                let scheme = if *tls == TlsMode::Implicit { "imaps" } else { "imap" };
                write!(f, "{} at {scheme}://{}:{port}", to.mailbox, in_url(host))
            }
            Self::Lmtp(to) => match &to.server {
                LmtpServer::Socket(path) => write!(f, "{} at lmtp:{}", to.recipient, path.display()),
                LmtpServer::Tcp(endpoint) => {
                    let Endpoint { host, port, .. } = &**endpoint;
                    write!(f, "{} at lmtp://{}:{port}", to.recipient, in_url(host))
                }
            },
            Self::Command(words) => {
                let program = words.first().map(|word| word.to_string_lossy()).unwrap_or_default();
                write!(f, "the command {program}")
            }
        }
    }
}
