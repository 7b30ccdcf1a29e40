//! The settings of one account's table: each value is checked by itself, and nothing is decided yet.

use std::ffi::OsString;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::Span;
use super::duration::{Bound, duration, parse, size, within};
use super::host::host;
use super::keys::{self, Level, PASSWORD};
use super::multidrop::{self, MultidropTable};
use super::network;
use super::oauth::{self, OAuthTable};
use super::path;
use super::problem::Problem;
use super::rules::{self, RuleTable};
use super::secret_source::{command, only_one, systemd_credential};
use super::tls;
use super::unknown::report_unknown;
use super::value::{InvalidValue, Setting, boolean, integer, plain_text, read, string, wrong_type};
use crate::account::{
    AuthChoice, CredentialSource, Interval, IpVersion, KeyExchange, MaildirMode, Proxy, PublicKeyPin, RemovalPolicy,
    TlsMode, TlsTrust,
};
use crate::provider::Provider;
use crate::secret::Secret;
use crate::text;

/// The keys of `[accounts.NAME]` or `[defaults]`, one field per key. `credential` combines `token_command` and the keys
/// for a password.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) host: Setting<String>,
    pub(super) port: Setting<u16>,
    pub(super) tls: Setting<TlsMode>,
    pub(super) username: Setting<String>,
    pub(super) credential: Setting<CredentialSource>,
    pub(super) auth: Setting<AuthChoice>,
    /// As written; `{account}` is not yet expanded.
    pub(super) maildir: Setting<String>,
    pub(super) maildir_mode: Setting<MaildirMode>,
    pub(super) leave_on_server: Setting<RemovalPolicy>,
    pub(super) interval: Setting<Interval>,
    pub(super) timeout: Setting<Duration>,
    pub(super) max_message_size: Setting<u64>,
    pub(super) max_messages_per_session: Setting<NonZeroU32>,
    pub(super) sizes_are_estimates: Setting<bool>,
    pub(super) on_new_mail: Setting<Arc<[OsString]>>,
    pub(super) enabled: Setting<bool>,
    pub(super) tls_ca_file: Setting<PathBuf>,
    pub(super) tls_key_exchange: Setting<KeyExchange>,
    pub(super) allow_cleartext_password: Setting<bool>,
    pub(super) ip: Setting<IpVersion>,
    pub(super) source_address: Setting<IpAddr>,
    /// None for "none", which overrides the proxy of `[defaults]`.
    pub(super) proxy: Setting<Option<Proxy>>,
    pub(super) tls_server_name: Setting<String>,
    pub(super) tls_trust: Setting<TlsTrust>,
    pub(super) tls_pin: Setting<Vec<PublicKeyPin>>,
    pub(super) tls_client_cert: Setting<PathBuf>,
    pub(super) tls_client_key: Setting<PathBuf>,
    /// The provider whose known settings are the defaults.
    pub(super) provider: Setting<&'static Provider>,
    pub(super) oauth2: Setting<OAuthTable>,
    pub(super) rules: Setting<Vec<RuleTable>>,
    pub(super) multidrop: Setting<MultidropTable>,
    /// Known keys that were probably misspelt, so that they are not reported as missing, too.
    pub(super) misspelt: Vec<&'static str>,
}

const DAY: u64 = 24 * 60 * 60;
const INTERVAL_LEAST: Bound = (Duration::from_secs(10), "10s");
const INTERVAL_MOST: Bound = (Duration::from_secs(365 * DAY), "365d");
const TIMEOUT_LEAST: Bound = (Duration::from_secs(5), "5s");
const TIMEOUT_MOST: Bound = (Duration::from_secs(60 * 60), "1h");
pub(crate) const AGE_LEAST: Bound = (Duration::from_secs(60 * 60), "1h");
pub(crate) const AGE_MOST: Bound = (Duration::from_secs(36_500 * DAY), "36500d");

/// The values of `auth`.
const AUTH: [(&str, AuthChoice); 11] = [
    ("auto", AuthChoice::Auto),
    ("plain", AuthChoice::Plain),
    ("login", AuthChoice::Login),
    ("user", AuthChoice::User),
    ("apop", AuthChoice::Apop),
    ("cram-md5", AuthChoice::CramMd5),
    ("scram-sha-1", AuthChoice::ScramSha1),
    ("scram-sha-256", AuthChoice::ScramSha256),
    ("xoauth2", AuthChoice::XOAuth2),
    ("oauthbearer", AuthChoice::OAuthBearer),
    ("external", AuthChoice::External),
];

