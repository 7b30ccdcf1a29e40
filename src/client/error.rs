//! Errors that end a session.

use std::fmt;
use std::io;
use std::time::Duration;

use super::budget;
use crate::net::NetError;
use crate::pop3::{CommandKind, FramingError, Mechanism, MessageNumber, Refusal, Response, SendError, goodbye};
use crate::provider::Provider;
use crate::sasl::{NoLoginMethod, SaslError};
use crate::text::Size;

/// Why a session is over.
#[derive(Debug)]
pub enum ClientError {
    /// There is no connection, or no trusted one.
    Net(Box<NetError>),
    /// The connection broke.
    Lost {
        /// Why.
        source: io::Error,
    },
    /// The server closed the connection before it said anything.
    NoGreeting,
    /// The server closed the connection in the middle of a session.
    Closed,
    /// The server said nothing for too long.
    Silence {
        /// How long.
        after: Duration,
    },
    /// The server sent data, but too slowly.
    TooSlow {
        /// How many octets arrived.
        octets: u64,
        /// In how much time.
        window: Duration,
    },
    /// What the server sent is not POP3.
    Framing(FramingError),
    /// The server refused the connection with its greeting.
    Unwilling {
        /// The provider that runs the server, if known.
        provider: Option<&'static Provider>,
        /// Its response.
        response: Response,
    },
    /// A plaintext greeting was expected, but the server waits for a TLS handshake.
    SpeaksTls {
        /// The port.
        port: u16,
    },
    /// STLS was refused.
    NoStls {
        /// The server's response.
        response: Response,
    },
    /// The connection is neither encrypted nor local, and the user has not allowed sending a password over it.
    Cleartext {
        /// The other end: an address, or a name behind a proxy.
        peer: String,
    },
    /// The chosen login method is not available.
    NoLogin(NoLoginMethod),
    /// The login was refused.
    Login {
        /// The provider that runs the server, if known.
        provider: Option<&'static Provider>,
        /// The command that was refused.
        asked: CommandKind,
        /// The server's response.
        response: Response,
        /// What it means.
        refusal: Refusal,
        /// Whether the password contains blanks. Passwords that are displayed in groups rarely do.
        blanks: bool,
    },
    /// The server refused a mechanism that it does not announce, before it judged a credential.
    NotOffered(Box<NotOffered>),
    /// The exchange of the SASL mechanism went wrong.
    Sasl {
        /// The mechanism.
        mechanism: Mechanism,
        /// What went wrong.
        error: SaslError,
    },
    /// The server ended the session before the maildrop was listed, and said why.
    Goodbye {
        /// The provider that runs the server, if known.
        provider: Option<&'static Provider>,
        /// Its response.
        response: Response,
        /// Whether the login had succeeded.
        logged_in: bool,
    },
    /// A command that every server must support was refused after a successful login.
    Refused {
        /// The provider that runs the server, if known.
        provider: Option<&'static Provider>,
        /// The command.
        asked: CommandKind,
        /// The server's response.
        response: Response,
    },
    /// The server delivers no more messages for now: a download limit is reached.
    DownloadLimit {
        /// The provider that runs the server, if known.
        provider: Option<&'static Provider>,
        /// Its response.
        response: Response,
    },
    /// The server has no unique-ids, and mail is to stay there.
    NoUniqueIds,
    /// The server refuses UIDL, which it supported before.
    UniqueIdsRefused,
    /// The listing needs more memory than this process may use.
    ListedTooMuch {
        /// How many bytes this listing already held.
        held: usize,
    },
    /// A message is longer than it may be.
    TooLong(TooLong),
    /// A command could not be sent.
    Send(SendError),
}

/// A mechanism that the server does not have.
#[derive(Debug, Clone)]
pub struct NotOffered {
    /// The mechanisms with which the account can log in.
    pub wanted: Vec<Mechanism>,
    /// The SASL mechanisms that the server announces, escaped.
    pub offered: Vec<String>,
    /// The server's response.
    pub response: Response,
}

