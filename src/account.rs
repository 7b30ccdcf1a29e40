//! An account as the rest of the program sees it: validated, plain values.
//!
//! Nothing here knows where a value came from. `config` makes accounts from TOML; tests make them by hand.

use std::ffi::OsString;
use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::routing::Routing;
use crate::text;

mod credential_source;
mod forward;
mod notify_settings;
pub mod preset;
mod route;
pub mod server_url;
mod tls_options;

pub use credential_source::{CredentialSource, OAuthSettings};
pub use forward::{Forward, ForwardTo, ImapDestination, LmtpDestination, LmtpServer, SpoolBounds};
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

/// An account's name: made of `[A-Za-z0-9._@-]`, not beginning with a dot, at most 100 characters, so that it can be
/// used in a file name and on a command line as it is. Copies share the text: a daemon has several of each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountName(Arc<str>);

/// Why a name is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidAccountName {
    /// It is empty.
    Empty,
    /// It begins with a dot.
    LeadingDot,
    /// It is longer than 100 characters.
    TooLong,
    /// It contains this character.
    Character(char),
}

impl AccountName {
    /// The longest name in characters; leaves room for suffixes within the 255 bytes of a file name.
    pub const MAX_LENGTH: usize = 100;

    /// Checks a name.
    ///
    /// # Errors
    /// [`InvalidAccountName`] says which rule it breaks.
    pub fn new(name: &str) -> Result<Self, InvalidAccountName> {
        if name.is_empty() {
            return Err(InvalidAccountName::Empty);
        }
        if name.starts_with('.') {
            return Err(InvalidAccountName::LeadingDot);
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '@' | '-');
        if let Some(c) = name.chars().find(|&c| !allowed(c)) {
            return Err(InvalidAccountName::Character(c));
        }
        if name.len() > Self::MAX_LENGTH {
            return Err(InvalidAccountName::TooLong);
        }
        Ok(Self(name.into()))
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the path of the account's spool, relative to the state directory.
    #[must_use]
    pub(crate) fn spool(&self) -> PathBuf {
        PathBuf::from(format!("{self}.spool"))
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for InvalidAccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("an account's name cannot be empty"),
            Self::LeadingDot => f.write_str("an account's name cannot begin with a dot"),
            Self::TooLong => write!(f, "an account's name has at most {} characters", AccountName::MAX_LENGTH),
            Self::Character(' ') => {
                f.write_str("an account's name is made of letters, digits and . _ @ -, and a blank is none of them")
            }
            Self::Character(c) => write!(
                f,
                "an account's name is made of letters, digits and . _ @ -, and \"{}\" is none of them",
                text::value(c.encode_utf8(&mut [0; 4]))
            ),
        }
    }
}

impl std::error::Error for InvalidAccountName {}

/// Where a server is and how the connection to it is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A host name or an address, without brackets. Never empty, no control characters.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// When TLS begins.
    pub tls: TlsMode,
    /// PEM file of certificate authorities to trust; [`TlsTrust`] says whether instead of the platform's or in
    /// addition.
    pub tls_ca_file: Option<PathBuf>,
    /// The kind of key exchange in TLS.
    pub key_exchange: KeyExchange,
    /// The user permits sending the password over a network in clear text. Loopback needs no permission.
    pub allow_cleartext_password: bool,
    /// How it is reached.
    pub route: Route,
    /// Further settings for TLS.
    pub tls_options: TlsOptions,
}

impl Endpoint {
    /// Returns what identifies the server: host and port. One name may be several servers on several ports.
    #[must_use]
    pub fn server(&self) -> String {
        server_of(&self.host, self.port)
    }
}

fn server_of(host: &str, port: u16) -> String {
    format!("{}:{port}", host.trim_end_matches('.').to_ascii_lowercase())
}

/// When TLS begins (RFC 8314 and RFC 2595).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// With the first byte (RFC 8314, section 3.1), usually on port 995.
    Implicit,
    /// By STLS, which is mandatory (RFC 2595, section 4), usually on port 110.
    StartTls,
    /// Never.
    None,
}

