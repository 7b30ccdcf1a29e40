//! From what the tables say to an [`Account`]: defaults filled in, keys judged together.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::Span;
use super::forward::{ForwardTable, ImapTable, ToTable};
use super::host::is_loopback;
use super::keys;
use super::multidrop::MultidropTable;
use super::path;
use super::problem::Problem;
use super::rules::{self, RuleTable};
use super::settings::Settings;
use super::sharing::Endpoints;
use super::value::{At, Setting};
use crate::account::{
    Account, AccountName, AuthChoice, ClientCertificate, Endpoint, Forward, ForwardTo, ImapDestination, Interval,
    IpVersion, RemovalPolicy, Route, TlsMode, TlsOptions, TlsTrust,
};
use crate::credential::{CredentialSource, printable};
use crate::oauth::preset::Preset;
use crate::provider::{Login, Provider};
use crate::routing::Routing;
use crate::secret::Secret;

/// POP3 over TLS from the first byte (RFC 8314, section 3.1).
const IMPLICIT_TLS_PORT: u16 = 995;

/// POP3 that begins in clear (RFC 1939, section 3).
const CLEARTEXT_PORT: u16 = 110;

const DEFAULT_INTERVAL: Interval = Interval::fixed(Duration::from_secs(5 * 60));
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// What a server speaks, as far as its ports go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// It is polled.
    Pop3,
    /// Mail is forwarded to it.
    Imap,
}

impl Protocol {
    /// The port with TLS from the first byte (RFC 8314, section 3).
    fn implicit_tls(self) -> u16 {
        match self {
            Self::Pop3 => IMPLICIT_TLS_PORT,
            Self::Imap => 993,
        }
    }

    /// The port that begins in clear.
    fn cleartext(self) -> u16 {
        match self {
            Self::Pop3 => CLEARTEXT_PORT,
            Self::Imap => 143,
        }
    }
}

/// One account's own table over the defaults, and what was found.
pub(super) struct Builder<'a> {
    /// The account's name, at its place in the file.
    pub(super) name: &'a At<AccountName>,
    /// `[accounts.NAME]`.
    pub(super) own: &'a Settings,
    /// `[defaults]`.
    pub(super) defaults: &'a Settings,
    /// What the server of `own` speaks.
    pub(super) protocol: Protocol,
    /// For `~`.
    pub(super) home: Option<&'a Path>,
    /// What is wrong.
    pub(super) problems: &'a mut Vec<Problem>,
    /// What is allowed and looks wrong.
    pub(super) warnings: &'a mut Vec<(Span, String)>,
    /// The servers of the accounts before.
    pub(super) endpoints: &'a mut Endpoints,
}

/// `own.key`, or `defaults.key` if the account does not say.
macro_rules! setting {
    ($builder:expr, $key:ident) => {
        $builder.own.$key.or(&$builder.defaults.$key)
    };
}

