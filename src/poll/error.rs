//! Why a poll ends early.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::account::AccountName;
use crate::client::ClientError;
use crate::client::login::LoginError;
use crate::credential::CredentialError;
use crate::delivery::DeliveryError;
use crate::internal_error::{InternalCause, InternalError, WorkError};
use crate::oauth::OAuthError;
use crate::state::error::StateError;
use crate::text::{Count, Size};
use crate::threads::NotDone;
use crate::watch::{self, TooSlow};

/// Why a poll did not complete.
#[derive(Debug)]
pub enum PollError {
    /// The session with the server failed.
    Client(ClientError),
    /// The state, or the Maildir as the state knows it, is not usable.
    State(StateError),
    /// The password could not be obtained.
    Credential(CredentialError),
    /// The access token could not be obtained.
    OAuth(OAuthError),
    /// The Maildir cannot be created or written to.
    Maildir {
        /// What was being done.
        doing: &'static str,
        /// The path concerned.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// There is too little free space for the next message and the reserve.
    InsufficientSpace {
        /// The directory concerned.
        path: PathBuf,
        /// The messages, if known.
        message: Option<Box<DoesNotFit>>,
    },
    /// The server seems to have changed its unique-ids, and nothing can be compared to recognise its messages by.
    Renumbered {
        /// The account.
        account: AccountName,
        /// How many messages might be fetched a second time.
        messages: usize,
    },
    /// Too little came, or one message took too long, while other accounts waited for a place.
    TooSlow {
        /// How many octets came.
        octets: u64,
        /// In this time.
        window: Duration,
    },
    /// The credential was not available in time, and other accounts waited for theirs.
    CredentialTakesLong {
        /// How long it was waited for.
        waited: Duration,
    },
    /// A disk did not respond: that of the Maildir, the state or the password file.
    DiskHangs {
        /// How long it has not responded.
        waited: Duration,
    },
    /// The user or the system requested a stop.
    Stopped,
    /// The system has no thread left for the poll.
    NoThread,
    /// A bug in mailferry.
    InternalError(InternalError),
}

/// Messages that do not fit on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoesNotFit {
    /// The first message, named for a person.
    pub what: String,
    /// How many messages do not fit.
    pub messages: u64,
    /// Their listed size, in octets.
    pub octets: u64,
    /// The free space including the reserve, in bytes.
    pub available: u64,
    /// How much of that was promised to other messages that were coming in, in bytes.
    pub promised: u64,
    /// The reserve, in bytes.
    pub reserve: u64,
    /// The first one is larger than the whole file system.
    pub never: bool,
    /// What the system said when it refused to write the first one although there was free space.
    pub refusal: Option<String>,
    /// How many others were fetched.
    pub fetched: u64,
}

/// Returns why a poll ended that may have been ended in favour of others.
pub(super) fn because_others_waited(error: PollError) -> PollError {
    match (&error, watch::stopped_with()) {
        (PollError::Stopped, Some(TooSlow { octets, time })) => PollError::TooSlow { octets, window: time },
        (PollError::Client(ClientError::TooSlow { octets, window }), _) if watch::is_cut_short() => {
            PollError::TooSlow { octets: *octets, window: *window }
        }
        _ => error,
    }
}

impl PollError {
    /// Returns the error for a state of affairs that should be impossible.
    pub(crate) fn contradiction(doing: &'static str, what: &'static str) -> Self {
        Self::InternalError(InternalError { doing, cause: InternalCause::Contradiction(what) })
    }

    /// Whether a server that cannot handle pipelining might end a session like this.
    #[must_use]
    pub fn may_be_because_of_pipelining(&self) -> bool {
        matches!(self, Self::Client(e) if e.may_be_because_of_pipelining())
    }

    /// Whether the session failed, rather than something on this machine.
    #[must_use]
    pub fn is_about_the_server(&self) -> bool {
        matches!(self, Self::Client(_))
    }
}

