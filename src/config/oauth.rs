//! The table `oauth2` of an account. Each value is checked by itself, then all are merged over those of a preset.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};
use url::Url;

use super::Span;
use super::keys::{self, CLIENT_SECRET, Level};
use super::path;
use super::problem::Problem;
use super::secret_source::{command, only_one, systemd_credential};
use super::unknown::report_unknown;
use super::value::{At, InvalidValue, Setting, plain_text, read, wrong_type};
use crate::account::preset::{Device, Preset};
use crate::account::server_url::{InvalidServerUrl, ServerUrl};
use crate::account::{CredentialSource, OAuthSettings};
use crate::secret::Secret;
use crate::text;

/// The default redirection URI: any port of this machine (RFC 8252, section 7.3).
const REDIRECT: &str = "http://127.0.0.1";

/// The keys of the table.
#[derive(Debug, Default)]
pub(super) struct OAuthTable {
    preset: Setting<&'static Preset>,
    tenant: Setting<String>,
    issuer: Setting<ServerUrl>,
    authorization_endpoint: Setting<ServerUrl>,
    token_endpoint: Setting<ServerUrl>,
    device_authorization_endpoint: Setting<ServerUrl>,
    registration_endpoint: Setting<ServerUrl>,
    client_id: Setting<String>,
    client_secret: Setting<CredentialSource>,
    scope: Setting<String>,
    redirect: Setting<String>,
    resource: Setting<String>,
    tls_ca_file: Setting<PathBuf>,
    /// The table has an unknown key, which has been reported.
    has_unknown: bool,
}

/// Reads the table.
pub(super) fn table(
    account: &DeTable<'_>,
    level: Level<'_>,
    home: Option<&Path>,
    problems: &mut Vec<Problem>,
) -> Setting<OAuthTable> {
    let Some(value) = account.get("oauth2") else { return Setting::Absent };
    let Some(table) = value.get_ref().as_table() else {
        let example = "oauth2 = { client_id = \"...\" }";
        let InvalidValue { message, help } = wrong_type(value.get_ref(), "a table", example);
        problems.push(Problem::new(format!("`oauth2` {message}")).at(&value.span()).help(help));
        return Setting::Bad;
    };
    let before = problems.len();
    report_unknown(table, Level::OAuth(level.name()), problems);
    let has_unknown = problems.len() > before;
    let text = |value: &DeValue<'_>, example| plain_text(value, example).map(str::to_owned);
    let endpoint = "https://login.example.org/token";
    let value = OAuthTable {
        preset: read(table, "provider", problems, preset),
        tenant: read(table, "tenant", problems, tenant),
        issuer: read(table, "issuer", problems, |value| server_url(value, "https://login.example.org")),
        authorization_endpoint: read(table, "authorization_endpoint", problems, |value| server_url(value, endpoint)),
        token_endpoint: read(table, "token_endpoint", problems, |value| server_url(value, endpoint)),
        device_authorization_endpoint: read(table, "device_authorization_endpoint", problems, |value| {
            server_url(value, endpoint)
        }),
        registration_endpoint: read(table, "registration_endpoint", problems, |value| server_url(value, endpoint)),
        client_id: read(table, "client_id", problems, |value| text(value, "the client's identifier, in quotes")),
        client_secret: client_secret(table, home, problems),
        scope: read(table, "scope", problems, |value| {
            text(value, "what is asked for, such as \"https://mail.google.com/\"")
        }),
        redirect: read(table, "redirect", problems, redirect),
        resource: read(table, "resource", problems, |value| text(value, "the resource's URI (RFC 8707)")),
        tls_ca_file: read(table, "tls_ca_file", problems, |value| path::path(value, home)),
        has_unknown,
    };
    Setting::Given(At { value, span: value_span(account).unwrap_or_default() })
}

/// Returns the position of the key: the span of a table with its own header is not where a person looks.
fn value_span(account: &DeTable<'_>) -> Option<Span> {
    account.get_key_value("oauth2").map(|(key, _)| key.span())
}