/// The values of `tls`.
const TLS: [(&str, TlsMode); 3] =
    [("implicit", TlsMode::Implicit), ("starttls", TlsMode::StartTls), ("none", TlsMode::None)];

/// The values of `tls_key_exchange`.
const KEY_EXCHANGE: [(&str, KeyExchange); 3] =
    [("auto", KeyExchange::Auto), ("classical", KeyExchange::Classical), ("post-quantum", KeyExchange::PostQuantum)];

impl Settings {
    /// Reads the known keys of a table, and reports every unknown key and invalid value.
    pub(super) fn read(
        table: &DeTable<'_>,
        level: Level<'_>,
        home: Option<&Path>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let oauth2 = oauth::table(table, level, home, problems);
        let rules = rules::rules(table, level, home, problems);
        let multidrop = multidrop::multidrop(table, level, home, problems);
        let credential = credential(table, home, problems);
        let nonzero = |value: &DeValue<'_>| integer(value, 1..=u64::from(u32::MAX), "a number such as 500");
        Self {
            host: read(table, "host", problems, host),
            port: read(table, "port", problems, |value| {
                let number = integer(value, 1..=65535, "the port's number, such as 995")?;
                Ok(u16::try_from(number).unwrap_or(u16::MAX))
            }),
            tls: read(table, "tls", problems, |value| choice(value, &TLS)),
            username: read(table, "username", problems, |value| {
                plain_text(value, "the name to log in with, such as \"me@example.org\"").map(str::to_owned)
            }),
            credential,
            auth: read(table, "auth", problems, |value| choice(value, &AUTH)),
            maildir: read(table, "maildir", problems, |value| {
                if value.as_str().is_some_and(|text| !text.is_empty() && text.chars().all(|c| c == '/')) {
                    return Err(InvalidValue::new(
                        "is the root of all directories",
                        "write a directory for mail, such as \"~/Mail\"",
                    ));
                }
                let text = plain_text(value, "a path such as \"~/Mail/{account}\"")?;
                path::only_account_in_braces(text)?;
                path::absolute(text, home).map(|_| text.to_owned())
            }),
            maildir_mode: read(table, "maildir_mode", problems, maildir_mode),
            leave_on_server: read(table, "leave_on_server", problems, removal),
            interval: read(table, "interval", problems, interval),
            timeout: read(table, "timeout", problems, |value| duration(value, TIMEOUT_LEAST, TIMEOUT_MOST, "60s")),
            max_message_size: read(table, "max_message_size", problems, size),
            max_messages_per_session: read(table, "max_messages_per_session", problems, |value| {
                let number = u32::try_from(nonzero(value)?).ok().and_then(NonZeroU32::new);
                Ok(number.unwrap_or(NonZeroU32::MAX))
            }),
            sizes_are_estimates: read(table, "sizes_are_estimates", problems, boolean),
            on_new_mail: read(table, "on_new_mail", problems, |value| {
                command(value, home, "[\"notmuch\", \"new\"]").map(Arc::from)
            }),
            enabled: read(table, "enabled", problems, boolean),
            tls_ca_file: read(table, "tls_ca_file", problems, |value| path::path(value, home)),
            tls_key_exchange: read(table, "tls_key_exchange", problems, |value| choice(value, &KEY_EXCHANGE)),
            allow_cleartext_password: read(table, "allow_cleartext_password", problems, boolean),
            ip: read(table, "ip", problems, |value| choice(value, &network::IP)),
            source_address: read(table, "source_address", problems, network::source_address),
            proxy: read(table, keys::PROXY, problems, network::proxy),
            tls_server_name: read(table, "tls_server_name", problems, host),
            tls_trust: read(table, "tls_trust", problems, |value| choice(value, &tls::TRUST)),
            tls_pin: read(table, "tls_pin", problems, tls::pins),
            tls_client_cert: read(table, "tls_client_cert", problems, |value| path::path(value, home)),
            tls_client_key: read(table, "tls_client_key", problems, |value| path::path(value, home)),
            provider: read(table, "provider", problems, provider),
            oauth2,
            rules,
            multidrop,
            misspelt: report_unknown(table, level, problems),
        }
    }
}

