//! Assigns errors to classes.

use crate::client::ClientError;
use crate::credential::{CommandFault, CredentialError, ReadFault};
use crate::https::HttpProblem;
use crate::net::{CaFileProblem, ClientCertificateProblem, NetError, ProxyProblem};
use crate::oauth::OAuthError;
use crate::poll::PollError;
use crate::pop3::{FramingError, Refusal, Response, ResponseCode, is_too_soon, judge_access};
use crate::sasl::SaslError;
use crate::state::error::StateError;
use crate::system_limit;

/// The class of an error: who or what can end it, and how soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// No name, address or connection: nothing was heard from the server.
    Unreachable,
    /// The server was reached, but the connection broke or fell silent.
    ConnectionLost,
    /// Almost nothing came.
    TooSlow,
    /// The listings of other accounts left too little memory for this one.
    ListingsTooLarge,
    /// The server is busy, or another session holds the maildrop: this will pass.
    Busy {
        /// When the server said so.
        stage: Stage,
        /// Whether the server complains that the last login was too recent.
        rate_limited: bool,
    },
    /// The server refused the user name or password.
    LoginRefused {
        /// Whether the server blames the credentials explicitly, by the response code AUTH (RFC 3206, section 5).
        explicit: bool,
    },
    /// The server will not serve this account until a person acts (RFC 3206, section 4).
    AccessRefused {
        /// When the server said so.
        stage: Stage,
    },
    /// The server does not support the chosen login method.
    NoLoginMethod,
    /// There is no trusted, encrypted connection.
    Tls,
    /// The configuration cannot work.
    Configuration,
    /// The server does not behave like a POP3 server, or lacks what this account needs.
    Protocol,
    /// A message exceeds its allowed size; everything else has been fetched.
    MessageTooLong,
    /// The Maildir or the state cannot be used.
    Storage,
    /// The same, but the system may soon have the missing resource, or another process may be done.
    StorageLater,
    /// The user has to decide about the mail, and every look costs the server a listing.
    Undecided,
    /// Another process polls the account.
    Locked,
    /// There is no password to log in with.
    Credential,
    /// The same, but it may well work the next time by itself.
    CredentialLater,
    /// Nobody has signed in, or what was granted has expired or was refused.
    SignInRefused,
    /// The authorization server does not behave like one.
    SignInUnintelligible,
    /// A stop was requested. Whoever did so knows why.
    Stopped,
    /// A bug in mailferry.
    InternalError,
}

/// Where in a session the server said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// In the greeting.
    Greeting,
    /// In response to the login.
    Login,
    /// At any other time.
    Session,
}

/// All that follows from an error that ended a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Judgement {
    /// Who or what can end it, and how soon.
    pub(super) class: Class,
    /// Whether the server had accepted a login before.
    pub(super) is_after_login: bool,
    /// Whether the poll says nothing of the account: it was stopped, or another process has the account and records how
    /// its own poll ends.
    pub(super) is_no_poll: bool,
}

impl Judgement {
    /// Judges an error that ended a poll.
    #[must_use]
    pub(super) fn of(error: &PollError) -> Self {
        match error {
            PollError::Client(e) => Self::of_session(e),
            PollError::State(e) => {
                let class = Class::of_state(e);
                Self { is_no_poll: class == Class::Locked, ..Self::new(class) }
            }
            PollError::Stopped => Self { is_no_poll: true, ..Self::new(Class::Stopped) },
            PollError::Credential(e) => Self::new(of_credential(e)),
            PollError::OAuth(e) => Self::new(of_sign_in(e)),
            PollError::Maildir { source, .. } if system_limit::may_pass(source) => Self::new(Class::StorageLater),
            PollError::Maildir { .. } | PollError::InsufficientSpace { .. } | PollError::DiskHangs { .. } => {
                Self::new(Class::Storage)
            }
            PollError::Renumbered { .. } => Self::new(Class::Undecided),
            PollError::TooSlow { .. } => Self::new(Class::TooSlow),
            PollError::CredentialTakesLong { .. } => Self::new(Class::CredentialLater),
            PollError::NoThread => Self::new(Class::StorageLater),
            PollError::InternalError(_) => Self::new(Class::InternalError),
        }
    }