/// Returns the position of the client secret in an account's table; a file with one must be protected.
pub(super) fn secret_in(account: &DeTable<'_>) -> Option<Span> {
    let table = account.get("oauth2")?.get_ref().as_table()?;
    table.get_key_value(CLIENT_SECRET).map(|(key, value)| key.span().start..value.span().end)
}

fn preset(value: &DeValue<'_>) -> Result<&'static Preset, InvalidValue> {
    let names: Vec<String> = Preset::names().map(|name| format!("\"{name}\"")).collect();
    let text = plain_text(value, "the provider's name, such as \"google\"")?;
    Preset::named(text).ok_or_else(|| {
        let help = match keys::nearest(text, Preset::names()) {
            Some(nearest) => format!("did you mean \"{nearest}\"?"),
            None => format!(
                "it is one of {}; for others give `authorization_endpoint` and `token_endpoint`, or `issuer`",
                names.join(", ")
            ),
        };
        InvalidValue::new(format!("cannot be \"{}\"", text::value(text)), help)
    })
}

/// Reads a tenant: one segment of a URL's path, with no characters that could change where the URL leads.
fn tenant(value: &DeValue<'_>) -> Result<String, InvalidValue> {
    let example = "the directory's name or number, or \"consumers\", \"organizations\" or \"common\"";
    let text = plain_text(value, example)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    if text.chars().all(allowed) && !text.starts_with('.') {
        return Ok(text.to_owned());
    }
    Err(InvalidValue::new("is no directory of Microsoft Entra", format!("write {example}")))
}

fn server_url(value: &DeValue<'_>, example: &str) -> Result<ServerUrl, InvalidValue> {
    let text = plain_text(value, &format!("an address such as \"{example}\""))?;
    ServerUrl::new(text).map_err(|e| {
        let help = match e {
            InvalidServerUrl::NotEncrypted => "begin it with https://; only this machine itself may be asked by http",
            _ => "write the whole address, from https:// on, as the provider documents it",
        };
        InvalidValue::new(e.to_string(), help)
    })
}

fn redirect(value: &DeValue<'_>) -> Result<String, InvalidValue> {
    let example = "the address that is registered with the client, such as \"http://127.0.0.1\"";
    let text = plain_text(value, example)?;
    match Url::parse(text) {
        Ok(url) if url.fragment().is_none() && url.scheme() != "javascript" => Ok(text.to_owned()),
        _ => Err(InvalidValue::new("is not a URL that a browser can be sent to", format!("write {example}"))),
    }
}

/// Reads the client secret from the one key that gives it, and reports if there are several.
fn client_secret(table: &DeTable<'_>, home: Option<&Path>, problems: &mut Vec<Problem>) -> Setting<CredentialSource> {
    let inline = |value: &DeValue<'_>| {
        let text = plain_text(value, "the client's secret as a string, in quotes")?;
        Ok(CredentialSource::Inline(Secret::new(text.as_bytes().to_vec())))
    };
    let ways = [
        (CLIENT_SECRET, read(table, CLIENT_SECRET, problems, inline)),
        (
            "client_secret_command",
            read(table, "client_secret_command", problems, |value| {
                command(value, home, "[\"pass\", \"show\", \"oauth/client\"]").map(CredentialSource::Command)
            }),
        ),
        (
            "client_secret_file",
            read(table, "client_secret_file", problems, |value| path::path(value, home).map(CredentialSource::File)),
        ),
        ("client_secret_credential", read(table, "client_secret_credential", problems, systemd_credential)),
    ];
    only_one(table, ways, "the client's secret", problems)
}

