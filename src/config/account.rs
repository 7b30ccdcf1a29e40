//! From what the tables say to an [`Account`]: defaults filled in, keys judged together.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Span;
use super::host::is_loopback;
use super::keys;
use super::path;
use super::problem::Problem;
use super::settings::Settings;
use super::value::{At, Setting};
use crate::account::{Account, AccountName, AuthChoice, Endpoint, RemovalPolicy, TlsMode};
use crate::credential::CredentialSource;

/// POP3 over TLS from the first byte (RFC 8314, section 3.1).
const IMPLICIT_TLS_PORT: u16 = 995;

/// POP3 that begins in clear (RFC 1939, section 3).
const CLEARTEXT_PORT: u16 = 110;

const DEFAULT_INTERVAL: Duration = Duration::from_secs(5 * 60);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// One account's own table over the defaults, and what was found.
pub(super) struct Builder<'a> {
    /// The account's name, at its place in the file.
    pub(super) name: &'a At<AccountName>,
    /// `[accounts.NAME]`.
    pub(super) own: &'a Settings,
    /// `[defaults]`.
    pub(super) defaults: &'a Settings,
    /// For `~`.
    pub(super) home: Option<&'a Path>,
    /// What is wrong.
    pub(super) problems: &'a mut Vec<Problem>,
    /// What is allowed and looks wrong.
    pub(super) warnings: &'a mut Vec<(Span, String)>,
}

/// `own.key`, or `defaults.key` if the account does not say.
macro_rules! setting {
    ($builder:expr, $key:ident) => {
        $builder.own.$key.or(&$builder.defaults.$key)
    };
}

