//! Builds an [`Account`] from what the tables say: fills in defaults and checks keys against each other.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Span;
use super::forward::ForwardTable;
use super::keys;
use super::problem::Problem;
use super::settings::Settings;
use super::sharing::Endpoints;
use super::value::{At, Setting};
use crate::account::preset::Preset;
use crate::account::{Account, AccountName, AuthChoice, CredentialSource, Interval, RemovalPolicy};
use crate::provider::{Login, Provider};
use crate::routing::Routing;
use crate::secret::Secret;
use crate::text;

const DEFAULT_INTERVAL: Interval = Interval::fixed(Duration::from_secs(5 * 60));
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// Builds an account from its own table over the defaults, and collects what it finds.
pub(super) struct Builder<'a> {
    /// The account's name and its position in the file.
    pub(super) name: &'a At<AccountName>,
    /// `[accounts.NAME]`.
    pub(super) own: &'a Settings,
    /// `[defaults]`.
    pub(super) defaults: &'a Settings,
    /// The protocol of the server in `own`.
    pub(super) protocol: Protocol,
    /// The home directory, to expand `~`.
    pub(super) home: Option<&'a Path>,
    /// Errors found.
    pub(super) problems: &'a mut Vec<Problem>,
    /// Settings that are allowed but look wrong.
    pub(super) warnings: &'a mut Vec<(Span, String)>,
    /// The servers of the accounts read so far.
    pub(super) endpoints: &'a mut Endpoints,
}

/// `own.key`, or `defaults.key` if the account does not set it.
macro_rules! setting {
    ($builder:expr, $key:ident) => {
        $builder.own.$key.or(&$builder.defaults.$key)
    };
}

mod circle;
mod destination;
mod endpoint;

pub(super) use circle::Circles;
pub(super) use endpoint::Protocol;