/// The kind of key exchange in TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyExchange {
    /// Post-quantum if the server supports it; classical if the larger handshake gets lost on the way.
    #[default]
    Auto,
    /// Elliptic curves only: the ClientHello fits into one packet.
    Classical,
    /// Post-quantum only.
    PostQuantum,
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

/// The permissions of a Maildir's directories; its files get the same without execute permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaildirMode(u32);

/// Why permissions are invalid for a Maildir.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidMaildirMode {
    /// There are bits other than those for owner, group, others and set-group-ID.
    StrangeBits,
    /// mailferry could not deliver.
    NotOurs,
    /// Every user could write.
    OpenToAll,
    /// Group or others could list it but not enter it, or the other way round.
    Half,
}

impl MaildirMode {
    /// 0700 for directories, 0600 for files: private to the user.
    pub const PRIVATE: Self = Self(0o700);

    /// Checks the permission bits of a directory.
    ///
    /// # Errors
    /// [`InvalidMaildirMode`] says which rule they break.
    pub fn new(bits: u32) -> Result<Self, InvalidMaildirMode> {
        if bits & !0o2777 != 0 {
            return Err(InvalidMaildirMode::StrangeBits);
        }
        if bits & 0o700 != 0o700 {
            return Err(InvalidMaildirMode::NotOurs);
        }
        if bits & 0o002 != 0 {
            return Err(InvalidMaildirMode::OpenToAll);
        }
        if !matches!(bits & 0o070, 0 | 0o050 | 0o070) || !matches!(bits & 0o007, 0 | 0o005) {
            return Err(InvalidMaildirMode::Half);
        }
        Ok(Self(bits))
    }

    /// Returns the permission bits of directories.
    #[must_use]
    pub fn of_directories(self) -> u32 {
        self.0
    }

    /// Returns the permission bits of files.
    #[must_use]
    pub fn of_files(self) -> u32 {
        self.0 & 0o666
    }
}

impl Default for MaildirMode {
    fn default() -> Self {
        Self::PRIVATE
    }
}

impl fmt::Display for InvalidMaildirMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StrangeBits => "has bits beside the permissions and set-group-ID (2000)",
            Self::NotOurs => "does not let mailferry itself read, write and enter the Maildir",
            Self::OpenToAll => "lets every user write",
            Self::Half => "lets somebody read without entering, or enter without reading",
        })
    }
}

impl std::error::Error for InvalidMaildirMode {}

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

#[cfg(test)]
mod tests {
    use super::{InvalidMaildirMode, MaildirMode, server_of};

    #[test]
    fn a_server_is_the_same_whatever_way_its_name_is_written() {
        assert_eq!(server_of("Slow.ORG.", 995), server_of("slow.org", 995));
        assert_ne!(server_of("slow.org", 110), server_of("slow.org", 995));
    }

    #[test]
    fn files_have_the_permissions_of_their_directories_without_the_right_to_execute() {
        for (directories, files) in
            [(0o700, 0o600), (0o750, 0o640), (0o770, 0o660), (0o755, 0o644), (0o2770, 0o660), (0o2700, 0o600)]
        {
            let mode = MaildirMode::new(directories).unwrap();
            assert_eq!((mode.of_directories(), mode.of_files()), (directories, files), "{directories:o}");
        }
        assert_eq!(MaildirMode::default(), MaildirMode::new(0o700).unwrap());
    }

    #[test]
    fn what_would_open_or_break_a_maildir_is_refused() {
        use InvalidMaildirMode::{Half, NotOurs, OpenToAll, StrangeBits};
        for (bits, expected) in [
            (0o777, OpenToAll),
            (0o772, OpenToAll),
            (0o600, NotOurs),
            (0o070, NotOurs),
            (0, NotOurs),
            (0o1700, StrangeBits),
            (0o4700, StrangeBits),
            (0o10700, StrangeBits),
            (0o740, Half),
            (0o710, Half),
            (0o730, Half),
            (0o751, Half),
            (0o754, Half),
        ] {
            assert_eq!(MaildirMode::new(bits), Err(expected), "{bits:o}");
        }
    }
}