impl Builder<'_> {
    /// The account, unless something is wrong with it; what is has been reported then.
    pub(super) fn build(mut self) -> Option<Account> {
        let endpoint = self.endpoint();
        let username = self.required("username", setting!(self, username), USERNAME_HELP);
        let credential = self.credential();
        let maildir = self.maildir();
        Some(Account {
            name: self.name.value.clone(),
            enabled: *setting!(self, enabled).value().unwrap_or(&true),
            endpoint: endpoint?,
            username: username?,
            credential: credential?,
            auth: *setting!(self, auth).value().unwrap_or(&AuthChoice::Auto),
            maildir: maildir?,
            maildir_mode: setting!(self, maildir_mode).value().copied().unwrap_or_default(),
            removal: *setting!(self, leave_on_server).value().unwrap_or(&RemovalPolicy::Keep),
            interval: *setting!(self, interval).value().unwrap_or(&DEFAULT_INTERVAL),
            timeout: *setting!(self, timeout).value().unwrap_or(&DEFAULT_TIMEOUT),
            max_message_size: setting!(self, max_message_size).value().copied(),
            max_messages_per_session: setting!(self, max_messages_per_session).value().copied(),
            on_new_mail: setting!(self, on_new_mail).value().cloned(),
        })
    }

    fn endpoint(&mut self) -> Option<Endpoint> {
        let host = self.required("host", setting!(self, host), HOST_HELP);
        let (port, tls) = self.port_and_tls();
        let allow = *setting!(self, allow_cleartext_password).value().unwrap_or(&false);
        if let (Some(host), Some(At { value: TlsMode::None, span })) = (&host, setting!(self, tls).given())
            && !allow
            && !is_loopback(host)
        {
            let message = format!("account `{}` would send its password in clear to {host}", self.name.value);
            self.problems.push(Problem::new(message).at(span).label("no encryption").help(
                "write tls = \"implicit\" or tls = \"starttls\"; if the server can do neither and the network is yours, \
                 add allow_cleartext_password = true",
            ));
            return None;
        }
        if tls == Some(TlsMode::None) {
            let ca_file = self.own.tls_ca_file.given().map(|at| ("tls_ca_file", &at.span));
            let key_exchange = self.own.tls_key_exchange.given().map(|at| ("tls_key_exchange", &at.span));
            for (key, span) in [ca_file, key_exchange].into_iter().flatten() {
                self.warnings.push((span.clone(), format!("`{key}` has no effect with tls = \"none\"")));
            }
        }
        Some(Endpoint {
            host: host?,
            port: port?,
            tls: tls?,
            tls_ca_file: setting!(self, tls_ca_file).value().cloned(),
            key_exchange: setting!(self, tls_key_exchange).value().copied().unwrap_or_default(),
            allow_cleartext_password: allow,
        })
    }

    /// The port follows from TLS and the other way round, except that port 110 says nothing about TLS.
    fn port_and_tls(&mut self) -> (Option<u16>, Option<TlsMode>) {
        match (setting!(self, port), setting!(self, tls)) {
            (Setting::Bad, _) | (_, Setting::Bad) => (None, None),
            (Setting::Absent, Setting::Absent) => (Some(IMPLICIT_TLS_PORT), Some(TlsMode::Implicit)),
            (Setting::Absent, Setting::Given(At { value: TlsMode::Implicit, .. })) => {
                (Some(IMPLICIT_TLS_PORT), Some(TlsMode::Implicit))
            }
            (Setting::Absent, Setting::Given(tls)) => (Some(CLEARTEXT_PORT), Some(tls.value)),
            (Setting::Given(At { value: CLEARTEXT_PORT, span }), Setting::Absent) => {
                let message =
                    format!("account `{}` has port 110 and does not say how it is encrypted", self.name.value);
                self.problems.push(Problem::new(message).at(span).help(
                    "add tls = \"starttls\"; or leave `port` out for port 995, where encryption goes without saying",
                ));
                (None, None)
            }
            (Setting::Given(port), Setting::Absent) => (Some(port.value), Some(TlsMode::Implicit)),
            (Setting::Given(port), Setting::Given(tls)) => {
                self.warn_of_unusual_pair(port, tls.value);
                (Some(port.value), Some(tls.value))
            }
        }
    }

    fn warn_of_unusual_pair(&mut self, port: &At<u16>, tls: TlsMode) {
        let name = &self.name.value;
        let text = match (port.value, tls) {
            (CLEARTEXT_PORT, TlsMode::Implicit) => format!(
                "account `{name}` has port 110 with tls = \"implicit\"; servers expect tls = \"starttls\" there"
            ),
            (IMPLICIT_TLS_PORT, TlsMode::StartTls | TlsMode::None) => {
                format!("account `{name}` has port 995 without tls = \"implicit\"; servers expect TLS at once there")
            }
            _ => return,
        };
        self.warnings.push((port.span.clone(), text));
    }

    fn credential(&mut self) -> Option<CredentialSource> {
        let setting = setting!(self, credential);
        if matches!(setting, Setting::Absent) && !self.is_misspelt(|key| key.starts_with(keys::PASSWORD)) {
            let message = format!("account `{}` has no password", self.name.value);
            self.problems.push(Problem::new(message).at(&self.name.span).help(
                "add one of `password_command`, `password_file`, `password_credential` (systemd) and `password`",
            ));
        }
        setting.value().cloned()
    }

    fn maildir(&mut self) -> Option<PathBuf> {
        let setting = setting!(self, maildir);
        let text = self.required("maildir", setting, MAILDIR_HELP)?;
        // Its shape has been checked where it was read; a name cannot change that.
        path::absolute(&text.replace("{account}", self.name.value.as_str()), self.home).ok()
    }

    fn is_misspelt(&self, key: impl Fn(&str) -> bool) -> bool {
        self.own.misspelt.iter().chain(&self.defaults.misspelt).any(|meant| key(meant))
    }

    fn required(&mut self, key: &str, setting: &Setting<String>, help: &str) -> Option<String> {
        if matches!(setting, Setting::Absent) && !self.is_misspelt(|meant| meant == key) {
            let message = format!("account `{}` has no `{key}`", self.name.value);
            self.problems.push(Problem::new(message).at(&self.name.span).help(help));
        }
        setting.value().cloned()
    }
}

const HOST_HELP: &str = "add the POP3 server's name, such as host = \"pop.example.org\"";
const USERNAME_HELP: &str = "add the name to log in with, such as username = \"me@example.org\"";
const MAILDIR_HELP: &str =
    "add maildir = \"~/Mail/NAME\" to the account, or maildir = \"~/Mail/{account}\" to [defaults] for all";