    /// Judges an error that ended a session.
    #[must_use]
    pub(super) fn of_session(error: &ClientError) -> Self {
        match error {
            ClientError::Net(e) => Self::new(of_network(e)),
            ClientError::Lost { .. } | ClientError::NoGreeting | ClientError::Closed | ClientError::Silence { .. } => {
                Self::new(Class::ConnectionLost)
            }
            ClientError::TooSlow { .. } => Self::new(Class::TooSlow),
            ClientError::Framing(e) => Self::new(of_framing(e)),
            ClientError::SpeaksTls { .. } | ClientError::NoStls { .. } => Self::new(Class::Tls),
            ClientError::Cleartext { .. } => Self::new(Class::Configuration),
            ClientError::NoLogin(_) | ClientError::NotOffered(_) => Self::new(Class::NoLoginMethod),
            ClientError::Sasl { error, .. } => Self::new(of_sasl(error)),
            ClientError::Login { refusal, response, .. } => Self::new(of_login(*refusal, response)),
            ClientError::Send(_) => Self::new(Class::Protocol),
            ClientError::Unwilling { response, .. } => Self::new(of_access(response, Stage::Greeting)),
            ClientError::Goodbye { response, logged_in, .. } => {
                Self { is_after_login: *logged_in, ..Self::new(of_access(response, Stage::Session)) }
            }
            // Some servers accept every login, and only then say that access is not possible now, or at all.
            ClientError::Refused { response, .. } => Self::after_login(match judge_access(response) {
                Some(_) => of_access(response, Stage::Session),
                None => Class::Protocol,
            }),
            ClientError::UniqueIdsRefused | ClientError::DownloadLimit { .. } => {
                Self::after_login(Class::Busy { stage: Stage::Session, rate_limited: false })
            }
            ClientError::ListedTooMuch { .. } if !error.is_too_much_alone() => {
                Self::after_login(Class::ListingsTooLarge)
            }
            ClientError::NoUniqueIds | ClientError::ListedTooMuch { .. } => Self::after_login(Class::Protocol),
            ClientError::TooLong(_) => Self::after_login(Class::MessageTooLong),
        }
    }

    /// An error of this class, of which nothing else follows.
    fn new(class: Class) -> Self {
        Self { class, is_after_login: false, is_no_poll: false }
    }

    /// An error that only comes after a login.
    fn after_login(class: Class) -> Self {
        Self { is_after_login: true, ..Self::new(class) }
    }
}

impl Class {
    /// Returns the class of an error that ended a poll.
    #[must_use]
    pub(crate) fn of(error: &PollError) -> Self {
        Judgement::of(error).class
    }

    /// Returns the class of what happened to an HTTP request.
    #[must_use]
    pub(crate) fn of_http(problem: &HttpProblem) -> Self {
        match problem {
            HttpProblem::Net(e) => of_network(e),
            HttpProblem::TimedOut(_) | HttpProblem::Broken(_) => Self::ConnectionLost,
            HttpProblem::Status(_) => Self::Busy { stage: Stage::Session, rate_limited: false },
            HttpProblem::Address | HttpProblem::NotHttp { .. } | HttpProblem::TooLarge(_) => Self::SignInUnintelligible,
        }
    }

    /// Returns the class of an error of the state.
    #[must_use]
    pub(crate) fn of_state(error: &StateError) -> Self {
        match error {
            StateError::Locked { .. } => Self::Locked,
            StateError::RenamedAndPolled { .. } => Self::StorageLater,
            StateError::Io { source, .. } if system_limit::may_pass(source) => Self::StorageLater,
            StateError::OtherUser { .. } | StateError::SameFiles { .. } => Self::Configuration,
            StateError::Io { .. }
            | StateError::OpenToAll { .. }
            | StateError::Damaged { .. }
            | StateError::Newer { .. }
            | StateError::LineEnds { .. }
            | StateError::Renamed { .. }
            | StateError::Lost { .. }
            | StateError::Traces { .. }
            | StateError::Vanished { .. }
            | StateError::OtherOwner { .. }
            | StateError::Moved { .. }
            | StateError::FormerMaildir { .. }
            | StateError::MaildirMissing { .. }
            | StateError::MaildirReplaced { .. } => Self::Storage,
        }
    }
}

fn of_sasl(error: &SaslError) -> Class {
    match error {
        SaslError::Unsendable { .. } => Class::NoLoginMethod,
        SaslError::WrongProof | SaslError::NoProof => Class::Tls,
        SaslError::NotBase64
        | SaslError::OneTooMany
        | SaslError::Malformed { .. }
        | SaslError::Iterations { .. }
        | SaslError::Refused { .. } => Class::Protocol,
    }
}

fn of_login(refusal: Refusal, response: &Response) -> Class {
    match refusal {
        Refusal::Credentials => Class::LoginRefused { explicit: response.code == Some(ResponseCode::Auth) },
        Refusal::Permanent => Class::AccessRefused { stage: Stage::Login },
        Refusal::Temporary => busy(response, Stage::Login),
    }
}

fn of_access(response: &Response, stage: Stage) -> Class {
    match judge_access(response) {
        Some(Refusal::Permanent) => Class::AccessRefused { stage },
        Some(Refusal::Credentials | Refusal::Temporary) | None => busy(response, stage),
    }
}

fn busy(response: &Response, stage: Stage) -> Class {
    Class::Busy { stage, rate_limited: is_too_soon(response) }
}