impl fmt::Display for NotOffered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (not, or) = if self.wanted.len() > 1 { ("offers neither", " nor ") } else { ("does not offer", "") };
        let names: Vec<&str> = self.wanted.iter().map(|mechanism| mechanism.name()).collect();
        write!(
            f,
            "the server {not} {} (it offers {}) and refused the login, {}",
            names.join(or),
            self.offered.join(", "),
            words(&self.response)
        )
    }
}

/// A message that is longer than it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooLong {
    /// The message, as shown to the user.
    pub what: String,
    /// How many octets had arrived.
    pub came: u64,
    /// How many octets are allowed.
    pub most: u64,
    /// Where the limit comes from.
    pub because: TooLongFor,
}

/// Where the limit on a message's size comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooLongFor {
    /// The account's max_message_size.
    Account,
    /// The listing, which gave a much smaller size.
    Listing,
    /// The free disk space, of which the message would take too much.
    FreeSpace,
    /// The limit on headers.
    Header,
}

impl TooLong {
    /// Makes the error for a header of which this many octets arrived.
    #[must_use]
    pub fn header(number: MessageNumber, came: u64, most: u64) -> Self {
        Self { what: format!("the header of message {number}"), came, most, because: TooLongFor::Header }
    }
}

impl TooLong {
    /// Describes how much arrived and why no more was accepted.
    #[must_use]
    pub fn reason(&self) -> String {
        let (came, most) = (Size(self.came), Size(self.most));
        match self.because {
            TooLongFor::Account => format!("{came} had come, and the account takes no message of more than {most}"),
            TooLongFor::Listing => format!("{came} had come, far more than it was listed as"),
            TooLongFor::FreeSpace => {
                format!("{came} had come, and a single message gets no more than {most} of the free space")
            }
            TooLongFor::Header => format!("{came} had come, and no header has more than {most}"),
        }
    }
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is larger than it may be: {}. The session was ended there, and the message stays on the server",
            self.what,
            self.reason()
        )
    }
}

impl ClientError {
    /// Whether a server that cannot handle pipelining might end a session with this error.
    #[must_use]
    pub fn may_be_because_of_pipelining(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::Closed | Self::Silence { .. } | Self::Framing(_))
    }

    /// Whether this follows from what the server said, rather than from a connection that could not be made or failed.
    #[must_use]
    pub fn is_servers_word(&self) -> bool {
        match self {
            Self::Net(_)
            | Self::Lost { .. }
            | Self::NoGreeting
            | Self::Closed
            | Self::Silence { .. }
            | Self::TooSlow { .. } => false,
            Self::Framing(_)
            | Self::Unwilling { .. }
            | Self::Goodbye { .. }
            | Self::SpeaksTls { .. }
            | Self::NoStls { .. }
            | Self::Cleartext { .. }
            | Self::NoLogin(_)
            | Self::NotOffered(_)
            | Self::Sasl { .. }
            | Self::Login { .. }
            | Self::Refused { .. }
            | Self::DownloadLimit { .. }
            | Self::NoUniqueIds
            | Self::UniqueIdsRefused
            | Self::ListedTooMuch { .. }
            | Self::TooLong(_)
            | Self::Send(_) => true,
        }
    }

    /// Whether the listing would be too large even if no other account were listing.
    #[must_use]
    pub fn is_too_much_alone(&self) -> bool {
        matches!(self, Self::ListedTooMuch { held } if *held > budget::LISTINGS / 2)
    }

    /// Turns an unsolicited response into a goodbye, if it is a refusal: the reason why it closed the connection. Only
    /// valid before anything was retrieved.
    #[must_use]
    pub(super) fn or_goodbye(self, provider: Option<&'static Provider>, logged_in: bool) -> Self {
        match &self {
            Self::Framing(FramingError::Unsolicited { excerpt }) => match goodbye(excerpt) {
                Some(response) => Self::Goodbye { provider, response, logged_in },
                None => self,
            },
            _ => self,
        }
    }
}

/// Quotes a server's response with its response code; the text is escaped already. Its full stop is dropped, because
/// our own sentence has one.
fn words(response: &Response) -> String {
    let code = response.code.as_ref().map(|code| format!("[{code}] ")).unwrap_or_default();
    if code.is_empty() && response.text.is_empty() {
        return "without a word".to_owned();
    }
    let words = response.words();
    let words = words.strip_suffix('.').filter(|sentence| !sentence.ends_with('.')).unwrap_or(words);
    format!("saying \"{code}{words}\"")
}

