//! An account as the rest of the program sees it: validated, plain values.
//!
//! Nothing here knows where a value came from. `config` makes accounts from TOML; tests make them by hand.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::routing::Routing;

mod credential_source;
mod endpoint;
mod forward;
mod maildir_mode;
mod name;
mod notify_settings;
pub mod preset;
mod route;
pub mod server_url;
mod tls_options;

pub use credential_source::{CredentialSource, OAuthSettings};
pub use endpoint::{Endpoint, KeyExchange, TlsMode};
pub use forward::{Forward, ForwardTo, ImapDestination, LmtpDestination, LmtpServer, SpoolBounds};
pub use maildir_mode::{InvalidMaildirMode, MaildirMode};
pub use name::{AccountName, InvalidAccountName};
pub use notify_settings::NotifySettings;
pub use route::{IpVersion, Proxy, ProxyCredentials, ProxyKind, Route};
pub use tls_options::{ClientCertificate, PublicKeyPin, TlsOptions, TlsTrust};

/// A maildrop to fetch, and where its mail goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The user's name for it; also the stem of its files in the state directory.
    pub name: AccountName,
    /// Whether it is polled when no account is named.
    pub enabled: bool,
    /// Where the maildrop is and how the connection is protected. Accounts on one server share it.
    pub endpoint: Arc<Endpoint>,
    /// The name given to USER, APOP or AUTH. Holds no control characters.
    pub username: String,
    /// Where the password comes from; obtained anew for each poll.
    pub credential: CredentialSource,
    /// How to log in.
    pub auth: AuthChoice,
    /// The secret is an OAuth 2.0 access token (RFC 6750).
    pub uses_token: bool,
    /// The absolute path of the Maildir. If all mail is forwarded, or all that matches no rule, [`Account::with_spool`]
    /// replaces it by that of the spool.
    pub maildir: PathBuf,
    /// Where mail is forwarded to from the spool. `None`: all of it stays in Maildirs.
    pub forward: Option<Arc<Forward>>,
    /// Which messages go elsewhere.
    pub routing: Routing,
    /// The permissions of directories and files created in the Maildir.
    pub maildir_mode: MaildirMode,
    /// What happens to a message on the server once it is delivered.
    pub removal: RemovalPolicy,
    /// The time between two polls of the daemon.
    pub interval: Interval,
    /// How long the server may stay silent before the connection is given up.
    pub timeout: Duration,
    /// Messages reported larger than this many octets stay on the server.
    pub max_message_size: Option<u64>,
    /// At most this many messages are retrieved in one session.
    pub max_messages_per_session: Option<NonZeroU32>,
    /// The user says that the server only estimates the sizes that it lists, so a different size is no evidence that a
    /// message came incomplete.
    pub sizes_are_estimates: bool,
    /// The words of a command that the daemon runs after a poll that brought new mail. Never empty; accounts with the
    /// same command share it.
    pub on_new_mail: Option<Arc<[OsString]>>,
}

impl Account {
    /// Returns the account with its mail going into its spool in the state directory, if it is to be forwarded.
    #[must_use]
    pub fn with_spool(self, state_dir: &Path) -> Self {
        if self.forward.is_none() {
            return self;
        }
        let before = self.name.spool();
        let spool = state_dir.join(&before);
        let routing = self.routing.with_path(&before, &spool);
        let is_beside = self.maildir != before && self.maildir != spool;
        if is_beside && routing.other_maildirs().iter().any(|other| other.path == spool) {
            return Self { routing, ..self };
        }
        // If there are other Maildirs, they get the configured permissions; the spool is in a private directory anyway.
        let maildir_mode = if routing.other_maildirs().is_empty() { MaildirMode::PRIVATE } else { self.maildir_mode };
        Self { maildir: spool, maildir_mode, routing, ..self }
    }

    /// Returns its own Maildir. `None` if that is its spool, whose messages are still to be forwarded.
    #[must_use]
    pub fn own_maildir(&self) -> Option<&Path> {
        let is_spool = self.forward.is_some() && self.maildir.ends_with(self.name.spool());
        (!is_spool).then_some(&*self.maildir)
    }

    /// Returns all Maildirs that it delivers to, its own first, each once.
    #[must_use]
    pub fn maildirs(&self) -> Vec<MaildirOf<'_>> {
        let own = MaildirOf { path: &self.maildir, is_folder: false };
        let others = self.routing.other_maildirs().into_iter().filter(|other| other.path != self.maildir);
        let others = others.map(|other| MaildirOf { path: &other.path, is_folder: other.is_folder });
        std::iter::once(own).chain(others).collect()
    }
}

/// A Maildir that an account delivers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaildirOf<'a> {
    /// Its path, as configured.
    pub path: &'a Path,
    /// It is a Maildir++ folder.
    pub is_folder: bool,
}

/// The time between two polls: fixed, or adapted to when mail arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// The shortest.
    pub shortest: Duration,
    /// The longest; equal to the shortest if the interval is fixed.
    pub longest: Duration,
}

impl Interval {
    /// Creates a fixed interval.
    #[must_use]
    pub const fn fixed(time: Duration) -> Self {
        Self { shortest: time, longest: time }
    }

    /// Whether the interval is fixed.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.shortest >= self.longest
    }
}

/// What happens on the server to a message that has been delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemovalPolicy {
    /// It stays.
    Keep,
    /// It is deleted in the same session.
    AfterDelivery,
    /// It is deleted by the first poll that finds it delivered at least this long ago.
    AfterAge(Duration),
}

/// How to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthChoice {
    /// The best method that the server offers and the connection permits.
    Auto,
    /// AUTH PLAIN (RFC 4616, RFC 5034).
    Plain,
    /// AUTH LOGIN.
    Login,
    /// USER and PASS (RFC 1939, section 7).
    User,
    /// APOP (RFC 1939, section 7).
    Apop,
    /// AUTH CRAM-MD5 (RFC 2195).
    CramMd5,
    /// AUTH SCRAM-SHA-1, with -PLUS where the server offers it inside TLS (RFC 5802).
    ScramSha1,
    /// AUTH SCRAM-SHA-256, with -PLUS where the server offers it inside TLS (RFC 7677).
    ScramSha256,
    /// AUTH XOAUTH2, with an access token.
    XOAuth2,
    /// AUTH OAUTHBEARER, with an access token (RFC 7628).
    OAuthBearer,
    /// AUTH EXTERNAL: the client certificate identifies the user (RFC 4422, appendix A).
    External,
}