impl OAuthTable {
    /// Merges the settings over those of the preset: the one named in the table, or else the one of the account's
    /// provider. Returns None if something is wrong, which has been reported.
    pub(super) fn resolve(
        &self,
        of_provider: Option<&'static Preset>,
        span: &Span,
        account: &str,
        problems: &mut Vec<Problem>,
    ) -> Option<OAuthSettings> {
        if self.is_bad() {
            return None;
        }
        let preset = self.preset.value().copied().or(of_provider);
        let tenant = self.tenant.value().map(String::as_str);
        if let Some(At { span, .. }) = self.tenant.given()
            && !preset.is_some_and(Preset::has_tenants)
        {
            let message = format!("account `{account}` has a `tenant`, which only Microsoft's servers know");
            problems
                .push(Problem::new(message).at(span).help("leave it out, or write provider = \"microsoft\" beside it"));
        }
        let known = |endpoint: &str| ServerUrl::new(&Preset::for_tenant(endpoint, tenant)).ok();
        let or_known = |given: &Setting<ServerUrl>, endpoint: Option<&'static str>| {
            given.value().cloned().or_else(|| endpoint.and_then(known))
        };
        let device = preset.and_then(|preset| if let Device::At(at) = preset.device { Some(at) } else { None });
        let client_id = self.client_id.value().cloned();
        // A preset's issuer is asked for its metadata only to register a client there; its endpoints are known.
        let registers_at = preset.and_then(|preset| preset.registers_at).filter(|_| client_id.is_none());
        let settings = OAuthSettings {
            preset,
            issuer: or_known(&self.issuer, registers_at),
            authorization_endpoint: or_known(
                &self.authorization_endpoint,
                preset.map(|preset| preset.authorization_endpoint),
            ),
            token_endpoint: or_known(&self.token_endpoint, preset.map(|preset| preset.token_endpoint)),
            device_authorization_endpoint: or_known(&self.device_authorization_endpoint, device),
            registration_endpoint: self.registration_endpoint.value().cloned(),
            client_id,
            client_secret: self.client_secret.value().cloned(),
            scope: self.scope.value().cloned().or_else(|| preset.map(|preset| preset.scope.to_owned())),
            redirect: self
                .redirect
                .value()
                .cloned()
                .unwrap_or_else(|| preset.map_or(REDIRECT, |preset| preset.redirect).to_owned()),
            resource: self.resource.value().cloned(),
            tls_ca_file: self.tls_ca_file.value().cloned(),
        };
        Self::judge(settings, span, account, problems)
    }

    /// Rejects settings with which no sign-in is possible.
    fn judge(
        settings: OAuthSettings,
        span: &Span,
        account: &str,
        problems: &mut Vec<Problem>,
    ) -> Option<OAuthSettings> {
        if settings.token_endpoint.is_none() && settings.issuer.is_none() {
            let message = format!("`oauth2` of account `{account}` does not say where its tokens come from");
            problems.push(Problem::new(message).at(span).help(
                "write provider = \"google\" or \"microsoft\" in it, or `authorization_endpoint` and `token_endpoint`, or \
                 `issuer`",
            ));
            return None;
        }
        if settings.client_id.is_none() && settings.issuer.is_none() && settings.registration_endpoint.is_none() {
            let message = format!("`oauth2` of account `{account}` has no `client_id`");
            let how = settings.preset.map_or("register a client with the provider", |preset| preset.registration);
            problems.push(Problem::new(message).at(span).help(how));
            return None;
        }
        Some(settings)
    }

    fn is_bad(&self) -> bool {
        fn bad<T>(setting: &Setting<T>) -> bool {
            matches!(setting, Setting::Bad)
        }
        let texts = [&self.tenant, &self.client_id, &self.scope, &self.redirect, &self.resource];
        let urls = [
            &self.issuer,
            &self.authorization_endpoint,
            &self.token_endpoint,
            &self.device_authorization_endpoint,
            &self.registration_endpoint,
        ];
        self.has_unknown
            || bad(&self.preset)
            || bad(&self.client_secret)
            || bad(&self.tls_ca_file)
            || texts.into_iter().any(bad)
            || urls.into_iter().any(bad)
    }
}
