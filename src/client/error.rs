//! How a session ends early.

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
    /// No connection, or no trusted one.
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
    /// The server says something, but too little.
    TooSlow {
        /// So many octets.
        octets: u64,
        /// In so much time.
        window: Duration,
    },
    /// What the server says is not POP3.
    Framing(FramingError),
    /// The server does not want to talk to anybody now.
    Unwilling {
        /// Whose server it is, if that is known.
        provider: Option<&'static Provider>,
        /// Its words.
        response: Response,
    },
    /// A plaintext connection was asked for, and the server waits for TLS to begin.
    SpeaksTls {
        /// The port.
        port: u16,
    },
    /// STLS was refused.
    NoStls {
        /// The server's words.
        response: Response,
    },
    /// The connection is neither protected nor on this machine, and the user has not allowed a password there.
    Cleartext {
        /// Where it leads: an address, or behind a proxy a name.
        peer: String,
    },
    /// The chosen way to log in is not there.
    NoLogin(NoLoginMethod),
    /// The login was refused.
    Login {
        /// Whose server it is, if that is known.
        provider: Option<&'static Provider>,
        /// The last command.
        asked: CommandKind,
        /// The server's words.
        response: Response,
        /// What they mean.
        refusal: Refusal,
        /// Whether the password holds blanks, which most of those that are shown in groups do not.
        blanks: bool,
    },
    /// The mechanism of the login was not spoken as it has to be.
    Sasl {
        /// The mechanism.
        mechanism: Mechanism,
        /// What went wrong.
        error: SaslError,
    },
    /// The server ended the session before the maildrop was listed, and said why.
    Goodbye {
        /// Whose server it is, if that is known.
        provider: Option<&'static Provider>,
        /// Its words.
        response: Response,
        /// Whether it had let us in.
        logged_in: bool,
    },
    /// A command that every server has to know was refused, behind a good login.
    Refused {
        /// Whose server it is, if that is known.
        provider: Option<&'static Provider>,
        /// The command.
        asked: CommandKind,
        /// The server's words.
        response: Response,
    },
    /// The server gives no more messages for now: it has given as many as it gives in a time.
    DownloadLimit {
        /// Whose server it is, if that is known.
        provider: Option<&'static Provider>,
        /// Its words.
        response: Response,
    },
    /// The server has no unique-ids, and mail is to stay there.
    NoUniqueIds,
    /// The server refuses UIDL, and had it before.
    UniqueIdsRefused,
    /// The server lists more than this process has memory for.
    ListedTooMuch {
        /// What this listing held already, in bytes.
        held: usize,
    },
    /// A message goes on beyond what it may have.
    TooLong(TooLong),
    /// A command could not be sent.
    Send(SendError),
}

/// A message that went on beyond what it may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooLong {
    /// The message, as a person would name it.
    pub what: String,
    /// How many octets had come.
    pub came: u64,
    /// How many there may be.
    pub most: u64,
    /// Why no more.
    pub because: TooLongFor,
}

/// Why a message may have no more octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooLongFor {
    /// The account has max_message_size.
    Account,
    /// It was listed as much smaller.
    Listing,
    /// It would take too much of the free room.
    FreeSpace,
    /// No header has so many.
    Header,
}

impl TooLong {
    /// A header of which so many octets came.
    #[must_use]
    pub fn header(number: MessageNumber, came: u64, most: u64) -> Self {
        Self { what: format!("the header of message {number}"), came, most, because: TooLongFor::Header }
    }
}

impl TooLong {
    /// What came, and why no more was taken.
    #[must_use]
    pub fn reason(&self) -> String {
        let (came, most) = (Size(self.came), Size(self.most));
        match self.because {
            TooLongFor::Account => format!("{came} had come, and the account takes no message of more than {most}"),
            TooLongFor::Listing => format!("{came} had come, far more than it was listed as"),
            TooLongFor::FreeSpace => {
                format!("{came} had come, and a single message gets no more than {most} of the free room")
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
    /// Whether a server that cannot bear commands ahead of their answers might end a session so.
    #[must_use]
    pub fn may_be_because_of_pipelining(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::Closed | Self::Silence { .. } | Self::Framing(_))
    }

    /// Whether a listing is too long even if no other account lists anything at the same time.
    #[must_use]
    pub fn is_too_much_alone(&self) -> bool {
        matches!(self, Self::ListedTooMuch { held } if *held > budget::LISTINGS / 2)
    }

    /// What a server says without being asked, before anything was retrieved: the reason for its hanging up, where it is
    /// a refusal.
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

/// A server's words in quotes, with its response code; they are escaped already. The full stop of its sentence is left to
/// ours.
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
    /// What the server said no to.
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
            Self::Sasl { mechanism, error } => write!(f, "the login by {mechanism} failed because {error}"),
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