impl Builder<'_> {
    /// Returns the account, or None after reporting what is wrong with it.
    pub(super) fn build(mut self, forward: &Setting<ForwardTable>) -> Option<Account> {
        let provider = self.provider();
        let endpoint = self.endpoint();
        let username = self.required("username", setting!(self, username), USERNAME_HELP);
        let credential = self.credential();
        let (maildir, to) = self.destination(forward).unzip();
        if let (Some(endpoint), Some(username), Some(Some(to)), Some(At { span, .. })) =
            (&endpoint, &username, &to, forward.given())
            && circle::comes_back(&endpoint.host, username, to)
        {
            let message = format!("mail of account `{}` would go back to where it comes from", self.name.value);
            let help = "it would be fetched again, and so on for ever: forward to another mailbox";
            self.problems.push(Problem::new(message).at(span).help(help));
        }
        let forward = to;
        let auth = *setting!(self, auth).value().unwrap_or(&AuthChoice::Auto);
        let uses_token = credential.as_ref().is_some_and(CredentialSource::is_token)
            || matches!(auth, AuthChoice::XOAuth2 | AuthChoice::OAuthBearer);
        self.judge_login(provider, credential.as_ref(), uses_token);
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
            sizes_are_estimates: *setting!(self, sizes_are_estimates).value().unwrap_or(&false),
            on_new_mail: setting!(self, on_new_mail).value().cloned(),
        })
    }

    /// Returns the credential given by the account's own table, or else by `[defaults]`.
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
            // The certificate identifies us.
            return Some(CredentialSource::Inline(Secret::new(Vec::new())));
        }
        if !says(settings) && !self.is_misspelt(|key| key.starts_with(keys::PASSWORD) || TOKEN_KEYS.contains(&key)) {
            let name = &self.name.value;
            let message = match self.protocol {
                Protocol::Imap => format!("`imap` in [accounts.{}.forward] has no password", text::key(name.as_str())),
                Protocol::Pop3 => format!("account `{name}` has no password"),
            };
            let provider = self.known();
            let mut help =
                "add one of `password_command`, `password_file`, `password_credential` (systemd), `password`, \
                            `token_command` and `oauth2`"
                    .to_owned();
            if let Some(provider) = provider.filter(|provider| !provider.accepts.any_password() && !provider.no_pop3) {
                help = format!("{} does not accept passwords: add oauth2 = {{ client_id = \"...\" }}", provider.name);
            }
            self.problems.push(Problem::new(message).at(&self.name.span).help(help));
        }
        settings.credential.value().cloned()
    }

    /// The provider named in the configuration.
    fn by_name(&self) -> Option<&'static Provider> {
        setting!(self, provider).value().copied()
    }

    /// The provider named in the configuration, or else the one to which the configured host belongs.
    fn known(&self) -> Option<&'static Provider> {
        self.by_name().or_else(|| setting!(self, host).value().and_then(|host| Provider::of(host)))
    }

    /// Returns the provider if it has POP3. Warns if it is known to have none and a host is given.
    fn provider(&mut self) -> Option<&'static Provider> {
        let provider = self.known()?;
        if provider.no_pop3
            && let Some(At { span, .. }) = setting!(self, host).given()
        {
            // The user may know better, so a host given explicitly is tried.
            let text =
                format!("{} has no POP3, as far as is known: {}", provider.name, provider.note.unwrap_or_default());
            self.warnings.push((span.clone(), text));
        }
        Some(provider).filter(|provider| !provider.no_pop3)
    }

    /// Reports login settings that cannot work, as far as is known of the provider.
    fn judge_login(
        &mut self,
        provider: Option<&'static Provider>,
        credential: Option<&CredentialSource>,
        uses_token: bool,
    ) {
        if let (true, Some(At { value: AuthChoice::Plain | AuthChoice::User | AuthChoice::Apop, span })) =
            (uses_token, setting!(self, auth).given())
        {
            let message = format!("account `{}` has a token, and `auth` sends a password", self.name.value);
            self.problems.push(Problem::new(message).at(span).help("leave `auth` out; the right way is chosen then"));
        }
        let name = &self.name.value;
        if let (Some(At { value: AuthChoice::XOAuth2 | AuthChoice::OAuthBearer, span }), Some(source)) =
            (setting!(self, auth).given(), credential.and_then(stays_as_it_is))
        {
            let text = format!(
                "account `{name}`: `auth` takes `{source}` for an access token, and that is good for an hour or so; `oauth2` or \
                 `token_command` gets a new one each time, and a password needs no `auth`"
            );
            self.warnings.push((span.clone(), text));
        }
        let Some(provider) = provider else { return };
        if !uses_token && !provider.accepts.any_password() && provider.accepts.oauth {
            let text = format!(
                "account `{name}`: {} no longer accepts passwords; use oauth2 = {{ client_id = \"...\" }} and \
                 `mailferry login {name}`",
                provider.name
            );
            self.warnings.push((self.name.span.clone(), text));
        }
        let Some(At { value: username, span }) = setting!(self, username).given() else { return };
        if let (Login::LocalPart, Some((local, _))) = (provider.login, username.split_once('@')) {
            let text = format!("{} wants the part before the @: username = \"{}\"", provider.name, text::value(local));
            self.warnings.push((span.clone(), text));
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

/// The key of a secret that nothing renews, as a token would need it.
fn stays_as_it_is(source: &CredentialSource) -> Option<&'static str> {
    match source {
        CredentialSource::Inline(_) => Some("password"),
        CredentialSource::File(_) => Some("password_file"),
        CredentialSource::Credential(_) => Some("password_credential"),
        CredentialSource::Command(_) | CredentialSource::TokenCommand(_) | CredentialSource::OAuth(_) => None,
    }
}

/// The keys that give an access token.
const TOKEN_KEYS: [&str; 2] = ["oauth2", "token_command"];

const USERNAME_HELP: &str = "add the name to log in with, such as username = \"me@example.org\"";