impl ClientError {
    /// Formats the errors that carry a refusal.
    fn fmt_refusal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unwilling { response, .. } => write!(f, "the server refused the connection, {}", words(response)),
            Self::Goodbye { response, logged_in: false, .. } => {
                write!(f, "the server ended the session before the login, {}", words(response))
            }
            Self::Goodbye { response, logged_in: true, .. } => {
                write!(f, "the server accepted the login and then ended the session, {}", words(response))
            }
            Self::Login { response, refusal: Refusal::Credentials, .. } => {
                write!(f, "the server refused the login, {}", words(response))
            }
            Self::Login { response, refusal: Refusal::Permanent, .. } => {
                write!(f, "the server refuses this account, {}", words(response))
            }
            Self::Login { response, refusal: Refusal::Temporary, .. } => {
                write!(f, "the server cannot accept the login now, {}", words(response))
            }
            Self::DownloadLimit { response, .. } => {
                write!(f, "the server gives no more messages for now, {}", words(response))
            }
            Self::Refused { asked, response, .. } => {
                write!(
                    f,
                    "the server accepted the login and then refused {asked}, {}. Nothing was changed",
                    words(response)
                )
            }
            _ => Ok(()),
        }
    }
}

fn fmt_listed_too_much(f: &mut fmt::Formatter<'_>, alone: bool) -> fmt::Result {
    match alone {
        true => write!(
            f,
            "the server lists more than there is memory for ({} for the listings of all accounts). Nothing was changed",
            Size(u64::try_from(budget::LISTINGS).unwrap_or(u64::MAX))
        ),
        false => f.write_str(
            "the listings of other accounts take so much memory now that there was not enough for this one. Nothing was \
             changed",
        ),
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(e) => e.fmt(f),
            Self::Lost { source } => write!(f, "the connection broke: {}", crate::text::system(source)),
            Self::NoGreeting => f.write_str("the server closed the connection before it greeted"),
            Self::Closed => f.write_str("the server closed the connection in the middle of the session"),
            Self::Silence { after } => write!(f, "the server said nothing for {} s", after.as_secs()),
            Self::TooSlow { octets, window } => {
                write!(
                    f,
                    "the server sent only {octets} octets in {} s, so the connection was closed",
                    window.as_secs()
                )
            }
            Self::Framing(e) => e.fmt(f),
            Self::Unwilling { .. }
            | Self::Goodbye { .. }
            | Self::Login { .. }
            | Self::Refused { .. }
            | Self::DownloadLimit { .. } => self.fmt_refusal(f),
            Self::SpeaksTls { port } => {
                write!(f, "port {port} begins with TLS, and a plaintext greeting was expected")
            }
            Self::NoStls { response } => write!(
                f,
                "the server refused STLS, {}, so there is no encryption on this port. No password was sent",
                words(response)
            ),
            Self::Cleartext { peer } => write!(
                f,
                "the server's address {} is not on this machine, and without TLS the password would be sent there in \
                 clear. It was not sent",
                peer
            ),
            Self::NoLogin(e) => e.fmt(f),
            Self::NotOffered(e) => e.fmt(f),
            Self::Sasl { mechanism, error } => write!(f, "the login with {mechanism} failed because {error}"),
            Self::NoUniqueIds => {
                f.write_str("the server has no UIDL, so mail that stays there cannot be told from new mail")
            }
            Self::UniqueIdsRefused => f.write_str(
                "the server refuses UIDL, which it answered before, so new mail cannot be told from what was fetched. \
                 Nothing was changed",
            ),
            Self::ListedTooMuch { .. } => fmt_listed_too_much(f, self.is_too_much_alone()),
            Self::TooLong(e) => e.fmt(f),
            Self::Send(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for ClientError {}

impl From<FramingError> for ClientError {
    fn from(e: FramingError) -> Self {
        Self::Framing(e)
    }
}

impl From<SendError> for ClientError {
    fn from(e: SendError) -> Self {
        Self::Send(e)
    }
}

impl From<NetError> for ClientError {
    fn from(e: NetError) -> Self {
        Self::Net(Box::new(e))
    }
}