/// Reads the credential from the one key that gives it, and reports if there are several.
fn credential(table: &DeTable<'_>, home: Option<&Path>, problems: &mut Vec<Problem>) -> Setting<CredentialSource> {
    let ways = [
        (PASSWORD, read(table, PASSWORD, problems, password)),
        (
            "password_command",
            read(table, "password_command", problems, |value| {
                command(value, home, "[\"pass\", \"show\", \"mail/work\"]").map(CredentialSource::Command)
            }),
        ),
        (
            "password_file",
            read(table, "password_file", problems, |value| path::path(value, home).map(CredentialSource::File)),
        ),
        ("password_credential", read(table, "password_credential", problems, systemd_credential)),
        (
            "token_command",
            read(table, "token_command", problems, |value| {
                command(value, home, "[\"pizauth\", \"show\", \"work\"]").map(CredentialSource::TokenCommand)
            }),
        ),
    ];
    let way = only_one(table, ways, "the password or token", problems);
    let oauth2 = table.get_key_value("oauth2").filter(|(_, value)| value.get_ref().is_table());
    if let (Some((name, _)), false) = (oauth2, matches!(way, Setting::Absent)) {
        let message = "`oauth2` and another key both say how to log in";
        problems.push(Problem::new(message).at(&name.span()).help("keep `oauth2` alone, or the other key alone"));
        return Setting::Bad;
    }
    way
}