fn of_framing(error: &FramingError) -> Class {
    match error {
        FramingError::BytesBeforeTls | FramingError::LooksLikeTls => Class::Tls,
        // Mostly a premature goodbye: "-ERR idle for too long".
        FramingError::Unsolicited { .. } => Class::ConnectionLost,
        FramingError::NotPop3 { .. }
        | FramingError::LineTooLong { .. }
        | FramingError::TooManyLines { .. }
        | FramingError::TooManyOctets { .. }
        | FramingError::OutOfStep { .. } => Class::Protocol,
    }
}

pub(super) fn of_network(error: &NetError) -> Class {
    match error {
        NetError::Resolve { .. }
        | NetError::LookupsHang { .. }
        | NetError::NoAddress { .. }
        | NetError::Connect { .. }
        | NetError::ConnectTimeout { .. }
        | NetError::SourceAddress { .. }
        | NetError::System { .. } => Class::Unreachable,
        NetError::Proxy { problem, .. } => of_proxy(problem),
        // A server was there.
        NetError::TlsTimeout { .. } | NetError::ClosedDuringHandshake { .. } => Class::ConnectionLost,
        NetError::NotTls { .. }
        | NetError::Certificate { .. }
        | NetError::Handshake { .. }
        | NetError::NoTrustStore { .. } => Class::Tls,
        NetError::CaFile { why, .. } => of_ca_file(why),
        NetError::ClientCertificate { why: ClientCertificateProblem::Read(e), .. } if system_limit::of(e).is_some() => {
            Class::Unreachable
        }
        NetError::ClientCertificate { .. } | NetError::InvalidName { .. } | NetError::NoAddressOnRoute { .. } => {
            Class::Configuration
        }
    }
}

fn of_proxy(problem: &ProxyProblem) -> Class {
    match problem {
        ProxyProblem::NotAProxy | ProxyProblem::CredentialsRefused => Class::Configuration,
        ProxyProblem::Unreachable(_) | ProxyProblem::Refused(_) | ProxyProblem::Lost(_) | ProxyProblem::TimedOut(_) => {
            Class::Unreachable
        }
    }
}

/// Returns the class of an error of the sign-in that provides the access token.
pub(super) fn of_sign_in(error: &OAuthError) -> Class {
    match error {
        OAuthError::Http(e) => Class::of_http(&e.problem),
        OAuthError::Unintelligible { .. } => Class::SignInUnintelligible,
        OAuthError::Busy { .. } => Class::Locked,
        OAuthError::NotDone(_) => Class::StorageLater,
        OAuthError::Secret(e) => of_credential(e),
        OAuthError::NoClient { .. } | OAuthError::NoSuchWay { .. } => Class::Credential,
        OAuthError::State(e) => Class::of_state(e),
        OAuthError::File { .. } => Class::Storage,
        OAuthError::NotSignedIn { .. }
        | OAuthError::SignInAgain { .. }
        | OAuthError::Refused { .. }
        | OAuthError::Scope { .. }
        | OAuthError::NoRefreshToken
        | OAuthError::Callback { .. }
        | OAuthError::NotTheAddress
        | OAuthError::TooLate => Class::SignInRefused,
    }
}

fn of_ca_file(problem: &CaFileProblem) -> Class {
    match problem {
        CaFileProblem::Read(e) if system_limit::of(e).is_some() => Class::Unreachable,
        CaFileProblem::Read(_)
        | CaFileProblem::NotAFile
        | CaFileProblem::TooLarge(_)
        | CaFileProblem::TooSlow(_)
        | CaFileProblem::NoCertificate
        | CaFileProblem::Damaged { .. } => Class::Configuration,
    }
}

pub(super) fn of_credential(error: &CredentialError) -> Class {
    match error {
        CredentialError::Command { fault, .. } => of_command(fault),
        CredentialError::File { fault, .. } => match fault {
            ReadFault::Io(e) if system_limit::of(e).is_some() => Class::CredentialLater,
            ReadFault::Io(_) | ReadFault::NotRegular(_) | ReadFault::TooLarge(_) => Class::Credential,
        },
        CredentialError::Exposed(_)
        | CredentialError::CredentialName { .. }
        | CredentialError::NoCredentialsDirectory { .. }
        | CredentialError::NoCredential { .. }
        | CredentialError::SignIn
        | CredentialError::Contents { .. } => Class::Credential,
    }
}

fn of_command(fault: &CommandFault) -> Class {
    match fault {
        CommandFault::TimedOut { .. } => Class::CredentialLater,
        CommandFault::NotStarted(e) | CommandFault::Lost(e) if system_limit::of(e).is_some() => Class::CredentialLater,
        CommandFault::NotFound
        | CommandFault::NotStarted(_)
        | CommandFault::Lost(_)
        | CommandFault::Failed { .. }
        | CommandFault::Killed { .. }
        | CommandFault::TooMuch { .. } => Class::Credential,
    }
}

#[cfg(test)]
#[path = "classification_tests.rs"]
mod tests;
