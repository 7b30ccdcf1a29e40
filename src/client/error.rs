//! How a session ends early.

use std::fmt;
use std::io;
use std::time::Duration;

use bytesize::ByteSize;

use super::budget;
use crate::exit::ExitStatus;
use crate::net::{NetError, NetErrorClass};
use crate::pop3::{
    CommandKind, FramingError, Mechanism, MessageNumber, Refusal, Response, SendError, goodbye, judge_access,
};
use crate::sasl::{NoLoginMethod, SaslError};

/// Why a session is over. Every message ends with the next step.
#[derive(Debug)]
pub enum ClientError {
    /// No connection, or no trusted one.
    Net(Box<NetError>),
    /// The connection broke.
    Lost {
        /// Why.
        source: io::Error,
    },
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
        /// Its words.
        response: Response,
        /// Whether it had let us in.
        logged_in: bool,
    },
    /// A command that every server has to know was refused, behind a good login.
    Refused {
        /// The command.
        asked: CommandKind,
        /// The server's words.
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
        let size = |octets: u64| ByteSize::b(octets).display().iec().to_string();
        let (came, most) = (size(self.came), size(self.most));
        match self.because {
            TooLongFor::Account => format!("{came} had come, and max_message_size is {most}"),
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
            "{} is larger than it may be: {}. The session was ended there; the message stays on the server and is tried \
             last from now on",
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
    pub(super) fn or_goodbye(self, logged_in: bool) -> Self {
        match &self {
            Self::Framing(FramingError::Unsolicited { excerpt }) => match goodbye(excerpt) {
                Some(response) => Self::Goodbye { response, logged_in },
                None => self,
            },
            _ => self,
        }
    }

    /// The exit status that tells a script about it.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Net(e) => match e.class() {
                NetErrorClass::Temporary => ExitStatus::Temporary,
                NetErrorClass::Tls => ExitStatus::Tls,
                NetErrorClass::Config => ExitStatus::Config,
            },
            Self::SpeaksTls { .. }
            | Self::NoStls { .. }
            | Self::Framing(FramingError::BytesBeforeTls | FramingError::LooksLikeTls) => ExitStatus::Tls,
            Self::Cleartext { .. } => ExitStatus::Config,
            Self::NoLogin(_) | Self::Login { refusal: Refusal::Credentials | Refusal::Permanent, .. } => {
                ExitStatus::Auth
            }
            Self::Unwilling { response } | Self::Goodbye { response, .. } => match judge_access(response) {
                Some(Refusal::Permanent) => ExitStatus::Auth,
                _ => ExitStatus::Temporary,
            },
            Self::Refused { response, .. } => match judge_access(response) {
                Some(Refusal::Permanent) => ExitStatus::Auth,
                Some(_) => ExitStatus::Temporary,
                None => ExitStatus::Protocol,
            },
            Self::Sasl { error, .. } if error.is_impostor() => ExitStatus::Tls,
            Self::Sasl { error: SaslError::Unsendable { .. }, .. } => ExitStatus::Auth,
            Self::Sasl { .. } => ExitStatus::Protocol,
            // Mostly a goodbye ahead of its time: "-ERR idle for too long".
            Self::Framing(FramingError::Unsolicited { .. }) => ExitStatus::Temporary,
            Self::ListedTooMuch { .. } if self.is_too_much_alone() => ExitStatus::Protocol,
            Self::Framing(_) | Self::NoUniqueIds | Self::Send(_) => ExitStatus::Protocol,
            // Whatever else there was has been fetched.
            Self::TooLong(_) => ExitStatus::Partial,
            Self::Lost { .. }
            | Self::UniqueIdsRefused
            | Self::Closed
            | Self::Silence { .. }
            | Self::TooSlow { .. }
            | Self::ListedTooMuch { .. }
            | Self::Login { refusal: Refusal::Temporary, .. } => ExitStatus::Temporary,
        }
    }
}

/// A server's words in quotes, with its response code; they are escaped already.
fn words(response: &Response) -> String {
    let code = response.code.as_ref().map(|code| format!("[{code}] ")).unwrap_or_default();
    if code.is_empty() && response.text.is_empty() {
        return "without a word".to_owned();
    }
    format!("saying \"{code}{}\"", response.words())
}