impl fmt::Display for PollError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(e) => e.fmt(f),
            Self::State(e) => e.fmt(f),
            Self::Credential(e) => e.fmt(f),
            Self::OAuth(e) => e.fmt(f),
            Self::Maildir { doing, path, source } => {
                write!(f, "cannot {doing} {}: {}", path.display(), crate::text::system(source))
            }
            Self::InsufficientSpace { path, message: Some(unfit) } => unfit.fmt(f, path),
            Self::InsufficientSpace { path, message: None } => {
                write!(f, "too little free space in {} for the next message and the reserve", path.display())
            }
            Self::Renumbered { messages, .. } => write!(
                f,
                "the server seems to have given every message another unique-id, and too little is remembered to \
                 recognise all of them by their headers or their bytes: {messages} messages could be fetched a second \
                 time. Nothing was fetched"
            ),
            Self::TooSlow { octets, window } => write!(
                f,
                "only {octets} useful octets came in {} s while other accounts waited for their turn, so the poll was \
                 ended. Nothing is lost: the next one continues after what was delivered",
                window.as_secs()
            ),
            Self::CredentialTakesLong { waited } => write!(
                f,
                "what it logs in with was not there after {} s while other accounts waited for theirs, so the poll was ended",
                waited.as_secs()
            ),
            Self::DiskHangs { waited } => write!(
                f,
                "its disk has not responded for {} s (the Maildir, the state, or the file of the password), so the poll \
                 was ended. Nothing is lost: the next one continues from here",
                waited.as_secs()
            ),
            Self::Stopped => f.write_str("interrupted. Nothing is lost: the next run continues from here"),
            Self::NoThread => write!(f, "{}. Nothing is lost: the next run continues from here", NotDone::NoThread),
            Self::InternalError(e) => write!(f, "mailferry had an internal error ({e}). Nothing is lost"),
        }
    }
}

impl DoesNotFit {
    /// Adds messages that did not fit later.
    pub(super) fn and(self, later: &Self) -> Self {
        let (messages, octets) = (self.messages + later.messages, self.octets.saturating_add(later.octets));
        Self { messages, octets, ..self }
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>, path: &Path) -> fmt::Result {
        f.write_str(&self.what)?;
        match self.messages.saturating_sub(1) {
            0 => f.write_str(" does not fit")?,
            others => write!(f, " and {} ({} in all) do not fit", Count(others, "other"), Size(self.octets))?,
        }
        write!(f, " into {}: ", path.display())?;
        match &self.refusal {
            Some(refusal) => write!(f, "{refusal}. ")?,
            None => write!(f, "{}. ", Room(self))?,
        }
        if self.never {
            f.write_str("Not even an empty file system would be large enough. ")?;
        }
        match self.fetched {
            0 => f.write_str("Nothing else was fetched"),
            1 => f.write_str("1 other was fetched"),
            more => write!(f, "{more} others were fetched"),
        }
    }
}

/// The room that there was.
struct Room<'a>(&'a DoesNotFit);

impl fmt::Display for Room<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DoesNotFit { available, promised, reserve, .. } = *self.0;
        let (available, reserve) = (Size(available), Size(reserve));
        match promised {
            0 => write!(f, "{available} are free there, and {reserve} are kept free"),
            promised => write!(
                f,
                "{available} are free there, {} are for messages that are coming in, and {reserve} are kept free",
                Size(promised)
            ),
        }
    }
}

impl std::error::Error for PollError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::InternalError(e) => Some(e),
            _ => None,
        }
    }
}

impl From<ClientError> for PollError {
    fn from(e: ClientError) -> Self {
        Self::Client(e)
    }
}

impl From<LoginError> for PollError {
    fn from(e: LoginError) -> Self {
        Self::Client(e.error)
    }
}

impl From<DeliveryError> for PollError {
    fn from(e: DeliveryError) -> Self {
        match e {
            DeliveryError::State(e) => Self::State(e),
            DeliveryError::Maildir { doing, path, source } => Self::Maildir { doing, path, source },
            DeliveryError::Work(e) => e.into(),
        }
    }
}

impl From<WorkError> for PollError {
    fn from(e: WorkError) -> Self {
        match e {
            WorkError::NoThread => Self::NoThread,
            WorkError::Internal(e) => Self::InternalError(e),
        }
    }
}

impl From<StateError> for PollError {
    fn from(e: StateError) -> Self {
        Self::State(e)
    }
}

impl From<OAuthError> for PollError {
    fn from(e: OAuthError) -> Self {
        Self::OAuth(e)
    }
}

impl From<CredentialError> for PollError {
    fn from(e: CredentialError) -> Self {
        Self::Credential(e)
    }
}