impl Builder<'_> {
    /// The account, unless something is wrong with it; what is has been reported then.
    pub(super) fn build(mut self, forward: &Setting<ForwardTable>) -> Option<Account> {
        let provider = self.provider();
        let endpoint = self.endpoint();
        let username = self.required("username", setting!(self, username), USERNAME_HELP);
        let credential = self.credential();
        let (maildir, forward) = self.destination(forward).unzip();
        let auth = *setting!(self, auth).value().unwrap_or(&AuthChoice::Auto);
        let uses_token = credential.as_ref().is_some_and(CredentialSource::is_token)
            || matches!(auth, AuthChoice::XOAuth2 | AuthChoice::OAuthBearer);
        self.judge_login(provider, uses_token);
        let routing = maildir.as_deref().map_or(Routing::Unconditional, |maildir| self.routing(maildir));
        let usual = provider.and_then(|provider| provider.interval).map_or(DEFAULT_INTERVAL, Interval::fixed);
        Some(Account {
            name: self.name.value.clone(),
            enabled: *setting!(self, enabled).value().unwrap_or(&true),
            endpoint: self.endpoints.share(endpoint?),
            username: username?,
            credential: credential?,
            auth,
            uses_token,
            maildir: maildir?,
            forward: forward?,
            routing,
            maildir_mode: setting!(self, maildir_mode).value().copied().unwrap_or_default(),
            removal: *setting!(self, leave_on_server).value().unwrap_or(&RemovalPolicy::Keep),
            interval: *setting!(self, interval).value().unwrap_or(&usual),
            timeout: *setting!(self, timeout).value().unwrap_or(&DEFAULT_TIMEOUT),
            max_message_size: setting!(self, max_message_size).value().copied(),
            max_messages_per_session: setting!(self, max_messages_per_session).value().copied(),
            on_new_mail: setting!(self, on_new_mail).value().cloned(),
        })
    }

    fn endpoint(&mut self) -> Option<Endpoint> {
        let host = self.host();
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
            let Settings { tls_ca_file, tls_key_exchange, tls_server_name, tls_trust, .. } = self.own;
            let Settings { tls_pin, tls_client_cert, tls_client_key, .. } = self.own;
            let given = [
                ("tls_ca_file", tls_ca_file.given().map(|at| &at.span)),
                ("tls_key_exchange", tls_key_exchange.given().map(|at| &at.span)),
                ("tls_server_name", tls_server_name.given().map(|at| &at.span)),
                ("tls_trust", tls_trust.given().map(|at| &at.span)),
                ("tls_pin", tls_pin.given().map(|at| &at.span)),
                ("tls_client_cert", tls_client_cert.given().map(|at| &at.span)),
                ("tls_client_key", tls_client_key.given().map(|at| &at.span)),
            ];
            for (key, span) in given.into_iter().filter_map(|(key, span)| Some((key, span?))) {
                self.warnings.push((span.clone(), format!("`{key}` has no effect with tls = \"none\"")));
            }
        }
        let tls_options = self.tls_options()?;
        self.check_route();
        Some(Endpoint {
            host: host?,
            port: port?,
            tls: tls?,
            tls_ca_file: setting!(self, tls_ca_file).value().cloned(),
            key_exchange: setting!(self, tls_key_exchange).value().copied().unwrap_or_default(),
            allow_cleartext_password: allow,
            route: Route {
                ip: setting!(self, ip).value().copied().unwrap_or_default(),
                source_address: setting!(self, source_address).value().copied(),
                proxy: setting!(self, proxy).value().cloned().flatten(),
            },
            tls_options,
        })
    }

    /// What belongs together, and is only half there.
    fn tls_options(&mut self) -> Option<TlsOptions> {
        let trust = setting!(self, tls_trust);
        let pin = setting!(self, tls_pin);
        let name = &self.name.value;
        if let (Some(At { value: TlsTrust::Pin, span }), Setting::Absent) = (trust.given(), pin) {
            let message = format!("account `{name}` trusts a pinned key alone, and none is given");
            self.problems.push(Problem::new(message).at(span).help("add tls_pin"));
            return None;
        }
        let (certificate, key) = (setting!(self, tls_client_cert), setting!(self, tls_client_key));
        let client_certificate = certificate.value().map(|certificate| ClientCertificate {
            certificate: certificate.clone(),
            // Many keep both in one file.
            key: key.value().unwrap_or(certificate).clone(),
        });
        if let (Setting::Absent, Some(At { span, .. })) = (certificate, key.given()) {
            self.warnings.push((span.clone(), "`tls_client_key` has no effect without `tls_client_cert`".to_owned()));
        }
        if let (Some(At { value: AuthChoice::External, span }), None) =
            (setting!(self, auth).given(), &client_certificate)
        {
            let message = format!("account `{name}` logs in by a certificate, and has none");
            self.problems.push(Problem::new(message).at(span).help("add tls_client_cert"));
            return None;
        }
        Some(TlsOptions {
            server_name: setting!(self, tls_server_name).value().cloned(),
            trust: trust.value().copied().unwrap_or_default(),
            pins: pin.value().cloned().unwrap_or_default(),
            client_certificate,
        })
    }

    /// An address of one version of IP does not lead to one of the other.
    fn check_route(&mut self) {
        let (ip, source) = (setting!(self, ip), setting!(self, source_address));
        if let (Some(ip), Some(At { value: address, span })) = (ip.value(), source.given())
            && matches!((ip, address), (IpVersion::V4, IpAddr::V6(_)) | (IpVersion::V6, IpAddr::V4(_)))
        {
            let message = format!("account `{}` has a `source_address` of another version than `ip`", self.name.value);
            self.problems.push(Problem::new(message).at(span).help("remove one of them"));
        }
    }

    /// The port follows from TLS and the other way round, except that port 110 says nothing about TLS.
    fn port_and_tls(&mut self) -> (Option<u16>, Option<TlsMode>) {
        match (setting!(self, port), setting!(self, tls)) {
            (Setting::Bad, _) | (_, Setting::Bad) => (None, None),
            (Setting::Absent, Setting::Absent) => match self.by_name().filter(|provider| provider.host.is_some()) {
                Some(provider) => (Some(provider.port), Some(provider.tls)),
                None => (Some(self.protocol.implicit_tls()), Some(TlsMode::Implicit)),
            },
            (Setting::Absent, Setting::Given(At { value: TlsMode::Implicit, .. })) => {
                (Some(self.protocol.implicit_tls()), Some(TlsMode::Implicit))
            }
            (Setting::Absent, Setting::Given(tls)) => (Some(self.protocol.cleartext()), Some(tls.value)),
            (Setting::Given(At { value: port, span }), Setting::Absent) if *port == self.protocol.cleartext() => {
                let name = &self.name.value;
                let message = format!("account `{name}` has port {port} and does not say how it is encrypted");
                self.problems.push(Problem::new(message).at(span).help(format!(
                    "add tls = \"starttls\"; or leave `port` out for port {}, where encryption goes without saying",
                    self.protocol.implicit_tls()
                )));
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
        let (in_clear, implicit) = (self.protocol.cleartext(), self.protocol.implicit_tls());
        let text = match (port.value, tls) {
            (port, TlsMode::Implicit) if port == in_clear => format!(
                "account `{name}` has port {port} with tls = \"implicit\"; servers expect tls = \"starttls\" there"
            ),
            (port, TlsMode::StartTls | TlsMode::None) if port == implicit => {
                format!("account `{name}` has port {port} without tls = \"implicit\"; servers expect TLS at once there")
            }
            _ => return,
        };
        self.warnings.push((port.span.clone(), text));
    }

    /// What an account's own table says of its credential, or else `[defaults]`.
    fn credential(&mut self) -> Option<CredentialSource> {
        let by_certificate = setting!(self, auth).value() == Some(&AuthChoice::External);
        let says = |settings: &Settings| {
            !matches!((&settings.credential, &settings.oauth2), (Setting::Absent, Setting::Absent))
        };
        let settings = if says(self.own) { self.own } else { self.defaults };
        if let Setting::Given(At { value: table, span }) = &settings.oauth2 {
            let preset = self.known().and_then(|provider| provider.oauth).and_then(Preset::named);
            let settings = table.resolve(preset, span, self.name.value.as_str(), self.problems)?;
            return Some(CredentialSource::OAuth(Arc::new(settings)));
        }
        if by_certificate && !says(settings) {
            // The certificate shows who we are.
            return Some(CredentialSource::Inline(Secret::new(Vec::new())));
        }
        if !says(settings) && !self.is_misspelt(|key| key.starts_with(keys::PASSWORD) || TOKEN_KEYS.contains(&key)) {
            let message = format!("account `{}` has no password", self.name.value);
            let provider = self.known();
            let mut help =
                "add one of `password_command`, `password_file`, `password_credential` (systemd), `password`, \
                            `token_command` and `oauth2`"
                    .to_owned();
            if let Some(provider) = provider.filter(|provider| !provider.accepts.any_password() && !provider.no_pop3) {
                help = format!("{} takes no password: add oauth2 = {{ client_id = \"...\" }}", provider.name);
            }
            self.problems.push(Problem::new(message).at(&self.name.span).help(help));
        }
        settings.credential.value().cloned()
    }

    /// The provider that the configuration names.
    fn by_name(&self) -> Option<&'static Provider> {
        setting!(self, provider).value().copied()
    }

    /// The provider that the configuration names, or else the one whose server it names.
    fn known(&self) -> Option<&'static Provider> {
        self.by_name().or_else(|| setting!(self, host).value().and_then(|host| Provider::of(host)))
    }

    /// The provider, if there is one that has POP3: one that has none is said to have none.
    fn provider(&mut self) -> Option<&'static Provider> {
        let provider = self.known()?;
        if provider.no_pop3
            && let Some(At { span, .. }) = setting!(self, host).given()
        {
            // Somebody may know better: what is given explicitly is tried.
            let text =
                format!("{} has no POP3, as far as is known: {}", provider.name, provider.note.unwrap_or_default());
            self.warnings.push((span.clone(), text));
        }
        Some(provider).filter(|provider| !provider.no_pop3)
    }

    /// The server: as given, or that of the provider.
    fn host(&mut self) -> Option<String> {
        let given = setting!(self, host);
        if !matches!(given, Setting::Absent) {
            return given.value().cloned();
        }
        match setting!(self, provider) {
            Setting::Bad => None,
            Setting::Given(At { value: provider, span }) => {
                if provider.host.is_none() {
                    let message = format!("{} has no POP3", provider.name);
                    let why = provider.note.unwrap_or("its mail cannot be fetched by POP3");
                    self.problems.push(Problem::new(message).at(span).help(why));
                }
                provider.host.map(str::to_owned)
            }
            Setting::Absent => {
                let username = setting!(self, username).value().map(String::as_str).unwrap_or_default();
                let help = match Provider::of_address(username) {
                    Some(provider) if provider.no_pop3 => {
                        format!("{} has no POP3: {}", provider.name, provider.note.unwrap_or_default())
                    }
                    Some(provider) => format!("add provider = \"{}\"", provider.id),
                    None => HOST_HELP.to_owned(),
                };
                self.required("host", given, &help)
            }
        }
    }

    /// Says what cannot work as it stands, as far as is known of the provider.
    fn judge_login(&mut self, provider: Option<&'static Provider>, uses_token: bool) {
        if let (true, Some(At { value: AuthChoice::Plain | AuthChoice::User | AuthChoice::Apop, span })) =
            (uses_token, setting!(self, auth).given())
        {
            let message = format!("account `{}` has a token, and `auth` sends a password", self.name.value);
            self.problems.push(Problem::new(message).at(span).help("leave `auth` out; the right way is chosen then"));
        }
        let Some(provider) = provider else { return };
        let name = &self.name.value;
        if !uses_token && !provider.accepts.any_password() && provider.accepts.oauth {
            let text = format!(
                "account `{name}`: {} takes no password any more; use oauth2 = {{ client_id = \"...\" }} and \
                 `mailferry login {name}`",
                provider.name
            );
            self.warnings.push((self.name.span.clone(), text));
        }
        let Some(At { value: username, span }) = setting!(self, username).given() else { return };
        if let (Login::LocalPart, Some((local, _))) = (provider.login, username.split_once('@')) {
            let text = format!("{} wants what stands before the @: username = \"{}\"", provider.name, printable(local));
            self.warnings.push((span.clone(), text));
        }
    }

    /// With `multidrop`, it is the one for what is for nobody in particular.
    fn maildir(&mut self) -> Option<PathBuf> {
        let (name, home) = (&self.name.value, self.home);
        let default = match self.multidrop() {
            Setting::Absent => None,
            Setting::Bad => return None,
            Setting::Given(At { value: table, .. }) => Some(table.default(name, home)),
        };
        if let (Some(_), Some(At { span, .. })) = (&default, self.own.maildir.given()) {
            let message = format!("account `{name}` has `maildir` and `multidrop`");
            let help = "take `maildir` away: what is for none of the recipients goes where `default` says";
            self.problems.push(Problem::new(message).at(span).help(help));
        }
        if let Some(default) = default {
            return default;
        }
        let setting = setting!(self, maildir);
        let text = self.required("maildir", setting, MAILDIR_HELP)?;
        // Its shape has been checked where it was read; a name cannot change that.
        path::absolute(&text.replace("{account}", self.name.value.as_str()), self.home).ok()
    }

    /// The Maildir, and where mail goes on to if it does not stay there. The spool's place is known only with the state
    /// directory.
    fn destination(&mut self, forward: &Setting<ForwardTable>) -> Option<(PathBuf, Option<Arc<Forward>>)> {
        let sorted = self.what_is_forwarded();
        let At { value: table, span } = match forward {
            Setting::Absent => {
                if let Some(span) = sorted.filter(|(forwards, _)| *forwards).map(|(_, span)| span) {
                    let message =
                        format!("account `{}` has no `forward`, and some of its mail is to go there", self.name.value);
                    let help = "add [accounts.NAME.forward] with one of `imap`, `lmtp` and `command`";
                    self.problems.push(Problem::new(message).at(&span).help(help));
                    return None;
                }
                return Some((self.maildir()?, None));
            }
            Setting::Bad => return None,
            Setting::Given(given) => given,
        };
        let is_sorted = sorted.as_ref().is_some_and(|(forwards, _)| *forwards);
        if let Setting::Given(maildir) = &self.own.maildir
            && !is_sorted
        {
            let message = format!("account `{}` has a `maildir` and a `forward`", self.name.value);
            let help = "keep one of them: what is forwarded waits in a spool of its own, in the state directory. Or say by a rule \
                        with forward = true what is forwarded; all else goes into the Maildir";
            self.problems.push(Problem::new(message).at(span).also(&maildir.span, "the other one").help(help));
            return None;
        }
        let is_multidrop = self.multidrop().given().is_some();
        if is_multidrop && !is_sorted {
            let message =
                format!("account `{}` has a `forward`, and its `multidrop` leads nothing there", self.name.value);
            let help =
                "write \"forward\" in place of a Maildir for a recipient or for `default`, or take `forward` away";
            self.problems.push(Problem::new(message).at(span).help(help));
            return None;
        }
        let to = match &table.to {
            ToTable::Imap(imap) => ForwardTo::Imap(Box::new(self.imap(imap, span)?)),
            ToTable::Lmtp(lmtp) => ForwardTo::Lmtp(lmtp.clone()),
            ToTable::Command(words) => ForwardTo::Command(words.clone()),
        };
        let forward = Forward { to, spool: table.spool };
        let has_maildir = is_multidrop || self.own.maildir.given().is_some();
        let maildir = if has_maildir { self.maildir()? } else { self.name.value.spool() };
        Some((maildir, Some(Arc::new(forward))))
    }

    /// Where it stands what goes where by its header, if it does, and whether some of that is forwarded.
    fn what_is_forwarded(&self) -> Option<(bool, Span)> {
        if let Some(At { value, span }) = self.rules().given() {
            return Some((value.iter().any(RuleTable::forwards), span.clone()));
        }
        self.multidrop().given().map(|At { value, span }| (value.forwards(), span.clone()))
    }

    /// The IMAP server that `table` speaks of. Nothing of it comes from the account or the defaults.
    fn imap(&mut self, table: &ImapTable, span: &Span) -> Option<ImapDestination> {
        let name = At { value: self.name.value.clone(), span: span.clone() };
        let nothing = Settings::default();
        let mut builder = Builder {
            name: &name,
            own: &table.server,
            defaults: &nothing,
            protocol: Protocol::Imap,
            home: self.home,
            problems: self.problems,
            warnings: self.warnings,
            endpoints: self.endpoints,
        };
        if matches!(table.server.host, Setting::Absent) {
            let message = format!("the IMAP server of account `{}` has no `host`", name.value);
            let help = "add host = \"imap.example.org\" to `imap`";
            builder.problems.push(Problem::new(message).at(span).help(help));
            return None;
        }
        let endpoint = builder.endpoint();
        let username = builder.required("username", &table.server.username, USERNAME_HELP);
        let credential = builder.credential();
        let auth = match table.server.auth.given() {
            None => AuthChoice::Auto,
            Some(At { value, span }) if !IMAP_AUTH.contains(value) => {
                let help =
                    "leave it out, or write one of \"auto\", \"plain\", \"login\", \"xoauth2\" and \"oauthbearer\"";
                let message = "this `auth` is not used with IMAP";
                builder.problems.push(Problem::new(message).at(span).help(help));
                return None;
            }
            Some(At { value, .. }) => *value,
        };
        let (endpoint, username, credential) = (endpoint?, username?, credential?);
        let uses_token = credential.is_token() || matches!(auth, AuthChoice::XOAuth2 | AuthChoice::OAuthBearer);
        let (mailbox, flags, connections) = (table.mailbox.clone(), table.flags.clone(), table.connections);
        Some(ImapDestination { endpoint, username, credential, auth, uses_token, mailbox, flags, connections })
    }

    /// The account's own `multidrop`, or that of `[defaults]` unless the account has rules of its own.
    fn multidrop(&self) -> &Setting<MultidropTable> {
        match self.own.rules {
            Setting::Absent => setting!(self, multidrop),
            _ => &self.own.multidrop,
        }
    }

    /// The same for rules.
    fn rules(&self) -> &Setting<Vec<RuleTable>> {
        match self.own.multidrop {
            Setting::Absent => setting!(self, rules),
            _ => &self.own.rules,
        }
    }

    /// Where messages go by their headers.
    fn routing(&mut self, maildir: &Path) -> Routing {
        let (name, home) = (&self.name.value, self.home);
        match (self.rules().given(), self.multidrop().given()) {
            (Some(At { span, .. }), Some(_)) => {
                let message = format!("account `{name}` has `rules` and `multidrop`, and both say where its mail goes");
                self.problems.push(Problem::new(message).at(span).help("take one of them away"));
                Routing::Unconditional
            }
            (_, Some(At { value: table, .. })) => Routing::Multidrop(Box::new(table.resolve(name, home))),
            (Some(At { value: tables, span }), None)
                if *maildir == name.spool() && tables.iter().any(RuleTable::has_folder) =>
            {
                let message = format!("account `{name}` has no Maildir of its own that a `folder` could be in");
                let help = "write the Maildir's path: `maildir`; or give the account a `maildir`, and say by a rule with forward = true \
                            what is forwarded";
                self.problems.push(Problem::new(message).at(span).help(help));
                Routing::Unconditional
            }
            (Some(At { value: tables, .. }), None) if !tables.is_empty() => {
                Routing::Rules(rules::resolve(tables, name, maildir, home))
            }
            _ => Routing::Unconditional,
        }
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

/// The ways to log in at an IMAP server.
const IMAP_AUTH: [AuthChoice; 5] =
    [AuthChoice::Auto, AuthChoice::Plain, AuthChoice::Login, AuthChoice::XOAuth2, AuthChoice::OAuthBearer];

/// The keys of an access token.
const TOKEN_KEYS: [&str; 2] = ["oauth2", "token_command"];

const HOST_HELP: &str = "add the POP3 server's name, such as host = \"pop.example.org\"";
const USERNAME_HELP: &str = "add the name to log in with, such as username = \"me@example.org\"";
const MAILDIR_HELP: &str =
    "add maildir = \"~/Mail/NAME\" to the account, or maildir = \"~/Mail/{account}\" to [defaults] for all";