fn fmt_login(
    f: &mut fmt::Formatter<'_>,
    asked: CommandKind,
    response: &Response,
    refusal: Refusal,
    blanks: bool,
) -> fmt::Result {
    let words = words(response);
    match refusal {
        Refusal::Credentials => {
            write!(
                f,
                "the server refused the login, {words}. Check username and password; some providers want an app \
                 password or authorization code, or POP3 to be switched on in their web settings"
            )?;
            if asked == CommandKind::Apop {
                f.write_str(
                    ". It may be APOP that is refused: a server needs the password in clear for it, and few keep it so; \
                     with auth = \"auto\" or auth = \"user\" it is not used",
                )?;
            }
            if blanks {
                f.write_str(
                    "; the password holds blanks: app passwords are often shown in groups, to be typed without",
                )?;
            }
            Ok(())
        }
        Refusal::Permanent => write!(
            f,
            "the server refuses this account, {words}. It will not pass by itself: switch POP3 on in the account's web \
             settings, or ask the server's operator"
        ),
        Refusal::Temporary => write!(f, "the server cannot let us in now, {words}. Try again later"),
    }
}

fn fmt_listed_too_much(f: &mut fmt::Formatter<'_>, alone: bool) -> fmt::Result {
    if !alone {
        return f.write_str(
            "the listings of other accounts take so much memory now that there was not enough for this one. Nothing was \
             changed; try again later",
        );
    }
    write!(
        f,
        "the server lists more than there is memory for ({} for the listings of all accounts). Nothing was changed; delete \
         mail there, or move it out of the mailbox that POP3 shows",
        ByteSize::b(u64::try_from(budget::LISTINGS).unwrap_or(u64::MAX)).display().iec()
    )
}

/// A refusal that is not about the login; `what` is what was refused.
fn fmt_access(f: &mut fmt::Formatter<'_>, what: &str, response: &Response) -> fmt::Result {
    write!(f, "{what}, {}. ", words(response))?;
    f.write_str(match judge_access(response) {
        Some(Refusal::Permanent) => {
            "It will not pass by itself: switch POP3 on in the account's web settings, or ask the server's operator"
        }
        _ => "Try again later",
    })
}

impl ClientError {
    /// What the server said no to.
    fn fmt_refusal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unwilling { response } => fmt_access(f, "the server refused the connection", response),
            Self::Goodbye { response, logged_in: false } => {
                fmt_access(f, "the server ended the session before the login", response)
            }
            Self::Goodbye { response, logged_in: true } => {
                fmt_access(f, "the server let us in and then ended the session", response)
            }
            Self::Login { asked, response, refusal, blanks } => fmt_login(f, *asked, response, *refusal, *blanks),
            Self::Refused { asked, response } if judge_access(response).is_some() => {
                fmt_access(f, &format!("the server let us in and then refused {asked}"), response)
            }
            Self::Refused { asked, response } => write!(
                f,
                "the server refused {asked}, {}. Nothing was changed; run with -v and ask its operator",
                words(response)
            ),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(e) => e.fmt(f),
            Self::Lost { source } => write!(f, "the connection broke: {source}. Try again later"),
            Self::Closed => {
                f.write_str("the server closed the connection in the middle of the session. Try again later")
            }
            Self::Silence { after } => write!(
                f,
                "the server said nothing for {} s. Try again later, or allow it more time with `timeout`",
                after.as_secs()
            ),
            Self::TooSlow { octets, window } => write!(
                f,
                "the server sent only {octets} octets in {} s, and was given up. Try again later",
                window.as_secs()
            ),
            Self::Framing(e) => e.fmt(f),
            Self::Unwilling { .. } | Self::Goodbye { .. } | Self::Login { .. } | Self::Refused { .. } => {
                self.fmt_refusal(f)
            }
            Self::SpeaksTls { port } => write!(
                f,
                "port {port} begins with TLS, and a plaintext greeting was expected. Set tls = \"implicit\", or give \
                 the plaintext port, usually 110"
            ),
            Self::NoStls { response } => write!(
                f,
                "the server refused STLS, {}, so there is no encryption on this port. No password was sent. Use tls = \
                 \"implicit\" with port 995 if the server has it",
                words(response)
            ),
            Self::Cleartext { peer } => write!(
                f,
                "the server's address {} is not on this machine, and tls = \"none\" would send the password in clear. \
                 Use TLS, or write allow_cleartext_password = true if that is really meant",
                peer
            ),
            Self::NoLogin(e) => e.fmt(f),
            Self::Sasl { mechanism, error } => write!(f, "the login by {mechanism} failed because {error}"),
            Self::NoUniqueIds => f.write_str(
                "the server has no UIDL, so mail that stays there cannot be told from new mail. Set leave_on_server = \
                 false to fetch and delete",
            ),
            Self::UniqueIdsRefused => f.write_str(
                "the server refuses UIDL, which it answered before, so new mail cannot be told from what was fetched. \
                 Nothing was changed; try again later",
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