fn provider(value: &DeValue<'_>) -> Result<&'static Provider, InvalidValue> {
    let text = plain_text(value, "the provider's name, such as \"gmail\"")?;
    Provider::named(text).ok_or_else(|| {
        let by_domain = || Provider::of_address(&format!("@{text}")).map(|provider| provider.id);
        let by_label: Vec<String> = Provider::names_by_label(text).map(|name| format!("\"{name}\"")).collect();
        let help = match keys::nearest(text, Provider::names()).or_else(by_domain) {
            _ if !by_label.is_empty() => format!("did you mean {}?", by_label.join(" or ")),
            Some(nearest) => format!("did you mean \"{nearest}\"?"),
            None => {
                "\"Providers\" in the documentation lists those that are known; for any other give `host`".to_owned()
            }
        };
        InvalidValue::new(format!("cannot be \"{}\"", text::value(text)), help)
    })
}

fn password(value: &DeValue<'_>) -> Result<CredentialSource, InvalidValue> {
    let text = plain_text(value, "the password as a string, in quotes")?;
    Ok(CredentialSource::Inline(Secret::new(text.as_bytes().to_vec())))
}

/// Reads the permissions of a Maildir, in octal digits.
fn maildir_mode(value: &DeValue<'_>) -> Result<MaildirMode, InvalidValue> {
    let example = "the permissions of its directories in octal digits and quotes, such as \"0700\" or \"0750\"";
    let text = string(value, example)?;
    let octal = (3..=5).contains(&text.len()) && text.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    let bits = Some(text).filter(|_| octal).and_then(|text| u32::from_str_radix(text, 8).ok());
    let bits = bits.ok_or_else(|| InvalidValue::new("is not a mode in octal digits", format!("write {example}")))?;
    MaildirMode::new(bits).map_err(|invalid| {
        InvalidValue::new(
            invalid.to_string(),
            "begin with 7 for yourself; then 0, 5 (read) or 7 (read and write) for the group, 0 or 5 for others",
        )
    })
}

/// Reads one duration, or a range of two with dots between them.
fn interval(value: &DeValue<'_>) -> Result<Interval, InvalidValue> {
    let example = "5m";
    let DeValue::String(text) = value else {
        return duration(value, INTERVAL_LEAST, INTERVAL_MOST, example).map(Interval::fixed);
    };
    let is_time = |text: &str| parse(text, example).is_ok();
    let bounds = text.split_once(['-', '–', '…', '/']).filter(|(first, second)| is_time(first) && is_time(second));
    if let Some((first, second)) = bounds {
        let help = format!("write two dots between them: \"{}..{}\"", first.trim(), second.trim());
        return Err(InvalidValue::new("is not a duration, nor two of them", help));
    }
    let Some((first, second)) = text.split_once("..") else {
        return duration(value, INTERVAL_LEAST, INTERVAL_MOST, example).map(Interval::fixed).map_err(|wrong| {
            // A word without digits may mean that the account is not to be polled at all.
            let is_word = !text.contains(|c: char| c.is_ascii_digit());
            let help = format!("{}; an account that is polled only when it is named has enabled = false", wrong.help);
            if is_word { InvalidValue { help, ..wrong } } else { wrong }
        });
    };
    if first.trim().is_empty() || second.trim().is_empty() || second.contains("..") {
        let help = "write the shortest and the longest time, such as \"1m..15m\"";
        return Err(InvalidValue::new("is not two durations with two dots between them", help));
    }
    let bound = |text: &str, which: &str| {
        let bound = parse(text, example).and_then(|bound| within(bound, INTERVAL_LEAST, INTERVAL_MOST));
        bound.map_err(|wrong| InvalidValue { message: format!("has a {which} bound that {}", wrong.message), ..wrong })
    };
    let (shortest, longest) = (bound(first, "first")?, bound(second, "second")?);
    let (first, second) = (text::value(first.trim()), text::value(second.trim()));
    match shortest.cmp(&longest) {
        std::cmp::Ordering::Less => Ok(Interval { shortest, longest }),
        std::cmp::Ordering::Equal => Err(InvalidValue::new(
            "has two bounds that are the same, which leaves nothing to adapt",
            format!("write \"{first}\" for a fixed interval, or bounds that differ, such as \"1m..15m\""),
        )),
        std::cmp::Ordering::Greater => Err(InvalidValue::new(
            "has its longer bound first",
            format!("write the shorter time first: \"{second}..{first}\""),
        )),
    }
}

fn removal(value: &DeValue<'_>) -> Result<RemovalPolicy, InvalidValue> {
    let example = "true, false, or an age such as \"14d\"";
    match value {
        DeValue::Boolean(true) => Ok(RemovalPolicy::Keep),
        DeValue::Boolean(false) => Ok(RemovalPolicy::AfterDelivery),
        DeValue::String(text) if matches!(text.as_ref(), "true" | "false") => {
            Err(InvalidValue::new("is a string", format!("write {text} without quotes")))
        }
        DeValue::Integer(number) => {
            Err(InvalidValue::new("has no unit", format!("write \"{number}d\" for days, or true, or false")))
        }
        DeValue::String(text) if parse(text, "14d").is_ok_and(|age| age.is_zero()) => {
            Err(InvalidValue::new("is zero", "to delete at once after delivery, write leave_on_server = false"))
        }
        DeValue::String(text) => {
            duration(value, AGE_LEAST, AGE_MOST, "14d").map(RemovalPolicy::AfterAge).map_err(|wrong| {
                // A word without digits was not meant as an age.
                let is_word = !text.contains(|c: char| c.is_ascii_digit());
                match is_word {
                    true => InvalidValue::new("is neither true, false nor an age", format!("write {example}")),
                    false => wrong,
                }
            })
        }
        _ => Err(wrong_type(value, example, example)),
    }
}

/// Reads one of several words.
fn choice<T: Copy>(value: &DeValue<'_>, known: &[(&str, T)]) -> Result<T, InvalidValue> {
    let names: Vec<String> = known.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let names = names.join(", ");
    let text = string(value, &format!("one of {names}"))?;
    if let Some((_, choice)) = known.iter().find(|(name, _)| *name == text) {
        return Ok(*choice);
    }
    let shown: String = text::value(text).chars().take(40).collect();
    let help = match keys::nearest(text, known.iter().map(|(name, _)| *name)) {
        Some(nearest) => format!("did you mean \"{nearest}\"?"),
        None => format!("write one of {names}"),
    };
    Err(InvalidValue::new(format!("cannot be \"{shown}\""), help))
}

/// Returns the position of a password or another secret in a table; a file with one must be protected.
pub(super) fn password_in(table: &DeTable<'_>) -> Option<Span> {
    let of_proxy = || table.get_key_value(keys::PROXY).filter(|_| network::holds_password(table));
    let password =
        table.get_key_value(PASSWORD).or_else(of_proxy).map(|(key, value)| key.span().start..value.span().end);
    password.or_else(|| oauth::secret_in(table))
}
